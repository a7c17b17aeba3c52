"""Published results measured again: as they were published, and under attacks that know the defence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.cases.options import PaperOptions
from bench.harness.case import Reporter
from bench.papers.columns import SHARE, Column
from bench.papers.experiment import Experiment, Setting
from bench.papers.registry import EXPERIMENTS
from bench.papers.store import Kept, kept, loaded
from bench.report.paper import Estimate, Figure, PaperRow, estimate, estimate_number, show
from bench.report.paper_document import report
from bench.tables.documents import PUBLISHED
from plaintext_models.evaluation.card import FULL, QUICK
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
        data: The folder of the data; None for where it is found by itself.
        keep: The folder of finished runs and trainings.
    """

    identifier: str
    quick: bool
    seeds: tuple[int, ...]
    images: int
    data: Path | None
    keep: Path

    @property
    def title(self) -> str:
        """The identifier."""
        return self.identifier


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The identifiers that are meant: themselves, all of a document by its letter, or "all"; each once."""
    found: list[str] = []
    for name in names:
        start = "" if name == "all" else name
        found += [one for one in PUBLISHED if one == name or (name not in PUBLISHED and one.startswith(start))]
    return tuple(dict.fromkeys(found))


def jobs(options: PaperOptions) -> tuple[PaperJob, ...]:
    """A job for every identifier.

    Raises:
        ValueError: There are not as many test images.
        DatasetError: The data is missing.
    """
    found: list[PaperJob] = []
    for identifier in chosen(options.identifier):
        experiment = EXPERIMENTS[identifier]
        scale = experiment.quick if options.quick else experiment.full
        images = options.images or scale.images
        for name in {setting.subject.dataset for setting in experiment.settings(options.quick)}:
            available = len(loaded(name, options.data).test_images)
            if images > available:
                raise ValueError(f"`--images` must be at most {available} for {identifier}, got {images}")
        seeds = tuple(range(options.seed, options.seed + (options.seeds or scale.seeds)))
        found.append(PaperJob(identifier, options.quick, seeds, images, options.data, options.keep))
    return tuple(found)


def measure(job: PaperJob, reporter: Reporter) -> tuple[PaperRow, ...]:
    """A row for every setting, of all its runs; a run that is kept already is not made again.

    Raises:
        ValueError: A kept file is damaged.
        FloatingPointError: The loss of a training is no longer finite; what is finished stays kept.
    """
    experiment = EXPERIMENTS[job.identifier]
    settings = experiment.settings(job.quick)
    if not settings:
        reporter.say(f"{job.identifier} is left out, being large: python -m bench paper {job.identifier} --full")
    effort = QUICK if job.quick else FULL
    rows: list[PaperRow] = []
    for number, setting in enumerate(settings):
        dataset, runs = loaded(setting.subject.dataset, job.data), list[Kept]()
        for seed in job.seeds:
            where = f"{setting.name}, seed {seed}"
            reporter(where, (number * len(job.seeds) + len(runs)) / (len(settings) * len(job.seeds)))
            try:
                run = kept(
                    setting.subject,
                    dataset,
                    effort,
                    job.images,
                    seed,
                    keep=job.keep,
                    report=partial(_tell, reporter, where),
                )
            except FloatingPointError as error:
                raise FloatingPointError(
                    f"{job.identifier}, {where}: {error}. What was finished is kept in {job.keep}"
                ) from error
            runs.append(run)
        rows.append(_row(job, experiment, setting, runs))
    return tuple(rows)


def _tell(reporter: Reporter, where: str, what: str) -> None:
    reporter(f"{where}: {what}")


def _row(job: PaperJob, experiment: Experiment, setting: Setting, runs: Sequence[Kept]) -> PaperRow:
    measured = {column.name for column in experiment.columns}
    if unknown := sorted({name for run in runs for name in run.measured.figures} - measured):
        raise ValueError(f"`columns` of {job.identifier} must name {', '.join(unknown)}")
    orders = (order for order in experiment.orders if order.higher == setting.name)
    return PaperRow(
        job.identifier,
        setting.name,
        setting.subject.dataset,
        job.quick,
        experiment.smaller,
        job.images,
        job.seeds,
        tuple(figure for column in experiment.columns if (figure := _figure(column, setting, runs)) is not None),
        tuple((order.column, order.lower, order.lower_column or order.column) for order in orders),
        tuple(run.key for run in runs),
        sum(run.seconds for run in runs),
        tuple(str(run.arrays) for run in runs if run.arrays is not None),
        tuple(experiment.pictures.items()),
        experiment.hours,
    )


def _figure(column: Column, setting: Setting, runs: Sequence[Kept]) -> Figure | None:
    """The figure of a column over all runs; None where no run has it."""
    found = [run.measured.figures[column.name] for run in runs if column.name in run.measured.figures]
    shares = [one for one in found if isinstance(one, Share) and one.n]
    numbers = [one for one in found if not isinstance(one, Share)]
    ours: Estimate
    if shares and column.unit == SHARE:
        ours = estimate(shares)
    elif numbers and column.unit != SHARE:
        ours = estimate_number(numbers)
    elif shares or numbers:
        raise ValueError(f"`{column.name}` must be {'a share' if column.unit == SHARE else 'a number'}, as its unit is")
    else:
        return None
    printed = setting.published.get(column.name)
    if printed is None:
        return Figure(column, ours, None, None, None)
    return Figure(column, ours, printed.value, printed.deviation, ours.value - printed.value)
