"""Keys for several special primes: what they encrypt, by the secret that they were made from."""

from functools import cache
from math import prod

import numpy as np
import pytest

from he.formats import hybrid
from he.formats.seal_bridge import to_bytes
from he.formats.seal_bytes import read_secret
from he.kernels.passes.evaluate import inverse
from he.kernels.tables.chain import chain
from he.parties.keys import SecretKey
from he.ring.gadget import Gadget
from he.ring.params import ParameterError, Parameters
from he.ring.slots import automorphism

BITS = (36, 34, 40, 38, 41)
PARAMETERS = {
    "ckks": Parameters("ckks", 1024, BITS, scale_bits=30, security="insecure"),
    "bfv": Parameters("bfv", 1024, BITS, plain_modulus=65537, security="insecure"),
}
GADGETS = [(4, 1), (3, 2), (2, 2), (2, 3), (1, 4)]
SCHEMES = pytest.mark.parametrize("scheme", PARAMETERS)
LARGEST_ERROR = 21  # SEAL's, of 21 + 21 fair bits


@cache
def secret_of(scheme):
    return SecretKey.generate(PARAMETERS[scheme])


def residues_of(secret):
    return read_secret(to_bytes(secret._secret), secret.parameters, secret.context.key_parms_id())


def decrypted(secret, digit, gadget):
    """c_0 + c_1 s, around 0, of a digit of a key: Python's integers [N]."""
    primes, tables = gadget.primes, chain(gadget.degree, gadget.primes).tables
    s = residues_of(secret)[list(gadget.indices)]
    moduli = np.array(primes, object)[:, None]
    rows = ((digit[0] + digit[1].astype(object) * s) % moduli).astype(np.uint64)
    for j, row in enumerate(rows):
        inverse(tables, row, j)
    q = prod(primes)
    hats = [q // p * pow(q // p, -1, p) for p in primes]
    values = sum(row.astype(object) * hat for row, hat in zip(rows, hats, strict=True)) % q
    return np.where(values > q // 2, values - q, values)


def expected_source(secret, element, gadget):
    """s^2 or s(X^g), transformed, in the rows of the gadget."""
    s = residues_of(secret)[list(gadget.indices)]
    if element == 1:
        return ((s.astype(object) ** 2) % np.array(gadget.primes, object)[:, None]).astype(np.uint64)
    return s[:, automorphism(gadget.degree, element)]


@SCHEMES
@pytest.mark.parametrize("element", [1, 3, 2047])
@pytest.mark.parametrize(("level", "specials"), GADGETS)
def test_a_digit_encrypts_the_source_times_the_special_primes_modulo_its_own(scheme, element, level, specials):
    secret = secret_of(scheme)
    gadget = Gadget.of(secret.parameters, level, specials)
    key = hybrid.read(secret.hybrid_keys([(element, gadget)]), gadget, secret.parameters.scheme)
    source = expected_source(secret, element, gadget)
    for digit, group in zip(key, gadget.groups, strict=True):
        digit = digit.copy()
        for i in group:
            p = gadget.primes[i]
            taken = source[i].astype(object) * (gadget.factor % p)
            digit[0, i] = ((digit[0, i] - taken) % p).astype(np.uint64)
        errors = decrypted(secret, digit, gadget)  # an encryption of zero is left, under all primes at once
        assert 0 < np.abs(errors).max() <= LARGEST_ERROR
        assert np.std(errors.astype(float)) > 2


@SCHEMES
def test_no_two_digits_share_their_randomness(scheme):
    secret = secret_of(scheme)
    gadget = Gadget.of(secret.parameters, 3, 1)
    form = hybrid.digit_form(gadget, secret.parameters.scheme)
    data = [secret.hybrid_keys([(3, gadget)]) for _ in range(2)]
    seeds = {whole[end - 64 : end] for whole in data for end in range(form.bytes, len(whole) + 1, form.bytes)}
    assert len(seeds) == 6


@SCHEMES
def test_a_gadget_of_other_parameters_is_refused(scheme):
    secret = secret_of(scheme)
    other = Parameters("ckks", 1024, (36, 34, 40, 38, 42), scale_bits=30, security="insecure")
    with pytest.raises(ParameterError, match="`gadget` must be one of"):
        secret.hybrid_keys([(1, Gadget.of(other, 2, 2))])


@pytest.mark.parametrize("element", [0, 2, 2048, 2049, -1, True, 3.0])
def test_only_galois_elements_have_keys(element):
    secret = secret_of("ckks")
    with pytest.raises(ValueError, match="`element` must be an odd integer from 1 to 2047"):
        secret.hybrid_keys([(element, Gadget.of(secret.parameters, 2, 2))])
