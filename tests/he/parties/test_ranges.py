"""Answers of circuits with calibrated ranges: within their bound, or refused, whatever the input in its range."""

from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from he import (
    Client,
    DecryptionError,
    Policy,
    RangeError,
    compile_approximate,
    interface_bytes,
    load_circuit,
    prepare,
    run_encrypted,
    save_circuit,
    simulate,
    simulate_guards,
)
from he.formats.messages import Kind
from he.parties.connect import connect
from intnn import Activation, Dense, Graph
from tests.he.forge import residues_of, with_residues

WIDE = (-4.0, 4.0)
ACTIVATIONS = [
    Activation("square"),
    Activation("polynomial", (0.1, 0.5, 0.9, -0.4)),
    Activation("polynomial", (0.1, 0.5, 0.9, 0.0, -0.4)),
    Activation("polynomial", (0.1, 0.5, 0.9, 0.0, -0.4, 0.0, 0.2, 0.0, -0.1)),
]


def deep(squares, width=16, seed=0, activation=ACTIVATIONS[0]):
    """A network whose values stay below 1 on samples from [0, 1], and grow elsewhere in `WIDE`."""
    rng = np.random.default_rng(seed)
    samples = rng.random((40, width))
    x, nodes = samples, []
    for _ in range(squares):
        weight = np.linalg.qr(rng.normal(size=(width, width)))[0]
        weight /= np.abs(x @ weight.T).max() * 2
        bias = rng.normal(size=width) / 8
        nodes += [Dense(weight, bias), activation]
        x = np.polynomial.polynomial.polyval(x @ weight.T + bias, activation.coefficients or (0, 0, 1))
    return Graph((width,), (*nodes, Dense(rng.normal(size=(3, width)), np.zeros(3)))), samples


@cache
def calibrated(*network, **options):
    """A network, samples, and its circuit: compiled once for all tests that ask for the same."""
    graph, samples = deep(*network)
    options = {"input_range": WIDE, "ranges": "calibrated", "security": "insecure", **options}
    return graph, samples, compile_approximate(graph, samples, **options)


def answered(client, session, x):
    return client.decrypt(session.evaluate(client.encrypt(x)))


def outcome(client, session, graph, x, bound):
    """None if an answer was refused because of its range; the largest error as a share of the bound otherwise."""
    try:
        return float(np.abs(answered(client, session, x) - graph.logits(x)).max() / bound)
    except RangeError:
        return None


@pytest.mark.unwatched
@pytest.mark.parametrize("engine", ["rns", "seal"])
@pytest.mark.parametrize("packing", ["latency", "throughput"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_samples_are_answered_and_what_is_far_from_them_is_refused(activation, packing, engine):
    graph, samples, circuit = calibrated(2, 8, 1, activation, packing=packing, images=2)
    assert circuit.interface.guards
    client, session = connect(circuit, engine=engine)
    assert outcome(client, session, graph, samples[:2], circuit.output_bound) <= 1
    corners = np.random.default_rng(0).choice(WIDE, (200, 8))
    shown = simulate_guards(circuit, corners).max(axis=1)
    assert shown.max() > 2
    far = np.stack([samples[0], corners[shown.argmax()]])
    with pytest.raises(RangeError) as refusal:
        answered(client, session, far)
    assert refusal.value.images == (1,)


DEPTHS = st.one_of(
    st.tuples(st.integers(2, 4), st.just(ACTIVATIONS[0])), st.tuples(st.just(2), st.sampled_from(ACTIVATIONS[1:]))
)


@settings(max_examples=8, deadline=None)
@given(DEPTHS, st.integers(0, 2**32 - 1), st.sampled_from(["latency", "throughput"]))
@example((2, ACTIVATIONS[1]), 1, "throughput")
@example((2, ACTIVATIONS[3]), 1, "latency")
def test_no_input_in_the_range_is_answered_beyond_the_bound(depth, seed, packing):
    """Corners, inputs on the way from a sample to a corner, and the last that is accepted on that way."""
    layers, activation = depth
    graph, samples = deep(layers, 8, seed, activation)
    circuit = compile_approximate(
        graph,
        samples,
        input_range=WIDE,
        ranges="calibrated",
        margin=1.25,
        packing=packing,
        images=1,
        security="insecure",
    )
    client, session = connect(circuit)
    rng = np.random.default_rng(seed)
    corner = rng.choice(WIDE, 8)
    near, far = 0.0, 1.0  # of the way to the corner
    for _ in range(30):
        middle = (near + far) / 2
        share = simulate_guards(circuit, (samples[:1] + middle * (corner - samples[0])).clip(*WIDE))
        near, far = (middle, far) if share.max(initial=0) <= 1 else (near, middle)
    for way in (near, 0.99 * near, far, 1.01 * far, *rng.random(4), 1.0):
        x = (samples[:1] + way * (corner - samples[0])).clip(*WIDE)
        share = outcome(client, session, graph, x, circuit.output_bound)
        assert share is None or share <= 1
        shown = simulate_guards(circuit, x).max(initial=0)
        assert (share is None) == (shown > 1) or 0.8 < shown < 1.2  # what the errors of a guard decide


@settings(max_examples=4, deadline=None)
@given(st.integers(1, 3), st.integers(0, 2**32 - 1))  # four squares do not always fit: they are refused
def test_what_is_far_outside_does_not_come_around(squares, seed):
    """A guard that wraps around its modulus could look small: there is room for all that the range lets it be."""
    graph, samples = deep(squares, 8, seed)
    circuit = compile_approximate(
        graph, samples / 50, input_range=WIDE, ranges="calibrated", images=1, security="insecure"
    )
    assert circuit.interface.guards
    client, session = connect(circuit)
    rng = np.random.default_rng(seed)
    for x in (np.full((1, 8), 4.0), rng.choice(WIDE, (1, 8)), rng.uniform(*WIDE, (1, 8))):
        share = outcome(client, session, graph, x, circuit.output_bound)
        assert (share is None) == bool((simulate_guards(circuit, x) > 1).any())


@pytest.mark.parametrize("engine", ["rns", "seal"])
def test_what_is_millions_of_times_too_large_is_refused_for_its_range(engine):
    """Its errors are as much larger, and differ from copy to copy: the answer was taken for a damaged one."""
    graph, samples, circuit = calibrated(2, 4, input_range=(-4096.0, 4096.0), max_error=1e-3, images=1)
    client, session = connect(circuit, engine=engine)
    for x in (np.full((1, 4), 4096.0), np.full((1, 4), -4096.0)):
        with pytest.raises(RangeError):
            answered(client, session, x)
    assert outcome(client, session, graph, samples[:1], circuit.output_bound) <= 1


def test_one_image_outside_has_the_whole_answer_refused_and_is_named():
    """All lanes share the coefficients of a polynomial: one of them that wraps around is wrong in every lane."""
    graph, samples, circuit = calibrated(3, images=8)
    client, session = connect(circuit)
    x = samples[:8].copy()
    x[5] = 4.0
    with pytest.raises(RangeError, match=r"images \[5\] of the batch left the range .* ask again without them"):
        answered(client, session, x)
    assert np.abs(answered(client, session, x[:5]) - graph.logits(x[:5])).max() <= circuit.output_bound


def test_an_image_outside_is_named_by_its_number_among_all_batches():
    graph, samples, circuit = calibrated(2, images=1)
    x = np.concatenate([samples[: 2 * circuit.interface.images + 1], np.full((1, 16), 4.0)])
    with pytest.raises(RangeError, match="`answers` of this error holds those of the others") as refusal:
        run_encrypted(circuit, x)
    assert refusal.value.images == (len(x) - 1,)
    assert np.abs(refusal.value.answers - graph.logits(x[:-1])).max() <= circuit.output_bound


@pytest.mark.parametrize("evaluated", [run_encrypted, simulate])
def test_all_images_beside_those_outside_are_answered(evaluated):
    """Of one evaluation, of several, and where nothing is left of one."""
    graph, samples, circuit = calibrated(2, images=4)
    step = circuit.interface.images
    x = np.tile(samples, (2 + 3 * step // len(samples), 1))[: 3 * step]
    outside = [0, 2, *range(step, 2 * step), 3 * step - 1]
    x[outside] = 4.0
    with pytest.raises(RangeError) as refusal:
        evaluated(circuit, x)
    assert refusal.value.images == tuple(outside)
    others = np.delete(x, outside, axis=0)
    assert np.abs(refusal.value.answers - graph.logits(others)).max() <= circuit.output_bound
    with pytest.raises(RangeError) as refusal:
        evaluated(circuit, x[:1])
    assert (refusal.value.images, refusal.value.answers) == ((0,), None)


def test_refusals_for_the_range_are_counted_like_others():
    """Whoever answers sees that an answer was refused, and may have chosen its guards."""
    _, samples, circuit = calibrated(2)
    client = Client(interface_bytes(circuit.interface), policy=Policy(security="insecure", most_refusals=2))
    session = prepare(circuit).session(client.evaluation_keys)
    for _ in range(2):
        with pytest.raises(RangeError):
            answered(client, session, np.full((1, 16), 4.0))
    with pytest.raises(RuntimeError, match="destroyed its key"):
        client.encrypt(samples[:1])


def test_a_guard_that_was_damaged_is_no_result():
    _, samples, circuit = calibrated(2)
    client, session = connect(circuit)
    answer = session.evaluate(client.encrypt(samples[:1]))
    residues = residues_of(Kind.RESPONSE, circuit.interface, answer)
    residues[-1] = residues[-1, :, ::-1]
    with pytest.raises(DecryptionError):
        client.decrypt(with_residues(Kind.RESPONSE, circuit.interface, answer, residues))


def test_a_stored_circuit_keeps_its_guards(tmp_path):
    circuit = calibrated(2)[-1]
    save_circuit(circuit, tmp_path / "circuit.npz")
    again = load_circuit(tmp_path / "circuit.npz")
    assert again.interface.digest == circuit.interface.digest
    assert again.interface.guards == circuit.interface.guards
    assert again.program.guards == len(again.interface.guards) > 0


def test_published_logits_have_noise_and_guards_are_not_among_them():
    _, samples, circuit = calibrated(2, max_error=1e-6)
    client, session = connect(circuit)
    request = client.encrypt(samples[:1])
    assert client.decrypt(session.evaluate(request), publish=True).shape == (1, 3)
