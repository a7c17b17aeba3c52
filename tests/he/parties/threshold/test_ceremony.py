"""How two owners make a key: what the messages make, and which are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import MessageError, ParameterError, PolicyError, compile_exact
from he.formats import compact, switching
from he.formats.compact import Form
from he.formats.messages import Kind
from he.parties.threshold.ceremony import DataShare, ModelShare
from he.parties.threshold.halves import Strings
from he.parties.threshold.strings import digits, expanded
from he.readers.variance import ERROR_VARIANCE
from he.ring.norms import canonical_norm, random_canonical_norm, secret_norm
from he.testing import damaged, table_network
from tests.he.circuit.test_key_levels import several
from tests.he.forge import part_of, with_fields, with_part, written_to
from tests.he.parties.threshold.owners import CIRCUITS, POLICY, made, product, secret_of, whole
from tests.vectors.document import coefficients


@pytest.fixture(scope="module", params=["bfv", "ckks", "hybrid"])
def keys(request):
    """The interface, and the keys of both owners; with several special primes where keys are hybrid."""
    circuit = CIRCUITS["bfv" if request.param == "hybrid" else request.param]
    if request.param == "hybrid":
        circuit = several(circuit)
    return circuit.interface, *made(circuit)


def test_both_owners_have_the_same_keys_and_shares_of_their_own(keys):
    interface, data, model = keys
    assert data.evaluation_keys.to_bytes() == model.evaluation_keys.to_bytes()
    assert data.public_key.to_bytes() == model.public_key.to_bytes()
    assert data.public_key.key == data.evaluation_keys.id
    first, second = (secret_of(key) for key in (data, model))
    assert set(first) == set(second) == {-1, 0, 1}
    assert not np.array_equal(first, second)
    data.share.require_own(data.evaluation_keys, interface)
    with pytest.raises(MessageError, match="made from another secret key"):
        model.share.require_own(data.evaluation_keys, interface)


def test_keys_encrypt_what_they_should_under_the_sum_of_both_shares(keys):
    """A digit less what it is to encrypt is an error within the bounds by which parameters are chosen."""
    interface, data, model = keys
    parameters, N = interface.parameters, interface.parameters.poly_modulus_degree
    secret = secret_of(data) + secret_of(model)
    rng, all_digits, start = np.random.default_rng(0), digits(interface), 0
    normal = random_canonical_norm(N, 2 * ERROR_VARIANCE)
    bounds = {1: normal + 4 * random_canonical_norm(N, ERROR_VARIANCE) * secret_norm(N)}
    looked_at = {0, *rng.choice(len(all_digits), 3, replace=False).tolist()}
    for number, digit in enumerate(all_digits):
        primes = digit.gadget.primes
        ntt = parameters.scheme.ntt_form or interface.key_levels is None
        form = Form(primes, N, ntt, 1.0, seeded=True)
        read = compact.read(data.evaluation_keys.data[start : start + form.bytes], form, expand=False)
        start += form.bytes
        if number not in looked_at:
            continue
        mask, rows = expanded(read.seed, interface, transformed=True)[digit.indices], []
        if not ntt:  # `expanded` transforms what the seed names
            mask = expanded(read.seed, interface, transformed=False)[digit.indices]
        for j, p in enumerate(primes):
            b = coefficients(read.residues[0, j].tolist(), p) if ntt else read.residues[0, j].tolist()
            a = coefficients(mask[j].tolist(), p)
            row = np.array(b, object) + product(a, secret, p)
            if j in digit.group:
                row -= digit.gadget.factor * switched_from(secret, digit.element, p)
            rows.append(row % p)
        error = whole(rows, primes).astype(float)
        assert 0 < canonical_norm(error) <= bounds.get(digit.element, normal)
        if digit.element != 1:
            assert np.abs(error).max() <= 2 * 21
            assert error.var() == pytest.approx(2 * ERROR_VARIANCE, rel=0.25)


def switched_from(secret, element, p):
    if element == 1:
        return product(secret, secret, p)
    N, image = len(secret), np.zeros(len(secret), object)
    for i, value in enumerate(secret):
        place = i * element % (2 * N)
        image[place % N] += value if place < N else -value
    return image


def test_the_public_key_encrypts_zero_under_the_sum(keys):
    interface, data, model = keys
    primes = interface.parameters.primes
    b, a = switching.read_zero(data.public_key.data, interface.parameters, len(primes))
    secret = secret_of(data) + secret_of(model)
    rows = [
        (np.array(coefficients(x.tolist(), p), object) + product(coefficients(y.tolist(), p), secret, p)) % p
        for x, y, p in zip(b, a, primes, strict=True)
    ]
    error = whole(rows, primes).astype(float)
    assert np.abs(error).max() <= 2 * 21
    assert error.var() == pytest.approx(2 * ERROR_VARIANCE, rel=0.25)
    alone = whole([(r - product(coefficients(y.tolist(), p), secret_of(model), p)) % p
                   for r, y, p in zip(rows, a, primes, strict=True)], primes)  # fmt: skip
    assert np.median(np.abs(alone.astype(float))) > float(np.prod(np.array(primes, float))) / 16


INTERFACE = CIRCUITS["bfv"].interface


def exchange():
    """Both owners, and all messages."""
    data, model = DataShare(INTERFACE, policy=POLICY), ModelShare(INTERFACE)
    commitment = model.commit(data.invitation)
    first = data.first(commitment)
    shares = model.shares(first)
    return data, model, commitment, first, shares


def test_a_share_of_the_public_key_that_was_chosen_late_is_refused():
    """A rogue owner opens another share than it has committed to: the one that makes the joint key its own."""
    data, _model, _, _, shares = exchange()
    b = bytearray(part_of(Kind.JOINT_SHARES, shares))
    b[0] ^= 1
    with pytest.raises(MessageError, match="must be those that it has committed to"):
        data.second(with_part(Kind.JOINT_SHARES, shares, bytes(b)))
    products = bytearray(part_of(Kind.JOINT_SHARES, shares, 1))
    products[5] ^= 1
    with pytest.raises(MessageError, match="must be those that it has committed to"):
        data.second(with_part(Kind.JOINT_SHARES, shares, bytes(products), 1))
    with pytest.raises(LookupError, match="have not made their key"):
        _ = data.key
    data.second(shares)  # nothing has changed
    assert data.key.share.parameters == INTERFACE.parameters


def test_shares_that_are_changed_once_they_were_checked_are_those_that_were_checked(monkeypatch):
    data, model, _, _, shares = exchange()
    with monkeypatch.context() as patch:
        second = data.second(written_to(patch, "he.parties.threshold.ceremony", shares, bytes(len(shares))))
    model.finish(second)  # which follows the shares as they were sent
    assert data.key.public_key.id == model.key.public_key.id


def test_masks_of_keys_are_drawn_after_what_is_published_first():
    """With masks that an owner knows before, it could choose its message so that the other's share has none."""
    strings, published = Strings(INTERFACE, [b"one", b"other"]), [b"b_1", b"x", b"b_2", b"y"]
    seeds = strings.of_keys(*published)
    assert len({seed.tobytes() for seed in seeds}) == len(seeds) == len(digits(INTERFACE))
    for other in (
        strings.of_keys(b"b_1", b"x", b"b_2", b"Y"),
        strings.of_keys(b"b_1x", b"", b"b_2", b"y"),
        Strings(INTERFACE, [b"one", b"another"]).of_keys(*published),
        Strings(CIRCUITS["ckks"].interface, [b"one", b"other"]).of_keys(*published),
    ):
        assert not {seed.tobytes() for seed in other} & {seed.tobytes() for seed in seeds}


def test_messages_out_of_order_repeated_or_of_another_ceremony_are_refused():
    data, model, commitment, first, shares = exchange()
    other = exchange()
    for refused, message in (
        (lambda: model.commit(data.invitation), "the next one that is due"),
        (lambda: model.shares(first), "the next one that is due"),
        (lambda: data.first(commitment), "the next one that is due"),
        (lambda: data.second(other[4]), "another ceremony"),
        (lambda: data.second(first), "expected a message with joint shares, got one of another kind"),
        (lambda: ModelShare(INTERFACE).shares(first), "the next one that is due"),
        (lambda: DataShare(INTERFACE, policy=POLICY).first(commitment), "another ceremony"),
        (lambda: model.finish(other[0].second(other[4])), "another ceremony"),
        (lambda: ModelShare(CIRCUITS["ckks"].interface).commit(data.invitation), "another circuit"),
    ):
        with pytest.raises(MessageError, match=message):
            refused()
    second = data.second(shares)
    model.finish(second)
    with pytest.raises(MessageError, match="the next one that is due"):
        model.finish(second)
    with pytest.raises(MessageError, match="the next one that is due"):
        data.second(shares)
    assert data.key.evaluation_keys == model.key.evaluation_keys


def test_fields_and_parts_that_are_not_due_are_refused():
    data, model = DataShare(INTERFACE, policy=POLICY), ModelShare(INTERFACE)
    for fields in ({"nonce": "00"}, {"nonce": 5}, {"more": "0" * 64}):
        with pytest.raises(MessageError):
            model.commit(with_fields(Kind.JOINT_INVITATION, data.invitation, **fields))
    commitment = model.commit(data.invitation)
    with pytest.raises(MessageError, match="nonce, commitment must be 64 hexadecimal digits"):
        data.first(with_fields(Kind.JOINT_COMMITMENT, commitment, commitment="x"))
    first = data.first(commitment)
    with pytest.raises(MessageError, match="must have parts of"):
        model.shares(with_part(Kind.JOINT_FIRST, first, b"", 1))
    beyond = bytearray(part_of(Kind.JOINT_FIRST, first))
    beyond[:8] = b"\xff" * 8
    with pytest.raises(MessageError, match="residues must be below their primes"):
        model.shares(with_part(Kind.JOINT_FIRST, first, bytes(beyond)))
    second = data.second(model.shares(first))
    with pytest.raises(MessageError, match="are malformed"):
        model.finish(with_part(Kind.JOINT_SECOND, second, part_of(Kind.JOINT_SECOND, second)[:-8]))
    model.finish(second)


DATA, MODEL, _, FIRST, SHARES = exchange()
SECOND = DataShare(INTERFACE, policy=POLICY)
WAITING = ModelShare(INTERFACE)
COMMITMENT = WAITING.commit(SECOND.invitation)


@pytest.mark.parametrize(
    ("message", "taken"),
    [(COMMITMENT, SECOND.first), (FIRST, WAITING.shares), (SHARES, DATA.second)],
    ids=["commitment", "first", "shares"],
)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_damaged_messages_are_refused(message, taken, data):
    with pytest.raises(MessageError):
        taken(data.draw(damaged(message)))


def test_a_circuit_of_one_owner_needs_no_ceremony():
    one = compile_exact(table_network(), weights="encrypted", security="insecure").interface
    for refused in (lambda: DataShare(one, policy=POLICY), lambda: ModelShare(one)):
        with pytest.raises(ParameterError, match="has one owner"):
            refused()
    with pytest.raises(PolicyError, match="`security`"):
        DataShare(INTERFACE)
