"""The learning rate of every step."""

from fractions import Fraction

from intnn.training.schedule import Schedule, rate_at
from intnn.training.step import Descent


def test_the_rate_falls_linearly_to_zero():
    schedule = Schedule(1, 32, Fraction(1, 20), Descent(), 0)
    values = [rate.mantissa / 2**rate.shift for rate in (rate_at(schedule, i, 100) for i in range(100))]
    exact = [0.05 / 32 * (1 - i / 100) for i in range(100)]
    # A mantissa of 64 to 127, rounded down, is off by less than one part in 64.
    assert all(0 <= e - v <= e / 64 for v, e in zip(values, exact, strict=True))
