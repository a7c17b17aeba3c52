"""The table's third row, of a whole network: trained on ciphertexts, every step really made and refreshed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bench.harness.case import Reporter
from bench.harness.clock import Clock
from bench.harness.machine import available_threads
from bench.harness.timing import peak_rss_bytes, timed
from bench.harness.yardstick import seal_rotate_ms
from bench.tables.encrypted_networks import EncryptedNetworkRow
from he.training.network import LEVELS, SquareNetwork, fit_network
from he.training.network_parties import NetworkOwner, NetworkTrainer
from he.training.network_recipes import DIGITS, NetworkRecipe
from he.training.whitening import Whitening
from intnn.values.arrays import IntArray
from plaintext_models.data import datasets
from plaintext_models.data.datasets import Images

ROW = "training-fhe"
RECIPES: Mapping[str, NetworkRecipe] = MappingProxyType({"digits": DIGITS})
TRAINS = (
    "a network with one hidden layer and squares, both layers from public random weights, by full-batch steps with "
    "momentum on least squares; the owner whitens pixels in the clear, and decrypts and encrypts all weights after "
    "every step"
)


@dataclass(frozen=True)
class EncryptedNetworkJob:
    """One network to train.

    Attributes:
        recipe: How images become samples, and samples a network.
        dataset: The name of the data set.
    """

    recipe: NetworkRecipe
    dataset: str

    @property
    def title(self) -> str:
        """The network."""
        return f"{self.dataset} network"


def jobs(dataset: str) -> tuple[EncryptedNetworkJob, ...]:
    """The network of the table on a data set, if there is one."""
    return (EncryptedNetworkJob(RECIPES[dataset], dataset),) if dataset in RECIPES else ()


def measure(job: EncryptedNetworkJob, report: Reporter) -> EncryptedNetworkRow:
    """Train a network in the clear and on ciphertexts."""
    data, recipe, clock, threads = datasets.load(job.dataset, None), job.recipe, Clock(), available_threads()
    labels, classes, steps = data.train_labels, data.classes, recipe.descent.steps
    report("in the clear", 0.0)
    plain_s, twins = timed(lambda: _in_clear(recipe, data.train_images, labels, classes))

    rotations = [seal_rotate_ms()]
    report("making keys", 0.02)
    with clock.running("prepare"):
        pixels = recipe.pixels(data.train_images)
        whitening = recipe.whitening(pixels)
    plan = recipe.plan(len(pixels), pixels.shape[1], classes)
    with clock.running("keygen"):
        owner = NetworkOwner("owner", plan, whitening)
        keys = owner.evaluation_keys.to_bytes()
    with clock.running("read"):
        trainer = NetworkTrainer(plan, keys, threads)
    report("encrypting", 0.05)
    with clock.running("encrypt"):
        blocks = [block.to_bytes() for block in owner.encrypt(pixels, labels)]
        start = owner.begin()
    with clock.running("read"):
        for block in blocks:
            trainer.add(block)
        trainer.receive(start)

    errors, fresh, worn = list[float](), set[int](), set[int]()

    def refresh(message: bytes) -> bytes:
        with clock.running("refresh"):
            answer = owner.refresh(message)
        errors.append(_difference(owner.network, twins[owner.steps - 1]))
        worn.add(len(message))
        fresh.add(len(answer))
        return answer

    report("training", 0.1)
    with clock.running("train"):
        trainer.fit(refresh, lambda step, *_: report(f"step {step} of {steps}", 0.1 + 0.9 * step / steps))

    rotations.append(seal_rotate_ms())  # on both sides of what it is the yardstick of
    tests = whitening.apply(recipe.pixels(data.test_images))
    found, twin, parameters = owner.network, twins[-1], plan.parameters
    differ = np.argmax(found.logits(tests), axis=1) != np.argmax(twin.logits(tests), axis=1)
    wall, processor = clock.wall, clock.processor
    return EncryptedNetworkRow(
        row=ROW,
        dataset=job.dataset,
        network=recipe.describe(classes),
        trains=TRAINS,
        steps=steps,
        levels=LEVELS,
        refreshes=owner.steps,
        extrapolated=False,
        n_train=len(labels),
        n_test=len(tests),
        plain_seconds=plain_s,
        encrypted_seconds=sum(wall.values()),
        prepare_s=wall["prepare"],
        keygen_s=wall["keygen"],
        encrypt_s=wall["encrypt"],
        read_s=wall["read"],
        train_s=wall["train"],
        refresh_s=wall["refresh"],
        accuracy_plain=twin.accuracy(tests, data.test_labels),
        accuracy_encrypted=found.accuracy(tests, data.test_labels),
        prediction_mismatches=int(differ.sum()),
        largest_errors=tuple(errors),
        largest_weight=twin.reach,
        security_bits=parameters.security_bits,
        poly_modulus_degree=parameters.poly_modulus_degree,
        coeff_modulus_bits=parameters.coeff_modulus_bits,
        sample_bytes=sum(map(len, blocks)),
        fresh_bytes=max(fresh),
        worn_bytes=max(worn),
        evaluation_key_bytes=len(keys),
        cpu_seconds=sum(processor.values()),
        trainer_cpu_seconds=processor["read"] + processor["train"],
        seal_rotate_ms=statistics.mean(rotations),
        threads=threads,
        peak_rss_bytes=peak_rss_bytes(),
        explanation=str(parameters),
    )


def _in_clear(recipe: NetworkRecipe, images: Images, labels: IntArray, classes: int) -> list[SquareNetwork]:
    """The twins after every step."""
    pixels, twins = recipe.pixels(images), list[SquareNetwork]()
    whitening: Whitening = recipe.whitening(pixels)
    fit_network(
        whitening.apply(pixels), labels, classes, recipe.descent, lambda _step, network, _reach: twins.append(network)
    )
    return twins


def _difference(found: SquareNetwork, twin: SquareNetwork) -> float:
    """The largest difference of two networks' weights."""
    layers = (found.first - twin.first, found.second - twin.second)
    return float(max(np.abs(layer).max() for layer in layers))
