"""Keys switched with one special prime and with several: SEAL encrypts and decrypts, the engine does the rest."""

from functools import cache

import numpy as np
import pytest

from he.engines.rns.algebra import Residues
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.engines.rns.weights import Weights
from he.formats import compact, hybrid
from he.formats.switching import RELINEARISATION
from he.parties.keys import SecretKey
from he.program.operations import Plain
from he.ring.gadget import Gadget, Gadgets
from he.ring.params import Parameters
from tests.he.engines.seal_side import decrypted, encrypted

SCALE = 2.0**40


class Side:
    """A secret with all keys that a few operations need at one level, and an algebra that has the keys alone."""

    def __init__(self, parameters, level, specials, steps=(1, 5)):
        self.parameters, self.level = parameters, level
        self.secret = SecretKey.generate(parameters)
        most = len(parameters.primes)
        self.gadgets = Gadgets.of(parameters, [min(specials, most - n) for n in range(1, most)])
        self.encoder = Encoder.of(parameters, self.gadgets)
        elements = [RELINEARISATION, *(parameters.galois_element(step) for step in steps)]
        self.keys = self.bind(
            [(e, self.gadgets.at(level)) for e in (*elements, 2 * parameters.poly_modulus_degree - 1)]
        )
        self.buffers = Buffers()

    def bind(self, keys):
        """What the engine makes of keys that have travelled."""
        data = self.secret.hybrid_keys(keys)
        return SwitchingKeys.of(self.encoder, hybrid.read_all(data, keys, self.parameters.scheme))

    def algebra(self, workers=None, weights=None):
        kind = Residues.of(self.parameters.scheme)
        empty = Weights({}, {}, {})
        return kind(self.encoder, weights or empty, self.keys, False, [], workers or Workers(1), self.buffers)

    def encrypt(self, values, algebra):
        """SEAL's encryption of slots, of which primes above the level are dropped."""
        fresh = compact.read(encrypted(self.secret, values, SCALE), compact.Form.fresh(self.parameters)).residues
        value = algebra.to_ntt(fresh)
        while value.level > self.level:
            value = algebra.switch_modulus(value)
        return value

    def decrypt(self, value, algebra, scale=SCALE):
        exact = self.parameters.scheme.exact
        slots, self.budget = decrypted(self.secret, algebra.from_ntt(value), 1.0 if exact else scale)
        return slots


@cache
def side(scheme, N, primes, level, specials, security="insecure"):
    extra = {"plain_modulus": 65537} if scheme == "bfv" else {"scale_bits": 40}
    bits = (*(46,) * (primes - 1), 48)
    return Side(Parameters(scheme, N, bits, **extra, security=security), level, specials)


def slots(parameters, seed):
    rng = np.random.default_rng(seed)
    if parameters.scheme.exact:
        return rng.integers(-100, 101, parameters.slots)
    return rng.uniform(-1, 1, parameters.slots)


def rolled(x, step, parameters):
    return np.roll(x.reshape(parameters.rows, -1), -step, axis=1).ravel()


def assert_slots(party, found, expected, error=1e-5):
    if party.parameters.scheme.exact:
        assert np.array_equal(found, expected)
        assert party.budget > 0
    else:
        assert np.abs(found - expected).max() < error


SIZES = [(4, 1), (4, 4), (5, 3), (6, 2), (3, 5), (7, 1)]
SCHEMES = pytest.mark.parametrize("scheme", ["ckks", "bfv"])


@SCHEMES
@pytest.mark.parametrize(("level", "specials"), SIZES)
def test_products_relinearised_decrypt_right(scheme, level, specials):
    assert_relinearises(side(scheme, 1024, 8, level, specials))


@SCHEMES
@pytest.mark.parametrize(("level", "specials"), SIZES)
def test_rotations_decrypt_right_alone_and_hoisted(scheme, level, specials):
    assert_rotates(side(scheme, 1024, 8, level, specials))


@SCHEMES
@pytest.mark.parametrize(("N", "primes", "level", "specials"), [(8192, 4, 2, 2), (32768, 17, 12, 5)])
def test_so_they_do_in_secure_rings(scheme, N, primes, level, specials):
    party = side(scheme, N, primes, level, specials, "128")
    assert_relinearises(party)
    assert_rotates(party)


@pytest.mark.slow
def test_so_they_do_in_the_largest_ring():
    """More primes than SEAL's keys have room for in a sum: 30 of data, in digits of six."""
    party = side("ckks", 65536, 37, 30, 6, "128")
    assert party.gadgets.at(30).groups[-1] == range(24, 30)
    assert_relinearises(party)
    assert_rotates(party)


def assert_relinearises(party):
    algebra, (x, y) = party.algebra(), (slots(party.parameters, seed) for seed in (1, 2))
    product = algebra.multiply(party.encrypt(x, algebra), party.encrypt(y, algebra))
    assert_slots(party, party.decrypt(algebra.relinearise(product), algebra, SCALE**2), x * y)


def assert_rotates(party):
    algebra, parameters = party.algebra(), party.parameters
    x = slots(parameters, 3)
    for rotations in (1, 3):
        value = party.encrypt(x, algebra)
        value.rotations = rotations
        for step in (1, 5):
            assert_slots(party, party.decrypt(algebra.rotate(value, step), algebra), rolled(x, step, parameters))
        swapped = x.reshape(2, -1)[::-1].ravel() if parameters.scheme.exact else x
        assert_slots(party, party.decrypt(algebra.swap_rows(value), algebra), swapped)


@SCHEMES
@pytest.mark.parametrize(("level", "specials"), [(5, 3), (6, 2)])
def test_sums_and_products_with_plaintexts_stay_extended(scheme, level, specials):
    party = side(scheme, 1024, 8, level, specials)
    parameters, scale = party.parameters, 0.0 if scheme == "bfv" else SCALE
    x, weights = slots(parameters, 4), [slots(parameters, seed) for seed in (5, 6, 7)]
    plains = [Plain(i, level, scale) for i in range(3)]
    factors = {plain: party.encoder.factor(w, plain) for plain, w in zip(plains, weights, strict=True)}
    algebra = party.algebra(weights=Weights(factors, {}, {}))
    value = party.encrypt(x, algebra)
    turned = [algebra.rotate(value, step) for step in (1, 5)]
    total = algebra.plain_dot([value, *turned], plains)
    assert total.extended is not None
    assert total.extended.shape[1] == level + specials
    parts = [x, *(rolled(x, step, parameters) for step in (1, 5))]
    expected = sum(part * w for part, w in zip(parts, weights, strict=True))
    assert_slots(party, party.decrypt(total, algebra, SCALE**2), expected)
    added = algebra.add([turned[0], value, turned[1], turned[1]])
    assert added.residues is None
    assert_slots(party, party.decrypt(added, algebra), parts[0] + parts[1] + 2 * parts[2])


@pytest.mark.parametrize(("level", "specials"), [(6, 2), (4, 4)])
def test_what_was_encrypted_below_the_highest_level_has_special_primes_from_the_first(level, specials):
    party = side("ckks", 1024, 8, level, specials)
    algebra, x = party.algebra(), slots(party.parameters, 10)
    data = encrypted(party.secret, x, SCALE, level)
    fresh = compact.read(data, compact.Form.fresh(party.parameters, level)).residues
    assert fresh.shape == (2, level, 1024)
    value = algebra.to_ntt(fresh)
    assert_slots(party, party.decrypt(algebra.rotate(value, 1), algebra), rolled(x, 1, party.parameters))
    squared = algebra.relinearise(algebra.multiply(value, value))
    assert_slots(party, party.decrypt(squared, algebra, SCALE**2), x * x)


@SCHEMES
def test_a_key_serves_every_level_below_its_own(scheme):
    party = side(scheme, 1024, 8, 5, 3)
    algebra, x = party.algebra(), slots(party.parameters, 8)
    value = party.encrypt(x, algebra)
    for _ in range(3):
        value = algebra.switch_modulus(value)
        turned = algebra.rotate(value, 5)
        assert turned.level == value.level
        assert_slots(party, party.decrypt(turned, algebra), rolled(x, 5, party.parameters))


@SCHEMES
@pytest.mark.parametrize("specials", [1, 3])
def test_where_no_key_is_none_is_read(scheme, specials):
    party = side(scheme, 1024, 8, 4, specials)
    algebra = party.algebra()
    value = algebra.to_ntt(np.zeros((2, 5, 1024), np.uint64))
    for operation, what in (
        (lambda: algebra.rotate(value, 1), "the Galois element 3"),
        (lambda: algebra.relinearise(algebra.multiply(value, value)), "relinearisation"),
    ):
        with pytest.raises(ValueError, match=rf"one of {what} for level 5 with {specials} .* up to level 4"):
            operation()
    low = party.encrypt(slots(party.parameters, 11), algebra)
    with pytest.raises(ValueError, match=rf"for level 4 with {specials} special prime\(s\), got none"):
        algebra.rotate(low, 7)


@SCHEMES
@pytest.mark.parametrize("specials", [1, 3])
def test_threads_change_no_bit(scheme, specials):
    party = side(scheme, 1024, 8, 5 if specials > 1 else 7, specials)
    x = slots(party.parameters, 9)
    alone = party.algebra()
    value = party.encrypt(x, alone)

    def results(algebra):
        for rotations in (1, 2):
            fresh = value.fresh(rotations)
            yield algebra.mod_down(algebra.rotate(fresh, 1))
            yield algebra.mod_down(algebra.relinearise(algebra.multiply(fresh, fresh)))

    expected = list(results(alone))
    for threads in (2, 3):
        with Workers(threads) as workers:
            found = results(party.algebra(workers))
            assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


def test_keys_are_a_quarter_of_those_with_a_digit_for_every_prime():
    """Of a chain of 20 primes, at the level of 12: 8 special primes are 2 digits of 20 rows."""
    parameters = Parameters("ckks", 1024, (40,) * 20, scale_bits=30, security="insecure")
    whole, few = Gadget.of(parameters, 19), Gadget.of(parameters, 12, 8)
    assert 4 * hybrid.key_bytes(few) < hybrid.key_bytes(whole)
