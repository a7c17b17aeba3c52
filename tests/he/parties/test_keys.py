"""Keys as types: they come back from their files as they were, and only to whom they belong."""

import copy
import os
import pickle

import numpy as np
import pytest
import tenseal.sealapi as sealapi
from hypothesis import given, settings
from hypothesis import strategies as st

from he import MessageError, ParameterError, Parameters
from he.engines.rns.engine import RnsEngine
from he.formats import compact
from he.formats.compact import Form
from he.formats.keys import KeyFileError, Protected, protect, read_private, reveal, write_private
from he.formats.messages import Kind, open_message, seal_message
from he.formats.seal_bridge import from_bytes, level_ids, to_bytes
from he.formats.seal_bytes import SealDataError, read_secret, write_secret
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.keys import SecretKey
from he.ring.norms import norm_of_secret, secret_norm
from he.testing import inputs, parameter_sets, table_network
from tests.he.parties.two_schemes import CHEAP, CIRCUITS, KEYS, schemes


def secret_bytes(key: SecretKey) -> bytes:
    return to_bytes(key._secret)


@pytest.fixture
def stored(tmp_path, request):
    KEYS["bfv"].save(tmp_path / "key", "password", CHEAP)
    return tmp_path / "key"


@schemes
def test_a_loaded_key_is_the_saved_one(tmp_path, scheme):
    key = KEYS[scheme]
    key.save(tmp_path / "key", "password", CHEAP)
    loaded = SecretKey.load(tmp_path / "key", "password", key.parameters)
    assert (loaded.parameters, loaded.id) == (key.parameters, key.id)
    assert secret_bytes(loaded) == secret_bytes(key)
    assert secret_bytes(key)[16:] not in (tmp_path / "key").read_bytes()


def test_the_default_cost_is_that_of_the_guidance(tmp_path):
    KEYS["bfv"].save(tmp_path / "key", "password")
    assert b'"scrypt": {"log2_n": 17, "p": 1}' in (tmp_path / "key").read_bytes()
    assert SecretKey.load(str(tmp_path / "key"), "password").id == KEYS["bfv"].id


def test_evaluation_keys_of_a_loaded_key_work_with_ciphertexts_of_the_original(tmp_path):
    circuit, key = CIRCUITS["bfv"], KEYS["bfv"]
    key.save(tmp_path / "key", "password", CHEAP)
    loaded = SecretKey.load(tmp_path / "key", "password")
    x = inputs(table_network(), 4)
    interface, ids = circuit.interface, level_ids(key.context, key.parameters)
    parts = []
    spec = interface.inputs[0]
    for slots in spec.layout.pack(spec.check(x, key.parameters.scheme)):
        plaintext = sealapi.Plaintext()
        sealapi.BatchEncoder(key.context).encode(slots.tolist(), plaintext)
        encrypted = to_bytes(key.encryptor().encrypt_symmetric(plaintext))
        parts.append(compact.compact(encrypted, Form.fresh(key.parameters), key.parameters, ids))
    evaluation = loaded.evaluation_keys(interface)
    results = RnsEngine().prepare(circuit).bind(evaluation.data, 1).evaluate(parts)
    decrypted = []
    for result in results:
        form = Form.result(key.parameters, interface.output_level, interface.output_scale)
        data = compact.restored(result, form, ids)
        plaintext = sealapi.Plaintext()
        loaded.decryptor().decrypt(from_bytes(sealapi.Ciphertext(), key.context, data), plaintext)
        decrypted.append(np.array(sealapi.BatchEncoder(key.context).decode_int64(plaintext)))
    logits = interface.output.unpack(np.stack(decrypted), 4, 0)
    assert (logits == table_network().logits(x)).all()


@schemes
def test_keys_of_one_secret_differ_each_time(scheme):
    first, second = (KEYS[scheme].evaluation_keys(CIRCUITS[scheme].interface) for _ in range(2))
    assert first.id != second.id
    assert first.circuit == second.circuit == CIRCUITS[scheme].interface.digest


# --------------------------------------------------------------------------------------------------- what is refused


def test_a_wrong_password_is_refused(stored):
    with pytest.raises(KeyFileError, match="the password is wrong"):
        SecretKey.load(stored, "Password")


def test_an_empty_password_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(KeyFileError, match="`password` must not be empty"):
        KEYS["bfv"].save(tmp_path / "key", "", CHEAP)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_a_file_that_others_may_read_is_refused(stored):
    assert stored.stat().st_mode & 0o777 == 0o600
    stored.chmod(0o644)
    with pytest.raises(KeyFileError, match=r"others may use .*key \(mode 0644\).*: chmod 600 .*key"):
        SecretKey.load(stored, "password")


def test_other_parameters_are_refused(stored):
    other = CIRCUITS["ckks"].parameters
    with pytest.raises(KeyFileError, match=r"the key must be for CKKS.*, got one for BFV.*; load the key that belongs"):
        SecretKey.load(stored, "password", other)
    with pytest.raises(ParameterError, match="must be for the circuit's parameters"):
        KEYS["bfv"].evaluation_keys(CIRCUITS["ckks"].interface)


def test_no_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        SecretKey.load(tmp_path / "none", "password")
    with pytest.raises(FileNotFoundError):
        KEYS["bfv"].save(tmp_path / "none" / "key", "password", CHEAP)


FILE = protect(
    Protected(
        {"parameters": KEYS["bfv"].parameters.to_dict(), "id": KEYS["bfv"].id},
        read_secret(secret_bytes(KEYS["bfv"]), KEYS["bfv"].parameters, KEYS["bfv"].context.key_parms_id()).tobytes(),
    ),
    "password",
    CHEAP,
)


@given(place=st.integers(0, len(FILE) - 1), change=st.integers(1, 255), cut=st.booleans())
def test_damage_of_any_byte_is_found(tmp_path_factory, place, change, cut):
    damaged = bytearray(FILE)
    damaged[place] ^= change
    path = tmp_path_factory.mktemp("damage") / "key"
    write_private(path, bytes(damaged[:place] if cut else damaged))
    with pytest.raises(KeyFileError):
        SecretKey.load(path, "password")


def content_of(path) -> Protected:
    return reveal(read_private(path), "password")


@pytest.mark.parametrize(
    "altered",
    [
        lambda c: Protected({"id": "x"}, c.secret),
        lambda c: Protected({**c.fields, "parameters": {}}, c.secret),
        lambda c: Protected(
            {**c.fields, "parameters": {**c.fields["parameters"], "poly_modulus_degree": 4096}}, c.secret
        ),
        lambda c: Protected({**c.fields, "parameters": 3}, c.secret),
        lambda c: Protected(c.fields, c.secret[:-8]),
        lambda c: Protected(c.fields, c.secret[:-1]),
        lambda c: Protected(c.fields, b"\xff" * len(c.secret)),
        lambda c: Protected(c.fields, b""),
        lambda c: Protected(c.fields, bytes(len(c.secret))),  # the secret 0, under which nothing is hidden
        lambda c: Protected(c.fields, (1).to_bytes(8, "little") * (len(c.secret) // 8)),  # the secret 1
        lambda c: Protected(c.fields, c.secret[: len(c.secret) // 2] + bytes(len(c.secret) // 2)),
        lambda c: Protected(c.fields, c.secret[:16] + c.secret[8:16] + c.secret[24:]),
        lambda c: Protected(c.fields, c.secret[8:] + c.secret[:8]),
    ],
)
def test_a_file_of_one_who_knows_the_password_is_checked_as_well(stored, altered):
    write_private(stored, protect(altered(content_of(stored)), "password", CHEAP))
    with pytest.raises(KeyFileError, match="holds no key of its parameters") as raised:
        SecretKey.load(stored, "password")
    assert len(str(raised.value)) < 600


@schemes
def test_a_secret_is_never_printed_pickled_or_copied(scheme):
    key = KEYS[scheme]
    assert repr(key) == str(key) == f"SecretKey({key.parameters}; id {key.id[:8]})"
    for call in (pickle.dumps, copy.copy, copy.deepcopy, lambda k: k.__reduce__(), lambda k: k.__reduce_ex__(4)):
        with pytest.raises(TypeError, match="SecretKey objects cannot be pickled or copied; store it under a password"):
            call(key)
    with pytest.raises(TypeError):
        vars(key)


def test_keys_are_equal_only_to_themselves(stored):
    loaded = SecretKey.load(stored, "password")
    assert loaded != KEYS["bfv"]
    assert len({loaded, KEYS["bfv"], KEYS["bfv"]}) == 2


# ------------------------------------------------------------------------------------ SEAL's serialisation of secrets


@schemes
def test_seals_secret_keys_are_read_and_written(scheme):
    key, data = KEYS[scheme], secret_bytes(KEYS[scheme])
    key_id = key.context.key_parms_id()
    residues = read_secret(data, key.parameters, key_id)
    assert residues.shape == (len(key.parameters.primes), key.parameters.poly_modulus_degree)
    assert (residues < np.array(key.parameters.primes, np.uint64)[:, None]).all()
    written = write_secret(residues, key_id)
    assert (read_secret(written, key.parameters, key_id) == residues).all()
    assert (
        secret_bytes(
            SecretKey(key.parameters, key.context, from_bytes(sealapi.SecretKey(), key.context, written), "", b"")
        )
        == data
    )


@settings(max_examples=50)
@given(data=st.data())
def test_damaged_secrets_are_refused_or_have_residues_below_their_primes(data):
    key = KEYS["bfv"]
    key_id = key.context.key_parms_id()
    written = bytearray(write_secret(read_secret(secret_bytes(key), key.parameters, key_id), key_id))
    place = data.draw(st.integers(0, 100))  # headers, identifier and sizes are 88 bytes
    written[place] ^= data.draw(st.integers(1, 255))
    try:
        residues = read_secret(bytes(written), key.parameters, key_id)
    except SealDataError:
        return
    assert residues.shape == (len(key.parameters.primes), key.parameters.poly_modulus_degree)
    assert (residues < np.array(key.parameters.primes, np.uint64)[:, None]).all()


# --------------------------------------------------------------------------------------------------- evaluation keys


@schemes
def test_evaluation_keys_come_back_from_bytes_and_files(tmp_path, scheme):
    keys = KEYS[scheme].evaluation_keys(CIRCUITS[scheme].interface)
    keys.save(tmp_path / "keys")
    for other in (EvaluationKeys.from_bytes(keys.to_bytes()), EvaluationKeys.load(str(tmp_path / "keys"))):
        assert other == keys
        assert other.id == keys.id
        other.require(CIRCUITS[scheme].interface)
    assert len(repr(keys)) < 120


def test_evaluation_keys_for_another_circuit_are_refused():
    keys = KEYS["bfv"].evaluation_keys(CIRCUITS["bfv"].interface)
    with pytest.raises(MessageError, match="made for another circuit or parameter set; make some with"):
        keys.require(CIRCUITS["ckks"].interface)


def test_damaged_or_foreign_evaluation_keys_are_refused(tmp_path):
    data = EvaluationKeys.sealed("circuit", b"relinearisation and rotation").to_bytes()
    for bad in (data[:-1], b"", b"x" * 100, data[:40] + bytes([data[40] ^ 1]) + data[41:]):
        (tmp_path / "keys").write_bytes(bad)
        with pytest.raises(MessageError, match=r"truncated or damaged|no message"):
            EvaluationKeys.load(tmp_path / "keys")
    fields, parts = open_message(Kind.EVALUATION_KEYS, data)
    for changed in ({}, {"circuit": 3}, {**fields, "secret": "x"}):
        with pytest.raises(MessageError, match="must have a circuit and a mark and nothing else"):
            EvaluationKeys.from_bytes(seal_message(Kind.EVALUATION_KEYS, changed, parts))
    with pytest.raises(MessageError, match="must have one part at most, got 2"):
        EvaluationKeys.from_bytes(seal_message(Kind.EVALUATION_KEYS, fields, [*parts, b"secret"]))
    with pytest.raises(MessageError, match="one of another kind"):
        EvaluationKeys.from_bytes(seal_message(Kind.REQUEST, fields, parts))


def test_evaluation_keys_have_no_place_for_a_secret_key():
    with pytest.raises(TypeError, match="a message with evaluation keys must be bytes, got SecretKey"):
        EvaluationKeys(KEYS["bfv"])
    with pytest.raises(AttributeError):
        EvaluationKeys.sealed("circuit", b"").secret = KEYS["bfv"]


def test_whoever_gives_bytes_that_can_change_does_not_change_keys():
    data = bytearray(EvaluationKeys.sealed("circuit", b"relinearisation and rotation").to_bytes())
    keys = EvaluationKeys(data)
    before = bytes(keys.data)
    data[-40] ^= 1
    assert bytes(keys.data) == before == b"relinearisation and rotation"


def test_parameters_that_seal_refuses_have_no_key():
    with pytest.raises(ParameterError):
        SecretKey.generate(Parameters("bfv", 1024, (60, 60), 65537))


@settings(max_examples=10)
@given(parameters=parameter_sets())
def test_a_secret_of_any_parameters_is_one(parameters):
    key = SecretKey.generate(parameters)
    key_id = key.context.key_parms_id()
    residues = read_secret(to_bytes(key._secret), parameters, key_id)
    for forged in (residues * 0, residues * 0 + 1, residues[:, ::-1] // 2, residues[::-1] % 1000):
        with pytest.raises(SealDataError, match="must be a secret, of coefficients -1, 0 and 1"):
            read_secret(write_secret(forged, key_id), parameters, key_id)


def norm_of(key: SecretKey) -> float:
    residues = read_secret(secret_bytes(key), key.parameters, key.context.key_parms_id())
    return norm_of_secret(residues[0], key.parameters.primes[0])


def test_secrets_that_noise_bounds_do_not_hold_for_are_drawn_again_and_refused(tmp_path, monkeypatch):
    parameters = Parameters("bfv", 1024, (30, 40), 65537, security="insecure")
    limit = secret_norm(1024)
    assert all(norm_of(SecretKey.generate(parameters)) <= limit for _ in range(12))  # all by chance: 0.7^12, 1 in 80
    with monkeypatch.context() as patch:
        patch.setattr("he.parties.keys.secret_norm", lambda N: np.inf)
        keys = (SecretKey.generate(parameters) for _ in range(1000))
        outlier = next(key for key in keys if norm_of(key) > limit)
        outlier.save(tmp_path / "key", "password", CHEAP)
        assert SecretKey.load(tmp_path / "key", "password").id == outlier.id
    with pytest.raises(KeyFileError, match="the bounds on noise do not hold"):
        SecretKey.load(tmp_path / "key", "password")


def test_a_generator_that_repeats_itself_is_found_out(monkeypatch):
    """With a generator that always begins alike, every secret is the same; here it is one that is refused."""
    monkeypatch.setattr("he.parties.keys.secret_norm", lambda N: 0.0)
    monkeypatch.setattr("he.parties.keys._MOST_DRAWS", 3)
    with pytest.raises(RuntimeError, match="its generator is broken"):
        SecretKey.generate(CIRCUITS["bfv"].parameters)
