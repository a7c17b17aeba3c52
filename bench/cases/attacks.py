"""Attacks beside those of other libraries: one network, the same images, one thread, contenders taking turns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from bench.attack_peers import Attack, foolbox, installed, pyautoattack
from bench.peers import UnavailableError
from bench.report import duration
from plaintext_models.attacks.ball.auto import apgd, apgd_targeted
from plaintext_models.attacks.ball.pgd import fgsm, pgd
from plaintext_models.attacks.black_box.square import square
from plaintext_models.attacks.core.ball import Ball, Norm
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.nearest.carlini_wagner import carlini_wagner
from plaintext_models.attacks.nearest.ddn import ddn
from plaintext_models.attacks.nearest.deepfool import deepfool
from plaintext_models.evaluation.judge import judge

BOUNDS = (0.0, 1.0)
WARM_UP = 8  # images of the calls that are not timed: the first ones import and allocate
ROUNDS = 5  # turns at most; the least time of a contender counts
QUICK = 30.0  # seconds of a turn from which there is one only
PGD_STEPS = 40
PGD_STEP = 2.5 / PGD_STEPS  # of the radius: ours by default, and so for the peer


@dataclass(frozen=True)
class Case:
    """An attack of ours and its counterpart.

    Attributes:
        norm: Of the ball, or to be made small.
        ball: Whether it works within a radius; otherwise it looks for the nearest image.
        ours: Ours.
        package: The peer's.
        peer: The peer's attack.
        slow: Whether it has to be asked for.
        note: What should be known of the comparison.
    """

    norm: Norm
    ball: bool
    ours: Attack
    package: str
    peer: Attack
    slow: bool = False
    note: str = ""


def within(attack: Callable[..., AttackResult], **parameters: Any) -> Attack:
    """Ours, within a radius."""
    return lambda module, images, labels, radius: (
        attack(Target(module, bounds=BOUNDS), images, Goal(labels), Ball("linf", radius), **parameters).x_adv
    )


def nearest(attack: Callable[..., AttackResult], norm: Norm = "l2", **parameters: Any) -> Attack:
    """Ours, as near as can be."""
    return lambda module, images, labels, _: (
        attack(Target(module, bounds=BOUNDS), images, Goal(labels), norm, **parameters).x_adv
    )


def one_after_the_other(*attacks: Attack) -> Attack:
    """Each on what those before it left as it was."""

    def run(module: nn.Module, images: Tensor, labels: Tensor, radius: float) -> Tensor:
        found = images.clone()
        for attack in attacks:
            with torch.no_grad():
                left = module(found).argmax(1) == labels
            if left.any():
                found[left] = attack(module, images[left], labels[left], radius)
        return found

    return run


CASES: Mapping[str, Case] = MappingProxyType(
    {
        "fgsm": Case("linf", True, within(fgsm), "foolbox", foolbox("LinfFastGradientAttack", ball=True)),
        "pgd-40": Case(
            "linf",
            True,
            within(pgd, steps=PGD_STEPS),
            "foolbox",
            foolbox("LinfPGD", ball=True, steps=PGD_STEPS, rel_stepsize=PGD_STEP),
        ),
        "deepfool": Case(
            "l2", False, nearest(deepfool, steps=50), "foolbox", foolbox("L2DeepFoolAttack", ball=False, steps=50)
        ),
        "ddn": Case("l2", False, nearest(ddn, steps=100), "foolbox", foolbox("DDNAttack", ball=False, steps=100)),
        "carlini-wagner": Case(
            "l2",
            False,
            nearest(carlini_wagner),
            "foolbox",
            foolbox("L2CarliniWagnerAttack", ball=False, binary_search_steps=9, steps=1000),
            slow=True,
            note="ours at most 20 x 60 steps; foolbox 9 x 1000, a tenth of its default",
        ),
        "apgd": Case(
            "linf", True, within(apgd, loss="cross-entropy"), "pyautoattack", pyautoattack("apgd-ce"), slow=True
        ),
        "apgd-targeted": Case("linf", True, within(apgd_targeted), "pyautoattack", pyautoattack("apgd-t"), slow=True),
        "square": Case("linf", True, within(square), "pyautoattack", pyautoattack("square"), slow=True),
        "autoattack": Case(
            "linf",
            True,
            one_after_the_other(within(apgd, loss="cross-entropy"), within(apgd_targeted), within(square)),
            "pyautoattack",
            pyautoattack(),
            slow=True,
            note="apgd, apgd-targeted, square; the peer's standard version also has FAB",
        ),
    }
)


@dataclass(frozen=True, eq=False)
class Problem:
    """What all contenders are given.

    Attributes:
        network: What `module` is called.
        module: In evaluation mode.
        images: [batch, *shape] from 0 to 1.
        labels: The true classes [batch].
        radius: Of the balls, from 0.
        seed: Of the network, and of torch's generator before every attack.
    """

    network: str
    module: nn.Module
    images: Tensor
    labels: Tensor
    radius: float
    seed: int

    def __post_init__(self) -> None:
        if not len(self.images) or not 0 <= self.radius < math.inf:
            raise ValueError(f"there must be an image and a radius from 0, got {len(self.images)} and {self.radius}")
        self.module.requires_grad_(False)  # foolbox's backwards would else take the gradients of the weights, too

    def attack(self, attack: Attack, count: int | None = None) -> Tensor:
        """What an attack finds for all images, or for the first `count`."""
        return attack(self.module, self.images[:count], self.labels[:count], self.radius)


@dataclass(frozen=True)
class Worth:
    """What the referee leaves of an attack's images.

    Attributes:
        robust_accuracy: Of all images, how many are still classified rightly; None where there is no ball.
        success: Of the images classified rightly to begin with, how many are fooled; None if there is none.
        median: Length of the perturbations of the same, those not fooled being infinitely far; None if it is infinite,
            or where there is a ball.
        complaints: The referee's.
    """

    robust_accuracy: float | None = None
    success: float | None = None
    median: float | None = None
    complaints: tuple[str, ...] = ()


@dataclass(frozen=True)
class AttackRow:
    """Our attack beside a peer's.

    Attributes:
        attack: Key of CASES.
        network: What is attacked.
        norm: Of the ball, or made small.
        radius: Of the ball; None for the nearest image.
        ours_s: Process CPU seconds of one call on all images, the least of the turns.
        ours_wall_s: Seconds of the same call by the clock.
        peer: Library and version.
        peer_s: As ours; None if it is not installed.
        peer_wall_s: As ours.
        ratio: ``peer_s / ours_s``: how many times as fast ours is.
        ours_robust_accuracy: See `Worth`.
        peer_robust_accuracy: See `Worth`.
        ours_median: See `Worth`.
        peer_median: See `Worth`.
        ours_success: See `Worth`.
        peer_success: See `Worth`.
        n_images: Attacked, among them what is misclassified to begin with.
        queries: Forwards of ours for an image, those of checks and verdicts too, the mean.
        peer_queries: As ours.
        clean_accuracy: Before the attack.
        seed: Of the network and of random starts.
        note: What should be known of the comparison, or why there is no peer.
    """

    attack: str
    network: str
    norm: str
    radius: float | None
    ours_s: float
    ours_wall_s: float
    peer: str
    peer_s: float | None
    peer_wall_s: float | None
    ratio: float | None
    ours_robust_accuracy: float | None
    peer_robust_accuracy: float | None
    ours_median: float | None
    peer_median: float | None
    ours_success: float | None
    peer_success: float | None
    n_images: int
    queries: float
    peer_queries: float | None
    clean_accuracy: float
    seed: int
    note: str = ""


def chosen(names: Sequence[str], slow: bool) -> list[str]:
    """What to measure: what is named, or all that is not slow, or all.

    Raises:
        ValueError: There is no such attack.
    """
    for name in names:
        if name not in CASES:
            raise ValueError(f"`--attack` must be one of {', '.join(CASES)}, got {name!r}")
    return list(names) or [name for name, case in CASES.items() if slow or not case.slow]


def measure(names: Sequence[str], problem: Problem, report: Callable[[str], None]) -> Iterator[AttackRow]:
    """Time and judge attacks, each beside its peer's.

    Args:
        names: Keys of CASES.
        problem: What to attack.
        report: Told what is being measured.
    """
    with torch.no_grad():
        clean_accuracy = float((problem.module(problem.images).argmax(1) == problem.labels).double().mean())
    for name in names:
        case, notes = CASES[name], [CASES[name].note]
        contenders, peer = {"ours": case.ours}, case.package
        try:
            peer = installed(case.package)
            contenders[peer] = case.peer
        except UnavailableError as error:
            notes.append(str(error))
        report(f"{name}: {' and '.join(contenders)}")
        runs = _take_turns(contenders, problem)
        worths = {who: judged(case, problem, run.found) for who, run in runs.items()}
        notes += [f"{who}: {complaint}" for who, worth in worths.items() for complaint in worth.complaints]
        ours, theirs = runs["ours"], runs.get(peer)
        worth, their_worth = worths["ours"], worths.get(peer, Worth())
        yield AttackRow(
            attack=name,
            network=problem.network,
            norm=case.norm,
            radius=problem.radius if case.ball else None,
            ours_s=ours.cpu,
            ours_wall_s=ours.wall,
            peer=peer,
            peer_s=None if theirs is None else theirs.cpu,
            peer_wall_s=None if theirs is None else theirs.wall,
            ratio=None if theirs is None else theirs.cpu / ours.cpu,
            ours_robust_accuracy=worth.robust_accuracy,
            peer_robust_accuracy=their_worth.robust_accuracy,
            ours_median=worth.median,
            peer_median=their_worth.median,
            ours_success=worth.success,
            peer_success=their_worth.success,
            n_images=len(problem.images),
            queries=ours.queries,
            peer_queries=None if theirs is None else theirs.queries,
            clean_accuracy=clean_accuracy,
            seed=problem.seed,
            note="; ".join(filter(None, notes)),
        )


def judged(case: Case, problem: Problem, found: Tensor) -> Worth:
    """Look at what an attack found, whoever's it is, on fresh forwards: range, label, and length."""
    verdict = judge(
        Target(problem.module, bounds=BOUNDS),
        problem.images,
        Goal(problem.labels),
        found,
        Ball(case.norm, problem.radius) if case.ball else None,
    )
    right = ~verdict.clean
    if not right.any():
        return Worth(verdict.robust.value if case.ball else None, complaints=verdict.complaints)
    success = float(verdict.reached[right].double().mean())
    if case.ball:
        return Worth(verdict.robust.value, success, complaints=verdict.complaints)
    median = float(np.median(verdict.distances[case.norm].where(verdict.reached, torch.inf)[right].numpy()))
    return Worth(None, success, median if median < math.inf else None, verdict.complaints)


@dataclass(frozen=True, eq=False)
class _Run:
    cpu: float
    wall: float
    queries: float
    found: Tensor


def _take_turns(contenders: Mapping[str, Attack], problem: Problem) -> dict[str, _Run]:
    """The quickest run of each, and what it found; `turns.take_turns` keeps neither CPU time nor results."""
    best: dict[str, _Run] = {}
    with _one_thread():
        for attack in contenders.values():
            problem.attack(attack, WARM_UP)
        for _ in range(ROUNDS):
            spent = 0.0
            for who, attack in contenders.items():
                torch.manual_seed(problem.seed)
                run = _run(attack, problem)
                spent += run.wall
                if who not in best or run.cpu < best[who].cpu:
                    best[who] = run
            if spent > QUICK:
                break
    return best


def _run(attack: Attack, problem: Problem) -> _Run:
    forwards = 0

    def tally(_: nn.Module, arguments: tuple[Tensor]) -> None:
        nonlocal forwards
        forwards += len(arguments[0])

    with problem.module.register_forward_pre_hook(tally):
        cpu, wall = time.process_time(), time.perf_counter()
        found = problem.attack(attack)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return _Run(cpu, wall, forwards / len(found), found)


@contextmanager
def _one_thread() -> Iterator[None]:
    """With a random state of its own; both are put back."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def summary(row: AttackRow) -> str:
    """A line for those who wait."""
    beside = "" if row.peer_wall_s is None else f", {row.peer} {duration(row.peer_wall_s)}"
    return f"{row.attack}: ours {duration(row.ours_wall_s)}{beside}"


def print_rows(console: Console, rows: Sequence[AttackRow]) -> None:
    """One table. Fits 80 columns."""
    if not rows:
        return
    first = rows[0]
    console.print(
        f"[bold]Attacks on {first.network}[/bold], {first.n_images} images, "
        f"{first.clean_accuracy:.1%} right; CPU time of one thread",
        highlight=False,
    )
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in ("ours", "peer", "ratio", "found", "peer", "success", "peer"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            f"{row.attack}, {row.norm}" + ("" if row.radius is None else f" {row.radius:g}"),
            duration(row.ours_s),
            duration(row.peer_s),
            "-" if row.ratio is None else f"{row.ratio:.2f}",
            _found(row.ours_robust_accuracy, row.ours_median),
            _found(row.peer_robust_accuracy, row.peer_median),
            _percent(row.ours_success),
            _percent(row.peer_success),
        )
    console.print(table)
    console.print(
        "found: robust accuracy within a radius, else the median length; success: of what was right. "
        f"Peers: {', '.join(dict.fromkeys(row.peer for row in rows))}.",
        highlight=False,
    )
    for row in rows:
        if row.note:
            console.print(f"{row.attack}: {row.note}", highlight=False)


def _found(robust_accuracy: float | None, median: float | None) -> str:
    return _percent(robust_accuracy) if median is None else f"{median:.3f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
