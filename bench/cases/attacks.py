"""Attacks beside those of other libraries: one network, the same images, one thread, contenders taking turns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.cases.names import attacked
from bench.cases.options import AttackOptions
from bench.harness.case import Reporter
from bench.peers.attacks import Attack, foolbox, installed, pyautoattack
from bench.peers.missing import UnavailableError
from bench.report.attacks import AttackRow, show, summary
from plaintext_models.attacks.ball.auto import apgd, apgd_targeted
from plaintext_models.attacks.ball.pgd import fgsm, pgd
from plaintext_models.attacks.black_box.square import square
from plaintext_models.attacks.core.ball import Ball, Norm
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.nearest.carlini_wagner import carlini_wagner
from plaintext_models.attacks.nearest.ddn import ddn
from plaintext_models.attacks.nearest.deepfool import deepfool
from plaintext_models.data import datasets
from plaintext_models.evaluation.judge import judge
from plaintext_models.zoo.cache import trained
from plaintext_models.zoo.registry import RECIPES

__all__ = ["PAIRINGS", "AttackJob", "Problem", "Worth", "jobs", "measure", "show"]

BOUNDS = (0.0, 1.0)
WARM_UP = 8  # images of the calls that are not timed: the first ones import and allocate
ROUNDS = 5  # turns at most; the least time of a contender counts
QUICK = 30.0  # seconds of a turn from which there is one only
PGD_STEPS = 40
PGD_STEP = 2.5 / PGD_STEPS  # of the radius: ours by default, and so for the peer


@dataclass(frozen=True)
class Pairing:
    """An attack of ours and its counterpart.

    Attributes:
        norm: The norm of the ball, or of the perturbation that is made small.
        ball: Whether both work within a radius; otherwise they look for the nearest image.
        ours: Our attack.
        package: The peer's library.
        peer: The peer's attack.
        slow: Whether the pairing is left out unless it is asked for.
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
    """An attack of ours that works within a radius."""
    return lambda module, images, labels, radius: (
        attack(Target(module, bounds=BOUNDS), images, Goal(labels), Ball("linf", radius), **parameters).x_adv
    )


def nearest(attack: Callable[..., AttackResult], norm: Norm = "l2", **parameters: Any) -> Attack:
    """An attack of ours that looks for the nearest image; it gets no radius."""
    return lambda module, images, labels, _: (
        attack(Target(module, bounds=BOUNDS), images, Goal(labels), norm, **parameters).x_adv
    )


def one_after_the_other(*attacks: Attack) -> Attack:
    """Attacks in a row: each gets the images that those before it did not break."""

    def run(module: nn.Module, images: Tensor, labels: Tensor, radius: float) -> Tensor:
        found = images.clone()
        for attack in attacks:
            with torch.no_grad():
                left = module(found).argmax(1) == labels
            if left.any():
                found[left] = attack(module, images[left], labels[left], radius)
        return found

    return run


PAIRINGS: Mapping[str, Pairing] = MappingProxyType(
    {
        "fgsm": Pairing("linf", True, within(fgsm), "foolbox", foolbox("LinfFastGradientAttack", ball=True)),
        "pgd-40": Pairing(
            "linf",
            True,
            within(pgd, steps=PGD_STEPS),
            "foolbox",
            foolbox("LinfPGD", ball=True, steps=PGD_STEPS, rel_stepsize=PGD_STEP),
        ),
        "deepfool": Pairing(
            "l2", False, nearest(deepfool, steps=50), "foolbox", foolbox("L2DeepFoolAttack", ball=False, steps=50)
        ),
        "ddn": Pairing("l2", False, nearest(ddn, steps=100), "foolbox", foolbox("DDNAttack", ball=False, steps=100)),
        "carlini-wagner": Pairing(
            "l2",
            False,
            nearest(carlini_wagner),
            "foolbox",
            foolbox("L2CarliniWagnerAttack", ball=False, binary_search_steps=9, steps=1000),
            slow=True,
            note="ours at most 20 x 60 steps; foolbox 9 x 1000, a tenth of its default",
        ),
        "apgd": Pairing(
            "linf", True, within(apgd, loss="cross-entropy"), "pyautoattack", pyautoattack("apgd-ce"), slow=True
        ),
        "apgd-targeted": Pairing(
            "linf", True, within(apgd_targeted), "pyautoattack", pyautoattack("apgd-t"), slow=True
        ),
        "square": Pairing("linf", True, within(square), "pyautoattack", pyautoattack("square"), slow=True),
        "autoattack": Pairing(
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
        network: The name of the network.
        module: The network, in evaluation mode.
        images: [batch, *shape] from 0 to 1.
        labels: The true classes [batch].
        radius: The radius of the balls, from 0.
        seed: The seed of the network, and of torch's generator before every attack.

    Raises:
        ValueError: There is no image, or the radius is negative or not finite.
    """

    network: str
    module: nn.Module
    images: Tensor
    labels: Tensor
    radius: float
    seed: int

    def __post_init__(self) -> None:
        check_problem(len(self.images), self.radius)
        self.module.requires_grad_(False)  # foolbox's backwards would else take the gradients of the weights, too

    def attack(self, attack: Attack, count: int | None = None) -> Tensor:
        """What an attack finds for all images, or for the first `count`."""
        return attack(self.module, self.images[:count], self.labels[:count], self.radius)


@dataclass(frozen=True)
class Worth:
    """What the referee leaves of an attack's images.

    Attributes:
        robust_accuracy: The share of all images that are still classified rightly; None where there is no ball.
        success: The share that is fooled of the images classified rightly to begin with; None if there are none.
        median: The median length of the perturbations of the same images, those not fooled being infinitely far; None
            if it is infinite, or where there is a ball.
        complaints: What the referee complains of.
    """

    robust_accuracy: float | None = None
    success: float | None = None
    median: float | None = None
    complaints: tuple[str, ...] = ()


@dataclass(frozen=True)
class AttackJob:
    """Several attacks on one network, each beside its peer's.

    Attributes:
        attacks: Keys of PAIRINGS.
        network: The name of a model that attacks are tried on.
        data: The folder of its data set; None for where it is found by itself.
        images: How many images of the test part are attacked, its first ones.
        radius: The radius of the balls, from 0.
        cache: The folder that trained models are kept in; None to train anew.
        seed: The seed of the network and of random starts.
    """

    attacks: tuple[str, ...]
    network: str
    data: Path | None
    images: int
    radius: float
    cache: Path | None
    seed: int

    @property
    def title(self) -> str:
        """The network."""
        return self.network


def check_problem(images: int, radius: float) -> None:
    """Refuse to attack no image, or within what is no radius.

    Raises:
        ValueError: The number of images is below 1, or the radius is negative or not finite.
    """
    if images < 1 or not 0 <= radius < math.inf:
        raise ValueError(f"there must be an image and a radius from 0, got {images} and {radius}")


def chosen(names: Sequence[str], slow: bool) -> list[str]:
    """What to measure: what is named; without names all that is not slow, or all.

    Raises:
        ValueError: There is no such attack.
    """
    for name in names:
        if name not in PAIRINGS:
            raise ValueError(f"`--attack` must be one of {', '.join(PAIRINGS)}, got {name!r}")
    return list(names) or [name for name, pairing in PAIRINGS.items() if slow or not pairing.slow]


def jobs(options: AttackOptions) -> tuple[AttackJob, ...]:
    """One job with all attacks: they share a network, which is trained once.

    Raises:
        ValueError: There is no such attack, the data is missing, or the radius is none.
    """
    images = min(options.images, len(datasets.load(options.dataset, options.data).test_images))
    check_problem(images, options.radius)
    attacks, network = tuple(chosen(options.attack, options.slow)), attacked(options.dataset, options.hardened)
    return (AttackJob(attacks, network, options.data, images, options.radius, options.cache, options.seed),)


def measure(job: AttackJob, report: Reporter) -> Iterator[AttackRow]:
    """Train the network or take it from the cache, then time and judge the attacks, each beside its peer's."""
    recipe = replace(RECIPES[job.network], seed=job.seed)
    dataset = datasets.load(recipe.dataset, job.data)
    images, labels = (torch.from_numpy(part[: job.images]) for part in (dataset.test_images, dataset.test_labels))
    module = trained(recipe, dataset, folder=job.cache, report=report)
    problem = Problem(job.network, module, images, labels, job.radius, job.seed)
    for row in compared(job.attacks, problem, report):
        report.say(summary(row))
        yield row


def compared(names: Sequence[str], problem: Problem, report: Reporter) -> Iterator[AttackRow]:
    """Time and judge attacks, each beside its peer's.

    Args:
        names: Keys of PAIRINGS.
        problem: What to attack.
        report: It is told what is being measured.
    """
    with torch.no_grad():
        clean_accuracy = float((problem.module(problem.images).argmax(1) == problem.labels).double().mean())
    for name in names:
        pairing, notes = PAIRINGS[name], [PAIRINGS[name].note]
        contenders, peer = {"ours": pairing.ours}, pairing.package
        try:
            peer = installed(pairing.package)
            contenders[peer] = pairing.peer
        except UnavailableError as error:
            notes.append(str(error))
        report(f"{name}: {' and '.join(contenders)}")
        runs = _take_turns(contenders, problem)
        worths = {who: judged(pairing, problem, run.found) for who, run in runs.items()}
        notes += [f"{who}: {complaint}" for who, worth in worths.items() for complaint in worth.complaints]
        ours, theirs = runs["ours"], runs.get(peer)
        worth, their_worth = worths["ours"], worths.get(peer, Worth())
        yield AttackRow(
            attack=name,
            network=problem.network,
            norm=pairing.norm,
            radius=problem.radius if pairing.ball else None,
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


def judged(pairing: Pairing, problem: Problem, found: Tensor) -> Worth:
    """Look at what an attack found, whoever's it is, on fresh forwards: range, label, and length."""
    verdict = judge(
        Target(problem.module, bounds=BOUNDS),
        problem.images,
        Goal(problem.labels),
        found,
        Ball(pairing.norm, problem.radius) if pairing.ball else None,
    )
    right = ~verdict.clean
    if not right.any():
        return Worth(verdict.robust.value if pairing.ball else None, complaints=verdict.complaints)
    success = float(verdict.reached[right].double().mean())
    if pairing.ball:
        return Worth(verdict.robust.value, success, complaints=verdict.complaints)
    median = float(np.median(verdict.distances[pairing.norm].where(verdict.reached, torch.inf)[right].numpy()))
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
    """Within it, torch has one thread and a random state of its own; afterwards both are as before."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
