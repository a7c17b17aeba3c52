"""Networks whose values are beyond int64: modulo primes, and in Python integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import (
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    IntDomain,
    IntNetwork,
    IntPolynomial,
    Lut,
    LutActivation,
    Requantise,
    Scale,
    SumPool2d,
)
from intnn.layers.intervals import LIMIT
from intnn.network.residues import Residues
from intnn.testing import int_arrays, int_inputs


@st.composite
def large_networks(draw):
    """Networks with branches and up to three polynomials, whose values are of every size."""
    largest = draw(st.sampled_from([3, 1 << 20, 1 << 40, (1 << 62) - 1]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def numbers(*shape):
        return rng.integers(-largest, largest + 1, shape)

    def biases(count):
        return np.array([int(b) * draw(st.sampled_from([1, -(1 << 70)])) for b in numbers(count)], object)

    def polynomial():
        coefficients = draw(st.lists(st.integers(-largest, largest), min_size=1, max_size=3))
        return IntPolynomial((*coefficients, draw(st.integers(1, largest))))

    low = draw(st.sampled_from([-largest, -3, 0]))
    domain = IntDomain(low, low + draw(st.sampled_from([0, 7, largest])))
    layers = [
        Conv2d(numbers(2, 1, 2, 2), biases(2), 1, draw(st.integers(0, 1)), 1, 1),  # 0
        polynomial(),
        Scale(numbers(2), biases(2)),  # 2, of the polynomial
        Add(),  # 3: 1 + 2
        Concatenate(),  # 4: 3 and 1
        Conv2d(numbers(4, 2, 1, 2), biases(4), (1, 2), (0, 1, 1, 0), 1, 2),
        draw(st.sampled_from([IntPolynomial((0, 0, 1)), Scale(numbers(1), biases(1))])),
        SumPool2d(2, 1),
        Flatten(),
    ]
    inputs = [(-1,), (0,), (1,), (1, 2), (3, 1), (4,), (5,), (6,), (7,)]
    shape = IntNetwork((1, 4, 4), domain, tuple(layers), inputs=tuple(inputs)).output_shape
    layers.append(Dense(numbers(2, *shape), biases(2)))
    return IntNetwork((1, 4, 4), domain, tuple(layers), inputs=(*inputs, (8,)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_residues_python_integers_and_int64_give_the_same_bits(data):
    network = data.draw(large_networks())
    x = data.draw(int_inputs(network))
    expected = network.logits(x, "reference")
    modular = Residues(network.layers, network.sources, network.bounds, network.intervals[-1].magnitude)
    assert (modular.outputs(x).reshape(expected.shape) == expected).all()
    for backend in ("numpy", "numba") if network.accumulator_bound >= LIMIT else ("numpy",):
        logits = network.logits(x, backend)
        assert logits.dtype == expected.dtype
        assert (logits == expected).all()
    assert network.intervals[-1].contains(expected.reshape(-1, *network.output_shape))
    assert network.predict(x).dtype == np.int64


@pytest.mark.parametrize("sign", [1, -1])
def test_the_worst_case_is_reached_exactly(sign):
    """(+-2**40)**2 four times over, and both ends of the range, at which residues of too few primes would wrap."""
    squares = tuple(IntPolynomial((0, 0, 1)) for _ in range(3))
    network = IntNetwork((1,), IntDomain(-(1 << 40), 1 << 40), (*squares, Dense([[sign]], [0])))
    assert network.intervals[-1].magnitude == 1 << 320
    assert network.logits([[1 << 40], [-(1 << 40)], [0], [1]]).tolist() == [[sign << 320]] * 2 + [[0], [sign]]


def test_a_network_of_one_value_needs_no_prime():
    layers = (IntPolynomial((0, 0, 1)), IntPolynomial((0, 0, 1)), Scale([0], [0]))
    network = IntNetwork((2,), IntDomain(-(1 << 20), 1 << 20), layers)
    assert network.intervals[-1].magnitude == 0
    assert network.logits([[3, 4]]).tolist() == [[0, 0]]


def test_biases_beyond_int64_are_stored_and_equal_ones_below_are_int64(tmp_path):
    layers = (IntPolynomial((0, 0, 1)), Dense([[1, 2]], np.array([-(1 << 90)], object)))
    network = IntNetwork((2,), IntDomain(-8, 8), layers)
    assert network.logits([[1, 2]]).tolist() == [[9 - (1 << 90)]]
    for name in ("network.npz", "network.json"):
        network.save(tmp_path / name)
        again = IntNetwork.load(tmp_path / name)
        assert again.fingerprint == network.fingerprint
        assert again.logits([[1, 2]]).tolist() == [[9 - (1 << 90)]]
    assert Dense([[1]], np.array([5], object)).bias.dtype == np.int64
    with pytest.raises(TypeError, match="`bias` must hold Python ints"):
        Dense([[1]], np.array([5.5], object))


def test_a_table_beside_large_values_reads_int64():
    table = LutActivation(Lut(IntDomain(0, 1 << 4), np.arange(17)[::-1].copy()))
    layers = (Requantise([1 << 40], 44, IntDomain(0, 16)), table, *[IntPolynomial((0, 0, 1))] * 5, Dense([[1]], [7]))
    network = IntNetwork((1,), IntDomain(0, 255), layers)
    expected = [[(16 - min((x + 8) // 16, 16)) ** 32 + 7] for x in range(256)]
    for backend in ("reference", "numpy"):
        assert network.logits(np.arange(256)[:, None], backend).tolist() == expected


def test_wide_layers_take_smaller_primes():
    """4,096 products of two residues are exact in float64 for primes below 2**21.5."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-(1 << 62), 1 << 62, (1, 4096))
    network = IntNetwork((4096,), IntDomain(-(1 << 40), 1 << 40), (IntPolynomial((0, 0, 1)), Dense(weight, [0])))
    x = rng.integers(-(1 << 40), 1 << 40, (3, 4096))
    assert max(network._residues.primes) < 2**21.5
    assert (network.logits(x) == int_exact(x, weight)).all()


def int_exact(x, weight):
    return (x.astype(object) ** 2) @ weight.astype(object).T


@settings(max_examples=30)
@given(st.data())
def test_int_arrays_of_python_ints_are_canonical(data):
    values = data.draw(int_arrays((3,), -5, 5)).astype(object) * data.draw(st.sampled_from([1, 1 << 70]))
    layer = Dense([[1]] * 3, values)
    assert (layer.bias == values).all()
    assert (layer.bias.dtype == object) == any(abs(v) >= LIMIT for v in values)
