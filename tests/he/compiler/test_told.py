"""What a client is told of an integer network follows from its architecture, not from its weights or its tables."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import Circuit, compile_exact, simulate
from he.compiler.fit_bfv import fit_bfv
from he.program.fold import fold
from he.program.operations import Matrix
from he.program.recorder import Recorder
from he.readers.noise_bfv import BfvNoiseAlgebra, usual_plain_norm
from he.ring.norms import norm_of_plaintext
from he.ring.params import PLAIN_MODULUS, ParameterError, Parameters
from he.ring.slots import exponents
from he.testing import compiled
from intnn import Conv2d, Dense, Flatten, IntDomain, IntNetwork, Lut, LutActivation, Requantise, SumPool2d

BIT, POINTS = IntDomain(0, 1), IntDomain(-8, 8)


def weights(rng, shape):
    """Random weights, many of them zero, some rows all zero, and one with the largest sum that there may be."""
    result = rng.integers(-1, 2, shape) * rng.integers(0, 2, (shape[0],) + (1,) * (len(shape) - 1))
    result[0] = rng.choice([-1, 1], shape[1:])
    return result


def dense(rng, outputs, inputs):
    return Dense(weights(rng, (outputs, inputs)), rng.integers(-1, 2, outputs))


def table(rng):
    """A table of 17 points: any, an even one, an odd one, a square, or one with few entries that are not zero."""
    x = POINTS.values()
    half = rng.integers(-1, 2, 9)
    values = [
        rng.integers(-1, 2, 17),
        half[np.abs(x)],
        np.sign(x) * half[np.abs(x)],
        x * x % 2,
        (x == rng.integers(-8, 9)).astype(int),
    ][rng.integers(5)]
    values[-1] = 1 - values[0] if len(set(values)) == 1 else values[-1]
    return LutActivation(Lut(POINTS, values))


ARCHITECTURES = {
    "one table": lambda r: IntNetwork((4,), BIT, (dense(r, 6, 4), table(r), dense(r, 2, 6))),
    "two tables": lambda r: IntNetwork((4,), BIT, (dense(r, 5, 4), table(r), dense(r, 4, 5), table(r), dense(r, 2, 4))),
    "a convolution": lambda r: IntNetwork(
        (1, 5, 5),
        BIT,
        (
            Conv2d(weights(r, (2, 1, 2, 2)), r.integers(-1, 2, 2), stride=2, padding=1),
            table(r),
            SumPool2d(2),
            Flatten(),
            dense(r, 3, 2),
        ),
    ),
}


@st.composite
def pairs(draw):
    """Two networks of one architecture."""
    make = ARCHITECTURES[draw(st.sampled_from(sorted(ARCHITECTURES)))]
    return [make(np.random.default_rng(draw(st.integers(0, 2**32 - 1)))) for _ in range(2)]


def told(circuit: Circuit) -> dict:
    """All that a client is told, but for what tells one network from another."""
    return {name: value for name, value in circuit.interface.to_dict().items() if name != "commitment"}


@settings(max_examples=25)
@given(pairs(), st.sampled_from(["latency", "throughput"]), st.integers(0, 99))
def test_networks_of_one_architecture_have_one_interface(networks, packing, seed):
    first, second = (compiled(network, packing=packing, security="insecure") for network in networks)
    assert told(first) == told(second)
    assert first.cost() == second.cost()
    x = np.random.default_rng(seed).integers(0, 2, (2, *networks[0].input_shape))[: first.interface.images]
    for circuit, network in zip((first, second), networks, strict=True):
        assert np.array_equal(simulate(circuit, x), network.logits(x))


def test_norms_are_declared_before_units_that_are_not_read_are_left_out():
    """Weights to units without a weight of their own were left out of the norm, which told of those units."""
    table = LutActivation(Lut(IntDomain(-8, 8), np.arange(17) % 2))

    def network(first: list[list[int]]) -> IntNetwork:
        layers = [Dense(np.array(first), np.zeros(4, int)), table, Dense(np.ones((4, 4), int), np.zeros(4, int)), table]
        return IntNetwork((4,), BIT, (*layers, Dense(np.ones((2, 4), int), np.zeros(2, int))))

    some, every = network([[1, 1, 1, 1], *[[0] * 4] * 3]), network([[1, 1, 1, 1]] * 4)
    first, second = (compiled(each, packing="throughput", security="insecure") for each in (some, every))
    assert told(first) == told(second)
    assert first.cost() == second.cost()


def test_a_table_is_told_where_its_owner_says_so():
    rng = np.random.default_rng(0)
    x = IntDomain(-28, 28).values()
    layers = [dense(rng, 6, 4), LutActivation(Lut(IntDomain(-28, 28), x * x % 5)), dense(rng, 2, 6)]
    network = IntNetwork((4,), BIT, tuple(layers))
    hidden, owned = (compile_exact(network, tables=tables, security="insecure") for tables in ("hidden", "told"))
    assert "13 ciphertext products at depth 6, like any of its size" in hidden.explain()
    assert "an even function" in owned.explain()
    assert owned.program.counts["Multiply"] < hidden.program.counts["Multiply"]
    for tables in (None, "some", True):
        with pytest.raises(ValueError, match='`tables` must be "hidden", "told" or "encrypted", got'):
            compile_exact(network, tables=tables)


def test_the_table_of_a_rescaling_is_told_as_a_power_of_two():
    """Its domain is what the weights let reach it."""

    def network(largest):
        first = Dense(np.array([[largest, 1], [1, -1]]), np.zeros(2, int))
        rescaling = Requantise(np.array([3]), 3, IntDomain(-9, 9))
        return IntNetwork((2,), IntDomain(0, 9), (first, rescaling, Dense(np.eye(2, dtype=int), np.zeros(2, int))))

    one, other = (compile_exact(network(largest), security="insecure") for largest in (7, 9))
    assert one.reasons[0] != other.reasons[0]  # tables of other sizes
    assert told(one) == told(other)


def test_units_whose_weights_are_zero_are_computed_all_the_same():
    """Zero rows, and units behind them, were left out of the program for throughput, which tells where they are."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    table = LutActivation(Lut.from_callable(lambda v: v * v + 1, IntDomain(-2, 2)))

    def circuit(weight, last):
        bias = np.array([0, 1, 0])
        network = IntNetwork((2,), BIT, (Dense(np.array(weight), bias), table, Dense(np.array(last), np.array([3]))))
        result = compile_exact(network, packing="throughput", security="insecure")
        assert np.array_equal(simulate(result, x), network.logits(x))
        return result

    dead, alive = circuit([[1, 1], [0, 0], [1, -1]], [[1, 5, 2]]), circuit([[1, 1], [1, 0], [1, -1]], [[1, 5, 2]])
    shapes = [[op.weights.shape for op in c.program.operations if isinstance(op, Matrix)] for c in (dead, alive)]
    assert shapes[0] == shapes[1] == [(3, 2), (1, 3)]
    assert told(dead) == told(alive)


def aligned(N: int) -> np.ndarray:
    """The slots of a polynomial with coefficients +-t / 2 in the pattern of one root, whose value there is N t / pi."""
    half = PLAIN_MODULUS // 2
    signs = np.where(np.cos(np.pi * np.arange(N) / N) >= 0, 1, -1)
    root = pow(3, (PLAIN_MODULUS - 1) // (2 * N), PLAIN_MODULUS)  # 3 generates all residues
    powers = np.array([pow(root, int(e), PLAIN_MODULUS) for e in exponents(N)])
    slots = np.zeros(N, np.int64)
    for coefficient in (half * signs)[::-1].tolist():
        slots = (slots * powers + coefficient) % PLAIN_MODULUS
    return slots


def test_a_plaintext_that_is_made_to_be_large_is_bounded():
    """Plaintexts counted as uniform: the noise of this one was beyond its bound at the root that it is made for."""
    N = 1024

    def fit(slots):
        recorder = Recorder()
        factor = recorder.plaintext(slots)
        value = recorder.plain_dot([recorder.plain_dot([recorder.input(0)], [factor])], [factor])
        return fit_bfv(fold(recorder.program(N, [value])), N, PLAIN_MODULUS, "insecure")

    usual, worst = np.random.default_rng(0).integers(0, PLAIN_MODULUS, N), aligned(N)
    limit = usual_plain_norm(N, PLAIN_MODULUS)
    assert norm_of_plaintext(usual, PLAIN_MODULUS) < limit
    excess = norm_of_plaintext(worst, PLAIN_MODULUS) / limit
    assert excess == pytest.approx(N / np.pi / (6 * np.sqrt(N / 12)), rel=0.01)
    doublings = int(np.ceil(np.log2(excess)))
    bits = [sum(np.log2(fitted.parameters.data_primes)) - fitted.bound for fitted in map(fit, (usual, worst))]
    assert bits[1] - bits[0] == pytest.approx(2 * doublings, abs=1)  # a prime may be dropped for a bit


def test_rows_count_by_the_norm_that_is_declared_and_never_by_less():
    parameters = Parameters("bfv", 1024, (50, 50), 65537, security="insecure")
    algebra, matrix = BfvNoiseAlgebra(parameters), Matrix((0, 1), np.array([[1, -2], [3, 0]]), np.zeros(2, int))
    fresh = algebra.input(0)
    rows = {norm: algebra.matrix([fresh, fresh], replace(matrix, norm=norm)) for norm in (0.0, 2.0, 4.0)}
    for norm, counted in ((0.0, 3), (2.0, 3), (4.0, 4)):
        assert [row.bound / fresh.bound for row in rows[norm]] == pytest.approx([counted] * 2, rel=0.2)


def test_constant_logits_are_refused_as_before():
    network = IntNetwork((2,), BIT, (Dense(np.array([[1, 1], [0, 0]]), np.array([0, 7])),))
    with pytest.raises(ParameterError, match="logit 1 is the same for every input"):
        compile_exact(network, packing="throughput")
