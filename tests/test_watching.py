"""What takes long under coverage's eyes is not watched without need (`tests/conftest.py`)."""

from coverage import Coverage
from hypothesis import given
from hypothesis import strategies as st


def test_no_test_outside_of_the_measured_rooms_is_watched():
    assert Coverage.current() is None


@given(st.integers())
def test_no_property_is_watched(number):
    assert Coverage.current() is None
