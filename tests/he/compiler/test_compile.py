"""Exact circuits computed in the clear: everything but the cryptography."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from he import ParameterError, compile_approximate, compile_exact, simulate
from he.compiler.stages import to_stages
from he.testing import compiled, extremes, inputs, square_graph, table_network, table_networks
from intnn import Conv2d, Dense, IntDomain, IntNetwork, Lut, LutActivation
from intnn.testing import int_inputs, int_networks

batches = st.sampled_from([1, 2, 5])


def dense(weight, bias=None):
    weight = np.array(weight)
    return Dense(weight, np.zeros(len(weight), weight.dtype) if bias is None else np.array(bias))


@settings(max_examples=120)
@given(st.sampled_from([0, 1, 2]).flatmap(table_networks), batches, st.data())
def test_simulating_an_exact_circuit_gives_the_networks_logits(network, images, data):
    circuit = compiled(network, images=images, security="insecure")
    assert circuit.interface.images >= images
    assert circuit.output_bound >= 1
    n = data.draw(st.integers(1, 2 * circuit.interface.images)) if circuit.interface.images < 20 else images
    x = inputs(network, n)
    logits = simulate(circuit, x)
    assert logits.dtype == np.int64
    assert np.array_equal(logits, network.logits(x))
    x = extremes(network, 2)
    assert np.array_equal(simulate(circuit, x), network.logits(x))


@settings(max_examples=25)
@given(st.data(), batches)
def test_simulating_any_network_that_is_not_refused_gives_its_logits(data, images):
    network = data.draw(int_networks(value_bound=32767, rescale=False))
    circuit = compiled(network, images=images, security="insecure")
    x = data.draw(int_inputs(network))
    assert np.array_equal(simulate(circuit, x), network.logits(x))


@settings(max_examples=25)
@given(table_networks(1))
def test_a_full_batch_of_the_largest_size(network):
    circuit = compiled(network, images=None, security="insecure")
    x = inputs(network, circuit.interface.images)
    assert np.array_equal(simulate(circuit, x), network.logits(x))


@settings(max_examples=8)
@given(table_networks(1, max_points=17), batches)
def test_simulating_at_128_bits(network, images):
    circuit = compiled(network, images=images)
    assert circuit.parameters.security_bits == 128
    x = inputs(network, images)
    assert np.array_equal(simulate(circuit, x), network.logits(x))


@settings(max_examples=30)
@given(table_networks(1))
def test_zero_weights_change_nothing_that_the_client_sees(network):
    """The interface follows from the architecture and the tables, not from which weights are zero."""
    circuit = compiled(network, security="insecure")
    rng = np.random.default_rng(0)

    def thinned(node):
        if not isinstance(node, Dense | Conv2d) or not node.weight.any():
            return node
        weight = np.where(rng.random(node.weight.shape) < 0.5, node.weight, 0)
        weight = weight if weight.any() else node.weight
        options = (node.stride, node.padding) if isinstance(node, Conv2d) else ()
        return type(node)(weight, node.bias, *options)

    try:
        other = IntNetwork(network.input_shape, network.input_domain, tuple(map(thinned, network.layers)))
    except ValueError:  # a table's domain may have been tight around a larger weight's negative
        reject()
    told = replace(compiled(other, security="insecure").interface, commitment=circuit.interface.commitment)
    assert told.digest == circuit.interface.digest  # but for the commitment, which is random to whoever has no salt


@pytest.mark.parametrize("images", [1, 2, 3, 4, 64])
def test_images_are_rounded_up_to_two_rows_of_lanes(images):
    circuit = compile_exact(table_network(), images=images, security="insecure")
    assert circuit.interface.images == {1: 1, 2: 2, 3: 4, 4: 4, 64: 64}[images]


def test_the_smallest_ring_that_fits_is_chosen_and_the_reasons_are_given():
    circuit = compile_exact(table_network(points=57))
    text = circuit.explain()
    assert "table of 57 points: " in text
    assert f"N={circuit.parameters.poly_modulus_degree}" in text
    assert "N=4096 refused: the noise needs" in text
    assert "128-bit classical security allows 106" in text
    assert f"at least {circuit.output_bound:.1f} bits of budget are left" in text


def test_logits_that_fill_the_ring_are_exact_at_both_ends():
    """32768 and -32768 are the two extremes of Z_65537 in centred form."""
    network = IntNetwork((1,), IntDomain(-1, 1), (dense([[32768], [-32768], [1]]),))
    x = np.array([[-1], [0], [1]])
    assert simulate(compile_exact(network, security="insecure"), x).tolist() == network.logits(x).tolist()


@pytest.mark.parametrize(("bits", "t"), [(15, 65537), (16, 786433), (19, 786433), (20, 3735553), (46, 281474976317441)])
@pytest.mark.parametrize("packing", ["latency", "throughput"])
def test_a_plaintext_modulus_is_chosen_that_the_logits_fill_at_both_ends(bits, t, packing):
    """65537 while it is enough, then a prime of an even number of bits; 18 bits have none that is 1 modulo 65536."""
    reach = min(2**bits, t // 2)
    network = IntNetwork((1,), IntDomain(-1, 1), (dense([[reach], [-reach], [1]]),))
    circuit, x = compile_exact(network, security="insecure", packing=packing), np.array([[-1], [0], [1]])
    assert circuit.parameters.t == t
    assert simulate(circuit, x).tolist() == network.logits(x).tolist()
    assert ("plaintext modulus t = " in circuit.explain()) == (t != 65537)


@pytest.mark.parametrize("weight", [32769, 65537, 2**40])
def test_logits_beyond_the_modulus_that_was_named_are_refused_with_their_range(weight):
    network = IntNetwork((1,), IntDomain(-1, 1), (dense([[weight]]),))
    told = rf"logits reach \[-{weight}, {weight}\], but Z_65537 holds only \+-32768; leave `plain_modulus` out"
    with pytest.raises(ParameterError, match=told):
        compile_exact(network, plain_modulus=65537)


def test_logits_beyond_every_modulus_are_refused_with_the_remedy():
    network = IntNetwork((1,), IntDomain(-1, 1), (dense([[2**47]]),))
    large = r"logits reach .* Z_281474976317441 holds only .* "
    with pytest.raises(ParameterError, match=large + "with compile_residues"):
        compile_exact(network)
    for hiding in ({"weights": "encrypted"}, {"circuit_privacy": 40}, {"weights": "encrypted", "threshold": 40}):
        with pytest.raises(ParameterError, match=large + "with compile_approximate"):
            compile_exact(network, **hiding)


@pytest.mark.parametrize(
    "t", [65536, 65539, 7681, 65537.0, True, "65537", 2**61 - 1, 1, 0, -65537, 4611686018427322369]
)
def test_a_plaintext_modulus_without_slots_is_refused_by_name(t):
    network = IntNetwork((1,), IntDomain(-1, 1), (dense([[1]]),))
    with pytest.raises(
        ParameterError, match=r"`plain_modulus` must be a prime ≡ 1 mod 2048 .* of at most 48 bits, got"
    ):
        compile_exact(network, plain_modulus=t)


def test_a_plaintext_modulus_may_suit_smaller_rings_alone():
    """40961 is 1 modulo 8192, so that it serves rings up to N = 4096."""
    network = IntNetwork((1,), IntDomain(-1, 1), (dense([[20480], [-20480]]),))
    circuit = compile_exact(network, plain_modulus=40961, security="insecure")
    assert circuit.parameters.t == 40961
    assert simulate(circuit, np.array([[1]])).tolist() == [[20480, -20480]]
    deep = table_network(points=57)
    with pytest.raises(ParameterError, match=r"N=8192 refused: `plain_modulus` must be a prime ≡ 1 mod 2N=16384"):
        compile_exact(deep, plain_modulus=40961)


def test_values_of_a_table_beyond_the_usual_modulus_have_a_larger_one():
    lut = Lut.from_callable(lambda x: 40000 * x, IntDomain(0, 1))
    network = IntNetwork((1,), IntDomain(0, 1), (dense([[1]]), LutActivation(lut)))
    with pytest.raises(ParameterError, match=r"the table of layer 1 reaches \[0, 40000\], but Z_65537 holds only"):
        compile_exact(network, plain_modulus=65537)
    circuit = compile_exact(network, security="insecure")
    assert simulate(circuit, np.array([[0], [1]])).tolist() == [[0], [40000]]


def test_a_table_of_too_many_points_is_refused():
    lut = Lut.from_callable(lambda x: x % 3, IntDomain(-40000, 40000))
    network = IntNetwork((1,), IntDomain(0, 1), (dense([[40000]]), LutActivation(lut), dense([[1]])))
    with pytest.raises(ParameterError, match="layer 1: a table must have at most 65,537 points"):
        compile_exact(network)


def test_inputs_beyond_the_modulus_that_was_named_are_refused():
    network = IntNetwork((1,), IntDomain(100_000, 100_003), (dense([[1]], [-100_000]),))
    with pytest.raises(
        ParameterError, match=r"the input domain is \[100000, 100003\], but Z_65537 holds only \+-32768"
    ):
        compile_exact(network, plain_modulus=65537)
    circuit = compile_exact(network, security="insecure")
    assert simulate(circuit, np.array([[100_003]])).tolist() == [[3]]


@settings(max_examples=40)
@given(st.data(), st.sampled_from([40961, 65537, 274876334081, 281474976317441]))
def test_layers_are_fused_modulo_t_whatever_their_weights(data, t):
    """Three linear layers become one by sums beyond 2**53; what is left modulo t is theirs."""
    numbers = st.integers(-(2**20), 2**20) | st.sampled_from([2**20, -(2**20), t // 2, -(t // 2), t - 1])
    drawn = [data.draw(st.lists(numbers, min_size=12, max_size=12)) for _ in range(3)]
    parts = [(np.array(part[:9]).reshape(3, 3), np.array(part[9:])) for part in drawn]
    stages = to_stages((3,), [Dense(weight, bias) for weight, bias in parts], modulus=t)
    (fused,) = stages
    weight, bias = np.eye(3, dtype=object), np.zeros(3, object)
    for w, b in parts:
        weight, bias = w.astype(object) @ weight, w.astype(object) @ bias + b
    assert (fused.weight.astype(int) % t).tolist() == (weight % t).tolist()
    assert (fused.bias.astype(int) % t).tolist() == (bias % t).tolist()


def test_sums_of_linear_layers_may_be_far_beyond_the_modulus():
    network = IntNetwork((1,), IntDomain(0, 1), (dense([[1]], [2**60 + 1]), dense([[1]], [-(2**60)])))
    x = np.array([[0], [1]])
    for packing in ("latency", "throughput"):
        circuit = compile_exact(network, security="insecure", packing=packing)
        assert circuit.parameters.t == 65537
        assert np.array_equal(simulate(circuit, x), network.logits(x))


@pytest.mark.parametrize(
    ("layers", "stage"),
    [
        ((dense([[0, 0]], [7]),), 0),
        ((dense([[1, -1]]), LutActivation(Lut(IntDomain(-1, 1), np.full(3, 2))), dense([[1]])), 1),
        ((dense([[1, -1]]), LutActivation(Lut(IntDomain(-1, 1), np.arange(3))), dense([[0]])), 2),
        ((dense([[1, 0], [1, 0]]), dense([[1, -1]])), 0),  # the product of the two is zero
        (
            (  # reachable sums give 0, so that interval analysis bounds no weight; all of them are 0 modulo 65537
                dense([[1, 0]]),
                LutActivation(Lut(IntDomain(0, 2), np.array([0, 0, 1]))),
                dense([[65537]]),
            ),
            2,
        ),
    ],
)
def test_a_stage_that_ignores_its_input_is_refused(layers, stage):
    with pytest.raises(ParameterError, match=f"stage {stage} gives the same output for every input"):
        compile_exact(IntNetwork((2,), IntDomain(0, 1), layers))


def test_a_network_that_is_too_wide_is_refused_with_its_width():
    network = IntNetwork((1,), IntDomain(0, 1), (dense(np.ones((16385, 1), np.int64)),))
    with pytest.raises(ParameterError, match=r"N=32768 refused: a layer of 32768 units.* than a row of 16384"):
        compile_exact(network)


@pytest.mark.parametrize(
    ("compile_it", "network"), [(compile_exact, table_network()), (compile_approximate, square_graph())]
)
def test_more_images_than_any_ring_has_slots_for_are_refused(compile_it, network):
    with pytest.raises(ParameterError, match=r"N=32768 refused: 40000 images .*row of 16384 slots"):
        compile_it(network, images=40_000)


def test_a_network_that_is_too_deep_is_refused_with_the_bits_it_needs():
    lut = Lut.from_callable(lambda x: (x * x) % 23, IntDomain(-11, 11))
    layers = (dense([[11]]), *(LutActivation(Lut(lut.domain, lut.table // 2)) for _ in range(8)), dense([[1]]))
    with pytest.raises(ParameterError, match="N=32768 refused: the noise needs more than 800 bits of modulus"):
        compile_exact(IntNetwork((1,), IntDomain(-1, 1), layers))


@pytest.mark.parametrize(
    ("compile_it", "network"), [(compile_exact, table_network()), (compile_approximate, square_graph())]
)
@pytest.mark.parametrize("images", [0, -1])
def test_images_must_be_positive(compile_it, network, images):
    with pytest.raises(ValueError, match=rf"`images` must be from 1, below 2\*\*63, or None, got {images}"):
        compile_it(network, images=images)


@pytest.mark.parametrize(
    ("compile_it", "network"), [(compile_exact, table_network()), (compile_approximate, square_graph())]
)
def test_security_must_be_named_rightly(compile_it, network):
    with pytest.raises(ParameterError, match='`security` must be "128", "128-2018" or "insecure", got \'80\''):
        compile_it(network, security="80")
