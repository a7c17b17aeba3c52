"""The table's third row: a head trained on ciphertexts, all steps really made."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from bench.cases.trainer_process import TrainerProcess
from bench.harness.case import Reporter
from bench.harness.clock import Clock
from bench.harness.machine import available_threads
from bench.harness.timing import timed
from bench.harness.yardstick import seal_rotate_ms
from bench.tables.heads import HeadRow
from he.training.errors import head_error
from he.training.head import accuracy, fit, targets
from he.training.owner import Owner
from he.training.recipes import DIGITS, MNIST, MNIST_LARGE, Recipe
from he.training.whitening import Whitening
from intnn.values.arrays import FloatArray, IntArray
from plaintext_models.data import datasets
from plaintext_models.data.datasets import Images

ROW = "training-fhe"
RECIPES: Mapping[str, tuple[Recipe, ...]] = MappingProxyType({"digits": (DIGITS,), "mnist": (MNIST, MNIST_LARGE)})
TRAINS = (
    "a linear head by least squares on fixed random features, which the owner whitens in the clear; no other layer is "
    "trained. HETAL's figures are of a softmax on features of a vision transformer: another task"
)
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2)


@dataclass(frozen=True)
class HeadJob:
    """One head to train.

    Attributes:
        recipe: How images become samples, and samples a head.
        dataset: The name of the data set.
        data: The folder of that data set; None for where it is found by itself.
    """

    recipe: Recipe
    dataset: str
    data: Path | None

    @property
    def title(self) -> str:
        """The head."""
        return f"head, {self.recipe.features.count} features"


def jobs(dataset: str, data: Path | None) -> tuple[HeadJob, ...]:
    """The heads of the table on a data set."""
    return tuple(HeadJob(recipe, dataset, data) for recipe in RECIPES[dataset])


def measure(job: HeadJob, report: Reporter) -> HeadRow:
    """Train a head in the clear and on ciphertexts."""
    data, recipe, clock, threads = datasets.load(job.dataset, job.data), job.recipe, Clock(), available_threads()
    labels, classes = data.train_labels, data.classes
    report("in the clear", 0.0)
    rotations = [seal_rotate_ms()]
    plain_s, (whitening, twin, white) = timed(lambda: _in_clear(recipe, data.train_images, labels, classes))

    report("features and whitening", 0.1)
    plan = recipe.plan(len(labels), classes)
    with clock.running("prepare"):
        features = recipe.features.of(data.train_images)
        same = recipe.whitening(features)
    assert same.digest == whitening.digest, "features are the same bits whenever they are computed"
    report("making keys", 0.15)
    with clock.running("keygen"):
        owner = Owner("owner", plan, whitening)
        keys = owner.evaluation_keys.to_bytes()
    with clock.running("prepare"):
        blocks = owner.encrypt(features, labels)
    sample_bytes = 0
    with TrainerProcess(plan, keys, threads) as trainer:
        for number in range(-(-len(labels) // plan.block_samples)):
            report("encrypting", 0.2 + 0.4 * number * plan.block_samples / len(labels))
            with clock.running("encrypt"):
                message = next(blocks).to_bytes()
            with clock.running("read"):
                trainer.add(message)
            sample_bytes += len(message)
        report("training", 0.6)
        with clock.running("train"):
            encrypted, spent = trainer.fit(lambda step, _: report("training", 0.6 + 0.3 * step / plan.descent.steps))
    report("decrypting", 0.9)
    with clock.running("decrypt"):
        head = owner.decrypt(encrypted)

    rotations.append(seal_rotate_ms())  # on both sides of what it is the yardstick of
    tests = whitening.apply(recipe.features.of(data.test_images))
    parameters, wall, processor = plan.parameters, clock.wall, clock.processor
    return HeadRow(
        row=ROW,
        dataset=job.dataset,
        features=recipe.features.count,
        trains=TRAINS,
        steps=plan.descent.steps,
        levels=plan.descent.levels,
        refreshes=0,
        extrapolated=False,
        n_train=len(labels),
        n_test=len(tests),
        plain_seconds=plain_s,
        encrypted_seconds=sum(wall.values()) + trainer.keys_s,
        prepare_s=wall["prepare"],
        keygen_s=wall["keygen"],
        encrypt_s=wall["encrypt"],
        read_s=wall["read"] + trainer.keys_s,
        train_s=wall["train"],
        decrypt_s=wall["decrypt"],
        accuracy_plain=accuracy(tests, data.test_labels, twin),
        accuracy_encrypted=accuracy(tests, data.test_labels, head),
        accuracy_converged=accuracy(tests, data.test_labels, _converged(white, labels, classes)),
        prediction_mismatches=int((np.argmax(tests @ head, axis=1) != np.argmax(tests @ twin, axis=1)).sum()),
        largest_error=float(np.abs(head - twin).max()),
        error_bound=head_error(plan),
        largest_weight=float(np.abs(twin).max()),
        security_bits=parameters.security_bits,
        poly_modulus_degree=parameters.poly_modulus_degree,
        coeff_modulus_bits=parameters.coeff_modulus_bits,
        sample_bytes=sample_bytes,
        head_bytes=len(encrypted),
        evaluation_key_bytes=len(keys),
        cpu_seconds=sum(processor.values()) + spent.cpu_seconds,
        trainer_cpu_seconds=spent.cpu_seconds,
        threads=threads,
        trainer_peak_rss_bytes=spent.peak_rss_bytes,
        seal_rotate_ms=statistics.mean(rotations),
        explanation=str(parameters),
    )


def _in_clear(
    recipe: Recipe, images: Images, labels: IntArray, classes: int
) -> tuple[Whitening, FloatArray, FloatArray]:
    """The whitening, the twin, and the whitened samples."""
    features = recipe.features.of(images)
    whitening = recipe.whitening(features)
    white = whitening.apply(features)
    return whitening, fit(white, labels, classes, recipe.descent), white


def _converged(white: FloatArray, labels: IntArray, classes: int) -> FloatArray:
    """The head of least squares with the ridge that a held-out fifth of the samples are read best with."""
    y, held_out = targets(labels, classes), np.arange(len(labels)) % 5 == 0
    x, kept = white[~held_out], y[~held_out]

    def scored(ridge: float) -> float:
        return accuracy(white[held_out], labels[held_out], _ridge(x, kept, ridge))

    return _ridge(white, y, max(RIDGES, key=scored))


def _ridge(x: FloatArray, y: FloatArray, ridge: float) -> FloatArray:
    moments: FloatArray = x.T @ x / len(x) + ridge * np.eye(x.shape[1])
    return np.linalg.solve(moments, x.T @ y / len(x)).astype(np.float64, copy=False)
