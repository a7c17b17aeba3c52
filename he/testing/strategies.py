"""Networks that are small enough to be encrypted within a test: two fixed ones, and hypothesis strategies."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

try:
    from hypothesis import reject
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("he.testing needs hypothesis: install the extra `testing` of this package") from error


from he.circuit.circuit import Circuit
from he.compiler.compile import compile_approximate, compile_exact
from he.ring.params import MAX_MODULUS_BITS, PLAIN_MODULUS, ParameterError, Parameters, Security
from he.ring.scheme import Scheme
from intnn import (
    Activation,
    Conv2d,
    Dense,
    Flatten,
    Graph,
    IntDomain,
    Interval,
    IntNetwork,
    Lut,
    LutActivation,
    Node,
    Shape,
    SumPool2d,
)
from intnn.layers.intervals import propagate


def table_network(points: int = 9, hidden: int = 6) -> IntNetwork:
    """Return a network of a dense layer, a table and a dense layer, with 5 inputs in [0, 1] and 3 logits."""
    rng, half = np.random.default_rng(7), points // 2
    weight = np.zeros((hidden, 5), np.int64)
    for row in weight:  # every row of weights has an L1 norm of at most `half`
        np.add.at(row, rng.integers(0, 5, half), rng.choice([-1, 1], half))
    lut = Lut.from_callable(lambda x: min(max(x, 0), 3) + x % 2, IntDomain(-half, points - 1 - half))
    last = Dense(rng.integers(-3, 4, (3, hidden)), rng.integers(-5, 6, 3))
    return IntNetwork((5,), IntDomain(0, 1), (Dense(weight, np.zeros(hidden, np.int64)), LutActivation(lut), last))


def square_graph() -> Graph:
    """Return a graph of a convolution, a square and a dense layer, with images of 4 x 4 and 3 logits."""
    rng = np.random.default_rng(7)
    conv = Conv2d(rng.normal(size=(2, 1, 2, 2)), rng.normal(size=2), stride=2)
    last = Dense(rng.normal(size=(3, 8)) / 4, rng.normal(size=3))
    return Graph((1, 4, 4), (conv, Activation("square"), Flatten(), last))


def inputs(network: IntNetwork | Graph, batch: int, seed: int = 0) -> np.ndarray:
    """Return random inputs [batch, *input_shape]: integers from the whole domain, or floats from [0, 1]."""
    rng = np.random.default_rng(seed)
    if isinstance(network, Graph):
        return rng.random((batch, *network.input_shape))
    domain = network.input_domain
    return rng.integers(domain.lo, domain.hi + 1, (batch, *network.input_shape))


def extremes(network: IntNetwork, batch: int, seed: int = 0) -> np.ndarray:
    """Return inputs [batch, *input_shape] of the domain's ends: the first all low, the last all high, others mixed."""
    domain = network.input_domain
    x = np.random.default_rng(seed).choice([domain.lo, domain.hi], (batch, *network.input_shape))
    x[0], x[-1] = domain.lo, domain.hi
    return x


def compiled(network: IntNetwork | Graph, **options: Any) -> Circuit:
    """Return the circuit of a random network, or reject the example if the network ignores its input.

    Args:
        network: a network that a strategy drew.
        options: options of `compile_exact` or `compile_approximate`.

    Raises:
        ParameterError: if the compiler refuses the network for another reason.
    """
    try:
        if isinstance(network, IntNetwork):
            return compile_exact(network, **options)
        return compile_approximate(network, **options)
    except ParameterError as error:
        if "for every input" in str(error):
            reject()
        raise


@st.composite
def table_networks(draw: Any, tables: int, max_points: int = 33) -> IntNetwork:
    """Draw integer networks with so many table layers.

    Linear layers are dense, convolutions with strides and padding, pooling or flattening, and several may follow each
    other. Sometimes a table comes first, last, or directly after another.

    Args:
        draw: hypothesis's own argument.
        tables: the number of table layers.
        max_points: the most points of a table.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lo = draw(st.integers(-3, 1))
    domain = IntDomain(lo, lo + draw(st.integers(1, 4)))
    shape = draw(st.sampled_from([(1,), (6,), (1, 5, 5), (2, 4, 3), (1, 1, 4)]))
    x, layers = Interval.full(domain, shape), []

    def append(node: Node) -> None:
        nonlocal x
        layers.append(node)
        x, _ = propagate(node, x)

    for block in range(tables + 1):
        limit = max_points if block < tables else 2000
        for _ in range(draw(st.sampled_from([1, 1, 1, 1, 2, 0] if tables else [1, 2, 3]))):
            if len(x.lo.shape) == 3 and draw(st.booleans()):
                append(Flatten())
            append(_linear(draw, rng, x, limit))
            pool = SumPool2d(2, draw(st.integers(1, 2)))
            if len(x.lo.shape) == 3 and min(x.lo.shape[1:]) >= 2 and propagate(pool, x)[0].hull.size <= limit:
                append(pool)
        if block < tables:
            append(LutActivation(_lut(draw, rng, x.hull, max_points)))
    return IntNetwork(shape, domain, tuple(layers))


def _linear(draw: Any, rng: np.random.Generator, x: Interval, points: int) -> Dense | Conv2d:
    """Draw a layer whose outputs span at most `points` integers, or a layer with a single weight of 1 or -1."""
    weight_shape, layer = _shape(draw, x.lo.shape)
    weight, bias = rng.integers(-4, 5, weight_shape), rng.integers(-2, 3, weight_shape[0])
    while propagate(layer(weight, bias), x)[0].hull.size > points and np.abs(weight).sum() > 1:
        weight, bias = np.sign(weight) * (np.abs(weight) // 2), np.zeros_like(bias)
        if not weight.any():
            weight.flat[0] = 1
    return layer(weight, bias)


def _shape(draw: Any, shape: Shape) -> tuple[Shape, Callable[..., Any]]:
    if len(shape) == 1:
        return (draw(st.integers(1, 9)), *shape), Dense
    kernel = [draw(st.integers(1, min(3, side))) for side in shape[1:]]
    layer = partial(Conv2d, stride=draw(st.integers(1, 2)), padding=draw(st.integers(0, 1)))
    return (draw(st.integers(1, 3)), shape[0], *kernel), layer


def _lut(draw: Any, rng: np.random.Generator, hull: IntDomain, max_points: int) -> Lut:
    room = max(1, min(3, max_points - hull.size))
    domain = IntDomain(hull.lo - draw(st.integers(0, room)), hull.hi + draw(st.integers(1, room)))
    x, half = domain.values(), rng.integers(-3, 4, domain.magnitude + 1)
    table = {
        "random": rng.integers(-3, 4, domain.size),
        "even": half[np.abs(x)],
        "odd": np.sign(x) * half[np.abs(x)] + 1,
        "step": np.where(x > rng.integers(domain.lo, domain.hi + 1), 1, 0),
    }[draw(st.sampled_from(["random", "even", "odd", "step"]))]
    table[0] += np.ptp(table) == 0
    return Lut(domain, table)


@st.composite
def polynomial_graphs(draw: Any, max_degree: int = 4, max_activations: int = 2) -> Graph:
    """Draw float graphs with square and polynomial activations whose values, worst cases included, are about 1.

    Args:
        draw: hypothesis's own argument.
        max_degree: the highest degree of a polynomial.
        max_activations: the most activations.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = first = draw(st.sampled_from([(1,), (6,), (1, 5, 5), (2, 4, 3)]))
    nodes: list[Node] = []

    def append(node: Node) -> None:
        nonlocal shape
        nodes.append(node)
        shape = node.output_shape(shape)

    for block in range(activations := draw(st.integers(0, max_activations)) + 1):
        for _ in range(draw(st.integers(1, 2))):
            if len(shape) == 3 and draw(st.booleans()):
                append(Flatten())
            weight_shape, layer = _shape(draw, shape)
            fan_in = int(np.prod(weight_shape[1:]))
            append(layer(rng.normal(size=weight_shape) / fan_in, rng.normal(size=weight_shape[0]) / 4))
        if block < activations - 1:
            degree = draw(st.integers(1, max_degree))
            coefficients = tuple(rng.normal(size=degree + 1) / 2)
            append(draw(st.sampled_from([Activation("square"), Activation("polynomial", coefficients)])))
    return Graph(first, tuple(nodes))


@st.composite
def parameter_sets(draw: Any, max_primes: int = 4) -> Parameters:
    """Draw parameter sets of either scheme on rings of degree 1024 to 4096, marked as insecure where they are.

    Args:
        draw: hypothesis's own argument.
        max_primes: the most data primes; the special prime is one more.
    """
    N = draw(st.sampled_from([1024, 2048, 4096]))
    sizes = draw(st.lists(st.integers(30, 50), min_size=1, max_size=max_primes))
    chain = (*sizes, max(sizes))
    security: Security = "128" if sum(chain) <= MAX_MODULUS_BITS["128"][N] else "insecure"
    if draw(st.booleans()):
        return Parameters(Scheme.BFV, N, chain, PLAIN_MODULUS, security=security)
    return Parameters(Scheme.CKKS, N, chain, scale_bits=draw(st.integers(20, 30)), security=security)


@st.composite
def damaged(draw: Any, data: bytes) -> bytes:
    """Draw damaged bytes: cut off at the end, with one bit changed, or with a piece repeated.

    Args:
        draw: hypothesis's own argument.
        data: the intact bytes, at least one.
    """
    at = draw(st.integers(0, len(data) - 1))
    match draw(st.sampled_from(["truncated", "flipped", "repeated"])):
        case "truncated":
            return data[:at]
        case "flipped":
            return data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
    return data[:at] + data[at : at + draw(st.integers(1, 64))] + data[at:]
