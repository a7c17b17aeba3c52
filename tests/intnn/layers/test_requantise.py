from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import Dense, FormatError, IntDomain, Interval, IntNetwork, Lut, LutActivation, Requantise, ops
from intnn.layers.intervals import propagate
from intnn.ops import reference
from intnn.testing import int_arrays

BYTE = IntDomain(-128, 127)
BACKENDS = ("reference", "numpy", "numba")
IDENTITY = Dense(np.eye(2, dtype=np.int64), np.zeros(2, np.int64))


@st.composite
def nodes(draw, channels):
    lo = draw(st.integers(-300, 300))
    multiplier = draw(int_arrays((draw(st.sampled_from([1, channels])),), -(2**20), 2**20))
    return Requantise(multiplier, draw(st.integers(0, 40)), IntDomain(lo, lo + draw(st.integers(0, 600))))


@settings(max_examples=60)
@given(st.data(), st.lists(st.integers(1, 3), min_size=2, max_size=4).map(tuple))
def test_every_backend_rounds_the_exact_quotient_half_up_and_saturates(data, shape):
    node = data.draw(nodes(shape[1]))
    x = data.draw(int_arrays(shape, -(2**40), 2**40))
    factors = np.broadcast_to(node.multiplier.reshape(1, -1, *[1] * (len(shape) - 2)), shape)
    exact = [floor(Fraction(v * m, 2**node.shift) + Fraction(1, 2)) if node.shift else v * m
             for v, m in zip(x.ravel().tolist(), factors.ravel().tolist(), strict=True)]  # fmt: skip
    expected = np.clip(np.array(exact).reshape(shape), node.domain.lo, node.domain.hi)
    for name in BACKENDS:
        assert np.array_equal(node.apply(x, ops.backend(name)), expected)


@settings(max_examples=60)
@given(st.data(), st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple))
def test_the_interval_is_exact_and_the_bound_holds(data, shape):
    node = data.draw(nodes(shape[0]))
    ends = np.sort(data.draw(int_arrays((2, *shape), -(2**30), 2**30)), axis=0)
    y, bound = propagate(node, Interval(*ends))
    outputs = reference.requantise(ends, node.multiplier, node.shift, node.domain.lo, node.domain.hi)
    assert np.array_equal(y.lo, outputs.min(axis=0))  # monotone in x, so the ends are the extremes
    assert np.array_equal(y.hi, outputs.max(axis=0))
    half = 2**node.shift // 2
    assert bound >= np.abs(ends).max() * int(np.abs(node.multiplier).min()) + half


def test_a_product_of_2_to_the_63_is_refused_and_the_one_below_is_exact():
    node = Requantise(np.array(2**31), 0, BYTE)
    with pytest.raises(ValueError, match=r"below 2\*\*63, got 9223372036854775808"):
        propagate(node, Interval(np.array([0]), np.array([2**32])))
    y, bound = propagate(node, Interval(np.array([-(2**32) + 1]), np.array([2**32 - 1])))
    assert bound == (2**32 - 1) * 2**31
    assert (y.lo[0], y.hi[0]) == (-128, 127)
    # The rounding term counts too.
    with pytest.raises(ValueError, match=r"below 2\*\*63"):
        propagate(Requantise(np.array(2**62), 62, BYTE), Interval(np.array([0]), np.array([2])))


def test_networks_with_it_are_saved_loaded_and_alike_on_every_backend(tmp_path):
    table = Lut.from_callable(lambda v: max(v, 0), BYTE)
    layers = (IDENTITY, Requantise(np.array([77, -9]), 5, BYTE), LutActivation(table), IDENTITY)
    network = IntNetwork((2,), IntDomain(-50, 200), layers)
    x = np.stack(np.meshgrid(np.arange(-50, 201), np.arange(-50, 201)), -1).reshape(-1, 2)
    expected = network.logits(x, "reference")
    assert expected.max() == 127
    assert np.array_equal(expected[0], [0, (-50 * -9 + 16) >> 5])
    for suffix in (".npz", ".json"):
        network.save(tmp_path / f"n{suffix}")
        loaded = IntNetwork.load(tmp_path / f"n{suffix}")
        assert loaded.fingerprint == network.fingerprint
        for backend in BACKENDS:
            assert np.array_equal(loaded.logits(x, backend), expected)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((1.5, 1, BYTE), TypeError, "`multiplier` must hold integers"),
        ((np.ones((2, 2), np.int64), 1, BYTE), ValueError, "`multiplier` must be one integer or have shape"),
        ((np.ones(0, np.int64), 1, BYTE), ValueError, "`multiplier` must be one integer or have shape"),
        ((1, 63, BYTE), ValueError, r"`shift` must lie in \[0, 62\], got 63"),
        ((1, -1, BYTE), ValueError, r"`shift` must lie in \[0, 62\], got -1"),
        ((1, 1, (0, 255)), TypeError, "`domain` must be an IntDomain"),
        ((1, 1, IntDomain.ring(5)), ValueError, "`domain` must be an interval"),
    ],
)
def test_bad_parameters(arguments, error, message):
    with pytest.raises(error, match=message):
        Requantise(*arguments)


def test_multipliers_must_match_the_channels():
    with pytest.raises(ValueError, match=r"`layers\[1\]`: .*3 channels, got shape \(2,\)"):
        IntNetwork((2,), BYTE, (IDENTITY, Requantise(np.array([1, 2, 3]), 0, BYTE)))


def test_a_file_without_its_shift_is_refused(tmp_path):
    network = IntNetwork((2,), BYTE, (Requantise(np.array(1), 1, BYTE),))
    network.save(tmp_path / "n.json")
    broken = (tmp_path / "n.json").read_text().replace('"shift": 1', '"shift": 2')
    (tmp_path / "n.json").write_text(broken)
    with pytest.raises(FormatError, match="sha256"):
        IntNetwork.load(tmp_path / "n.json")
