"""No honest answer is further from the network's than its circuit's bound: the worst networks, really encrypted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import compile_approximate, prepare
from he.compiler.approximate import approximate_lowering
from he.engines.rns.encode import encode_approximate
from he.parties.connect import connect
from he.program.operations import plains
from he.ring.slots import polynomial, slots_of
from intnn import Activation, Dense, Graph
from tests.he.many_networks import share_of_bound

pytestmark = pytest.mark.unwatched


def squares(*weights):
    """A network of dense layers without biases and squares between them."""
    nodes = [Dense(weights[0], np.zeros(len(weights[0])))]
    for weight in weights[1:]:
        nodes += [Activation("square"), Dense(weight, np.zeros(len(weight)))]
    return Graph((weights[0].shape[1],), tuple(nodes))


def equal(depth, width=64):
    """Every weight the same: all units of a layer have the same error, which the next layer adds up."""
    return squares(*[np.full((width, width), 1 / width)] * depth, np.full((1, width), 1 / width))


def low_rank(depth, seed, width=32):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(width, 1)) @ rng.normal(size=(1, width)) / width
    return squares(*[weight] * depth, rng.normal(size=(3, width)) / np.sqrt(width))


def shares(graph, images, clients=2, engine="rns", **options):
    """The largest error of each client's answers, as a share of the circuit's bound."""
    circuit = compile_approximate(graph, images=len(images), **options)
    prepared, expected = prepare(circuit, engine), graph.logits(images)
    for _ in range(clients):
        client, session = connect(prepared)
        answer = client.decrypt(session.evaluate(client.encrypt(images)))
        yield float(np.abs(answer - expected).max() / circuit.output_bound)


@pytest.mark.parametrize("packing", ["latency", "throughput"])
@pytest.mark.parametrize("depth", [2, 4, 6])
def test_equal_weights_and_inputs(depth, packing):
    graph = equal(depth)
    assert max(shares(graph, np.ones((1, 64)), packing=packing, security="insecure")) <= 1


def twisted(n, layers):
    """Squares of slope 2 between circulant layers of norm 1/2 that amplify what changes its sign from copy to copy.

    A unit reads on from one copy of its input into the next: key switching and rescaling add errors that are no copies.
    """
    angle, places = 2 * np.pi * (n // 4 + 0.5) / n, np.arange(n)
    phases = np.ones(n, complex)
    for k in range(1, n // 2):
        kernel = np.exp(1j * places * (angle - 2 * np.pi * k / n)).sum()
        phases[k] = kernel.conj() / abs(kernel)
        phases[n - k] = phases[k].conj()
    row = np.fft.fft(phases).real / n
    layer = Dense(np.stack([np.roll(row, i) for i in range(n)]) / 2 * (1 - 1e-9), np.full(n, 0.5))
    last = np.cos(angle * places)
    nodes = [Dense(np.full((n, 1), 1e-5), np.ones(n)), Activation("square")]
    for _ in range(layers):
        nodes += [layer, Activation("square")]
    return Graph((1,), (*nodes, Dense(last[None] / np.linalg.norm(last), np.ones(1))))


@pytest.mark.parametrize(("n", "layers"), [(32, 7), (64, 5)])
def test_errors_that_differ_from_copy_to_copy(n, layers):
    """Taken for the same in all copies, they exceeded the bound, and clients refused most honest answers."""
    assert max(shares(twisted(n, layers), np.full((1, 1), 0.5), clients=3, max_error=1e-2, security="insecure")) <= 1


def test_images_chosen_against_their_rounding():
    """To the nearest, all coefficients of the image are wrong by 0.49 in the direction of the weights: 5.5 bounds."""
    ciphertexts, half = 16, 512
    rng = np.random.default_rng(0)

    def symmetric(coefficients):
        coefficients[half] = 0.0
        coefficients[half + 1 :] = -coefficients[half - 1 : 0 : -1]
        return coefficients

    factors = [slots_of(symmetric(rng.choice([-1.0, 1.0], 2 * half))) for _ in range(ciphertexts)]
    weight = np.concatenate(factors) / np.linalg.norm(factors)
    circuit = compile_approximate(squares(weight[None]), max_error=1e-6, security="insecure")
    layout, scale = circuit.interface.inputs[0].layout, circuit.parameters.input_scale
    places = layout.pack(np.arange(ciphertexts * half, dtype=float)[None]).astype(int)
    assert places.shape == (ciphertexts, half)
    image = rng.uniform(0.3, 0.7, ciphertexts * half)
    for place in places:
        towards = np.sign(polynomial(weight[place]))
        image[place] = slots_of(symmetric(np.rint(polynomial(image[place]) * scale) + 0.49 * towards)) / scale
    assert max(shares(squares(weight[None]), image[None], clients=3, max_error=1e-6, security="insecure")) <= 1


@pytest.mark.parametrize(
    ("graph", "image", "options"),
    [(low_rank(1, 0), np.ones((1, 32)), {}), (twisted(32, 2), np.full((1, 1), 0.5), {"max_error": 1e-2})],
)
def test_encrypted_weights(graph, image, options):
    """Their errors meet inputs, products are rescaled at once, and units of a first layer come several times."""
    assert max(shares(graph, image, weights="encrypted", security="insecure", **options)) <= 1


@pytest.mark.slow
def test_six_layers_of_equal_weights_at_128_bits():
    assert max(shares(equal(6), np.ones((1, 64)))) <= 1


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 3), st.integers(0, 2**32 - 1), st.sampled_from(["latency", "throughput"]))
def test_weights_of_rank_one(depth, seed, packing):
    graph = low_rank(depth, seed)
    images = np.random.default_rng(seed).integers(0, 2, (1, 32)).astype(float)
    assert max(shares(graph, images, clients=1, packing=packing, security="insecure")) <= 1


def test_some_of_many_random_networks():
    found = [share_of_bound(seed)[1] for seed in range(10)]
    assert all(share is None or share <= 1 for share in found)
    assert any(share is not None for share in found)


def test_the_reference_engine_keeps_the_bound_as_well():
    assert max(shares(equal(3), np.ones((1, 64)), engine="seal", security="insecure")) <= 1


def chosen_against_rounding(width=512):
    """One layer of weights: to the nearest integers, all coefficients of a factor are wrong by 0.45 towards one slot.

    A factor's scale is not known before the weights are; but it is the same for all weights of these norms.
    """
    rng = np.random.default_rng(0)
    plain = squares(rng.choice([-0.9, 0.9], (width, 2)))
    circuit = compile_approximate(plain, security="insecure", salt=bytes(32))
    packing, program = circuit.interface.packing, circuit.program
    (factor,) = plains(program.operations[1])
    slots = program.plaintexts[factor.index]
    target = np.cos(np.pi / len(slots) / 2 * np.arange(2 * len(slots)))  # the real part at the first slot's root
    coefficients = np.rint(polynomial(slots) * factor.scale) + 0.45 * np.sign(target)
    coefficients[len(slots)] = 0.0
    coefficients[len(slots) + 1 :] = -coefficients[len(slots) - 1 : 0 : -1]
    wrong = slots_of(coefficients) / factor.scale
    nearest = slots_of(encode_approximate(wrong, factor.scale).astype(float)) / factor.scale
    assert np.abs(nearest - wrong).max() * factor.scale > 0.25 * len(wrong)  # as one slot would have it
    assert packing.copies(width) >= 1
    layout = circuit.interface.inputs[0].layout
    weight = wrong.reshape(-1, layout.width)[: layout.gather.shape[1], :width].T
    return squares(weight), circuit.parameters


def test_weights_chosen_against_their_rounding():
    graph, parameters = chosen_against_rounding()
    circuit = compile_approximate(graph, security="insecure")
    assert circuit.parameters == parameters  # what the weights were chosen for
    assert max(shares(graph, np.array([[1.0, 0.0]]), clients=6, security="insecure")) <= 1


@pytest.mark.parametrize("degree", [2, 3, 4])
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_polynomials_tell_a_rounded_reach_alone(degree, seed):
    """Coefficients were scaled by how far units reach, to the last bit, and scales followed from coefficients."""
    rng = np.random.default_rng(seed)
    activation = Activation("polynomial", (0.1, 0.5, 0.2, 0.3, 0.4)[: degree + 1])
    signs = [rng.choice([-1.0, 1.0], shape) / 8 for shape in ((6, 8), (6, 6), (3, 6))]

    def told(smaller):
        dense = [Dense(w * smaller, np.zeros(len(w))) for w in signs]
        graph = Graph((8,), (dense[0], activation, dense[1], activation, dense[2]))
        circuit = compile_approximate(graph, max_error=1e-3, security="insecure", salt=bytes(32))
        return {name: value for name, value in circuit.interface.to_dict().items() if name != "commitment"}

    assert told(0.999) == told(0.998) == told(0.997)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["latency", "throughput"]),
)
def test_a_client_learns_the_architecture_and_rounded_norms_alone(seed, other_seed, packing):
    """Networks of one architecture whose rounded norms agree have equal interfaces, but for the commitment."""
    circuits, norms = [], []
    for rng in map(np.random.default_rng, (seed, other_seed)):
        first = rng.normal(size=(12, 8)) / 8
        graph = squares(first, rng.normal(size=(9, 12)) / 12, rng.normal(size=(3, 9)) / 9)
        lowering = approximate_lowering(graph, (0.0, 1.0), 0.1, "insecure")
        norms.append(lowering.fit.keywords["norms"])
        circuits.append(compile_approximate(graph, max_error=0.1, packing=packing, security="insecure"))
    one, other = (circuit.interface.to_dict() for circuit in circuits)
    assert one.pop("commitment") != other.pop("commitment")
    if norms[0] == norms[1]:
        assert one == other
    assert (one["tolerance"], one["inputs"], one["output"]) == (other["tolerance"], other["inputs"], other["output"])
