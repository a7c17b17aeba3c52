"""What hiding a network stops: attacks on an integer network by what the attacker may see of it.

Evaluated on ciphertexts, a network is seen by nobody who asks it; its decrypted answers are. The same images are
attacked with nothing (noise), with a float network of the attacker's own, through the encrypted service, and with the
weights. Every result is judged on the integer network itself, whose logits the service's answers equal bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from bench.oracles import encrypted_oracle
from bench.timing import timed
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
from plaintext_models.data.datasets import Dataset
from plaintext_models.evaluation.judge import judge
from plaintext_models.zoo import shipped
from plaintext_models.zoo.cache import trained
from plaintext_models.zoo.registry import RECIPES

OWN = {"digits": "digits-mlp", "mnist": "mnist-cnn"}  # the attacker's own network


@dataclass(frozen=True)
class SecrecyRow:
    """One attack at one radius.

    Attributes:
        network: Shipped integer network.
        sees: What the attacker sees of it.
        attack: What it does with that.
        radius: Of the Linf ball, in units of the images' range.
        n_images: Attacked.
        broken: Misclassified in the end, those that were to begin with included.
        interval: Of that share, 95 % (Wilson).
        median_queries: Of the network, for an image that was broken; None where there are none.
        requests: Encrypted requests sent, those to check and to judge included; 0 where nothing was encrypted.
        seconds: Of the attack.
        seed: Of the attack, and of the attacker's own network.
    """

    network: str
    sees: str
    attack: str
    radius: float
    n_images: int
    broken: int
    interval: tuple[float, float]
    median_queries: float | None
    requests: int
    seconds: float
    seed: int


def measure(
    name: str,
    dataset: Dataset,
    *,
    images: int,
    radii: Sequence[float],
    steps: int,
    seed: int,
    report: Callable[[str], None],
) -> Iterator[SecrecyRow]:
    """Attack a shipped network.

    Args:
        name: An exact network.
        dataset: Its data.
        images: The first so many of the test part.
        radii: Of Linf balls, from 0.
        steps: Queries of the query attack, for an image.
        seed: Of everything random.
        report: Told what goes on.

    Raises:
        ValueError: The network is none that is evaluated exactly, or there are no images.
    """
    network = shipped.load(name)
    if not isinstance(network, IntNetwork):
        raise ValueError(f"`--model` must be a network of integers, got {name}")
    if not 1 <= images <= len(dataset.test_images):
        raise ValueError(f"`--images` must lie in [1, {len(dataset.test_images)}], got {images}")
    x, labels = (torch.from_numpy(part[:images]) for part in (dataset.test_images, dataset.test_labels))
    goal, referee = Goal(labels), integer_oracle(network)
    own = Target(trained(replace(RECIPES[OWN[dataset.name]], seed=seed), dataset, report=report))
    report(f"{name}: making keys")
    service, asked = encrypted_oracle(compile_exact(network, images=images))
    for radius in radii:
        climb = partial(pgd, ball=Ball("linf", radius), seed=seed)
        onward = partial(climb, leave=False)  # past the boundary of the attacker's own network
        attacks: list[tuple[str, str, Callable[[], AttackResult]]] = [
            (
                "nothing",
                "noise, one draw",
                partial(random_noise, referee, x, goal, ball=Ball("linf", radius), draws=1, seed=seed),
            ),
            ("its own network", f"PGD-40 on {OWN[dataset.name]}", partial(transferred, own, referee, x, goal, onward)),
            (
                "decrypted answers",
                "Square",
                partial(square, service, x, goal, ball=Ball("linf", radius), steps=steps, seed=seed),
            ),
            ("the weights", "PGD-40, straight through", partial(climb, integer_target(network), x, goal)),
        ]
        for sees, attack, run in attacks:
            report(f"{name}: {attack}, radius {radius:g}")
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


def print_rows(console: Console, rows: Sequence[SecrecyRow]) -> None:
    """By radius. Fits 80 columns."""
    table = Table(
        title=f"What hiding a network stops: {rows[0].network}, {rows[0].n_images} images, Linf",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("the attacker sees", no_wrap=True)
    table.add_column("and does", no_wrap=True)
    for heading in ("radius", "broken", "queries", "requests", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.sees,
            row.attack,
            f"{row.radius:g}",
            f"{100 * row.broken / row.n_images:.0f} %",
            "-" if row.median_queries is None else f"{row.median_queries:.0f}",
            str(row.requests) if row.requests else "-",
            f"{row.seconds:.1f}",
        )
    console.print(table)


assert set(OWN.values()) <= RECIPES.keys()
