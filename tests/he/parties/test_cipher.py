"""Pairs of numbers, and integers, come back from slots at any scale and level, and only from what needs a key."""

import math
from dataclasses import replace

import numpy as np
import pytest

from he.formats import compact
from he.formats.compact import Form
from he.formats.seal_bytes import CiphertextArray, SealDataError
from he.parties.cipher import ExactCipher, PairCipher
from he.parties.keys import SecretKey
from he.ring.params import Parameters

PARAMETERS = Parameters("ckks", 1024, (50, 30, 30, 50), scale_bits=25, security="insecure")
CIPHER = PairCipher(SecretKey.generate(PARAMETERS))


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("bits", [25, 32])
def test_pairs_come_back(level, bits):
    generator = np.random.default_rng(level)
    slots = generator.uniform(-3, 3, (2, PARAMETERS.row_length))
    form = replace(Form.fresh(PARAMETERS), scale=2.0**bits)
    (made,) = CIPHER.encrypt(slots[:1] + 1j * slots[1:], form)
    read = compact.read(made, form)
    short = Form.result(PARAMETERS, level, form.scale)
    residues = np.ascontiguousarray(read.residues[:, :level])
    data = compact.write(CiphertextArray(residues, True, short.scale, None), short)
    error = np.abs(CIPHER.decrypt(data, short) - slots).max()
    assert error < 1000 / 2.0**bits
    with pytest.raises(SealDataError):
        CIPHER.decrypt(data[:-1], short)


@pytest.mark.parametrize("count", [1, 5, 512])
@pytest.mark.parametrize("level", [1, 3])
def test_packed_pairs_come_back(count, level):
    pairs = np.random.default_rng(count).uniform(-3, 3, (count, 2))
    seeded = replace(Form.fresh(PARAMETERS, level), scale=2.0**30)
    read = compact.read(CIPHER.encrypt_packed(pairs, seeded), seeded)
    form = Form.result(PARAMETERS, level, seeded.scale)
    data = compact.write(CiphertextArray(read.residues, True, form.scale, None), form)
    assert np.abs(CIPHER.decrypt_packed(data, form, count) - pairs).max() < 23 / 2.0**30


@pytest.mark.parametrize("bits", [49.5, 60, 100])
def test_small_numbers_come_back_at_a_scale_beyond_the_modulus(bits):
    """As those of a head have that many divide: what must fit the modulus is a number times its scale."""
    pairs = np.random.default_rng(0).uniform(-3, 3, (5, 2))
    seeded = replace(Form.fresh(PARAMETERS, 1), scale=2.0**30)
    read = compact.read(CIPHER.encrypt_packed(pairs, seeded), seeded)
    form = Form.result(PARAMETERS, 1, 2.0**bits)
    data = compact.write(CiphertextArray(read.residues, True, form.scale, None), form)
    found = CIPHER.decrypt_packed(data, form, 5) * 2.0 ** (bits - 30)
    assert np.abs(found - pairs).max() < 23 / 2.0**30


def test_what_needs_no_key_is_refused():
    form = Form.result(PARAMETERS, 1, 2.0**25)
    with pytest.raises(SealDataError, match="legible without a key"):
        CIPHER.decrypt(bytes(form.bytes), form)
    with pytest.raises(SealDataError, match="legible without a key"):
        CIPHER.decrypt_packed(bytes(form.bytes), form, 3)


EXACT = Parameters("bfv", 1024, (40, 40, 45), 65537, security="insecure")
EXACT_CIPHER = ExactCipher(SecretKey.generate(EXACT))


def lowered(residues, level):
    """A ciphertext, not transformed, divided by its last primes and rounded: exactly, by Python's integers."""
    primes = EXACT.data_primes
    q, less = math.prod(primes), math.prod(primes[level:])
    hats = [q // p * pow(q // p, -1, p) for p in primes]
    whole = sum(rows.astype(object) * hat for rows, hat in zip(residues.transpose(1, 0, 2), hats, strict=True)) % q
    divided = (2 * whole + less) // (2 * less)
    return np.stack([(divided % p).astype(np.uint64) for p in primes[:level]], axis=1)


@pytest.mark.parametrize("level", [1, 2])
def test_integers_come_back_at_every_level(level):
    slots = np.random.default_rng(level).integers(-EXACT.t, EXACT.t, EXACT.slots)
    read = compact.read(EXACT_CIPHER.encrypt(slots), Form.fresh(EXACT))
    form = Form.result(EXACT, level, 1.0)
    data = compact.write(CiphertextArray(lowered(read.residues, level), False, 1.0, None), form)
    assert np.array_equal(EXACT_CIPHER.decrypt(EXACT_CIPHER.read(data, level)), slots % EXACT.t)
    with pytest.raises(SealDataError):
        EXACT_CIPHER.read(data[:-1], level)


def test_noise_is_nothing_and_what_needs_no_key_is_refused():
    form = Form.result(EXACT, 2, 1.0)
    noise = [np.random.default_rng(0).integers(0, p, (2, 1024), np.uint64) for p in form.primes]
    data = compact.write(CiphertextArray(np.stack(noise, axis=1), False, 1.0, None), form)
    assert EXACT_CIPHER.decrypt(EXACT_CIPHER.read(data, 2)) is None
    with pytest.raises(SealDataError, match="legible without a key"):
        EXACT_CIPHER.read(bytes(form.bytes), 2)
