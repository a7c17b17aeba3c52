"""The compiled network gives the bits of the layers one by one, for every range, batch and number of threads."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import (
    Conv2d,
    Dense,
    Flatten,
    IntDomain,
    Interval,
    IntNetwork,
    Lut,
    LutActivation,
    Requantise,
    SumPool2d,
)
from intnn.compiled import CompiledNetwork, UnsupportedError
from intnn.layers.intervals import propagate

BYTE = IntDomain(-128, 127)
UNSIGNED = IntDomain(0, 255)


def rescalings(rng, hull, channels):
    """A requantisation, a table, both or neither that bring values in ``hull`` to at most 256 values."""
    lo = int(rng.choice([0, -128, rng.integers(-300, 300)]))
    domain = IntDomain(lo, lo + int(rng.integers(0, 256)))
    values = rng.integers(*rng.choice([[0, 256], [-128, 128], [1000, 1256]]), 70000)
    kind = rng.choice(["requantise", "both", "table"] if hull.size <= 3000 else ["requantise", "both"])
    if kind == "table":
        return [LutActivation(Lut(hull, values[: hull.size]))]
    # Products from far below to far above 32 bits; the quotient must fit them before it saturates.
    bits = int(rng.integers(0, 25))
    multiplier = rng.integers(-(2**bits) if rng.integers(2) else 1, 2**bits + 1, rng.choice([1, channels]))
    shift = int(rng.integers(bits, bits + 8))
    nodes = [Requantise(multiplier, shift, domain)]
    return [*nodes, LutActivation(Lut(domain, values[: domain.size]))] if kind == "both" else nodes


@st.composite
def byte_networks(draw):
    """Networks with activations of at most 256 values, weights beyond a byte, every width of tile, and padding."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    is_image = draw(st.booleans())
    shape = tuple(rng.integers(1, (4, 9, 9)).tolist()) if is_image else (int(rng.integers(1, 80)),)
    lo = int(rng.choice([0, -128, -7]))
    domain = IntDomain(lo, lo + int(rng.integers(0, 256)))
    x, layers = Interval.full(domain, shape), []

    def append(*nodes):
        nonlocal x
        for node in nodes:
            x, _ = propagate(node, x)
            layers.append(node)

    count = draw(st.integers(1, 3))
    for i in range(count):
        if len(x.lo.shape) == 3 and rng.integers(3) == 0:
            append(Flatten())
        out = int(rng.choice([1, 3, 8, 16, 17, 40, 70]))
        limit = int(rng.choice([3, 127, 400]))
        bias = rng.integers(-1000, 1000, out)
        if len(x.lo.shape) == 3:
            padding = int(rng.integers(3)) if (x.lo <= 0).all() and (x.hi >= 0).all() else 0
            kernel = [int(rng.integers(1, min(5, side + 2 * padding) + 1)) for side in x.lo.shape[1:]]
            weight = rng.integers(-limit, limit + 1, (out, x.lo.shape[0], *kernel))
            append(Conv2d(weight, bias, int(rng.integers(1, 3)), padding))
            if rng.integers(2):
                size = int(rng.integers(1, min(3, *x.lo.shape[1:]) + 1))
                append(SumPool2d(size, int(rng.integers(1, 3))))
        else:
            append(Dense(rng.integers(-limit, limit + 1, (out, *x.lo.shape)), bias))
        if i < count - 1 or rng.integers(2):
            append(*rescalings(rng, x.hull, out))
    network = IntNetwork(shape, domain, tuple(layers))
    batch = int(rng.choice([1, 2, 7, 12]))
    inputs = rng.integers(domain.lo, domain.hi + 1, (batch, *shape))
    inputs[0] = rng.choice([domain.lo, domain.hi], shape)
    return network, inputs


@settings(max_examples=150)
@given(byte_networks())
def test_every_bit_is_that_of_the_layers(case):
    network, x = case
    expected = network.logits(x, "numpy")
    try:
        compiled = CompiledNetwork(network.input_shape, network.input_domain, network.layers, network.intervals)
    except UnsupportedError:
        assert network.compiled is None
    else:
        assert np.array_equal(compiled.logits(x), expected)
        assert np.array_equal(compiled.logits(x, dtype=np.int32), expected)
    assert np.array_equal(network.logits(x, "numba"), expected)


def test_most_random_networks_are_compiled():
    """Else the test above would hold of nothing. The others have, say, a border of zeros that no byte can hold."""
    counts = []

    @settings(max_examples=60, database=None, derandomize=True)
    @given(byte_networks())
    def count(case):
        counts.append(case[0].compiled is not None)

    count()
    assert np.mean(counts) > 0.7


def mlp(seed=0, width=784):
    rng = np.random.default_rng(seed)
    relu = LutActivation(Lut.from_callable(lambda v: max(v, 0), BYTE))
    layers = []
    for out, size in ((70, width), (33, 70), (10, 33)):
        layers.append(Dense(rng.integers(-127, 128, (out, size)), rng.integers(-1000, 1000, out)))
        if out != 10:
            layers += [Requantise(rng.integers(50, 127, out), 20, BYTE), relu]
    return IntNetwork((width,), UNSIGNED, tuple(layers))


@pytest.mark.parametrize("batch", [1, 3, 4, 5, 255, 256, 257, 700])
def test_every_batch_size(batch):
    network = mlp()
    x = np.random.default_rng(batch).integers(0, 256, (batch, 784), np.uint8)
    assert np.array_equal(network.logits(x, "numba"), network.logits(x))


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_every_number_of_threads_gives_the_same_bits(threads):
    network = mlp()
    x = np.random.default_rng(1).integers(0, 256, (5000, 784), np.uint8)
    assert np.array_equal(network.logits(x, "numba", threads), network.logits(x, "numba"))
    assert np.array_equal(network.predict(x, "numba", threads), network.predict(x, "numba"))


def test_concurrent_calls_do_not_disturb_each_other():
    network, results = mlp(), {}
    x = np.random.default_rng(2).integers(0, 256, (4, 600, 784), np.uint8)
    calls = [
        threading.Thread(target=lambda i=i: results.update({i: network.logits(x[i], "numba", 2)})) for i in range(4)
    ]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    for i in range(4):
        assert np.array_equal(results[i], network.logits(x[i]))


@pytest.mark.parametrize("weight", [-128, 127])
def test_nothing_saturates_on_the_way(weight):
    """The largest products of bytes, a thousand of them: a 16-bit step anywhere would clip."""
    network = IntNetwork((1000,), UNSIGNED, (Dense(np.full((20, 1000), weight), np.arange(20)),))
    x = np.full((9, 1000), 255, np.uint8)
    assert np.array_equal(network.logits(x, "numba"), np.broadcast_to(255 * weight * 1000 + np.arange(20), (9, 20)))


def test_sums_up_to_the_ends_of_int32():
    weight = np.full((1, 3), 127)
    for bias in (2**31 - 1 - 3 * 127 * 255, -(2**31)):
        network = IntNetwork((3,), UNSIGNED, (Dense(weight, np.array([bias])),))
        assert network.compiled is not None
        x = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
        assert np.array_equal(network.logits(x, "numba").ravel(), [bias, bias + 3 * 127 * 255])
    beyond = IntNetwork((3,), UNSIGNED, (Dense(weight, np.array([2**31 - 3 * 127 * 255])),))
    assert beyond.compiled is None
    assert beyond.logits(np.full((1, 3), 255), "numba") == 2**31


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((SumPool2d(2),), "must follow a linear layer"),
        ((Flatten(),), "a network without a linear layer"),
        ((Flatten(), Dense(np.full((2, 4), 100), np.zeros(2, int)), Dense(np.ones((1, 2), int), np.zeros(1, int))),
         "must fit a byte"),
        ((Conv2d(np.full((1, 1, 2, 2), 3000), np.zeros(1, int)),), "sums of at most 8 signed bytes"),
        ((Conv2d(np.ones((1, 1, 1, 1), int), np.zeros(1, int)), Requantise(np.array(2**40), 0, BYTE)),
         "multipliers and limits of int32"),
        ((Conv2d(np.ones((1, 1, 1, 1), int), np.zeros(1, int)), Requantise(np.array(2**30), 0, BYTE)),
         "int32 before it saturates"),
    ],
)  # fmt: skip
def test_what_is_not_compiled_says_why_and_is_evaluated_by_the_layers(layers, message):
    network = IntNetwork((1, 2, 2), UNSIGNED, layers)
    with pytest.raises(UnsupportedError, match=message):
        CompiledNetwork(network.input_shape, network.input_domain, network.layers, network.intervals)
    x = np.arange(8).reshape(2, 1, 2, 2)
    assert np.array_equal(network.logits(x, "numba"), network.logits(x))


def test_inputs_of_every_integer_type_and_order():
    network = mlp()
    x = np.random.default_rng(3).integers(0, 256, (6, 784))
    expected = network.logits(x)
    for variant in (x, x.astype(np.uint8), x.astype(np.uint16), np.asfortranarray(x.astype(np.uint8)), x.tolist()):
        assert np.array_equal(network.compiled.logits(variant), expected)
    doubled = np.repeat(x.astype(np.uint8), 2, axis=1)[:, ::2]
    assert np.array_equal(network.compiled.logits(doubled), expected)
    locked = x.astype(np.uint8)
    locked.setflags(write=False)
    assert np.array_equal(network.compiled.logits(locked), expected)
    low = x % 128
    assert np.array_equal(network.compiled.logits(low.astype(np.int8)), network.logits(low))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((2, 783), np.uint8), ValueError, r"`x` must have shape \(batch, 784\), got \(2, 783\)"),
        (np.zeros((784,), np.uint8), ValueError, "`x` must have shape"),
        (np.zeros((2, 1, 784), np.uint8), ValueError, "`x` must have shape"),
        (np.zeros((0, 784), np.uint8), ValueError, "empty batch"),
        (np.zeros((2, 784)), TypeError, "`x` must hold integers, got dtype float64"),
        (np.full((2, 784), np.nan, np.float32), TypeError, "`x` must hold integers"),
        (np.full((2, 784), -1, np.int8), ValueError, r"`x` must lie in \[0, 255\], got -1 at index \(0, 0\)"),
        (np.full((2, 784), 256), ValueError, r"`x` must lie in \[0, 255\], got 256"),
        (np.zeros((2, 784), bool), TypeError, "`x` must hold integers"),
    ],
)
def test_bad_inputs(x, error, message):
    for backend in ("numpy", "numba"):
        with pytest.raises(error, match=message):
            mlp().logits(x, backend)


def test_bad_arguments():
    network, x = mlp(), np.zeros((2, 784), np.uint8)
    for threads in (0, -1):
        with pytest.raises(ValueError, match="`threads` must lie in"):
            network.logits(x, "numba", threads)
    for threads in (1.5, True):
        with pytest.raises(TypeError, match="`threads` must be an integer"):
            network.logits(x, "numba", threads)
    for dtype in (np.int8, np.float32, np.uint64):
        with pytest.raises(ValueError, match="`dtype` must be an integer type that holds"):
            network.compiled.logits(x, dtype=dtype)


def test_values_of_a_narrow_domain_are_checked_in_bytes():
    network = IntNetwork((4,), IntDomain(0, 3), (Dense(np.ones((1, 4), int), np.zeros(1, int)),))
    with pytest.raises(ValueError, match=r"`x` must lie in \[0, 3\], got 4 at index \(0, 2\)"):
        network.logits(np.array([[0, 3, 4, 0]], np.uint8), "numba")


@pytest.mark.parametrize("batch", [1, 3])
def test_a_bound_call_evaluates_what_its_buffer_holds(batch):
    network = mlp()
    compiled = network.compiled
    x, y = np.zeros((batch, 784), np.uint8), np.empty((batch, 10), np.int64)
    call = compiled.bind(x, y)
    for seed in range(3):
        x[:] = np.random.default_rng(seed).integers(0, 256, x.shape)
        call()
        assert np.array_equal(y, network.logits(x))


def test_buffers_that_cannot_be_bound_are_refused():
    compiled = mlp().compiled
    x, y = np.zeros((2, 784), np.uint8), np.empty((2, 10), np.int64)
    frozen = y.copy()
    frozen.setflags(write=False)
    for bad in (x.astype(np.int8), x[:, :5], x[:0], x.T, np.zeros((2, 1568), np.uint8)[:, ::2], np.uint8(0)):
        with pytest.raises(ValueError, match="`x` must be a contiguous array of uint8"):
            compiled.bind(bad, y)
    for bad in (y.astype(np.int32), y[:1], y.T, np.empty((2, 20), np.int64)[:, ::2], frozen):
        with pytest.raises(ValueError, match="`y` must be a contiguous int64 array"):
            compiled.bind(x, bad)
