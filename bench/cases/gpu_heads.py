"""Heads trained on ciphertexts on a GPU, from the bytes of blocks to those of the head, beside the CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.harness.clock import Clock
from bench.report.gpu import GpuRow
from he.parties.evaluation_keys import EvaluationKeys
from he.training.owner import Owner
from he.training.plan import HeadPlan
from he.training.recipes import DIGITS, MNIST
from he.training.trainer import Trainer
from he.training.whitening import Moments, Whitening

#: Data sets by their names, with a recipe and samples: as many as there are to train with.
SIZES = {"digits": (DIGITS, 1437), "MNIST": (MNIST, 60_000)}
CLASSES = 10


def rows(threads: int) -> Iterator[GpuRow]:
    """The heads of the digits' size and of MNIST's, on random samples.

    Args:
        threads: The CPU's.

    Raises:
        ValueError: A head differs from the CPU's.
    """
    for name, (recipe, samples) in SIZES.items():
        yield head_row(f"head of the size of {name}", recipe.plan(samples, CLASSES), threads)


def head_row(name: str, plan: HeadPlan, threads: int) -> GpuRow:
    """A head on random samples; the GPU trains it twice, and the second time counts, since the first one compiles.

    Raises:
        ValueError: The heads differ.
    """
    keys, blocks = encrypted(plan)
    heads, seconds = [], dict[str, dict[str, float]]()
    for engine in ("rns", "cuda", "cuda"):
        clock = Clock()
        with clock.running("keys"):
            trainer = Trainer(plan, keys, threads, engine=engine)
        with clock.running("reading"):
            for block in blocks:
                trainer.add(block)
        with clock.running("steps"):
            heads.append(trainer.fit().to_bytes())
        seconds[engine] = dict(clock.wall)
        del trainer
    if any(head != heads[0] for head in heads):
        raise ValueError(f"the {name} differs from the CPU's, and is not recorded")
    us, peer_us = (1e6 * sum(seconds[engine].values()) for engine in ("cuda", "rns"))
    return GpuRow(
        work=f"{name}: {plan.samples:,} samples, {plan.features} features, N = {plan.parameters.poly_modulus_degree}",
        ours_us=us,
        peer=f"CPU, {threads} thread{'s' * (threads > 1)}",
        peer_us=peer_us,
        ratio=peer_us / us,
        count=plan.samples,
        parts_us={what: 1e6 * found for what, found in seconds["cuda"].items()},
    )


def encrypted(plan: HeadPlan) -> tuple[EvaluationKeys, Sequence[bytes]]:
    """An owner's keys, and random samples as blocks."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(plan.samples, plan.features - 1))
    owner = Owner("owner", plan, Whitening.of(Moments.of(features), ridge=0.01))
    labels = rng.integers(0, CLASSES, plan.samples)
    return owner.evaluation_keys, [block.to_bytes() for block in owner.encrypt(features, labels)]
