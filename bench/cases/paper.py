"""Published results measured again: as they were published, and under attacks that know the defence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.cases.options import PaperOptions
from bench.harness.case import Reporter, Silent
from bench.harness.machine import available_threads
from bench.papers.columns import SHARE, Column
from bench.papers.experiment import Experiment, Setting, Unattacked
from bench.papers.processes import in_processes
from bench.papers.registry import EXPERIMENTS
from bench.papers.store import Kept, found, kept, loaded
from bench.report.intervals import Estimate, estimate, estimate_number
from bench.report.paper import show
from bench.report.paper_document import report
from bench.report.paper_rows import Figure, PaperRow
from bench.tables.documents import PUBLISHED
from plaintext_models.evaluation.card import FULL, QUICK, Effort
from plaintext_models.evaluation.judge import Share

__all__ = ["PaperJob", "jobs", "measure", "report", "show"]


@dataclass(frozen=True)
class PaperJob:
    """One published result.

    Attributes:
        identifier: A key of `EXPERIMENTS`.
        quick: Whether it is the quick version.
        seeds: The seeds of the runs.
        images: How many test images are attacked.
        only: The names of the settings that are run; empty for all.
        clean: Whether nothing is attacked: only what is `Unattacked` is measured, of all test images.
        data: The folder of the data; None for where it is found by itself.
        keep: The folder of finished runs and trainings.
        processes: How many processes make runs.
    """

    identifier: str
    quick: bool
    seeds: tuple[int, ...]
    images: int
    only: tuple[str, ...]
    clean: bool
    data: Path | None
    keep: Path
    processes: int = 1

    @property
    def title(self) -> str:
        """The identifier."""
        return self.identifier

    @property
    def settings(self) -> tuple[Setting, ...]:
        """What is run."""
        every = EXPERIMENTS[self.identifier].settings(self.quick)
        chosen = (one for one in every if not self.only or one.name in self.only)
        return tuple(one for one in chosen if not self.clean or isinstance(one.subject, Unattacked))


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The identifiers that are meant: themselves, all of a document by its letter, or "all"; each once."""
    asked: list[str] = []
    for name in names:
        start = "" if name == "all" else name
        asked += [one for one in PUBLISHED if one == name or (name not in PUBLISHED and one.startswith(start))]
    return tuple(dict.fromkeys(asked))


def jobs(options: PaperOptions) -> tuple[PaperJob, ...]:
    """A job for every identifier.

    Raises:
        ValueError: There are not as many test images, or none is attacked; or a setting has another name.
        DatasetError: The data is missing.
    """
    if options.clean and options.images:
        raise ValueError("`--images` must be left out with `--clean`, which attacks nothing and asks all test images")
    asked: list[PaperJob] = []
    for identifier in chosen(options.identifier):
        experiment = EXPERIMENTS[identifier]
        settings = {setting.name: setting for setting in experiment.settings(options.quick)}
        if unknown := [name for name in options.setting if name not in settings]:
            raise ValueError(f"`--setting` must name settings of {identifier}, {'; '.join(settings)}; got {unknown[0]}")
        scale = experiment.quick if options.quick else experiment.full
        images = 0 if options.clean else (options.images or scale.images) if scale.images else 0
        for name in {settings[setting].subject.dataset for setting in options.setting or settings}:
            available = len(loaded(name, options.data).test_images)
            if images > available:
                raise ValueError(f"`--images` must be at most {available} for {identifier}, got {images}")
        seeds = tuple(range(options.seed, options.seed + (options.seeds or scale.seeds)))
        processes = min(len(seeds), options.processes or available_threads())
        asked.append(
            PaperJob(
                identifier=identifier,
                quick=options.quick,
                seeds=seeds,
                images=images,
                only=options.setting,
                clean=options.clean,
                data=options.data,
                keep=options.keep,
                processes=processes,
            )
        )
    return tuple(asked)


def measure(job: PaperJob, reporter: Reporter) -> tuple[PaperRow, ...]:
    """A row for every setting, of all its runs; a run that is kept already is not made again.

    Raises:
        ValueError: A kept file is damaged.
        FloatingPointError: The loss of a training is no longer finite; what is finished stays kept.
    """
    experiment, settings = EXPERIMENTS[job.identifier], job.settings
    if not experiment.settings(job.quick):
        again = f"python -m bench paper {job.identifier} --full{' --clean' * job.clean}"
        reporter.say(f"{job.identifier} is left out, being large: {again}")
    elif not settings:
        reporter.say(f"{job.identifier} is left out: nothing of it is measured without an attack")
    _share_out(job, settings, reporter)
    rows: list[PaperRow] = []
    for number, setting in enumerate(settings):
        runs = list[Kept]()
        for seed in job.seeds:
            reporter(_where(setting, seed), (number * len(job.seeds) + len(runs)) / (len(settings) * len(job.seeds)))
            runs.append(_run(job, setting, seed, reporter))
        rows.append(_row(job, experiment, setting, runs))
    return tuple(rows)


def _share_out(job: PaperJob, settings: Sequence[Setting], reporter: Reporter) -> None:
    """Let several processes make the runs that are not kept yet: those of a seed in one, for they share trainings."""
    missing = {
        seed: [
            partial(_made, job, number, seed) for number, one in enumerate(settings) if _kept(job, one, seed) is None
        ]
        for seed in job.seeds
        if job.processes > 1
    }
    count, total = sum(map(len, missing.values())), len(settings) * len(job.seeds)

    def tell(over: int) -> None:
        reporter(f"{total - count + over} of {total} runs", (total - count + over) / total)

    if sum(map(bool, missing.values())) > 1:
        tell(0)
        in_processes({seed: calls for seed, calls in missing.items() if calls}, job.processes, tell)


def _made(job: PaperJob, number: int, seed: int) -> None:
    """Make a run, of which nothing goes back to the process that asked for it: it is kept."""
    _run(job, job.settings[number], seed, Silent())


def _run(job: PaperJob, setting: Setting, seed: int, reporter: Reporter) -> Kept:
    def tell(what: str) -> None:
        reporter(f"{_where(setting, seed)}: {what}")

    dataset = loaded(setting.subject.dataset, job.data)
    try:
        return kept(setting.subject, dataset, _effort(job), job.images, seed, keep=job.keep, report=tell)
    except FloatingPointError as error:
        raise FloatingPointError(f"{job.identifier}, {_where(setting, seed)}: {error}") from error


def _kept(job: PaperJob, setting: Setting, seed: int) -> Kept | None:
    dataset = loaded(setting.subject.dataset, job.data)
    return found(setting.subject, dataset, _effort(job), job.images, seed, keep=job.keep)


def _effort(job: PaperJob) -> Effort | None:
    return None if job.clean else QUICK if job.quick else FULL


def _where(setting: Setting, seed: int) -> str:
    return f"{setting.name}, seed {seed}"


def _row(job: PaperJob, experiment: Experiment, setting: Setting, runs: Sequence[Kept]) -> PaperRow:
    """What all seeds of a setting say, by the columns of its experiment."""
    measured = {name for run in runs for name in run.measured.figures}
    if unknown := sorted(measured - {column.name for column in experiment.columns}):
        raise ValueError(f"`columns` of {job.identifier} must name {', '.join(unknown)}")
    said = (
        (order.column, order.lower, order.lower_column or order.column)
        for order in experiment.orders
        if order.higher == setting.name and (not job.only or order.lower in job.only)
    )
    return PaperRow(
        identifier=job.identifier,
        setting=setting.name,
        dataset=setting.subject.dataset,
        quick=job.quick,
        smaller=experiment.smaller,
        images=job.images,
        seeds=job.seeds,
        figures=tuple(
            figure for column in experiment.columns if (figure := _figure(column, setting, runs)) is not None
        ),
        said_higher=tuple(one for one in said if not job.clean or measured.issuperset((one[0], one[2]))),
        digests=tuple(run.key for run in runs),
        seconds=sum(run.seconds for run in runs),
        arrays=tuple(str(run.arrays) for run in runs if run.arrays is not None),
        pictures=tuple(experiment.pictures.items()),
        full_hours=experiment.hours,
        clean=job.clean,
        left_out=len(experiment.settings(job.quick)) - len(job.settings),
    )


def _figure(column: Column, setting: Setting, runs: Sequence[Kept]) -> Figure | None:
    """The figure of a column over all runs; None where no run has it."""
    figures = tuple(run.measured.figures.get(column.name) for run in runs)
    shares = [one for one in figures if isinstance(one, Share) and one.n]
    numbers = [one for one in figures if one is not None and not isinstance(one, Share)]
    ours: Estimate
    if shares and column.unit == SHARE:
        ours = estimate(shares)
    elif numbers and column.unit != SHARE:
        if column.by_ratio and min(numbers) <= 0:
            raise ValueError(f"`{column.name}` is compared by ratio and must be positive, got {min(numbers)}")
        ours = estimate_number(numbers)
    elif shares or numbers:
        raise ValueError(f"`{column.name}` must be {'a share' if column.unit == SHARE else 'a number'}, as its unit is")
    else:
        return None
    printed = setting.published.get(column.name)
    if printed is None:
        return Figure(column, ours, None, None, None, figures)
    return Figure(column, ours, printed.value, printed.deviation, ours.value - printed.value, figures)
