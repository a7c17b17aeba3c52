"""The bounds on what a key switch adds, against real keys: the worst polynomials for them, and usual ones."""

from functools import cache
from math import prod, sqrt

import numpy as np
import pytest

from he.formats import hybrid
from he.formats.seal_bridge import to_bytes
from he.formats.seal_bytes import read_secret
from he.kernels.passes import evaluate
from he.kernels.passes import hybrid as kernels
from he.kernels.tables.chain import chain
from he.kernels.tables.factors import Factors
from he.kernels.tables.gadgets import gadget_tables
from he.parties.keys import SecretKey
from he.program.recorder import Recorder
from he.readers.key_switching import key_switch_norm, key_switch_variance
from he.readers.noise_bfv import BfvNoise, BfvNoiseAlgebra
from he.readers.noise_ckks import CkksError, CkksErrorAlgebra
from he.readers.variance import rounding_variance
from he.ring.gadget import Gadget, Gadgets
from he.ring.norms import secret_norm
from he.ring.params import Parameters
from he.ring.slots import automorphism, slots_of

N = 1024
ELEMENT = 3
LONG = (45, 45, 45, 45, 25, 25, 25)  # digits that are much longer than the special primes: their noise is all there is
EVEN = (40,) * 8
CASES = [(LONG, 4, 1), (LONG, 4, 2), (LONG, 4, 3), (LONG, 2, 2), (EVEN, 6, 2), (EVEN, 4, 4), (EVEN, 5, 3)]
GADGETS = pytest.mark.parametrize(("bits", "level", "specials"), CASES)
SCHEMES = pytest.mark.parametrize("scheme", ["ckks", "bfv"])


class Switch:
    """A key for a gadget with its secret, and what switching with it is wrong by, in Python's integers."""

    def __init__(self, scheme, bits, level, specials):
        extra = {"plain_modulus": 12289} if scheme == "bfv" else {"scale_bits": 30}
        self.parameters = Parameters(scheme, N, bits, **extra, security="insecure")
        self.gadget = Gadget.of(self.parameters, level, specials)
        secret = SecretKey.generate(self.parameters)
        key = hybrid.read(secret.hybrid_keys([(ELEMENT, self.gadget)]), self.gadget, self.parameters.scheme)
        residues = read_secret(to_bytes(secret._secret), self.parameters, secret.context.key_parms_id())
        self.secret = residues[list(self.gadget.indices)].astype(object)
        self.tables = chain(N, self.parameters.primes).tables
        self.source = self.secret[:, automorphism(N, ELEMENT)]
        self.moduli = np.array(self.gadget.primes, object)[:, None]
        self.key, self.errors = key, [self._error(g, digit) for g, digit in enumerate(key)]
        self.factors = Factors.packed((key.astype(object) * 2**52 % self.moduli).astype(np.uint64), self.gadget.primes)

    def _error(self, g, digit):
        rows = digit[0] + digit[1] * self.secret
        for i in self.gadget.groups[g]:
            rows[i] -= self.gadget.factor * self.source[i]
        return self.composed(rows)

    def composed(self, rows):
        """The polynomial around 0 with these transformed residues modulo the first primes."""
        primes, q = self.gadget.primes[: len(rows)], prod(self.gadget.primes[: len(rows)])
        total = 0
        for row, p, index in zip(rows % self.moduli[: len(rows)], primes, self.gadget.indices, strict=False):
            values = row.astype(np.uint64)
            evaluate.inverse(self.tables, values, index)
            total = total + values.astype(object) * (q // p * pow(q // p, -1, p))
        return (total + q // 2) % q - q // 2

    def added(self, x):
        """What the switch of a polynomial of Python's integers adds: float64 [N]."""
        gadget, level = self.gadget, self.gadget.level
        rows = np.array([x % p for p in gadget.primes[:level]]).astype(np.uint64)
        for j, row in enumerate(rows):
            evaluate.forward(self.tables, row, j)
        constants, digits = gadget_tables(gadget), len(gadget.groups)
        parts, multiples = np.empty_like(rows), np.empty((digits, N), np.int64)
        sums, out = np.empty((2, gadget.rows, N), np.uint64), np.empty((2, level, N), np.uint64)
        kernels.to_parts(self.tables, constants, rows, parts, multiples, 0, digits)
        operands = constants, rows, parts, multiples, self.factors.addresses
        kernels.switch(self.tables, *operands, sums, 0, gadget.rows)
        kernels.mod_down(self.tables, constants, sums, out, 0, 2)
        wrong = out[0] + out[1] * self.secret[:level] - rows * self.source[:level]
        return self.composed(wrong).astype(float)

    def with_digits(self, digits):
        """The polynomial with these digits."""
        q = prod(self.gadget.moduli)
        hats = [q // D * pow(q // D, -1, D) for D in self.gadget.moduli]
        return sum(digit * hat for digit, hat in zip(digits, hats, strict=True)) % q

    def worst(self):
        """The polynomial whose digits, all as large as they get, turn with the errors where these are largest."""
        turn = np.exp(-1j * np.pi / N * np.arange(N))
        values = np.array([np.fft.fft(error.astype(float) * turn) for error in self.errors])
        at = int(np.argmax(np.abs(values).T @ np.array([float(D) for D in self.gadget.moduli])))
        angles = np.pi * (2 * at + 1) / N * np.arange(N)
        signs = [np.where(np.cos(angles - np.angle(value)) >= 0, 1, -1) for value in values[:, at]]
        halves = [D // 2 - (D >> 40) for D in self.gadget.moduli]  # nearer to a half, floats choose the sign
        return self.with_digits([sign.astype(object) * half for sign, half in zip(signs, halves, strict=True)])


@cache
def switch_of(scheme, bits, level, specials):
    return Switch(scheme, bits, level, specials)


@SCHEMES
@GADGETS
def test_the_worst_polynomial_adds_no_more_than_the_bound_and_no_tenth_of_it(scheme, bits, level, specials):
    switch = switch_of(scheme, bits, level, specials)
    roundings = (1 + secret_norm(N)) * sqrt(N) / 2
    norm, bound = np.linalg.norm(switch.added(switch.worst())), key_switch_norm(switch.gadget)
    assert norm <= bound + roundings
    assert norm >= bound / 10


def usual(switch, count):
    """Random polynomials, as those of ciphertexts."""
    rng, q = np.random.default_rng(5), prod(switch.gadget.moduli)
    return [np.array([int.from_bytes(rng.bytes(80), "little") % q for _ in range(N)], object) for _ in range(count)]


@GADGETS
def test_no_slot_of_usual_polynomials_is_beyond_the_bound_of_ckks(bits, level, specials):
    """Deviations are those of random ciphertexts, and 14 of them the bound; of 2,048 slots the worst has 2 to 5."""
    switch = switch_of("ckks", bits, level, specials)
    algebra = ckks_algebra(switch.parameters, gadgets_of(switch.parameters, specials))
    bound = algebra.swap_rows(CkksError(level, 1.0, 1.0)).bound
    worst = max(np.abs(slots_of(switch.added(x))).max() for x in usual(switch, 4))
    assert bound / 20 <= worst <= bound


@SCHEMES
@GADGETS
def test_usual_polynomials_add_the_variance(scheme, bits, level, specials):
    switch = switch_of(scheme, bits, level, specials)
    measured = np.mean([np.mean(switch.added(x) ** 2) for x in usual(switch, 4)])
    assert measured == pytest.approx(key_switch_variance(switch.gadget) / N + rounding_variance(N), rel=0.25)


def gadgets_of(parameters, specials):
    """So many special primes wherever there are as many, and one fewer further up, and so on."""
    most = len(parameters.primes)
    return Gadgets.of(parameters, [min(specials, most - level) for level in range(1, most)])


def ckks_algebra(parameters, gadgets):
    recorder = Recorder()
    return CkksErrorAlgebra(parameters, recorder.program(1, [recorder.input(0)]), [], 1.0, gadgets)


@GADGETS
def test_the_algebras_count_switches_by_their_gadgets(bits, level, specials):
    bfv, ckks = (switch_of(scheme, bits, level, specials) for scheme in ("bfv", "ckks"))
    several, one = gadgets_of(bfv.parameters, specials), Gadgets.of(bfv.parameters)
    relative = bfv.parameters.t * 2.0 ** -bfv.parameters.log2_modulus(level)
    norms, variances = [], []
    for gadgets in (several, one):
        switched = BfvNoiseAlgebra(bfv.parameters, gadgets=gadgets).swap_rows(BfvNoise(level, 0.0))
        norms.append(switched.bound / relative - key_switch_norm(gadgets.at(level)))
        turned = ckks_algebra(ckks.parameters, gadgets).swap_rows(CkksError(level, 1.0, 1.0))
        variances.append(
            turned.own.product**2 / (key_switch_variance(gadgets.at(level)) + 2 * N * rounding_variance(N))
        )
    roundings = 2 * (1 + secret_norm(N)) * sqrt(N) / 2  # SEAL's engine rounds twice
    assert norms == pytest.approx([roundings] * 2, rel=1e-6, abs=1e-9 * key_switch_norm(several.at(level)))
    assert variances == pytest.approx([1, 1])
