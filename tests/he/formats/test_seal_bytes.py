"""SEAL's bytes as residues: the same numbers both ways, and nothing else is accepted."""

import struct
import tracemalloc

import numpy as np
import pytest
import tenseal.sealapi as sealapi
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from he.formats.seal_bridge import SealDataError, create_context, from_bytes, level_ids, to_bytes
from he.formats.seal_bytes import CiphertextArray, expanded, read_ciphertext, read_keys, write_ciphertext, write_keys
from he.ring.params import Parameters

SETS = {
    "bfv": Parameters("bfv", 1024, (30, 32, 34), plain_modulus=65537, security="insecure"),
    "ckks": Parameters("ckks", 1024, (30, 32, 34), scale_bits=25, security="insecure"),
}


class Side:
    """Everything that SEAL has on one side of the wire."""

    def __init__(self, parameters):
        self.parameters, self.context = parameters, create_context(parameters)
        self.ids = level_ids(self.context, parameters)
        self.keygen = sealapi.KeyGenerator(self.context)
        self.encryptor = sealapi.Encryptor(self.context, self.keygen.secret_key())
        self.example = self.seeded()

    def seeded(self):
        plaintext = sealapi.Plaintext()
        if self.parameters.scheme == "bfv":
            sealapi.BatchEncoder(self.context).encode([1, 2, 3], plaintext)
        else:
            sealapi.CKKSEncoder(self.context).encode([1.0, 2.0], 2.0**25, plaintext)
        return to_bytes(self.encryptor.encrypt_symmetric(plaintext))

    def loaded(self, data):
        return from_bytes(sealapi.Ciphertext(), self.context, data)

    def read(self, data):
        return expanded(read_ciphertext(data, self.parameters, self.ids), self.parameters.data_primes)


@pytest.fixture(scope="module", params=SETS)
def side(request):
    return Side(SETS[request.param])


def numbers(ciphertext):
    shape = ciphertext.size(), ciphertext.coeff_modulus_size(), ciphertext.poly_modulus_degree()
    return np.array([ciphertext[i] for i in range(int(np.prod(shape)))], np.uint64).reshape(shape)


def test_a_fresh_ciphertexts_seed_is_expanded_as_seal_expands_it(side):
    for _ in range(20):
        data = side.seeded()
        read, theirs = side.read(data), side.loaded(data)
        assert np.array_equal(read.residues, numbers(theirs))
        assert (read.ntt, read.scale) == (theirs.is_ntt_form(), theirs.scale)


def test_words_beyond_the_largest_multiple_are_drawn_again_as_seal_does():
    """With primes of 50 bits one word in 2^14 is: of these 240,000, some for certain (a miss has a chance of e^-14)."""
    parameters = Parameters("ckks", 4096, (50, 50, 50), scale_bits=25, security="insecure")
    side = Side(parameters)
    for _ in range(30):
        data = side.seeded()
        whole = side.read(to_bytes(side.loaded(data)))
        assert np.array_equal(side.read(data).residues, whole.residues)


def test_every_size_and_level_goes_both_ways(side):
    evaluator = sealapi.Evaluator(side.context)
    fresh = side.loaded(side.seeded())
    square, lower = sealapi.Ciphertext(), sealapi.Ciphertext()
    evaluator.square(fresh, square)
    evaluator.mod_switch_to_next(fresh, lower)
    for ciphertext in (fresh, square, lower):
        read = side.read(to_bytes(ciphertext))
        assert np.array_equal(read.residues, numbers(ciphertext))
        written = write_ciphertext(read, side.ids)
        assert np.array_equal(numbers(side.loaded(written)), numbers(ciphertext))
        assert np.array_equal(side.read(written).residues, read.residues)


def test_keys_are_read_by_their_index_and_written_for_seal(side):
    """Seeds are left by SEAL where it writes what it has just made, and are expanded as SEAL expands them."""
    parameters, key_id = side.parameters, side.context.key_parms_id()
    made = to_bytes(side.keygen.create_galois_keys([3, 2047]))
    galois = from_bytes(sealapi.GaloisKeys(), side.context, made)
    for data in (made, to_bytes(galois)):
        keys = read_keys(data, parameters, key_id)
        assert sorted(keys) == [1, 1023]
        again = from_bytes(sealapi.GaloisKeys(), side.context, write_keys(keys, parameters, key_id))
        assert to_bytes(again) == to_bytes(galois)
        for index, digits in keys.items():
            assert len(digits) == parameters.levels
            assert all((digit.seed is None) == (data is not made) for digit in digits)
            for place, digit in enumerate(digits):
                ours, theirs = expanded(digit, parameters.primes).residues, galois.data(index)[place].data()
                assert np.array_equal(ours, numbers(theirs))
    relin = to_bytes(side.keygen.create_relin_keys())
    assert list(read_keys(relin, parameters, key_id)) == [0]
    assert from_bytes(sealapi.RelinKeys(), side.context, write_keys({}, parameters, key_id)).data() == []
    for damaged in (made[:-1], made[:60], b"", to_bytes(side.loaded(side.seeded()))):
        with pytest.raises(SealDataError):
            read_keys(damaged, parameters, key_id)


def plain_bytes(side):
    """A seeded ciphertext without compression, so that mutations reach its fields."""
    data = side.example
    body = zstandard.ZstdDecompressor().decompress(data[16:], max_output_size=1 << 20)
    return data[:5] + b"\0" + data[6:8] + struct.pack("<Q", 16 + len(body)) + body


@settings(max_examples=300)
@given(st.data())
def test_damaged_bytes_are_read_as_a_valid_ciphertext_or_refused(side, data):
    original = plain_bytes(side) if data.draw(st.booleans()) else side.example
    side.read(original)  # compiles, before memory is looked at
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.one_of(st.integers(0, min(130, len(damaged) - 1)), st.integers(0, len(damaged) - 1)))
        match data.draw(st.sampled_from(["flip", "set", "cut", "insert"])):
            case "flip":
                damaged[place] ^= 1 << data.draw(st.integers(0, 7))
            case "set":
                word = data.draw(st.sampled_from([b"\0" * 8, b"\xff" * 8, struct.pack("<Q", 1 << 40), b"\1"]))
                damaged[place : place + len(word)] = word
            case "cut":
                del damaged[place:]
            case _:
                damaged[place:place] = bytes(data.draw(st.integers(1, 40)))
        if not damaged:
            break
    tracemalloc.start()
    try:
        read = side.read(bytes(damaged))
        limits = np.array(side.parameters.primes, np.uint64)[: read.residues.shape[1], None]
        assert (read.residues < limits).all()
        assert read.residues.shape[2] == 1024
    except SealDataError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2_000_000  # three polynomials of two levels are 49 kB


def test_a_decompression_bomb_is_refused_before_it_grows(side):
    for make in (zstandard.ZstdCompressor().compress, zstandard.ZstdCompressor(write_content_size=False).compress):
        frame = make(bytes(1 << 28))
        data = side.seeded()[:8] + struct.pack("<Q", 16 + len(frame)) + frame
        tracemalloc.start()
        with pytest.raises(SealDataError):
            side.read(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2_000_000


def test_foreign_and_malformed_ciphertexts_are_named(side):
    good = side.read(side.seeded())

    def written(**changes):
        fields = {"residues": good.residues, "ntt": good.ntt, "scale": good.scale, **changes}
        return write_ciphertext(CiphertextArray(**fields), side.ids)

    above = good.residues.copy()
    above[1, 1, 5] = side.parameters.primes[1]
    other = Side(Parameters("ckks", 1024, (31, 32, 34), scale_bits=25, security="insecure"))
    for data, message in (
        (written(residues=above), "must be below their primes"),
        (written(residues=good.residues[:1]), "two or three polynomials, got 1"),
        (written(scale=float("nan")), "scale must be positive"),
        (written() + b"x", "its header states"),
        (other.seeded(), "its parameters must be those of the circuit, got others"),
    ):
        with pytest.raises(SealDataError, match=message):
            side.read(data)


def test_where_seal_finds_no_room_the_error_says_what_to_do():
    class Thing:
        def save(self, path):
            raise RuntimeError("I/O error")

    with pytest.raises(OSError, match=r"SEAL cannot write: I/O error; make room, or permit larger files"):
        to_bytes(Thing())
