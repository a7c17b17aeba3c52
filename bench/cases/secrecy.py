"""What hiding a network stops: attacks on an integer network by what the attacker may see of it.

Evaluated on ciphertexts, a network is seen by nobody who asks it; its decrypted answers are. The same images are
attacked with nothing (noise), with a float network of the attacker's own, through the encrypted service, and with the
weights. Every result is judged on the integer network itself, whose logits the service's answers equal bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from bench.cases.names import attacked
from bench.cases.options import SecrecyOptions
from bench.harness.case import Reporter
from bench.harness.timing import timed
from bench.peers.oracle import encrypted_oracle
from bench.report.secrecy import SecrecyRow, show
from he import compile_exact
from intnn import IntNetwork
from plaintext_models.attacks.ball.noise import random_noise
from plaintext_models.attacks.ball.pgd import pgd
from plaintext_models.attacks.black_box.square import square
from plaintext_models.attacks.black_box.transfer import transferred
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.bridge.twin import integer_oracle, integer_target
from plaintext_models.data import datasets
from plaintext_models.evaluation.judge import judge
from plaintext_models.zoo import shipped
from plaintext_models.zoo.cache import trained
from plaintext_models.zoo.registry import RECIPES

__all__ = ["SecrecyJob", "jobs", "measure", "show"]


@dataclass(frozen=True)
class SecrecyJob:
    """One shipped network, attacked within balls of several radii.

    Attributes:
        model: The name of a shipped network of integers.
        data: The folder of its data set; None for where it is found by itself.
        images: How many images of the test part are attacked, its first ones.
        radii: The radii of the Linf balls, from 0.
        steps: The number of queries of the query attack, for an image.
        seed: The seed of everything random.
    """

    model: str
    data: Path | None
    images: int
    radii: tuple[float, ...]
    steps: int
    seed: int

    @property
    def title(self) -> str:
        """The network."""
        return self.model


def jobs(options: SecrecyOptions) -> tuple[SecrecyJob, ...]:
    """One job.

    Raises:
        ValueError: The data is missing, or a number is out of range.
    """
    available = len(datasets.load(shipped.record(options.model).dataset, options.data).test_images)
    if not 1 <= options.images <= available:
        raise ValueError(f"`--images` must lie in [1, {available}], got {options.images}")
    for radius in options.radius:
        Ball("linf", radius)
    job = SecrecyJob(options.model, options.data, options.images, options.radius, options.steps, options.seed)
    return (job,)


def measure(job: SecrecyJob, report: Reporter) -> Iterator[SecrecyRow]:
    """Attack the network at every radius, by everything that may be seen of it."""
    name, seed, network = job.model, job.seed, shipped.load(job.model)
    assert isinstance(network, IntNetwork)
    dataset = datasets.load(shipped.record(name).dataset, job.data)
    x, labels = (torch.from_numpy(part[: job.images]) for part in (dataset.test_images, dataset.test_labels))
    goal, referee = Goal(labels), integer_oracle(network)
    rival = attacked(dataset.name, hardened=False)  # what the attacker trains on data of the same kind
    own = Target(trained(replace(RECIPES[rival], seed=seed), dataset, report=report))
    report("making keys")
    service, asked = encrypted_oracle(compile_exact(network, images=job.images))
    for radius in job.radii:
        climb = partial(pgd, ball=Ball("linf", radius), seed=seed)
        onward = partial(climb, leave=False)  # past the boundary of the attacker's own network
        attacks: list[tuple[str, str, Callable[[], AttackResult]]] = [
            (
                "nothing",
                "noise, one draw",
                partial(random_noise, referee, x, goal, ball=Ball("linf", radius), draws=1, seed=seed),
            ),
            ("its own network", f"PGD-40 on {rival}", partial(transferred, own, referee, x, goal, onward)),
            (
                "decrypted answers",
                "Square",
                partial(square, service, x, goal, ball=Ball("linf", radius), steps=job.steps, seed=seed),
            ),
            ("the weights", "PGD-40, straight through", partial(climb, integer_target(network), x, goal)),
        ]
        for sees, attack, run in attacks:
            report(f"{attack}, radius {radius:g}")
            before = asked.requests
            seconds, result = timed(run)
            yield _row(name, sees, attack, radius, referee, x, goal, result, asked.requests - before, seconds, seed)


def _row(
    name: str,
    sees: str,
    attack: str,
    radius: float,
    referee: Target,
    images: Tensor,
    goal: Goal,
    result: AttackResult,
    requests: int,
    seconds: float,
    seed: int,
) -> SecrecyRow:
    verdict = judge(referee, images, goal, result, Ball("linf", radius))
    if verdict.complaints:
        raise AssertionError(f"{attack} does not stand the referee: {'; '.join(verdict.complaints)}")
    broken = verdict.broken
    queries = result.queries[broken & ~verdict.clean]
    low, high = verdict.robust.interval
    return SecrecyRow(
        network=name,
        sees=sees,
        attack=attack,
        radius=radius,
        n_images=len(images),
        broken=int(broken.sum()),
        interval=(1 - high, 1 - low),
        median_queries=float(queries.double().median()) if len(queries) and queries.any() else None,
        requests=requests,
        seconds=seconds,
        seed=seed,
    )
