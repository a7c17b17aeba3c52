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
        epochs: The passes over the data, at least 1.
        batch_size: The examples of a step; an incomplete last batch is left out of its epoch.
        learning_rate: The rate of the first step, for the mean gradient of a batch; it falls linearly to zero.
        descent: The momentum and decay.
        seed: The seed in [0, 2**64) of the initial weights, the order of the examples, their changes and the random
            roundings.
        changes: The random changes to the examples, every time that they are seen.
    """

    epochs: int
    batch_size: int
    learning_rate: Fraction
    descent: Descent
    seed: int
    changes: Changes = NO_CHANGES


@dataclass(frozen=True)
class Epoch:
    """The report of one pass over the data.

    Attributes:
        number: The number of the pass, from 1 to the number of epochs.
        correct: The right answers, each given before the step that learned from it.
        seen: The examples of the pass.
    """

    number: int
    correct: int
    seen: int


def rate_at(schedule: Schedule, number: int, total: int) -> Rate:
    """The linearly falling rate of step ``number`` of ``total``, per unit of a batch's summed gradient.

    It is rounded down to seven bits, and to zero where it is too small for any weight to notice.
    """
    rate, most = schedule.learning_rate, 1 << LARGEST_SHIFT  # in integers: fractions would take as long as a small step
    numerator, denominator = rate.numerator * (total - number), rate.denominator * total * schedule.batch_size
    # The smallest shift for which the rate times 2**shift is SMALLEST_MANTISSA or more.
    steps = -(-SMALLEST_MANTISSA * denominator // numerator) if numerator else most
    shift = min((steps - 1).bit_length(), LARGEST_SHIFT)
    mantissa = (numerator << shift) // denominator
    return Rate(mantissa if mantissa >= SMALLEST_MANTISSA else 0, shift)
