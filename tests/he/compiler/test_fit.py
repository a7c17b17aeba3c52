"""The search for the least number that is accepted."""

from hypothesis import given
from hypothesis import strategies as st

from he.compiler.fit import least


@given(st.data(), st.integers(-20, 20), st.integers(0, 60))
def test_the_least_accepted_number_is_found_from_any_guess(data, low, length):
    high = low + length
    limit = data.draw(st.integers(low, high + 1))
    asked = []

    def accepted(number):
        assert low <= number <= high
        asked.append(number)
        return number >= limit

    guess = data.draw(st.integers(low - 5, high + 5))
    assert least(accepted, guess, low, high) == (limit if limit <= high else None)
    distance = abs(min(max(guess, low), high) - limit)
    assert len(asked) <= 2 * distance.bit_length() + 3
