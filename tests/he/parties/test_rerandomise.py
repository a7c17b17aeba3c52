"""Circuit privacy: what a client that holds the secret key sees of an answer, beside the logits."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import Client, EvaluationKeys, MessageError, compile_approximate, compile_exact, connect, prepare
from he.formats import switching
from he.formats.messages import Kind
from he.formats.seal_bridge import to_bytes
from he.formats.seal_bytes import read_secret
from he.kernels.passes import evaluate as kernels
from he.kernels.tables.chain import chain
from he.parties import client as clients
from he.parties import flood, rerandomise
from he.program.algebra import run
from he.readers import flooding
from he.readers.clear import ClearAlgebra
from he.testing import compiled, inputs, polynomial_graphs, table_networks
from intnn import Dense, IntDomain, IntNetwork, Lut, LutActivation
from tests.he.conftest import Party, session
from tests.he.forge import residues_of
from tests.he.parties.exchange import NETWORKS, assert_right, in_order

BITS = {"bfv": 40, "ckks": 16}


def private(network, scheme, **options):
    return compiled(network, security="insecure", circuit_privacy=BITS[scheme], **options)


@pytest.fixture(scope="module", params=[(s, p) for s in NETWORKS for p in ("latency", "throughput")], ids="-".join)
def private_party(request):
    scheme, packing = request.param
    return Party(private(NETWORKS[scheme], scheme, images=4, packing=packing))


def without(circuit):
    """The same program under the same parameters, whose answers are left as they are."""
    return replace(circuit, interface=replace(circuit.interface, rerandomises=False))


def seen(party, images):
    """The coefficients, as integers, of what an answer to these images decrypts to: all that its client can see."""
    interface, client = party.circuit.interface, party.client
    parameters, level = interface.parameters, interface.output_level
    primes, N = parameters.primes[:level], parameters.poly_modulus_degree
    answer = party.session.evaluate(client.encrypt(images))
    c = residues_of(Kind.RESPONSE, interface, answer)
    key = client.secret_key
    secret = read_secret(to_bytes(key._secret), parameters, key.context.key_parms_id())
    tables, q, total = chain(N, primes).tables, math.prod(primes), np.zeros(N, object)
    for j, p in enumerate(primes):
        rows = c[:, j].copy()
        if parameters.scheme.exact:
            for row in rows:
                kernels.forward(tables, row, j)
        row = ((rows[0].astype(object) + rows[1].astype(object) * secret[j].astype(object)) % p).astype(np.uint64)
        kernels.inverse(tables, row, j)
        total += row.astype(object) * (q // p * pow(q // p, -1, p))
    return (total + q // 2) % q - q // 2


def noise(party, images):
    """The invariant noise of an answer of BFV, float64 [N]."""
    interface = party.circuit.interface
    q = math.prod(interface.parameters.primes[: interface.output_level])
    scaled = seen(party, images) * interface.parameters.t
    return ((scaled + q // 2) % q - q // 2).astype(float) / float(q)


def hidden(circuit):
    """The largest error of a slot that is hidden; none is one for BFV."""
    interface, bits = circuit.interface, BITS[circuit.parameters.scheme]
    N, ciphertexts = interface.parameters.poly_modulus_degree, interface.output.ciphertexts
    return 0.0 if circuit.parameters.scheme.exact else flooding.hidden_error(N, ciphertexts, bits, circuit.output_bound)


def spread(values):
    return float(np.sqrt(np.mean(values**2)))


def test_answers_are_right(private_party):
    images = inputs(NETWORKS[private_party.circuit.parameters.scheme], 4)
    for _ in range(2):
        assert_right(private_party, private_party.ask(images), images)
    client, slow = private_party.client, session(private_party, "seal")
    assert_right(private_party, client.decrypt(slow.evaluate(client.encrypt(images))), images)


def test_two_answers_to_one_request_differ_in_every_polynomial(private_party):
    interface, request = (
        private_party.circuit.interface,
        private_party.client.encrypt(inputs(NETWORKS[private_party.circuit.parameters.scheme], 1)),
    )
    first, second = (
        residues_of(Kind.RESPONSE, interface, session(private_party, "rns").evaluate(request)) for _ in range(2)
    )
    assert (first == second).mean(axis=2).max() < 0.01
    plain = Party(without(private_party.circuit))
    asked = plain.client.encrypt(inputs(NETWORKS[private_party.circuit.parameters.scheme], 1))
    again = [session(plain, "rns").evaluate(asked) for _ in range(2)]
    assert again[0] == again[1]


def test_slots_hold_logits_and_zeros_alone(private_party):
    """Noise hides noise: what the message itself holds is seen."""
    circuit = private_party.circuit
    (spec,), output, packing = circuit.interface.inputs, circuit.interface.output, circuit.interface.packing
    network = NETWORKS[circuit.parameters.scheme]
    images = inputs(network, circuit.interface.images)
    algebra = ClearAlgebra(
        circuit.parameters.plain_modulus,
        spec.layout.pack(spec.check(images, circuit.parameters.scheme)),
        circuit.program.plaintexts,
        circuit.parameters.rows,
    )
    slots = np.array(run(circuit.program, algebra))
    view = packing.view(slots, output.width)  # [ciphertext, row, copy, unit, lane]
    by_unit = np.moveaxis(view, 3, 1).reshape(len(view) * output.width, -1)
    assert np.abs(by_unit[output.outputs :]).max(initial=0.0) <= hidden(circuit)  # rounded weights are no zeros
    for unit, logits in enumerate(network.logits(images).T):
        assert np.abs(by_unit[unit, :, None] - logits).min(axis=1).max() <= hidden(circuit)


def twins():
    """Two networks with equal logits where both pairs of inputs are equal; one has large weights, which then cancel."""
    hidden = Dense(np.array([[1, 1, 0, 0], [0, 0, 1, 1]]), np.zeros(2, np.int64))
    table = LutActivation(Lut.from_callable(lambda x: 1 + x * x, IntDomain(0, 2)))
    last = [Dense(np.array([[1 + large, 2 - large]]), np.zeros(1, np.int64)) for large in (0, 5_000)]
    return [IntNetwork((4,), IntDomain(0, 1), (hidden, table, one)) for one in last]


@pytest.mark.parametrize("privacy", [None, 40])
def test_the_noise_of_networks_with_equal_logits_is_told_apart_unless_it_is_flooded(privacy):
    images = np.tile(np.random.default_rng(0).integers(0, 2, (8, 2)), 2)
    options = {"packing": "throughput", "security": "insecure", "circuit_privacy": privacy}
    parties = [Party(compile_exact(network, **options)) for network in twins()]
    small, large = (party.circuit for party in parties)
    assert (parties[0].ask(images) == parties[1].ask(images)).all()
    assert small.parameters.levels == large.parameters.levels
    noises = [spread(noise(party, images)) for party in parties]
    if privacy is None:
        assert max(noises) > 8 * min(noises)
        return
    for measured, circuit in zip(noises, (small, large), strict=True):
        uniform = flooding.uniform_noise(circuit.parameters, circuit.interface.output_level) / math.sqrt(3)
        assert measured == pytest.approx(uniform, rel=0.08)  # five deviations of what is measured


def test_what_a_client_sees_of_ckks_has_the_spread_of_the_flood(monkeypatch):
    monkeypatch.setattr(clients, "secret_order", in_order)
    circuit, images = private(NETWORKS["ckks"], "ckks", images=4), inputs(NETWORKS["ckks"], 4)
    plain, flooded = (Party(one) for one in (without(circuit), circuit))
    message, again, private_message = (seen(party, images) for party in (plain, plain, flooded))
    interface = circuit.interface
    N, scale = interface.parameters.poly_modulus_degree, interface.output_scale
    deviation = flooding.normal_deviation(N, scale, interface.tolerance / 2)
    assert spread((message - again).astype(float)) < deviation * 2.0 ** -BITS["ckks"]
    assert spread((message - private_message).astype(float)) == pytest.approx(deviation, rel=0.12)  # five deviations


@pytest.mark.parametrize("scheme", NETWORKS)
def test_keys_without_their_encryption_of_zero_are_refused(scheme):
    circuit = private(NETWORKS[scheme], scheme)
    client, prepared = connect(circuit)[0], prepare(circuit)
    interface, keys = circuit.interface, client.evaluation_keys
    zero = switching.zero_form(interface.parameters, interface.output_level).bytes
    switching_keys, found = keys.divided(interface)
    assert len(found) == zero
    for data in (switching_keys, bytes(keys.data) + b"\0", bytes(keys.data) + bytes(found)):
        with pytest.raises(MessageError, match=r"exactly the circuit's \d+ and an encryption of zero, of \d+ bytes"):
            prepared.session(EvaluationKeys.sealed(interface.digest, bytes(data)))
    with pytest.raises(MessageError, match="unusable"):
        prepared.session(EvaluationKeys.sealed(interface.digest, bytes(switching_keys) + b"\xff" * zero))
    foreign = connect(circuit)[0].evaluation_keys.divided(interface)[1]
    mixed = EvaluationKeys.sealed(interface.digest, bytes(switching_keys) + bytes(foreign))
    with pytest.raises(MessageError, match="another secret key"):
        Client(interface, client.secret_key, mixed, policy=client.policy)
    assert Client(interface, client.secret_key, keys, policy=client.policy).evaluation_keys is keys


@settings(max_examples=6)
@given(network=table_networks(1, max_points=9))
def test_the_flood_hides_the_noise_of_any_table_network(network):
    circuit = private(network, "bfv", images=2)
    interface = circuit.interface
    hidden = flooding.hidden_noise(interface.parameters.poly_modulus_degree, interface.output.ciphertexts, 40)
    images = inputs(network, 2)
    assert np.linalg.norm(noise(Party(without(circuit)), images)) <= hidden
    party = Party(circuit)
    assert (party.ask(images) == network.logits(images)).all()
    assert -math.log2(2 * np.abs(noise(party, images)).max()) >= circuit.output_bound


@settings(max_examples=6)
@given(network=polynomial_graphs())
def test_the_flood_hides_the_error_of_any_polynomial_network(network):
    circuit = compiled(network, images=2, security="insecure", circuit_privacy=8)
    interface, most = circuit.interface, circuit.output_bound
    hidden = flooding.hidden_error(interface.parameters.poly_modulus_degree, interface.output.ciphertexts, 8, most)
    images = inputs(network, 2)
    plain = network.logits(images)
    assert np.abs(Party(without(circuit)).ask(images) - plain).max() <= hidden
    assert np.abs(Party(circuit).ask(images) - plain).max() <= most


def test_what_is_drawn_has_its_distribution():
    N = 1 << 15
    ternary, errors = rerandomise._ternary(N), rerandomise._errors(N)
    assert ternary.shape == errors.shape == (N,)
    assert np.abs(np.bincount(ternary + 1, minlength=3) / N - 1 / 3).max() < 0.015
    assert abs(errors.mean()) < 0.1
    assert np.var(errors) == pytest.approx(10.5, rel=0.05)
    assert np.abs(errors).max() <= 21
    normal = flood._normal(N, 2.0**49)
    assert abs(normal.mean()) < 2.0**49 / 30
    assert normal.std() == pytest.approx(2.0**49, rel=0.03)
    assert np.mean(np.abs(normal) < 2.0**49) == pytest.approx(0.6827, abs=0.015)


@given(bits=st.integers(0, 60), start=st.integers(-5, 5))
def test_numbers_are_lengthened_by_uniform_bits(bits, start):
    primes = np.array([[(1 << 50) - 27], [(1 << 20) - 3]], np.uint64)
    residues = np.full((2, 4096), start, np.int64) % primes.astype(np.int64)
    found = flood._lengthened(residues.astype(np.uint64), bits, primes)
    if bits <= 45:  # the numbers are below the first prime, and known
        p = int(primes[0, 0])
        numbers = (found[0].astype(np.int64) + p // 2) % p - p // 2 - (start << bits)
        assert numbers.min() >= 0
        assert numbers.max() < 1 << bits
        assert ((numbers + (start << bits)) % int(primes[1, 0]) == found[1]).all()
        if bits > 3:
            assert numbers.mean() == pytest.approx((2.0**bits - 1) / 2, rel=0.06)


@pytest.mark.parametrize(("compile_it", "most"), [(compile_exact, 80), (compile_approximate, 30)])
def test_bits_that_are_no_bits_are_refused(compile_it, most):
    network = NETWORKS["bfv" if compile_it is compile_exact else "ckks"]
    for bits in (0, -1, most + 1):
        with pytest.raises(ValueError, match=rf"`circuit_privacy` must lie in \[1, {most}\], got {bits}"):
            compile_it(network, circuit_privacy=bits)
    for bits in (True, 40.0, "40"):
        with pytest.raises(TypeError, match="`circuit_privacy` must be an integer"):
            compile_it(network, circuit_privacy=bits)


def test_the_price_is_stated():
    text = private(NETWORKS["bfv"], "bfv").explain()
    assert "circuit privacy: an answer tells logits alone, up to 2^-40; it takes 47 bits of the modulus" in text
