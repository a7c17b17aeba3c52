import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import Activation, Dense, Flatten, IntDomain, IntNetwork, Lut, LutActivation
from intnn.network.graph import BATCH
from intnn.ops import BACKENDS
from intnn.testing import backends_agree, int_inputs, int_networks

EYE, ZERO = np.eye(2, dtype=int), np.zeros(2, int)
BITS = IntDomain(0, 1)
NETWORK = IntNetwork((2,), BITS, (Dense(EYE, ZERO),))


@settings(max_examples=60)
@given(st.data(), st.booleans())
def test_all_backends_give_the_same_bits(data, dense_only):
    network = data.draw(int_networks(dense_only=dense_only))
    x = data.draw(int_inputs(network))
    backends_agree(network, x)
    expected = network.logits(x, "reference")
    assert expected.dtype == np.int64
    assert expected.shape == (len(x), int(np.prod(network.output_shape)))
    for backend in BACKENDS:
        assert np.array_equal(network.logits(x, backend), expected)
        assert network.predict(x, backend).tolist() == [row.index(max(row)) for row in expected.tolist()]


@settings(max_examples=30)
@given(st.data())
def test_backends_agree_where_floats_would_not(data):
    """Weights so large that only int64 is exact."""
    weight = data.draw(st.lists(st.integers(2**52, 2**58), min_size=4, max_size=4))
    network = IntNetwork((2,), IntDomain(-7, 7), (Dense(np.array(weight).reshape(2, 2), ZERO + 1), Flatten()))
    assert network.accumulator_bound >= 2**53
    x = data.draw(int_inputs(network))
    for backend in ("numpy", "numba"):
        assert np.array_equal(network.logits(x, backend), network.logits(x, "reference"))


def test_batches_longer_than_a_chunk_are_whole():
    x = np.random.default_rng(0).integers(0, 2, (2 * BATCH + 1, 2))
    assert np.array_equal(NETWORK.logits(x), x)
    assert np.array_equal(NETWORK.logits(np.asfortranarray(x), "numba"), x)


def test_the_lowest_of_equal_classes_wins():
    assert NETWORK.predict([[1, 1], [0, 1], [0, 0]]).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("x", "backend", "error", "message"),
    [
        (np.zeros((1, 3), int), "numpy", ValueError, r"`x` must have shape \(batch, 2\), got \(1, 3\)"),
        (np.zeros((0, 2), int), "numpy", ValueError, "`x` must hold at least one row"),
        (np.zeros((1, 2)), "numpy", TypeError, "`x` must hold integers, got dtype float64"),
        (np.zeros((1, 2), bool), "numpy", TypeError, "`x` must hold integers, got dtype bool"),
        ([[0, 2]], "numpy", ValueError, r"`x` must lie in \[0, 1\], got 2 at index \(0, 1\)"),
        (np.zeros((1, 2), int), "torch", ValueError, "`backend` must be one of"),
    ],
)
def test_bad_input(x, backend, error, message):
    for method in (NETWORK.logits, NETWORK.predict):
        with pytest.raises(error, match=message):
            method(x, backend)


@given(st.floats(-1e300, 1e300), st.floats(0.01, 1e10), st.integers(-5, 5), st.integers(0, 5))
def test_quantising_an_input_is_rounding_half_up_and_saturating(value, scale, lo, extra):
    domain = IntDomain(lo, lo + extra)
    network = IntNetwork((1,), domain, (Flatten(),), scale)
    expected = min(max(np.floor(value * scale + 0.5), domain.lo), domain.hi)
    if abs(value * scale % 1 - 0.5) > 1e-9:  # the float expression itself is not exact beside a half
        assert network.quantise_input(np.array([[value]])) == expected


def test_quantising_bits_and_bytes():
    grey = np.array([[0.0, 0.49999999999999994], [0.5, 1.0], [-3.0, 1e308]])
    assert NETWORK.quantise_input(grey).tolist() == [[0, 0], [1, 1], [0, 1]]
    byte = IntNetwork((2,), IntDomain(0, 255), (Flatten(),), 255.0)
    assert byte.quantise_input(np.arange(256).reshape(-1, 2) / 255).ravel().tolist() == list(range(256))
    assert byte.quantise_input(np.full((1, 2), 1e308)).tolist() == [[255, 255]]


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.full((1, 2), np.nan), ValueError, "`images` must be finite"),
        (np.zeros((1, 2), np.uint8), TypeError, "`images` must hold floats, got dtype uint8; cast and scale it first"),
        (np.zeros((1, 3)), ValueError, r"`images` must have shape \(batch, 2\)"),
        (np.zeros((0, 2)), ValueError, "`images` must hold at least one row"),
    ],
)
def test_bad_images(images, error, message):
    with pytest.raises(error, match=message):
        NETWORK.quantise_input(images)


def table(lo, hi):
    return LutActivation(Lut.from_callable(lambda x: x, IntDomain(lo, hi)))


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ((), ValueError, "`layers` must hold at least one node"),
        ((Dense(np.eye(3, dtype=int), np.zeros(3, int)),), ValueError, r"`layers\[0\]`: Dense\(3 -> 3\) must have"),
        ((Dense(EYE.astype(float), ZERO.astype(float)),), TypeError, r"`layers\[0\]` must have integer parameters"),
        ((Activation("relu"),), TypeError, r"`layers\[0\]` must be Dense, .* got Activation"),
        (
            (Dense(4 * EYE, ZERO - 1), table(-1, 2)),
            ValueError,
            r"`layers\[1\]` must have a table whose domain contains \[-1, 3\], the worst case of its input, got",
        ),
        ((Dense(4 * EYE, ZERO - 1), table(0, 3)), ValueError, r"contains \[-1, 3\]"),
    ],
)
def test_what_is_no_network(layers, error, message):
    with pytest.raises(error, match=message):
        IntNetwork((2,), BITS, layers)


def test_a_table_that_just_contains_its_input_is_accepted():
    network = IntNetwork((2,), BITS, (Dense(4 * EYE, ZERO - 1), table(-1, 3)))
    assert network.ranges == (IntDomain(-1, 3), IntDomain(-1, 3))


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"input_scale": 0.0}, ValueError, "`input_scale` must be positive and finite, got 0.0"),
        ({"input_scale": float("inf")}, ValueError, "`input_scale` must be positive and finite"),
        ({"input_scale": "1"}, TypeError, "`input_scale` must be a float"),
        ({"input_scale": True}, TypeError, "`input_scale` must be a float"),
        ({"input_scale": np.array([1.0])}, TypeError, "`input_scale` must be a float"),
        ({"input_scale": 10**400}, ValueError, "`input_scale` must be positive and finite, got inf"),
        ({"layers": Flatten()}, TypeError, "`layers` must be a sequence of nodes, got Flatten"),
        ({"layers": (Flatten,)}, TypeError, r"`layers\[0\]` must be a node of intnn.layers.nodes, got type"),
        ({"input_domain": (0, 1)}, TypeError, "`input_domain` must be an IntDomain, got tuple"),
        ({"metadata": [1]}, ValueError, "`metadata` must be representable as JSON"),
    ],
)
def test_bad_fields(fields, error, message):
    with pytest.raises(error, match=message):
        IntNetwork(**{"input_shape": (2,), "input_domain": BITS, "layers": (Flatten(),), **fields})


@pytest.mark.parametrize("scale", [2, np.float32(2), np.int64(2), np.array(2.0)])
def test_a_scale_may_be_any_number(scale):
    network = IntNetwork((2,), BITS, (Flatten(),), input_scale=scale)
    assert type(network.input_scale) is float
    assert network.fingerprint == IntNetwork((2,), BITS, (Flatten(),), input_scale=2.0).fingerprint
