"""Where both questions meet: how robust the integers of a defended network are, and what they cost on ciphertexts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import he
from bench.cases.meetings import FIELDS, MEETINGS
from bench.cases.options import MeetingOptions
from bench.harness.case import Reporter
from bench.report.meeting import MeetingRow, draw, show
from intnn import IntNetwork, LutActivation, certify, real_ball
from intnn.certification.certify import Method
from intnn.values.arrays import IntArray
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.derived import derived, in_front
from plaintext_models.attacks.core.norms import ROUNDING, SLACK
from plaintext_models.attacks.core.target import Target
from plaintext_models.bridge.integers import integer_twin
from plaintext_models.bridge.twin import integer_target
from plaintext_models.data import datasets
from plaintext_models.data.datasets import Dataset
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.card import FULL, QUICK, Card
from plaintext_models.evaluation.runner import evaluate

__all__ = ["MeetingJob", "draw", "jobs", "measure", "show"]

SAMPLES = 5000  # training images by which a twin's values are scaled, at most
THREADS = 1


@dataclass(frozen=True)
class MeetingJob:
    """One defence.

    Attributes:
        defence: A key of `bench.cases.meetings.MEETINGS`.
        dataset: A key of `bench.cases.meetings.FIELDS`.
        data: The folder of the data; None for where it is found by itself.
        quick: Whether a tenth of the card's effort is spent.
        images: How many test images are attacked, the first ones.
        points: The sizes of tables; empty for the data set's own.
        seed: The seed of everything random.
    """

    defence: str
    dataset: str
    data: Path | None
    quick: bool
    images: int
    points: tuple[int, ...]
    seed: int

    @property
    def title(self) -> str:
        """The defence."""
        return self.defence


def jobs(options: MeetingOptions) -> tuple[MeetingJob, ...]:
    """A job for every defence.

    Raises:
        ValueError: There are not as many test images.
        DatasetError: The data is missing.
    """
    dataset = "digits" if options.quick else "mnist"
    available = len(datasets.load(dataset, options.data).test_images)
    images = options.images or (100 if options.quick else 1000)
    if images > available:
        raise ValueError(f"`--images` must be at most {available}, got {images}")
    about = dataset, options.data, options.quick, images, options.points, options.seed
    return tuple(MeetingJob(name, *about) for name in options.defence or MEETINGS)


def measure(job: MeetingJob, report: Reporter) -> Iterator[MeetingRow]:
    """Train a network; then take its integer twin in every size, attack it, prove what can be proved, and price it.

    The attacks know everything: gradients go straight through the integer network's roundings and tables and through
    what the client does before, examples of the float network are tried as well, and Square asks the integers alone.
    Proofs are of all test images.
    """
    field, meeting = FIELDS[job.dataset], MEETINGS[job.defence]
    dataset = datasets.load(job.dataset, job.data)
    report(f"{job.defence}: training", 0.0)
    begin = time.process_time()
    module = meeting.build(field, dataset, job.seed)
    trained = time.process_time() - begin
    front = nn.Identity() if meeting.front is None else meeting.front
    samples, images = (front(torch.from_numpy(x)) for x in (dataset.train_images[:SAMPLES], dataset.test_images))
    with torch.no_grad():
        answers = module(images).argmax(1).numpy()
    for number, points in enumerate(job.points or (field.sizes.table_points,)):
        report(f"{job.defence}: {points} points", (number + 0.5) / (len(job.points) + 1))
        network = integer_twin(module, samples, replace(field.sizes, table_points=points), job.defence)
        card = attacked(job, network, nn.Sequential(front, module).eval(), dataset)
        price = he.estimate(network, samples.double().numpy(), threads=THREADS)
        proved = {} if meeting.noisy else proofs(network, images.numpy(), dataset.test_labels, field.radius)
        require_unbroken(card, proved)
        counts = {method: int(certified.sum()) for method, certified in proved.items()}
        yield MeetingRow(
            defence=job.defence,
            dataset=job.dataset,
            points=next(layer.lut.domain.size for layer in network.layers if isinstance(layer, LutActivation)),
            radius=field.radius,
            images=job.images,
            float_accuracy=float((answers == dataset.test_labels).mean()),
            clean=card.clean.count,
            robust=card.verdict.count,
            test_images=len(dataset.test_labels),
            proved=int(proved["lines"][: job.images].sum()) if proved else None,
            certified=counts.get("lines"),
            certified_by_intervals=counts.get("intervals"),
            units=price.units,
            encrypted_ms=None if price.seconds is None else 1000 * price.seconds,
            parameters=str(price.parameters) if price.fits else "; ".join(price.reasons),
            train_seconds=round(trained, 3),
            seed=job.seed,
        )


def attacked(job: MeetingJob, network: IntNetwork, module: nn.Module, dataset: Dataset) -> Card:
    """The card of an integer twin behind what its client does.

    Args:
        job: The defence, the images and the effort.
        network: The integer twin.
        module: The float network, with what the client does before it is asked.
        dataset: Its test part is attacked.
    """
    field, meeting = FIELDS[job.dataset], MEETINGS[job.defence]
    images, labels = (torch.from_numpy(part[: job.images]) for part in (dataset.test_images, dataset.test_labels))
    target, exact = integer_target(network), None
    if meeting.front is not None:
        target = derived(target, partial(_behind, target, meeting.front))
    if meeting.noisy:
        drawn = partial(noise, field.noise, torch.Generator().manual_seed(job.seed))
        exact, target = target, in_front(target, drawn, stochastic=True)
    with deterministic(job.seed):
        return evaluate(
            target,
            images,
            labels,
            Ball("linf", field.radius),
            seed=job.seed,
            transfer_from=(Target(module),),
            randomness_off=exact,
            effort=QUICK if job.quick else FULL,
        )


def proofs(
    network: IntNetwork, images: NDArray[np.float32], labels: IntArray, radius: float
) -> dict[str, NDArray[np.bool_]]:
    """Which images [n] have their label proved, by each method, within all that the referee lets attacks give back.

    Means of pixels move no further than the pixels do, but for their own rounding in float32, less than that of pixels
    once more: a ball of what the client has averaged holds the averages of all images of a ball.
    """
    ball = real_ball(network, images, radius * (1 + SLACK) + 2 * ROUNDING)
    return {method: certify(network, ball, labels, method).certified for method in get_args(Method)}


def require_unbroken(card: Card, proved: dict[str, NDArray[np.bool_]]) -> None:
    """Refuse proofs that an attack has refuted, which would be an error of either.

    Raises:
        RuntimeError: There is one.
    """
    broken = torch.stack([entry.broken for entry in card.entries if entry.radius == card.radius]).any(0).numpy()
    for method, certified in proved.items():
        if refuted := int((certified[: len(broken)] & broken).sum()):
            raise RuntimeError(f"proofs by {method} must hold against every attack, got {refuted} that were refuted")


def _behind(target: Target, front: nn.Module, images: Tensor) -> Tensor:
    return target.logits(front(images))


def noise(deviation: float, generator: torch.Generator, images: Tensor) -> Tensor:
    """Images [batch, *shape] with normal noise that a client adds before it rounds, saturated in [0, 1]."""
    drawn = torch.randn(images.shape, generator=generator, dtype=images.dtype)
    return (images + deviation * drawn).clamp(0, 1)
