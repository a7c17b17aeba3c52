"""What training in integers alone reaches: several seeds of one experiment, on a test part that no choice has seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.cases.experiments import EXPERIMENTS
from bench.cases.options import AccuracyOptions
from bench.harness.case import Reporter
from bench.harness.timing import timed
from bench.report.accuracy import AccuracyRow, show
from intnn import IntClassifier
from intnn.training.schedule import Epoch
from plaintext_models.data import datasets
from plaintext_models.data.datasets import Dataset

__all__ = ["AccuracyJob", "jobs", "measure", "show", "train_from_seeds"]

PART = 500  # images that are asked about at once


@dataclass(frozen=True)
class AccuracyJob:
    """One experiment, from several seeds.

    Attributes:
        network: A key of EXPERIMENTS.
        data: The folder of its data set; None for where it is found by itself.
        seeds: The seeds of the runs.
        epochs: The passes over the training images, instead of the experiment's own; None for those.
    """

    network: str
    data: Path | None
    seeds: tuple[int, ...]
    epochs: int | None

    @property
    def title(self) -> str:
        """The experiment."""
        return self.network


def jobs(options: AccuracyOptions) -> tuple[AccuracyJob, ...]:
    """One job for each experiment.

    Raises:
        ValueError: There is no data.
    """
    for name in options.network:
        datasets.load(EXPERIMENTS[name].dataset, options.data)
    seeds = tuple(range(options.seeds))
    return tuple(AccuracyJob(name, options.data, seeds, options.epochs) for name in options.network)


def measure(job: AccuracyJob, report: Reporter) -> Iterator[AccuracyRow]:
    """Train and test the experiment from every seed."""
    dataset = datasets.load(EXPERIMENTS[job.network].dataset, job.data)
    yield train_from_seeds(job.network, dataset, job.seeds, job.epochs, report)


def train_from_seeds(
    network: str, dataset: Dataset, seeds: Sequence[int], epochs: int | None, report: Reporter
) -> AccuracyRow:
    """Train and test an experiment on a data set of its shape.

    Args:
        network: A key of EXPERIMENTS.
        dataset: The images that it is trained and tested on.
        seeds: The seeds of the runs, at least one.
        epochs: The passes over the training images, instead of the experiment's own; None for those.
        report: It is told what is happening, and which share of all is done.
    """
    experiment = EXPERIMENTS[network]
    options = {
        **experiment.options,
        "input_domain": experiment.domain,
        **({"epochs": epochs} if epochs is not None else {}),
    }
    train, test = experiment.inputs(dataset.train_images), experiment.inputs(dataset.test_images)
    accuracies, seconds = [], []
    for i, seed in enumerate(seeds):
        model = IntClassifier(random_state=seed, **options)

        def progress(epoch: Epoch, done: int = i, seed: int = seed, total: int = model.epochs) -> None:
            share = (done + epoch.number / total) / len(seeds)
            report(f"seed {seed}, epoch {epoch.number}: {epoch.correct / epoch.seen:.4f} while training", share)

        model.callback = progress
        seconds.append(timed(lambda model=model: model.fit(train, dataset.train_labels))[0])  # type: ignore[misc]
        right = [
            model.predict(images) == labels
            for images, labels in zip(_parts(test), _parts(dataset.test_labels), strict=True)
        ]
        accuracies.append(float(np.concatenate(right).mean()))
    return AccuracyRow(
        network=network,
        dataset=dataset.name,
        shape=experiment.shape,
        n_train=len(train),
        n_test=len(test),
        epochs=model.epochs,
        seeds=tuple(seeds),
        accuracies=tuple(accuracies),
        mean_accuracy=float(np.mean(accuracies)),
        train_seconds=float(np.mean(seconds)),
        options={name: repr(value) for name, value in options.items()},
    )


def _parts(array: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(array), PART):
        yield array[start : start + PART]
