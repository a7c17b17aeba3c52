"""Encryption of many numbers: what SEAL decrypts, and errors as SEAL's."""

import os
from math import prod

import numpy as np
import pytest
import tenseal.sealapi as sealapi
from hypothesis import given, settings
from hypothesis import strategies as st

from he import ParameterError, SecretKey
from he.formats import compact
from he.formats.compact import Form
from he.formats.seal_bridge import from_bytes, level_ids
from he.parties.batch import BatchEncryptor
from he.readers.variance import ERROR_VARIANCE
from he.ring.params import Parameters
from he.ring.slots import imaginary_units, packed_places, paired_polynomials, polynomial
from tests.he.seal_parties import SealParties

N = 1024
PARAMETERS = Parameters("ckks", N, (46, 38, 38, 46), scale_bits=34, security="insecure")
KEY = SecretKey.generate(PARAMETERS)


def decrypted(data, form):
    """The complex slots, by SEAL: of what it reads with the seed in it."""
    restored = compact.restored(data, form, level_ids(KEY.context, PARAMETERS))
    plaintext = sealapi.Plaintext()
    KEY.decryptor().decrypt(from_bytes(sealapi.Ciphertext(), KEY.context, restored), plaintext)
    return np.array(sealapi.CKKSEncoder(KEY.context).decode_complex(plaintext))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 20), st.sampled_from([1, 2, 3, None]), st.booleans(), st.integers(0, 2**32))
def test_seal_decrypts_every_row(count, level, is_complex, seed):
    rng, encryptor = np.random.default_rng(seed), KEY.batch_encryptor(threads=1 + seed % 3)
    pairs = rng.uniform(-9, 9, (count, N // 2)) + 1j * is_complex * rng.uniform(-9, 9, (count, N // 2))
    pairs = pairs if is_complex else pairs.real
    ciphertexts, form = list(encryptor.encrypt(pairs, level)), encryptor.form(level)
    assert len(ciphertexts) == count
    for row, data in zip(pairs, ciphertexts, strict=True):
        assert len(data) == form.bytes
        slots = decrypted(data, form)
        assert np.abs(slots - (row.real + imaginary_units(N) * row.imag)).max() < 7 * (11 * N) ** 0.5 / 2**34


def test_a_scale_of_ones_own():
    slots, encryptor = np.random.default_rng(3).normal(size=N // 2), KEY.batch_encryptor()
    (data,) = encryptor.encrypt([slots.tolist()], scale=2.0**25)
    assert np.abs(decrypted(data, encryptor.form(scale=2.0**25)) - slots).max() < 7 * (11 * N) ** 0.5 / 2**25
    (data,) = encryptor.encrypt((1j * slots[None]).astype(np.complex64), scale=2.0**25)
    halves = imaginary_units(N) * slots
    assert np.abs(decrypted(data, encryptor.form(scale=2.0**25)) - halves).max() < 7 * (11 * N) ** 0.5 / 2**25
    (data,) = encryptor.encrypt([slots.tolist()], scale=2.0**25)
    assert np.abs(decrypted(data, encryptor.form()) - slots / 2**9).max() < 7 * (11 * N) ** 0.5 / 2**34


def test_they_are_as_long_as_those_of_a_client():
    assert KEY.batch_encryptor().form() == Form.fresh(PARAMETERS)


@given(st.integers(0, 2**32))
def test_pairs_are_those_of_real_and_imaginary_slots(seed):
    a, b = np.random.default_rng(seed).normal(size=(2, 3, N // 2))
    whole = paired_polynomials(a + 1j * b)
    for row, x, y in zip(whole, a, b, strict=True):
        assert np.allclose(row, polynomial(x + imaginary_units(N) * y), rtol=0, atol=1e-12)


def test_packed_numbers_are_coefficients():
    numbers, places = np.zeros((2, N)), packed_places(N, 5)
    numbers[:, places] = np.random.default_rng(0).normal(size=(2, 5))
    encryptor = KEY.batch_encryptor()
    for row, data in zip(numbers, encryptor.encrypt_coefficients(numbers, 2), strict=True):
        assert np.abs(polynomial(decrypted(data, encryptor.form(2))) - row).max() < 22 / 2**34


@pytest.mark.parametrize("level", [1, 3])
def test_errors_are_small_and_new_in_every_coefficient(level):
    """Exactly: by the secret, at coefficients that are integers, which are not rounded."""
    parties = SealParties(Parameters("ckks", N, (46, 38, 38, 46), scale_bits=30, security="insecure"))
    encryptor = BatchEncryptor(parties.parameters, parties.spectrum)
    numbers = np.random.default_rng(level).integers(-(2**40), 2**40, (8, N)) / 2**30
    found, seeds = [], set()
    for row, data in zip(numbers, encryptor.encrypt_coefficients(numbers, level), strict=True):
        read = compact.read(data, encryptor.form(level))
        seeds.add(data[-64:])
        whole = parties.phase(read.residues)
        found.append([a - round(x * 2**30) for a, x in zip(whole, row.tolist(), strict=True)])
    errors = np.array(found, np.float64)
    assert np.abs(errors).max() <= 21
    assert abs(errors.mean()) < 6 * (ERROR_VARIANCE / errors.size) ** 0.5
    assert 0.9 < errors.var() / ERROR_VARIANCE < 1.1
    agreement = np.corrcoef(errors)[~np.eye(8, dtype=bool)]
    assert np.abs(agreement).max() < 6 / N**0.5
    assert len(seeds) == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system copies no processes")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_was_forked_draws_errors_of_its_own():
    """Equal errors under two masks would give exact equations in the secret."""
    parties = SealParties(PARAMETERS)
    encryptor = BatchEncryptor(parties.parameters, parties.spectrum, threads=1)
    form, zeros = encryptor.form(1), np.zeros((1, N))
    encrypted = encryptor.encrypt_coefficients(zeros, 1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, next(encrypted))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)
    errors = [np.array(parties.phase(compact.read(data, form).residues), int) for data in (next(encrypted), theirs)]
    assert abs(np.corrcoef(errors)[0, 1]) < 6 / N**0.5


@pytest.mark.parametrize("level", [1, 2])
def test_numbers_up_to_the_limit_are_encrypted_and_larger_ones_refused(level):
    encryptor = KEY.batch_encryptor()
    largest = min(2.0**59, prod(PARAMETERS.primes[:level]) / 2) / 2**34
    row = np.zeros((1, N))
    row[0, 7] = 0.99 * largest
    (data,) = encryptor.encrypt_coefficients(row, level)
    assert polynomial(decrypted(data, encryptor.form(level)))[7] == pytest.approx(row[0, 7])
    for number in (largest, -largest):
        row[0, 7] = number
        with pytest.raises(ValueError, match=f"must be below .* at scale 1.72e.10 and level {level}, got"):
            list(encryptor.encrypt_coefficients(row, level))
    for number in (np.inf, np.nan):
        row[0, 7] = number
        with pytest.raises(ValueError, match="`numbers` must be finite"):
            encryptor.encrypt_coefficients(row, level)
        imaginary = np.ones((1, N // 2), np.complex128)
        imaginary.imag[0, 7] = number
        for pairs in (row[:, : N // 2], imaginary):
            with pytest.raises(ValueError, match="`pairs` must be finite"):
                encryptor.encrypt(pairs, level)
    with pytest.raises(ValueError, match="must be below"):
        list(encryptor.encrypt(np.full((1, N // 2), 1e308), level))


def test_what_does_not_fit_is_named():
    encryptor = KEY.batch_encryptor()
    for array in (np.zeros(N // 2), np.zeros((1, N)), np.zeros((1, 2, N // 2))):
        with pytest.raises(ValueError, match=rf"`pairs` must have rows of {N // 2} numbers, got shape"):
            encryptor.encrypt(array)
    with pytest.raises(ValueError, match=rf"`numbers` must have rows of {N} numbers, got shape"):
        encryptor.encrypt_coefficients(np.zeros((1, N // 2)))
    for level in (0, 4):
        with pytest.raises(ValueError, match=rf"`level` must lie in \[1, 3\], got {level}"):
            encryptor.encrypt(np.zeros((1, N // 2)), level)
    for scale in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match=f"`scale` must be positive and finite, got {scale}"):
            encryptor.encrypt(np.zeros((1, N // 2)), scale=scale)
    with pytest.raises(TypeError, match="`pairs` must"):
        encryptor.encrypt([["a"] * (N // 2)])
    with pytest.raises(TypeError, match="`numbers` must"):
        encryptor.encrypt_coefficients(np.zeros((1, N), complex))
    with pytest.raises(ValueError, match="`threads` must lie in"):
        KEY.batch_encryptor(threads=0)
    exact = SecretKey.generate(Parameters("bfv", N, (30, 40), 65537, security="insecure"))
    with pytest.raises(ParameterError, match="a batch must be encrypted with CKKS, got parameters of BFV"):
        exact.batch_encryptor()
