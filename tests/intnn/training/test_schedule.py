"""The learning rate of every step."""

from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from intnn.training.schedule import LARGEST_SHIFT, SMALLEST_MANTISSA, Schedule, rate_at
from intnn.training.step import Descent


def schedule(rate: Fraction, size: int = 32) -> Schedule:
    return Schedule(1, size, rate, Descent(), 0)


def test_the_rate_falls_linearly_to_zero():
    values = [
        rate.mantissa / 2**rate.shift for rate in (rate_at(schedule(Fraction(1, 20)), i, 100) for i in range(100))
    ]
    exact = [0.05 / 32 * (1 - i / 100) for i in range(100)]
    # A mantissa of 64 to 127, rounded down, is off by less than one part in 64.
    assert all(0 <= e - v <= e / 64 for v, e in zip(values, exact, strict=True))


@given(
    st.fractions(0, 1000, max_denominator=1 << 20).filter(bool),
    st.integers(1, 1 << 16),
    st.integers(1, 1 << 40).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))),
)
@example(Fraction(64), 1, (0, 1))  # the smallest mantissa, without a shift
@example(Fraction(1, 1 << 54), 1, (0, 1))  # the smallest rate that counts
@example(Fraction(1, (1 << 54) + 1), 1, (0, 1))
@example(Fraction(1, 5), 32, (7, 7))
def test_it_is_the_exact_rate_rounded_down(learning_rate, size, step):
    number, total = step
    rate, shift = learning_rate * (total - number) / (total * size), 0
    while rate * 2**shift < SMALLEST_MANTISSA and shift < LARGEST_SHIFT:
        shift += 1
    mantissa = int(rate * 2**shift)
    expected = (mantissa if mantissa >= SMALLEST_MANTISSA else 0), shift
    assert rate_at(schedule(learning_rate, size), number, total) == expected
