"""Published results measured again: as they were published, and under attacks that know the defence."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from bench.cases.options import PaperOptions
from bench.cases.papers import EXPERIMENTS, Setting, digest
from bench.harness.case import Reporter
from bench.report.paper import Estimate, PaperRow, estimate, show
from intnn.storage.document import write_atomically
from plaintext_models.attacks.ball.ascend import ascend
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.data import datasets
from plaintext_models.data.datasets import Dataset
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.card import FULL, QUICK, Effort
from plaintext_models.evaluation.judge import Unnoticed, guarded, judge
from plaintext_models.evaluation.runner import evaluate

__all__ = ["PaperJob", "jobs", "measure", "show"]


@dataclass(frozen=True)
class Run:
    """What one training from scratch gave: of `images`, how many stay right.

    Attributes:
        images: How many images were attacked.
        clean: How many are right without an attack.
        attacked: How many are right under the published attack.
        adaptive: How many are right in the worst case of the card.
    """

    images: int
    clean: int
    attacked: int
    adaptive: int


@dataclass(frozen=True)
class PaperJob:
    """One published result.

    Attributes:
        identifier: A key of `EXPERIMENTS`.
        quick: Whether it is the quick version.
        seeds: The seeds of the runs.
        images: How many test images are attacked.
        data: The folder of the data; None for where it is found by itself.
        keep: The folder of finished runs.
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


def jobs(options: PaperOptions) -> tuple[PaperJob, ...]:
    """A job for every identifier.

    Raises:
        ValueError: There are not as many test images.
        DatasetError: The data is missing.
    """
    quick = options.quick
    images, count = options.images or (100 if quick else 1000), options.seeds or (3 if quick else 10)
    identifiers = tuple(EXPERIMENTS) if "all" in options.identifier else tuple(dict.fromkeys(options.identifier))
    for identifier in identifiers:
        for setting in EXPERIMENTS[identifier].settings(quick):
            available = len(datasets.load(setting.recipe.dataset, options.data).test_images)
            if images > available:
                raise ValueError(f"`--images` must be at most {available}, got {images}")
    seeds = tuple(range(options.seed, options.seed + count))
    return tuple(PaperJob(identifier, quick, seeds, images, options.data, options.keep) for identifier in identifiers)


def measure(job: PaperJob, report: Reporter) -> tuple[PaperRow, ...]:
    """A row for every setting, of all its runs; a run that is kept already is not made again."""
    experiment = EXPERIMENTS[job.identifier]
    rows: list[PaperRow] = []
    settings = experiment.settings(job.quick)
    effort, total = QUICK if job.quick else FULL, len(settings) * len(job.seeds)
    for setting in settings:
        dataset = datasets.load(setting.recipe.dataset, job.data)
        runs: list[Run] = []
        digests: list[str] = []
        for seed in job.seeds:
            report(f"{setting.name}, seed {seed}", (len(rows) * len(job.seeds) + len(runs)) / total)
            key = digest(setting, dataset, experiment.radius, effort, job.images, seed)
            path = job.keep / f"{key[:16]}.json"
            run = _kept(path, key)
            if run is None:
                run = made(setting, dataset, experiment.radius, effort, job.images, seed)
                _keep(path, key, seed, run)
            runs.append(run)
            digests.append(key)
        rows.append(_row(job, setting, runs, tuple(digests)))
    return tuple(rows)


def made(setting: Setting, dataset: Dataset, radius: float, effort: Effort, images: int, seed: int) -> Run:
    """Train a setting's network from scratch, and attack it in both ways.

    The published attack is one step of the gradient sign on the network that is seen by who knows of no defence; what
    comes of it is judged on the defended one.
    """
    clean, labels = (torch.from_numpy(part[:images]) for part in (dataset.test_images, dataset.test_labels))
    defended, ball, goal = setting.defended(seed, dataset), Ball("linf", radius), Goal(labels)
    judged, detector = defended.target, defended.detector
    if detector is not None:
        judged, goal = guarded(judged, detector), Unnoticed(labels)
    with deterministic(seed):
        known, generator = defended.bare or defended.target, torch.Generator().manual_seed(seed)
        moved = ascend(known, clean, Goal(labels), ball, steps=1, generator=generator, random_start=False)
        attacked = judge(judged, clean, goal, moved, ball, draws=effort.draws)
        card = evaluate(
            defended.target,
            clean,
            labels,
            ball,
            seed=seed,
            transfer_from=() if defended.bare is None else (defended.bare,),
            randomness_off=defended.randomness_off,
            surrogates=defended.surrogates,
            detector=detector,
            effort=effort,
        )
    return Run(images, card.clean.count, attacked.robust.count, card.verdict.count)


def _row(job: PaperJob, setting: Setting, runs: list[Run], digests: tuple[str, ...]) -> PaperRow:
    def share(name: str) -> Estimate:
        return estimate([getattr(run, name) for run in runs], job.images)

    attacked, experiment = share("attacked"), EXPERIMENTS[job.identifier]
    return PaperRow(
        job.identifier,
        setting.name,
        setting.recipe.dataset,
        experiment.radius,
        job.images,
        job.seeds,
        setting.published,
        None if setting.published is None else attacked.value - setting.published,
        share("clean"),
        attacked,
        share("adaptive"),
        digests,
        tuple((order.worse, order.under) for order in experiment.orders if order.better == setting.name),
    )


def _kept(path: Path, key: str) -> Run | None:
    """The run of a file, if there is one and it is this recipe's.

    Raises:
        ValueError: The file is damaged.
    """
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text("utf-8"))
        return Run(**stored["run"]) if stored["digest"] == key else None
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} must hold a finished run, got a damaged file; delete it to run anew") from error


def _keep(path: Path, key: str, seed: int, run: Run) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"digest": key, "seed": seed, "command": " ".join(sys.argv[1:]), "run": asdict(run)}
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
