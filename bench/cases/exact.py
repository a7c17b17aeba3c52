"""A network of integers trained exactly on ciphertexts: some steps are made, and the whole is extrapolated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from bench.cases.heads import ROW
from bench.harness.case import Reporter
from bench.harness.clock import Clock
from bench.harness.machine import available_threads
from bench.harness.timing import peak_rss_bytes, timed
from bench.tables.exact import ExactRow
from he.training.exact.owner import ExactOwner
from he.training.exact.recipes import DIGITS, ExactRecipe
from he.training.exact.trainer import ExactTrainer
from intnn.training.squares.plan import SquarePlan
from intnn.training.squares.step import NAMES, SquareState, fit, logits
from intnn.values.arrays import FloatArray, IntArray
from plaintext_models.data import datasets
from plaintext_models.data.datasets import Images

RECIPES: Mapping[str, tuple[ExactRecipe, ...]] = MappingProxyType({"digits": (DIGITS,)})
MEASURED_STEPS = 2
TRAINS = (
    "a whole network of integers with one hidden layer of squares, by full-batch descent on least squares; rounding is "
    "in the update alone, which the owner makes"
)


@dataclass(frozen=True)
class ExactJob:
    """One network to train exactly.

    Attributes:
        recipe: How images become inputs, and inputs a network.
        dataset: The name of the data set.
        data: The folder of that data set; None for where it is found by itself.
        whole: Whether all steps are made on ciphertexts; otherwise the first ones, and the others are extrapolated.
    """

    recipe: ExactRecipe
    dataset: str
    data: Path | None
    whole: bool = False

    @property
    def title(self) -> str:
        """The network."""
        return f"network, exact, {self.recipe.squares.hidden} hidden units"


def jobs(dataset: str, data: Path | None, whole: bool = False) -> tuple[ExactJob, ...]:
    """The networks of the table on a data set."""
    return tuple(ExactJob(recipe, dataset, data, whole) for recipe in RECIPES.get(dataset, ()))


def measure(job: ExactJob, report: Reporter) -> ExactRow:
    """Train a network in the clear to the end, and on ciphertexts for some steps."""
    data, recipe, clock, threads = datasets.load(job.dataset, job.data), job.recipe, Clock(), available_threads()
    labels, images = data.train_labels, _pixels(data.train_images)
    plan = recipe.plan(len(labels), data.classes)
    report("in the clear", 0.0)
    seen: list[SquareState] = []
    plain_s, twin = timed(lambda: _in_clear(recipe, plan.squares, images, labels, seen))

    with clock.running("prepare"):
        x = recipe.inputs(recipe.whitening(images), images)
    report("making keys", 0.1)
    with clock.running("keygen"):
        owner = ExactOwner(plan)
        keys = owner.evaluation_keys.to_bytes()
    with clock.running("read"):
        trainer = ExactTrainer(plan, keys, threads)
    sample_bytes, messages = 0, owner.samples(x, labels)
    for number in range(len(plan.moduli)):
        report("encrypting", 0.2 + 0.3 * number / len(plan.moduli))
        with clock.running("encrypt"):
            message = next(messages)
        with clock.running("read"):
            trainer.add(message)
        sample_bytes += len(message)
    steps, identical = recipe.steps if job.whole else min(MEASURED_STEPS, recipe.steps), True
    for step in range(steps):
        report(f"step {step + 1}", 0.5 + 0.5 * step / steps)
        with clock.running("ask"):
            question = owner.ask()
        with clock.running("answer"):
            answer = trainer.answer(question)
        with clock.running("update"):
            owner.update(answer)
        identical = identical and _equal(owner.state, seen[step])

    parameters, wall, processor, squares = plan.parameters, clock.wall, clock.processor, plan.squares
    a_step = {part: wall[part] / steps for part in ("ask", "answer", "update")}
    once = sum(wall[part] for part in ("prepare", "keygen", "encrypt", "read"))
    tests = recipe.inputs(recipe.whitening(images), _pixels(data.test_images))
    found = logits(squares, tests, twin.weights).argmax(axis=1)
    return ExactRow(
        row=ROW,
        dataset=job.dataset,
        network=f"{squares.features - 1}-{squares.hidden}-{squares.classes}",
        trains=TRAINS,
        steps=recipe.steps,
        measured_steps=steps,
        refreshes=recipe.steps,
        extrapolated=steps < recipe.steps,
        bit_identical=identical,
        n_train=len(labels),
        n_test=len(tests),
        plain_seconds=plain_s,
        encrypted_seconds=once + recipe.steps * sum(a_step.values()),
        prepare_s=wall["prepare"],
        keygen_s=wall["keygen"],
        encrypt_s=wall["encrypt"],
        read_s=wall["read"],
        ask_s=a_step["ask"],
        answer_s=a_step["answer"],
        update_s=a_step["update"],
        accuracy_plain=float((found == data.test_labels).mean()),
        moduli_bits=tuple(t.bit_length() for t in plan.moduli),
        gradient_bits=squares.bounds.gradient.bit_length(),
        budget_bits=plan.levels.budget_bits,
        security_bits=parameters.security_bits,
        poly_modulus_degree=parameters.poly_modulus_degree,
        coeff_modulus_bits=parameters.coeff_modulus_bits,
        sample_bytes=sample_bytes,
        step_bytes=len(question) + len(answer),
        evaluation_key_bytes=len(keys),
        cpu_seconds=sum(processor.values()),
        step_cpu_seconds=sum(processor[part] for part in a_step) / steps,
        threads=threads,
        peak_rss_bytes=peak_rss_bytes(),
        explanation=str(parameters),
    )


def _in_clear(
    recipe: ExactRecipe, squares: SquarePlan, images: FloatArray, labels: IntArray, seen: list[SquareState]
) -> SquareState:
    """The trained twin; its variables behind every step are appended to a list."""
    x = recipe.inputs(recipe.whitening(images), images)
    return fit(squares, x, labels, recipe.steps, lambda _, state: seen.append(state))


def _equal(one: SquareState, other: SquareState) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in NAMES)


def _pixels(images: Images) -> FloatArray:
    return images.reshape(len(images), -1).astype(np.float64)
