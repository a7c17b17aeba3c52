"""The table's third row, with refreshes: a network and a head trained on ciphertexts, every step really made."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bench.harness.case import Reporter
from bench.harness.clock import Clock
from bench.harness.machine import available_threads
from bench.harness.timing import peak_rss_bytes, timed
from bench.harness.yardstick import seal_rotate_ms
from bench.tables.refreshed import RefreshedRow
from he.training.recipes import DIGITS, Recipe
from he.training.refreshed.logistic import LogisticDescent, fit_logistic
from he.training.refreshed.logistic_parties import LogisticOwner, LogisticTrainer
from he.training.refreshed.logistic_plan import LogisticPlan
from he.training.refreshed.network import fit_network
from he.training.refreshed.network_parties import NetworkOwner, NetworkTrainer
from he.training.refreshed.owner import RefreshingOwner
from he.training.refreshed.plan import RefreshedPlan
from he.training.refreshed.recipes import DIGITS as DIGITS_NETWORK
from he.training.refreshed.recipes import DIGITS_LOGISTIC, NetworkRecipe
from he.training.refreshed.trainer import RefreshedTrainer
from he.training.whitening import Whitening
from intnn.values.arrays import FloatArray
from plaintext_models.data import datasets
from plaintext_models.data.datasets import Dataset

ROW = "training-fhe"
NETWORKS: Mapping[str, NetworkRecipe] = MappingProxyType({"digits": DIGITS_NETWORK})
HEADS: Mapping[str, tuple[Recipe, LogisticDescent]] = MappingProxyType({"digits": (DIGITS, DIGITS_LOGISTIC)})
REFRESHED = "the owner whitens {what} in the clear, and decrypts and encrypts all weights after every step"
NETWORK = (
    "a network with one hidden layer and squares, both layers from public random weights, by full-batch steps with "
    "momentum on least squares; " + REFRESHED.format(what="pixels")
)
HEAD = (
    "a linear head by logistic regression, one class against all others, on fixed random features; "
    + REFRESHED.format(what="features")
)


@dataclass(frozen=True)
class RefreshedJob:
    """One network, or one head, to train.

    Attributes:
        recipe: How images become samples, and samples a network or, with a head's constants, a head.
        dataset: The name of the data set.
    """

    recipe: NetworkRecipe | tuple[Recipe, LogisticDescent]
    dataset: str

    @property
    def title(self) -> str:
        """What is trained."""
        return f"{self.dataset} {'network' if isinstance(self.recipe, NetworkRecipe) else 'logistic head'}"


@dataclass(frozen=True, eq=False)
class _Task:
    """What is trained, and how.

    Attributes:
        trains: What is trained, in words.
        network: The sizes of the layers.
        plan: The plan.
        whitening: What the owner whitens with.
        samples: The owner's samples, not whitened.
        tests: The held-out ones, whitened.
        parties: The owner's class, and the trainer's.
        twins: The twin's weights after every step, as they are packed.
        logits: What weights make of the held-out samples.
    """

    trains: str
    network: str
    plan: RefreshedPlan
    whitening: Whitening
    samples: FloatArray
    tests: FloatArray
    parties: tuple[Callable[..., RefreshingOwner], Callable[..., RefreshedTrainer]]
    twins: Callable[[], list[FloatArray]]
    logits: Callable[[FloatArray], FloatArray]


def jobs(dataset: str) -> tuple[RefreshedJob, ...]:
    """What the table trains with refreshes on a data set, if anything."""
    recipes = [recipes[dataset] for recipes in (NETWORKS, HEADS) if dataset in recipes]
    return tuple(RefreshedJob(recipe, dataset) for recipe in recipes)


def measure(job: RefreshedJob, report: Reporter) -> RefreshedRow:
    """Train in the clear and on ciphertexts."""
    data, clock, threads = datasets.load(job.dataset, None), Clock(), available_threads()
    report("in the clear", 0.0)
    rotations = [seal_rotate_ms()]
    with clock.running("prepare"):
        recipe = job.recipe
        task = _network(recipe, data) if isinstance(recipe, NetworkRecipe) else _head(*recipe, data)
    plain_s, twins = timed(task.twins)

    report("making keys", 0.02)
    plan, make_owner, make_trainer = task.plan, *task.parties
    with clock.running("keygen"):
        owner = make_owner("owner", plan, task.whitening)
        keys = owner.evaluation_keys.to_bytes()
    with clock.running("read"):
        trainer = make_trainer(plan, keys, threads)
    report("encrypting", 0.05)
    with clock.running("encrypt"):
        blocks = [block.to_bytes() for block in owner.encrypt(task.samples, data.train_labels)]
        start = owner.begin()
    with clock.running("read"):
        for block in blocks:
            trainer.add(block)
        trainer.receive(start)

    errors, fresh, worn, steps = list[float](), set[int](), set[int](), plan.descent.steps

    def refresh(message: bytes) -> bytes:
        with clock.running("refresh"):
            answer = owner.refresh(message)
        errors.append(float(np.abs(owner.weights - twins[owner.steps - 1]).max()))
        worn.add(len(message))
        fresh.add(len(answer))
        return answer

    report("training", 0.1)
    with clock.running("train"):
        trainer.fit(refresh, lambda step, *_: report(f"step {step} of {steps}", 0.1 + 0.9 * step / steps))

    rotations.append(seal_rotate_ms())  # on both sides of what it is the yardstick of
    found, twin = (np.argmax(task.logits(weights), axis=1) for weights in (owner.weights, twins[-1]))
    parameters, wall, processor = plan.parameters, clock.wall, clock.processor
    return RefreshedRow(
        row=ROW,
        dataset=job.dataset,
        title=job.title,
        network=task.network,
        trains=task.trains,
        steps=steps,
        levels=plan.levels,
        refreshes=owner.steps,
        extrapolated=False,
        n_train=len(task.samples),
        n_test=len(task.tests),
        plain_seconds=plain_s,
        encrypted_seconds=sum(wall.values()),
        prepare_s=wall["prepare"],
        keygen_s=wall["keygen"],
        encrypt_s=wall["encrypt"],
        read_s=wall["read"],
        train_s=wall["train"],
        refresh_s=wall["refresh"],
        accuracy_plain=float((twin == data.test_labels).mean()),
        accuracy_encrypted=float((found == data.test_labels).mean()),
        prediction_mismatches=int((found != twin).sum()),
        largest_errors=tuple(errors),
        largest_weight=float(np.abs(twins[-1]).max()),
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


def _network(recipe: NetworkRecipe, data: Dataset) -> _Task:
    pixels = recipe.pixels(data.train_images)
    whitening, plan = recipe.whitening(pixels), recipe.plan(len(pixels), pixels.shape[1], data.classes)
    tests, twins = whitening.apply(recipe.pixels(data.test_images)), list[FloatArray]()

    def in_clear() -> list[FloatArray]:
        white = whitening.apply(pixels)
        fit_network(
            white, data.train_labels, data.classes, plan.descent, lambda _step, made, _: twins.append(plan.paired(made))
        )
        return twins

    return _Task(
        NETWORK, recipe.describe(data.classes), plan, whitening, pixels, tests, (NetworkOwner, NetworkTrainer),
        in_clear, lambda weights: plan.network(weights).logits(tests),
    )  # fmt: skip


def _head(recipe: Recipe, descent: LogisticDescent, data: Dataset) -> _Task:
    features = recipe.features.of(data.train_images)
    whitening = recipe.whitening(features)
    plan = LogisticPlan(len(features), recipe.features.count + 1, data.classes, descent)
    tests, twins = whitening.apply(recipe.features.of(data.test_images)), list[FloatArray]()

    def in_clear() -> list[FloatArray]:
        white = whitening.apply(features)
        fit_logistic(
            white, data.train_labels, data.classes, descent, lambda _step, made, _: twins.append(plan.paired(made))
        )
        return twins

    return _Task(
        HEAD, f"{recipe.features.count}-{data.classes}", plan, whitening, features, tests,
        (LogisticOwner, LogisticTrainer), in_clear, lambda weights: tests @ plan.head(weights),
    )  # fmt: skip
