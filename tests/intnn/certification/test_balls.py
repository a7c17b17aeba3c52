"""Boxes of integers around real and integer balls, against exact fractions."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from intnn import Dense, Flatten, IntDomain, IntNetwork, certify, integer_ball, real_ball

REALS = st.floats(0, 1) | st.integers(0, 255).map(lambda level: float(np.float32(level) / np.float32(255)))


def network(domain, scale, features=1):
    return IntNetwork((features,), domain, (Dense(np.ones((2, features), int), np.zeros(2, int)),), scale)


@given(REALS, st.floats(0, 1) | st.sampled_from([0.1, 0.2, 0.3, 8 / 255]), st.integers(1, 8), st.floats(-2, 2))
def test_a_real_ball_becomes_the_integers_of_its_outermost_floats(x, radius, bits, moved):
    top = (1 << bits) - 1
    quantised = network(IntDomain(0, top), float(top))
    box = real_ball(quantised, np.array([[x]]), radius)
    low, high = max(Fraction(0), Fraction(x) - Fraction(radius)), min(Fraction(1), Fraction(x) + Fraction(radius))
    for end, exact, inward in ((box.lo, low, np.inf), (box.hi, high, -np.inf)):
        outermost = float(exact)  # rounded to the nearest, perhaps out of the ball
        if (Fraction(outermost) < low) or (Fraction(outermost) > high):
            outermost = float(np.nextafter(outermost, inward))
        assert low <= Fraction(outermost) <= high
        assert end[0, 0] == quantised.quantise_input(np.array([[outermost]]))[0, 0]
    inside = min(max(x + moved * radius, 0.0), 1.0)
    if low <= Fraction(inside) <= high:
        assert box.contains(quantised.quantise_input(np.array([[inside]])))


def test_the_last_float_below_a_threshold_does_not_reach_it():
    one_bit = network(IntDomain(0, 1), 1.0)
    assert real_ball(one_bit, np.array([[0.25]]), 0.25).hi.tolist() == [[1]]
    assert real_ball(one_bit, np.array([[0.25]]), float(np.nextafter(0.25, 0))).hi.tolist() == [[0]]
    # 0.1 + 0.4 is 0.5 in floats, and a little more than one half in real numbers; 0.8 - 0.3 is not.
    assert real_ball(one_bit, np.array([[0.1]]), 0.4).hi.tolist() == [[1]]
    assert real_ball(one_bit, np.array([[0.8]]), 0.3).lo.tolist() == [
        [int(Fraction(0.8) - Fraction(0.3) >= Fraction(1, 2))]
    ]


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**63 - 1), st.sampled_from([-(2**62), 1]))
@example(5, 2**63 - 1, 1)
def test_an_integer_ball_ends_at_the_domain(x, steps, lowest):
    domain = IntDomain(lowest, 2**62 - 1 if lowest < 0 else 2**63 - 1)
    x = max(min(x, domain.hi), domain.lo)
    same = IntNetwork((1,), domain, (Flatten(),))
    box = integer_ball(same, np.array([[x]]), steps)
    assert (box.lo.item(), box.hi.item()) == (max(x - steps, domain.lo), min(x + steps, domain.hi))


@pytest.mark.parametrize(
    ("images", "radius", "message"),
    [
        (np.array([[1.5]]), 0.1, "`images` must lie in"),
        (np.array([[np.nan]]), 0.1, "`images` must"),
        (np.array([[0.5]]), -0.1, "`radius` must be"),
        (np.array([[0.5]]), np.inf, "`radius` must be"),
    ],
)
def test_other_balls_are_refused(images, radius, message):
    with pytest.raises(ValueError, match=message):
        real_ball(network(IntDomain(0, 1), 1.0), images, radius)


@pytest.mark.parametrize(("least", "greatest"), [(1.0, 0.0), (np.nan, 1.0), (0.0, np.inf)])
def test_ends_that_are_none_are_refused(least, greatest):
    with pytest.raises(ValueError, match="`least` and `greatest` must be finite and in order"):
        real_ball(network(IntDomain(0, 1), 1.0), np.array([[0.5]]), 0.1, least, greatest)


def test_a_ball_that_is_far_larger_than_its_images_is_no_matter_of_their_scale():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        box = real_ball(network(IntDomain(0, 3), 3.0), np.random.default_rng(0).random((40, 1)), 9.0, -9.0, 9.0)
    assert (box.lo.min(), box.hi.max()) == (0, 3)


def test_a_ball_of_another_network_is_refused():
    small, large = network(IntDomain(0, 1), 1.0), network(IntDomain(0, 3), 1.0)
    with pytest.raises(ValueError, match="`ball` must lie in"):
        certify(small, integer_ball(large, np.array([[3]]), 1), [0])
    with pytest.raises(ValueError, match="`ball` must hold boxes of shape"):
        certify(small, integer_ball(network(IntDomain(0, 1), 1.0, 2), np.array([[1, 0]]), 1), [0])
    with pytest.raises(ValueError, match=r"`labels` must lie in \[0, \d\], got 2 at index"):
        certify(small, integer_ball(small, np.array([[1]]), 1), [2])
    with pytest.raises(ValueError, match=r"`labels` must have shape \(1,\), one for each box, got \(2,\)"):
        certify(small, integer_ball(small, np.array([[1]]), 1), [0, 0])
    with pytest.raises(ValueError, match="`method` must be"):
        certify(small, integer_ball(small, np.array([[1]]), 1), [0], "guesses")
    with pytest.raises(TypeError, match="`ball` must be an Interval, got tuple"):
        certify(small, (np.array([[0]]), np.array([[1]])), [0])
