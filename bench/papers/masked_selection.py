"""How the quick version of M was set: on training images that none of its networks is trained on, by rules kept here.

The document's numbers are for a hundred times as many steps. What takes their place is chosen in this order, each with
what was chosen before: peaks of learning rates, the gain of gates, their rates as classifiers, and when training meets
attacks. No test image has a say. `python -m bench.papers.masked_selection` prints all figures and what is in use.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.papers.experiment import Run
from bench.papers.masked import GATES, LATE, RADII, SMALL, Head, Late, Network
from bench.papers.masked_attacks import Seen, right
from bench.papers.masked_kinds import PGD, binarised, chapter_3, head, seen, view_of
from bench.papers.masked_subjects import probabilities
from bench.papers.store import loaded, making
from plaintext_models.attacks.ball.pgd import pgd
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.data.datasets import Dataset
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.card import QUICK

HELD_OUT = 2000  # the last training images
ATTACKED = 500  # of them
STEPS = 20  # of the attack in the third rule
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
GAINS = (1.0, 8.0, 30.0)  # those that `masked_kinds.surer` compares
SURE = 0.9  # of the probabilities of each gate; "nearly deterministic", as the document has it
SCHEDULES = (Late(40), Late(7), Late(7, 0.5, 0.2), Late(7, 0.2, 0.4), Late(7, 0.0, 0.5))


def _of_chapter_3(*layers: int) -> tuple[Seen, ...]:
    """The networks without regularisation, and those of binarised units, that have so many convolutions."""
    found = {name: one for name, one in binarised(True).items() if len(one.options["channels"]) in layers}
    networks = (*found.values(), *([chapter_3(True, 1)] if 1 in layers else ()))
    return tuple(Seen(one, view_of(one)) for one in networks)


#: Networks that share a learning rate.
FAMILIES: Mapping[str, Callable[[], Sequence[Seen]]] = {
    "networks of chapter 4": lambda: tuple(seen(name, True) for name in ("CNN", "CNN-BIN", "BNN")),
    "perceptrons of chapter 3": lambda: _of_chapter_3(0),
    "convolutions of chapter 3": lambda: _of_chapter_3(1, 2),
}
#: The same, of gates, whose gain is chosen before.
HEADS: Mapping[str, Callable[[], Sequence[Seen]]] = {
    "first gate as a classifier": lambda: (head("SGBN", 0, True),),
    "second gate as a classifier": lambda: (head("SGBN", 1, True),),
}


@dataclass(frozen=True)
class Choice:
    """What was chosen among several values.

    Attributes:
        what: Of what.
        scores: By value, a share from 0 to 1 of held-out images.
        chosen: The value that the rule takes.
        used: The value that the quick version has.
    """

    what: str
    scores: Mapping[str, float]
    chosen: str
    used: str


def held_out(dataset: Dataset) -> Dataset:
    """A data set to choose on: the images that the quick version is trained on, and the last ones in place of tests."""
    images, labels = dataset.train_images, dataset.train_labels
    return replace(
        dataset,
        train_images=images[:SMALL],
        train_labels=labels[:SMALL],
        test_images=images[-HELD_OUT:],
        test_labels=labels[-HELD_OUT:],
    )


def best(scores: Mapping[str, float]) -> str:
    """The value with the greatest score; of equal ones the first."""
    return max(scores, key=scores.__getitem__)


def enough(scores: Mapping[str, float]) -> str:
    """The first value with a score of `SURE`, or the last value where none has."""
    return next((value for value, score in scores.items() if score >= SURE), list(scores)[-1])


def choices(run: Run) -> Iterator[Choice]:
    """All choices, given a run on what `held_out` gives."""
    yield from (_rate(run, name, family()) for name, family in FAMILIES.items())
    gains = {f"{gain:g}": _sure(run, gain) for gain in GAINS}
    yield Choice("gain of gates", gains, enough(gains), f"{GATES['gain']:g}")
    yield from (_rate(run, name, family()) for name, family in HEADS.items())
    schedules = {str(late): _stands(run, late) for late in SCHEDULES}
    yield Choice("attacks in training", schedules, best(schedules), str(LATE[True]))


def _rate(run: Run, name: str, subjects: Sequence[Seen]) -> Choice:
    """The rate with the best mean accuracy."""
    scores = {f"{rate:g}": _right(run, [_with(one, rate) for one in subjects]) for rate in RATES}
    return Choice(f"rate, {name}", scores, best(scores), f"{subjects[0].network.rate:g}")


def _with(subject: Seen, rate: float) -> Seen:
    network: Network | Head = replace(subject.network, rate=rate)
    return replace(subject, network=network)


def _right(run: Run, subjects: Sequence[Seen]) -> float:
    """The mean accuracy of several networks, each in one draw."""
    images, labels = run.attacked()
    return sum(right(one.defended(run)[1].target, images, labels).value for one in subjects) / len(subjects)


def _sure(run: Run, gain: float) -> float:
    """How many probabilities of SGBN's gates are above 0.9 or below 0.1 with this gain, of the gate that has fewer."""
    network = seen("SGBN", True).network
    assert isinstance(network, Network)
    module = run.trained(replace(network, options={**network.options, "gates": {"gain": gain}})).module
    images = run.attacked()[0][:ATTACKED]
    return min(((p < 0.1) | (p > 0.9)).double().mean().item() for p in probabilities(module, images))


def _stands(run: Run, late: Late) -> float:
    """Of the binary network that learns from attacks so, the mean of accuracies with and without an attack.

    Both have the same weight in its training.
    """
    subject = seen(f"BNN{PGD}", True)
    assert isinstance(subject.network, Network)
    target = replace(subject, network=replace(subject.network, late=late)).defended(run)[1].target
    images, labels = (part[:ATTACKED] for part in run.attacked())
    ball = Ball("linf", RADII[subject.dataset])
    broken = pgd(target, images, Goal(labels), ball, steps=STEPS, seed=run.seed).success
    return (right(target, images, labels).value + 1 - broken.double().mean().item()) / 2


def main() -> None:
    """Print every choice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with MNIST's files (or the variable INTNN_DATA)")
    parser.add_argument("--keep", type=Path, default=Path("selection"), help="folder of finished trainings")
    given = parser.parse_args()
    dataset = held_out(loaded("mnist", given.data))
    made = making(dataset, 0, keep=given.keep, report=lambda _: None)
    with deterministic(0):
        for choice in choices(Run(0, dataset, made.trained, made.report, HELD_OUT, QUICK)):
            print(choice.what)
            for value, score in choice.scores.items():
                marks = [mark for mark, one in (("chosen", choice.chosen), ("in use", choice.used)) if one == value]
                print(f"  {value:<40} {100 * score:5.1f} %  {', '.join(marks)}", flush=True)


if __name__ == "__main__":
    main()
