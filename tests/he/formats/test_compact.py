"""Ciphertexts as they travel: what was written is read, and nothing else."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import tenseal.sealapi as sealapi
from hypothesis import given, settings
from hypothesis import strategies as st

from he.formats import compact
from he.formats.bits import packed, packed_by_numpy, unpacked, unpacked_by_numpy
from he.formats.compact import Form
from he.formats.seal_bridge import SealDataError, create_context, from_bytes, level_ids, to_bytes
from he.formats.seal_bytes import CiphertextArray, read_ciphertext
from he.ring.packed import word_bits
from he.ring.params import Parameters
from he.ring.primes import ntt_primes

CKKS = Parameters("ckks", 1024, (36, 50, 22, 50), scale_bits=30, security="insecure")
BFV = Parameters("bfv", 1024, (45, 60, 60), plain_modulus=65537, security="insecure")


class Side:
    """One party with a key, and a fresh ciphertext as SEAL writes it."""

    def __init__(self, parameters):
        self.parameters, self.context = parameters, create_context(parameters)
        self.ids = level_ids(self.context, parameters)
        keys, plaintext = sealapi.KeyGenerator(self.context), sealapi.Plaintext()
        if parameters.scheme == "bfv":
            sealapi.BatchEncoder(self.context).encode([1, 2, 3], plaintext)
        else:
            sealapi.CKKSEncoder(self.context).encode([1.0, 2.0], 2.0**30, plaintext)
        self.seal = to_bytes(sealapi.Encryptor(self.context, keys.secret_key()).encrypt_symmetric(plaintext))

        self.form = Form.fresh(parameters)

    def compact(self, data):
        return compact.compact(data, self.form, self.parameters, self.ids)

    def read(self, data):
        return compact.read(data, self.form)

    def expanded(self, data):
        """What SEAL's serialisation holds, its seed expanded by SEAL."""
        whole = to_bytes(from_bytes(sealapi.Ciphertext(), self.context, data))
        return read_ciphertext(whole, self.parameters, self.ids)


@cache
def side(scheme):
    return Side(CKKS if scheme == "ckks" else BFV)


SCHEMES = pytest.mark.parametrize("scheme", ["ckks", "bfv"])


@settings(max_examples=100)
@given(
    st.sampled_from([64, 128, 1024]),
    st.integers(20, 60),
    st.integers(0, 2**32),
    st.sampled_from([(packed, unpacked), (packed_by_numpy, unpacked_by_numpy)]),
)
def test_rows_are_unpacked_as_they_were_packed(N, bits, seed, by):
    packed, unpacked = by
    try:
        primes = ntt_primes((bits, 30), N)
    except ValueError:
        return
    rng = np.random.default_rng(seed)
    rows = np.array([[rng.integers(0, p, N, np.uint64) for p in primes] for _ in range(2)])
    rows[..., -1] = np.array(primes) - 1
    data = b"".join(packed(row, p) for pair in rows for row, p in zip(pair, primes, strict=True))
    assert len(data) == 2 * sum(N * word_bits(p) // 8 for p in primes)
    out = np.empty_like(rows)
    assert unpacked(data, primes, out)
    assert np.array_equal(out, rows)
    too_much = (1 << word_bits(primes[0])) - 1 if word_bits(primes[0]) < 64 else (1 << 64) - 1
    assert not unpacked(too_much.to_bytes(8, "little") + data[8:], primes, out)
    # The definition: a number of N times as many bits.
    whole = sum(int(word) << (word_bits(primes[0]) * i) for i, word in enumerate(rows[0, 0]))
    assert int.from_bytes(packed(rows[0, 0], primes[0]), "little") == whole


@SCHEMES
def test_a_fresh_ciphertext_goes_both_ways(scheme):
    party = side(scheme)
    short = party.compact(party.seal)
    assert len(short) == party.form.bytes < len(party.seal)
    expected, found = party.expanded(party.seal), party.read(short)
    assert np.array_equal(found.residues, expected.residues)
    assert (found.ntt, found.scale, found.seed) == (expected.ntt, expected.scale, None)
    restored = compact.restored(short, party.form, party.ids)
    assert np.array_equal(party.expanded(restored).residues, expected.residues)


@SCHEMES
def test_results_of_every_level_go_both_ways(scheme):
    parameters, ids = side(scheme).parameters, side(scheme).ids
    for level in range(1, parameters.levels + 1):
        rng, form = np.random.default_rng(level), Form.result(parameters, level, 1.5)
        rows = [[rng.integers(0, p, 1024, np.uint64) for p in form.primes] for _ in range(2)]
        given_ = CiphertextArray(np.array(rows), scheme == "ckks", 1.5)
        data = compact.write(given_, form)
        assert len(data) == form.bytes
        found = compact.read(data, form)
        assert np.array_equal(found.residues, given_.residues)
        assert (found.ntt, found.scale) == (given_.ntt, given_.scale)
        seal = compact.restored(data, form, ids)
        assert np.array_equal(read_ciphertext(seal, parameters, ids).residues, given_.residues)


@SCHEMES
def test_only_the_form_that_is_due_is_written(scheme):
    """What another engine computes in another form is found where it is made."""
    party = side(scheme)
    form = Form.result(party.parameters, 2, 4.0)
    sound = CiphertextArray(np.zeros((2, 2, 1024), np.uint64), form.ntt, 4.0 * (1 + 1e-12))
    assert compact.write(sound, form)
    changes = (
        *(
            {"residues": sound.residues[:1]},
            {"residues": sound.residues[:, :1]},
            {"residues": sound.residues[..., :512]},
        ),
        *({"ntt": not form.ntt}, {"scale": 4.1}, {"scale": float("nan")}, {"seed": np.zeros(8, np.uint64)}),
    )
    for change in changes:
        with pytest.raises(SealDataError, match="it must have the form"):
            compact.write(replace(sound, **change), form)
    with pytest.raises(SealDataError, match="it must have the form"):
        compact.compact(party.seal, form, party.parameters, party.ids)


@SCHEMES
@settings(max_examples=200)
@given(data=st.data())
def test_damaged_bytes_are_read_as_a_valid_ciphertext_or_refused(scheme, data):
    party = side(scheme)
    whole = bytearray(party.compact(party.seal))
    kind = data.draw(st.sampled_from(["cut", "longer", "flip"]))
    if kind == "cut":
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    elif kind == "longer":
        damaged = whole + data.draw(st.binary(min_size=1, max_size=80))
    else:
        damaged = whole
        for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=20)):
            damaged[place] ^= data.draw(st.integers(1, 255))
    try:
        found = party.read(bytes(damaged))
    except SealDataError:
        return
    assert kind == "flip"
    primes = np.array(party.parameters.primes[: found.residues.shape[1]], np.uint64)
    assert (found.residues < primes[:, None]).all()
    assert found.residues.shape == (2, party.parameters.levels, 1024)


@SCHEMES
def test_seals_own_form_is_not_read(scheme):
    """Whatever SEAL's loader does with foreign bytes: it is not given any."""
    party = side(scheme)
    for call in (party.read, lambda data: compact.restored(data, party.form, party.ids)):
        with pytest.raises(
            SealDataError, match=f"a ciphertext must have {party.form.bytes} bytes, got {len(party.seal)}"
        ):
            call(party.seal)


@SCHEMES
def test_residues_must_be_below_their_primes(scheme):
    party = side(scheme)
    data = bytearray(party.compact(party.seal))
    data[:8] = b"\xff" * 8
    with pytest.raises(SealDataError, match="below their primes"):
        party.read(bytes(data))
