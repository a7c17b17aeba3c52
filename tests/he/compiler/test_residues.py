"""Networks modulo several primes against plain Python integers, in the clear and encrypted."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import ParameterError, ResidueCircuit, compile_exact, compile_residues, run_encrypted, simulate
from he.circuit.residues import room_bits
from he.ring.plain_moduli import moduli
from intnn import Dense, Graph, IntDomain, IntNetwork, IntPolynomial, Lut, LutActivation, Requantise

SMALL = (40961, 65537, 114689, 147457, 163841, 188417)  # primes that are 1 modulo 8192


def dense(weight, bias=None):
    weight = np.array(weight, np.int64)
    return Dense(weight, np.zeros(len(weight), np.int64) if bias is None else np.array(bias, np.int64))


@st.composite
def polynomial_networks(draw, most=2, largest=2**12):
    """Networks of dense layers and polynomials, whose hidden sums are far beyond a modulus."""
    weights = st.integers(-largest, largest)
    width = draw(st.integers(1, 5))
    shape, nodes = width, []
    for _ in range(draw(st.integers(1, most))):
        out = draw(st.integers(1, 5))
        numbers = draw(st.lists(weights, min_size=out * (width + 1), max_size=out * (width + 1)))
        matrix = np.array(numbers[out:]).reshape(out, width)
        matrix[0, 0] += not matrix.any()
        lower = draw(st.lists(st.integers(-9, 9), min_size=1, max_size=3))
        nodes += [dense(matrix, numbers[:out]), IntPolynomial((*lower, draw(st.sampled_from([1, 1, -2, 7]))))]
        width = out
    last = draw(st.lists(weights.filter(bool), min_size=2 * width, max_size=2 * width))
    return IntNetwork((shape,), IntDomain(-2, 3), (*nodes, dense(np.array(last).reshape(2, width), [2**50, -5])))


def worst(network):
    """The images at the corners of the input's domain."""
    lo, hi = network.input_domain.lo, network.input_domain.hi
    return np.array([np.full(network.input_shape, lo), np.full(network.input_shape, hi)])


@settings(max_examples=20)
@given(polynomial_networks(), st.sampled_from(["latency", "throughput"]), st.data())
def test_combined_residues_are_the_networks_logits(network, packing, data):
    circuit = compile_residues(network, packing=packing, security="insecure", images=2)
    values = st.integers(network.input_domain.lo, network.input_domain.hi)
    x = np.array(data.draw(st.lists(values, min_size=2 * network.input_shape[0], max_size=2 * network.input_shape[0])))
    x = np.concatenate([x.reshape(2, -1), worst(network)])
    assert simulate(circuit, x).tolist() == network.logits(x).tolist()
    assert circuit.output_bound >= 1
    assert network.intervals[-1].magnitude < 2**circuit.reach_bits <= prod(circuit.interface.moduli) // 2 + 1


@settings(max_examples=5, deadline=None)
@given(polynomial_networks(1), st.sampled_from(["latency", "throughput"]))
def test_the_encrypted_residues_are_the_networks_logits(network, packing):
    circuit = compile_residues(network, packing=packing, security="insecure", images=2)
    x = worst(network)
    assert run_encrypted(circuit, x).tolist() == network.logits(x).tolist()


@settings(max_examples=25)
@given(polynomial_networks(1, 9), st.sampled_from(["latency", "throughput"]))
def test_one_modulus_is_enough_where_logits_fit(network, packing):
    layers = [*network.layers[:-1], dense(network.layers[-1].weight, [7, -5])]
    network = IntNetwork(network.input_shape, network.input_domain, layers)
    circuit = compile_exact(network, packing=packing, security="insecure", images=2)
    x = worst(network)
    assert simulate(circuit, x).tolist() == network.logits(x).tolist()
    assert circuit.parameters.t // 2 >= network.intervals[-1].magnitude


@pytest.mark.parametrize("packing", ["latency", "throughput"])
def test_hidden_values_wrap_around_the_modulus_and_come_back(packing):
    """2^40 (x - 1)^2 is far beyond every one of the primes; together they hold it."""
    shift = 2**40
    layers = dense([[1]], [-1]), IntPolynomial((0, 0, shift)), IntPolynomial((5, 1)), dense([[1], [-1]])
    network = IntNetwork((1,), IntDomain(0, 3), layers)
    circuit = compile_residues(network, packing=packing, security="insecure", plain_moduli=SMALL)
    x = np.arange(4)[:, None]
    expected = [[shift * (v - 1) ** 2 + 5, -shift * (v - 1) ** 2 - 5] for v in range(4)]
    assert network.logits(x).tolist() == simulate(circuit, x).tolist() == expected
    each = [simulate(one, x) for one in circuit.circuits]
    for t, residues in zip(circuit.interface.moduli, each, strict=True):
        assert np.abs(residues).max() <= t // 2
        assert (residues % t).tolist() == [[v % t for v in row] for row in expected]


@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("packing", ["latency", "throughput"])
def test_logits_that_fill_the_product_of_the_primes_are_exact_at_both_ends(count, packing):
    """1 and -1 squared, times the largest number below a power of two that the primes hold; hidden values wrap."""
    primes = SMALL[:count]
    most = 2 ** room_bits(primes) - 1
    factors = _factored(most)
    rows = [
        dense([[factors[0]], [-factors[0]]]),
        *(dense(factor * np.eye(2, dtype=np.int64)) for factor in factors[1:]),
    ]
    network = IntNetwork((1,), IntDomain(-1, 1), (dense([[1]]), IntPolynomial((0, 0, 1)), *rows))
    x = np.array([[-1], [0], [1]])
    assert network.logits(x).tolist() == [[most, -most], [0, 0], [most, -most]]
    circuit = compile_residues(network, security="insecure", packing=packing, plain_moduli=primes)
    assert set(circuit.interface.moduli) == set(primes)
    assert circuit.reach_bits == room_bits(primes)
    assert simulate(circuit, x).tolist() == network.logits(x).tolist()
    assert run_encrypted(circuit, x).tolist() == network.logits(x).tolist()


def _factored(number):
    """Factors below 2^31 of a number, found by trial."""
    factors, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return [*factors, number]


def test_a_square_network_has_the_cheapest_split_with_one_set_of_parameters():
    rng = np.random.default_rng(0)
    network = IntNetwork(
        (784,),
        IntDomain(0, 3),
        (
            dense(rng.integers(-15, 16, (128, 784)), rng.integers(-99, 100, 128)),
            IntPolynomial((0, 0, 1)),
            dense(rng.integers(-15, 16, (64, 128)), rng.integers(-99, 100, 64)),
            IntPolynomial((0, 0, 1)),
            dense(rng.integers(-1, 2, (10, 64))),
        ),
    )
    circuit = compile_residues(network)
    assert circuit.cost().total <= 60
    assert circuit.cost().total == pytest.approx(len(circuit.circuits) * circuit.circuits[0].cost().total)
    assert circuit.cost().key_bytes == circuit.circuits[0].cost().key_bytes
    assert len({one.parameters.coeff_modulus_bits for one in circuit.circuits}) == 1
    assert len({t.bit_length() for t in circuit.interface.moduli}) == 1
    x = rng.integers(0, 4, (2, 784))
    logits = simulate(circuit, x)
    assert logits.dtype == object
    assert logits.tolist() == network.logits(x).tolist()
    text = circuit.explain()
    assert f"residues: {len(circuit.circuits)} circuit(s), modulo {circuit.interface.moduli[0]}, " in text
    assert f"{circuit.cost().total:.1f} units in all" in text


def test_what_a_client_is_told_of_the_reach_is_an_even_number_of_bits():
    told = []
    for weight in (2**20, 2**21 - 1, 2**21):
        network = IntNetwork((1,), IntDomain(-1, 1), (dense([[weight]]),))
        told.append(replace(compile_residues(network, security="insecure").interface, commitment="0" * 64))
    assert {interface.reach_bits for interface in told} == {22}
    assert len({interface.digest for interface in told}) == 1


def test_a_bad_list_of_primes_is_refused_by_name():
    network = IntNetwork((1,), IntDomain(-1, 1), (dense([[2**30]]),))
    for primes, told in (
        ((), "one or more different primes"),
        ((65537, 65537), "one or more different primes"),
        ((65537,), "must have a product that holds 31 bits and a sign"),
        ((65537, 65536), "must be a prime ≡ 1 mod 2048"),
        ((65537, 7681), "must be a prime ≡ 1 mod 2048"),
    ):
        with pytest.raises(ParameterError, match=told):
            compile_residues(network, plain_moduli=primes)


def test_tables_and_other_networks_are_refused_by_name():
    lut = LutActivation(Lut(IntDomain(-1, 1), np.array([1, 0, 1])))
    for layer in (lut, Requantise(np.array([1]), 0, IntDomain(-1, 1))):
        with pytest.raises(TypeError, match=r"layer 1 must be linear or an IntPolynomial, .* use compile_exact"):
            compile_residues(IntNetwork((1,), IntDomain(-1, 1), (dense([[1]]), layer)))
    with pytest.raises(TypeError, match="`network` must be an IntNetwork"):
        compile_residues(Graph((1,), (Dense(np.ones((1, 1)), np.zeros(1)),)))


def test_a_network_that_fits_nowhere_is_refused_with_every_split():
    network = IntNetwork((1,), IntDomain(-1, 1), (dense([[2**20]]),))
    with pytest.raises(
        ParameterError, match=r"logits have 22 bits; primes of 24 bits: .*; primes of 20 bits: 40000 images"
    ):
        compile_residues(network, images=40000)


def test_circuits_that_differ_in_more_than_the_prime_are_refused():
    network = IntNetwork((1,), IntDomain(-1, 1), (dense([[2**20]]),))
    first, other = next(moduli(26)), compile_residues(network, security="insecure", plain_moduli=[next(moduli(28))])
    one = compile_residues(network, security="insecure", plain_moduli=[first])
    with pytest.raises(ValueError, match="one interface but for the plaintext modulus"):
        ResidueCircuit((*one.circuits, *other.circuits), 22)
    with pytest.raises(ValueError, match="`moduli` must be different"):
        ResidueCircuit((*one.circuits, *one.circuits), 22)
    with pytest.raises(TypeError, match="`circuits` must be a Circuit"):
        ResidueCircuit((network,), 22)
    with pytest.raises(ValueError, match="`circuits` must be one or more"):
        ResidueCircuit((), 22)
