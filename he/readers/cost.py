"""What a program costs: time in units of one SEAL rotation, and the bytes of its keys and ciphertexts.

Time is counted in the two things that a residue number system engine does to a polynomial modulo one prime: a
number-theoretic transform (N log N steps) and a pass of slotwise multiplications (N steps). How many of either an
operation takes follows from the algorithms: key switching by one digit for every prime (Cheon et al., *A full RNS
variant of approximate homomorphic encryption*, SAC 2018, section 3), rotations of one value that share its digits
(Halevi and Shoup, *Faster homomorphic linear transformations in HElib*, CRYPTO 2018, section 5), and BFV products in
two bases (Bajard et al., *A full RNS variant of FV*, SAC 2016, section 4). An engine that hoists also keeps ciphertexts
transformed in both schemes, and does mod-down lazily, once sums of rotations are there; SEAL keeps
CKKS ciphertexts transformed, BFV ciphertexts not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from he.kernels.passes.bits import word_bits
from he.program.algebra import Algebra, apply
from he.program.operations import Matrix, Plain, Scalar, arguments
from he.program.program import Program
from he.ring.params import Parameters

#: The ring whose transform and pass are priced; others by N log N and N.
REFERENCE_RING = 8192


@dataclass(frozen=True)
class Prices:
    """What an engine takes for its steps, in units: one SEAL rotation in CKKS, N = 8192, log q = 60 + 40 + 40 + 60.

    Attributes:
        transform: one transform of a polynomial modulo one prime, N = 8192.
        product: one slotwise product of such a polynomial, added to another.
        load: reading one residue polynomial of a ciphertext that arrives.
        hoists: whether rotations of one value share its digits.

    Raises:
        ValueError: if a price is not positive.
    """

    transform: float
    product: float
    load: float
    hoists: bool

    def __post_init__(self) -> None:
        if not (self.transform > 0 and self.product > 0 and self.load > 0):
            raise ValueError(f"prices must be positive, got {self}")


#: The fast engine on one thread, as measured: 11.5 us, 2.2 us and 33 us, where SEAL's rotation takes 2.1 ms.
HOISTING = Prices(transform=0.0055, product=0.00105, load=0.016, hoists=True)

#: SEAL's evaluator on one thread: a rotation at N = 8192 with three data primes is 20 transforms and 24 products.
SEAL = Prices(transform=0.045, product=0.004, load=0.06, hoists=False)


@dataclass(frozen=True)
class Work:
    """Transforms and slotwise products, each of a polynomial modulo one prime."""

    transforms: int = 0
    products: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.transforms + other.transforms, self.products + other.products)


@dataclass(frozen=True)
class Cost:
    """The cost of one evaluation.

    Attributes:
        work: for every kind of operation that occurs, all that it takes.
        units: the same, priced.
        hoisted: rotations (row swaps included) of values that are rotated more than once.
        groups: values that are rotated more than once.
        single: all other rotations.
        keys: Galois elements, and 1 for relinearisation, with the highest level at which each key is used.
        key_bytes: of all keys, as SEAL writes fresh ones: half of each replaced by a seed, then compressed.
        needed_key_bytes: the same without the primes and digits above the level at which a key is used.
        value_bytes: most that the values waiting at one moment take, if operations are evaluated in order.
    """

    work: dict[str, Work]
    units: dict[str, float]
    hoisted: int
    groups: int
    single: int
    keys: dict[int, int]
    key_bytes: int
    needed_key_bytes: int
    value_bytes: int

    @property
    def total(self) -> float:
        """Units of the whole program."""
        return sum(self.units.values())


def cost(program: Program, parameters: Parameters, prices: Prices = HOISTING) -> Cost:
    """Count a program whose levels have been placed, and price it."""
    counter = _WorkAlgebra(parameters, prices.hoists)
    values: list[_Counted] = []
    work: dict[str, Work] = {}
    loaded = waiting = most = 0
    outputs = set(program.outputs)
    for position, operation in enumerate(program.operations):
        before, first = counter.work, len(values)
        values += apply(counter, operation, [values[a] for a in arguments(operation)])
        made = range(first, len(values))
        counter.mod_down(*(values[a] for a in made if a in outputs))
        name = type(operation).__name__
        done = Work(counter.work.transforms - before.transforms, counter.work.products - before.products)
        work[name] = work.get(name, Work()) + done
        loaded += 2 * values[-1].level if name == "Input" else 0
        waiting += sum(values[a].size * values[a].level for a in made)
        most = max(most, waiting)
        for a in {*arguments(operation), *made}:
            if program.last_use[a] <= position:
                waiting -= values[a].size * values[a].level
    longer = parameters.poly_modulus_degree / REFERENCE_RING
    deeper = math.log2(parameters.poly_modulus_degree) / math.log2(REFERENCE_RING)
    units = {
        name: longer * (deeper * prices.transform * done.transforms + prices.product * done.products)
        for name, done in work.items()
    }
    units["Input"] = longer * prices.load * loaded
    rotations = [times for times in counter.rotated.values() if times > 1]
    return Cost(
        work=work,
        units=units,
        hoisted=sum(rotations),
        groups=len(rotations),
        single=sum(counter.rotated.values()) - sum(rotations),
        keys=counter.keys,
        key_bytes=len(counter.keys) * key_bytes(parameters, parameters.levels),
        needed_key_bytes=sum(key_bytes(parameters, level) for level in counter.keys.values()),
        value_bytes=8 * parameters.poly_modulus_degree * most,
    )


@dataclass(frozen=True)
class _Counted:
    """A ciphertext to be counted: its identity, its data primes, its polynomials."""

    identity: int
    level: int
    size: int = 2
    extended: bool = False  # times the special prime: mod-down is still to be done


class _WorkAlgebra(Algebra[_Counted]):
    """Interprets a program as the work that it takes.

    Args:
        parameters: any set.
        hoists: whether rotations of one value share its digits.

    Attributes:
        work: all of it, so far.
        rotated: how often every value that was rotated has been, by identity.
        keys: Galois elements, and 1 for relinearisation, with the highest level at which each key was used.
    """

    def __init__(self, parameters: Parameters, hoists: bool = True) -> None:
        self._parameters, self._exact, self._hoists = parameters, parameters.scheme.exact, hoists
        self._identities = 0
        self._transformed: set[int] = set()
        self._divided: set[int] = set()
        self.work = Work()
        self.rotated: dict[int, int] = {}
        self.keys: dict[int, int] = {}

    def input(self, index: int) -> _Counted:
        return self._value(self._parameters.levels)

    def plain_dot(self, values: Sequence[_Counted], plains: Sequence[Plain]) -> _Counted:
        level, extended = values[0].level, self._lazy(values)
        if self._exact and not self._hoists:  # there and back; a value is transformed once, however often multiplied
            fresh = {v.identity for v in values} - self._transformed
            self._transformed |= fresh
            self._do(transforms=2 * level * (len(fresh) + 1))
        self._do(products=2 * (level + extended) * len(values))
        return self._value(level, extended=extended)

    def scalar_dot(self, values: Sequence[_Counted], scalars: Sequence[Scalar], constant: Scalar) -> _Counted:
        self.mod_down(*values)
        self._do(products=2 * values[0].level * len(values))
        return self._value(values[0].level)

    def matrix(self, values: Sequence[_Counted], matrix: Matrix) -> list[_Counted]:
        self.mod_down(*values)
        self._do(products=2 * values[0].level * matrix.weights.size)
        return [self._value(values[0].level) for _ in matrix.constants]

    def add_plain(self, a: _Counted, plain: Plain) -> _Counted:
        self.mod_down(a)
        self._do(products=a.level)
        return self._value(a.level, a.size)

    def add(self, values: Sequence[_Counted]) -> _Counted:
        level, size, extended = values[0].level, max(v.size for v in values), self._lazy(values)
        self._do(products=size * (level + extended) * (len(values) - 1))
        return self._value(level, size, extended)

    def multiply(self, a: _Counted, b: _Counted) -> _Counted:
        self.mod_down(a, b)
        level, operands = a.level, 1 if a == b else 2
        if self._exact:  # both bases together hold 2 level + 1 primes; each extension and division is a matrix product
            bases = 2 * level + 1
            self._do(transforms=bases * (2 * operands + 3), products=level * (level + 1) * (2 * operands + 2 * 3))
        self._do(products=(2 * level + 1 if self._exact else level) * (2 + operands))
        return self._value(level, 3)

    def square_parts(self, a: _Counted, conjugate: _Counted) -> _Counted:
        self.mod_down(a, conjugate)
        self._do(products=8 * a.level)  # two sums, two squares, and their difference
        return self._value(a.level, 3)

    def relinearise(self, a: _Counted) -> _Counted:
        self.mod_down(a)
        self._decompose(a.level)
        self._switch_key(a.level, 1)
        self._divide(a.level)
        return self._value(a.level)

    def rotate(self, a: _Counted, step: int) -> _Counted:
        return self._permute(a, self._parameters.galois_element(step))

    def swap_rows(self, a: _Counted) -> _Counted:
        return self._permute(a, 2 * self._parameters.poly_modulus_degree - 1)

    def conjugate(self, a: _Counted) -> _Counted:
        return self.swap_rows(a)

    def switch_modulus(self, a: _Counted) -> _Counted:
        self.mod_down(a)
        if self._exact:
            self._do(transforms=a.size * a.level if self._hoists else 0, products=a.size * (a.level - 1))
        return self._value(a.level - 1, a.size)

    def rescale(self, a: _Counted) -> _Counted:
        self.mod_down(a)
        self._do(transforms=a.size * a.level, products=a.size * (a.level - 1))
        return self._value(a.level - 1, a.size)

    def _permute(self, a: _Counted, element: int) -> _Counted:
        self.mod_down(a)
        if not (self._hoists and a.identity in self.rotated):
            self._decompose(a.level)
        self.rotated[a.identity] = self.rotated.get(a.identity, 0) + 1
        self._switch_key(a.level, element)
        if not self._hoists:
            self._divide(a.level)
        return self._value(a.level, extended=self._hoists)

    def _lazy(self, values: Sequence[_Counted]) -> bool:
        """Whether the sum of these is divided later; if not, all of them are divided now."""
        if any(v.extended and v.identity not in self._divided for v in values) and all(v.size == 2 for v in values):
            return True
        self.mod_down(*values)
        return False

    def mod_down(self, *values: _Counted) -> None:
        for v in values:
            if v.extended and v.identity not in self._divided:
                self._divided.add(v.identity)
                self._divide(v.level)

    def _divide(self, level: int) -> None:
        """Two polynomials by the special prime."""
        self._do(transforms=2 * (level + 1))

    def _decompose(self, level: int) -> None:
        """Digits of one polynomial, each in all `level` + 1 primes. In CKKS a digit's own residue is there already."""
        self._do(transforms=level * (level + 1))

    def _switch_key(self, level: int, element: int) -> None:
        """The product with the key."""
        self._do(products=2 * level * (level + 1))
        self.keys[element] = max(self.keys.get(element, 0), level)

    def _do(self, transforms: int = 0, products: int = 0) -> None:
        self.work += Work(transforms, products)

    def _value(self, level: int, size: int = 2, extended: bool = False) -> _Counted:
        self._identities += 1
        return _Counted(self._identities, level, size, extended)


def key_bytes(parameters: Parameters, level: int) -> int:
    """Bytes of a fresh key for `level` data primes: one digit for each, modulo all of them and the special prime.

    Of each digit's two polynomials one is a seed. At the highest level this is what SEAL writes.
    """
    bits = (*parameters.coeff_modulus_bits[:level], parameters.coeff_modulus_bits[-1])
    return level * sum(_residue_bytes(parameters.poly_modulus_degree, b) for b in bits)


def ciphertext_bytes(parameters: Parameters, level: int, polynomials: int = 2) -> int:
    """Bytes of a ciphertext's residues at `level`, as they travel; a fresh one is one polynomial, and a seed."""
    return polynomials * sum(parameters.poly_modulus_degree * word_bits(p) // 8 for p in parameters.primes[:level])


@cache
def _residue_bytes(N: int, bits: int) -> int:
    """A polynomial modulo a prime of so many bits, as 64-bit words, after an entropy coder that sees single bytes."""
    chances = np.zeros(256)
    for byte in range(8):
        values = 2 ** min(max(bits - 8 * byte, 0), 8)
        chances[:values] += 1 / (8 * values)
    seen = chances[chances > 0]
    return math.ceil(N * -float(seen @ np.log2(seen)))
