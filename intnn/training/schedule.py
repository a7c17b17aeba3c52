"""How long and how fast a training run goes, and what each of its passes reports."""

from dataclasses import dataclass
from fractions import Fraction

from intnn.training.examples import NO_CHANGES, Changes
from intnn.training.step import Descent, Rate

SMALLEST_MANTISSA, LARGEST_SHIFT = 64, 60


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        epochs: Passes over the data, at least 1.
        batch_size: Examples of a step; an incomplete last batch is left out of its epoch.
        learning_rate: Of the first step, for the mean gradient of a batch; it falls linearly to zero.
        descent: Momentum and decay.
        seed: Of the initial weights, the order of the examples, their changes and the random roundings; in [0, 2**64).
        changes: To the examples, at random, every time that they are seen.
    """

    epochs: int
    batch_size: int
    learning_rate: Fraction
    descent: Descent
    seed: int
    changes: Changes = NO_CHANGES


@dataclass(frozen=True)
class Epoch:
    """What one pass measured on the way.

    Attributes:
        number: From 1 to the number of epochs.
        correct: Right answers, each before the step that learned from it.
        seen: Examples of the pass.
    """

    number: int
    correct: int
    seen: int


def rate_at(schedule: Schedule, number: int, total: int) -> Rate:
    """The linearly falling rate of step ``number`` of ``total``, per unit of a batch's summed gradient.

    It is rounded down to seven bits, and to zero where it is too small for any weight to notice.
    """
    rate = schedule.learning_rate * (total - number) / (total * schedule.batch_size)
    shift = 0
    while rate * (1 << shift) < SMALLEST_MANTISSA and shift < LARGEST_SHIFT:
        shift += 1
    mantissa = int(rate * (1 << shift))
    return Rate(mantissa if mantissa >= SMALLEST_MANTISSA else 0, shift)
