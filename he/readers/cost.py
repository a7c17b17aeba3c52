"""The cost of a program: time in units of one SEAL rotation, and the bytes of its keys, ciphertexts and values.

Time is counted in the two steps that an engine over a residue number system does to a polynomial modulo one prime: a
number-theoretic transform (N log N operations) and a pass of slotwise multiplications (N operations). The number of
steps that an operation takes follows from the algorithms: key switching by one digit for every prime (Cheon et al., *A
full RNS variant of approximate homomorphic encryption*, SAC 2018, section 3) or for groups of them (`he.ring.gadget`),
rotations of one value that share its digits (Halevi and Shoup, *Faster homomorphic linear transformations in HElib*,
CRYPTO 2018, section 5), and BFV products in two bases (Bajard et al., *A full RNS variant of FV*, SAC 2016, section 4).
An engine that hoists also keeps the ciphertexts of both schemes transformed, and its mod-down is lazy: one follows a
whole sum of rotations. SEAL keeps only CKKS ciphertexts transformed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from he.formats import hybrid
from he.formats.switching import key_bytes
from he.program.algebra import Algebra, apply
from he.program.operations import Matrix, Plain, Scalar, arguments
from he.program.program import Program
from he.readers.work import Work, decomposing, dividing, multiplying
from he.ring.gadget import Gadget, Gadgets
from he.ring.packed import word_bits
from he.ring.params import Parameters
from intnn.values.value_object import ValueObject

#: The ring degree N for which `Prices` hold; other rings are priced in proportion to N log N and N.
REFERENCE_RING = 8192


@dataclass(frozen=True)
class Prices(ValueObject):
    """The time that an engine takes for its steps at N = 8192.

    The unit is one SEAL rotation in CKKS at N = 8192, log q = 60 + 40 + 40 + 60.

    Attributes:
        transform: units for one transform of a polynomial modulo one prime.
        product: units for one slotwise product of such a polynomial that is added to another.
        load: units for reading such a polynomial of an arriving ciphertext.
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
            raise ValueError(f"`transform`, `product` and `load` must be positive, got {self}")


#: Prices of the fast engine on one thread, as measured: 11.5 us, 2.2 us and 33 us, where a SEAL rotation takes 2.1 ms.
HOISTING = Prices(transform=0.0055, product=0.00105, load=0.016, hoists=True)

#: Prices of SEAL's evaluator on one thread; the unit is then 20 transforms and 24 products (three data primes).
SEAL = Prices(transform=0.045, product=0.004, load=0.06, hoists=False)


@dataclass(frozen=True)
class Cost:
    """The cost of one evaluation.

    Attributes:
        work: all steps of each class of operations, by its name.
        units: the time of each class of operations, by its name, in units of one SEAL rotation.
        by_level: the time at each level, without what inputs take to be read.
        hoisted: the number of rotations, row swaps and conjugations of values that are rotated more than once.
        groups: the number of values that are rotated more than once.
        single: the number of all other rotations, row swaps and conjugations.
        keys: the highest level at which each key is used, by its Galois element; 1 stands for relinearisation.
        uses: the levels at which each key is used, by the same.
        key_bytes: bytes of all keys as they travel: half of each is replaced by a seed, the rest packed.
        needed_key_bytes: the same without the primes and digits above the level at which a key is used.
        value_bytes: the most bytes that values take at one moment if operations are evaluated in order.
    """

    work: dict[str, Work]
    units: dict[str, float]
    by_level: dict[int, float]
    hoisted: int
    groups: int
    single: int
    keys: dict[int, int]
    uses: dict[int, frozenset[int]]
    key_bytes: int
    needed_key_bytes: int
    value_bytes: int

    @property
    def total(self) -> float:
        """The time of the whole program, in units of one SEAL rotation."""
        return sum(self.units.values())

    def times(self, count: int) -> Cost:
        """Return the cost of so many evaluations, one after the other under the same keys."""
        return replace(
            self,
            work={kind: each.times(count) for kind, each in self.work.items()},
            units={kind: count * units for kind, units in self.units.items()},
            by_level={level: count * units for level, units in self.by_level.items()},
            hoisted=count * self.hoisted,
            groups=count * self.groups,
            single=count * self.single,
        )


def cost(
    program: Program,
    parameters: Parameters,
    prices: Prices = HOISTING,
    weights: Sequence[int] | None = None,
    level: int | None = None,
    gadgets: Gadgets | None = None,
) -> Cost:
    """Return the cost of a placed program on an engine with these prices.

    Args:
        program: a program that has been placed.
        parameters: the parameters for which it was placed.
        prices: the prices of the engine.
        weights: for every operation, for how much work of its kind it stands (`he.program.fold`); 1 by default. Keys,
            rotations and bytes are those of the program itself.
        level: the level of the inputs of a part of a program; that of fresh ciphertexts by default.
        gadgets: those by which keys are switched, which then travel as `he.formats.hybrid` has it; by default with one
            special prime, and keys as SEAL makes them.
    """
    counter = _WorkAlgebra(parameters, prices.hoists, level, gadgets)
    values: list[_Counted] = []
    work: dict[str, Work] = {}
    work_at: dict[int, Work] = {}
    loaded = waiting = most = 0
    outputs = set(program.outputs)
    for position, operation in enumerate(program.operations):
        before, first = counter.work, len(values)
        values += apply(counter, operation, [values[a] for a in arguments(operation)])
        made = range(first, len(values))
        counter.mod_down(*(values[a] for a in made if a in outputs))
        name = type(operation).__name__
        times = weights[position] if weights else 1
        done = (counter.work - before).times(times)
        work[name] = work.get(name, Work()) + done
        at = max((values[a].level for a in arguments(operation)), default=values[-1].level)
        work_at[at] = work_at.get(at, Work()) + done
        loaded += 2 * times * values[-1].level if name == "Input" else 0
        waiting += sum(values[a].size * values[a].level for a in made)
        most = max(most, waiting)
        for a in {*arguments(operation), *made}:
            if program.last_use[a] <= position:
                waiting -= values[a].size * values[a].level
    units = {name: _units(done, parameters, prices) for name, done in work.items()}
    units["Input"] = parameters.poly_modulus_degree / REFERENCE_RING * prices.load * loaded
    rotations = [times for times in counter.rotated.values() if times > 1]
    keys = key_gadgets(counter.uses, gadgets or Gadgets.of(parameters))
    needed = sum(hybrid.key_bytes(gadget) for _, gadget in keys)
    return Cost(
        work=work,
        units=units,
        by_level={at: _units(done, parameters, prices) for at, done in work_at.items()},
        hoisted=sum(rotations),
        groups=len(rotations),
        single=sum(counter.rotated.values()) - sum(rotations),
        keys={element: max(levels) for element, levels in counter.uses.items()},
        uses={element: frozenset(levels) for element, levels in counter.uses.items()},
        key_bytes=needed if gadgets else len(counter.uses) * key_bytes(parameters, parameters.levels),
        needed_key_bytes=needed,
        value_bytes=8 * parameters.poly_modulus_degree * most,
    )


def key_gadgets(uses: Mapping[int, Iterable[int]], gadgets: Gadgets) -> list[tuple[int, Gadget]]:
    """List the keys that switch at some levels: a Galois element, and a gadget of the highest level that it serves.

    An element has a key for every number of special primes that its levels take.

    Args:
        uses: the levels at which each element is used.
        gadgets: the gadgets of all levels.
    """
    found: dict[tuple[int, int], Gadget] = {}
    for element, levels in uses.items():
        for gadget in map(gadgets.at, sorted(levels)):
            found[element, gadget.specials] = gadget
    return [(element, gadget) for (element, _), gadget in found.items()]


def rotation_costs(parameters: Parameters, level: int, prices: Prices = HOISTING) -> tuple[float, float]:
    """Return what one more rotation of a value costs, and what it costs to rotate a rotated value further."""
    counter = _WorkAlgebra(parameters, prices.hoists, level)
    value = counter.input(0)
    done = [counter.work]
    first = counter.rotate(value, 1)
    for rotated in (value, first):
        done.append(counter.work)
        counter.rotate(rotated, 2)
    _, before, between = done
    one = _units(between - before, parameters, prices)
    return one, _units(counter.work - between, parameters, prices) - one


def _units(work: Work, parameters: Parameters, prices: Prices) -> float:
    longer = parameters.poly_modulus_degree / REFERENCE_RING
    deeper = math.log2(parameters.poly_modulus_degree) / math.log2(REFERENCE_RING)
    return longer * (deeper * prices.transform * work.transforms + prices.product * work.products)


@dataclass(frozen=True)
class _Counted:
    """A ciphertext that is only counted: its identity, its number of data primes, and its number of polynomials."""

    identity: int
    level: int
    size: int = 2
    extended: bool = False  # it is held times the special prime: its mod-down is still to be done


class _WorkAlgebra(Algebra[_Counted]):
    """Counts the work that a program takes.

    Args:
        parameters: the parameters for which the program was placed.
        hoists: whether rotations of one value share its digits.
        level: the level of inputs; that of fresh ciphertexts by default.
        gadgets: those by which keys are switched; by default with one special prime.

    Attributes:
        work: the steps of all operations read so far.
        rotated: the number of rotations of each value that was rotated, by its identity.
        uses: the levels at which each key was used, by its Galois element; 1 stands for relinearisation.
    """

    def __init__(
        self, parameters: Parameters, hoists: bool = True, level: int | None = None, gadgets: Gadgets | None = None
    ) -> None:
        self._level = parameters.levels if level is None else level
        self._gadgets = gadgets or Gadgets.of(parameters)
        self._parameters, self._exact, self._hoists = parameters, parameters.scheme.exact, hoists
        self._identities = 0
        self._transformed: set[int] = set()
        self._divided: set[int] = set()
        self.work = Work()
        self.rotated: dict[int, int] = {}
        self.uses: dict[int, set[int]] = {}

    def input(self, index: int) -> _Counted:
        return self._value(self._level)

    def plain_dot(self, values: Sequence[_Counted], plains: Sequence[Plain]) -> _Counted:
        level, extended = values[0].level, self._lazy(values)
        if self._exact and not self._hoists:  # into NTT form and back; a value is transformed only once
            fresh = {v.identity for v in values} - self._transformed
            self._transformed |= fresh
            self._do(transforms=2 * level * (len(fresh) + 1))
        self._do(products=2 * self._rows(level, extended) * len(values))
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
        self._do(products=size * self._rows(level, extended) * (len(values) - 1))
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
        """Return whether the sum of these stays extended, for a lazy mod-down; otherwise divide each of them now."""
        if any(v.extended and v.identity not in self._divided for v in values) and all(v.size == 2 for v in values):
            return True
        self.mod_down(*values)
        return False

    def mod_down(self, *values: _Counted) -> None:
        """Count the division of each extended value by the special primes, once."""
        for v in values:
            if v.extended and v.identity not in self._divided:
                self._divided.add(v.identity)
                self._divide(v.level)

    def _divide(self, level: int) -> None:
        """Count the division of two polynomials by the special primes."""
        self.work += dividing(self._gadgets.at(level))

    def _decompose(self, level: int) -> None:
        """Count the digits of one polynomial."""
        self.work += decomposing(self._gadgets.at(level))

    def _switch_key(self, level: int, element: int) -> None:
        """Count the product of the digits with the key, and note the key's use."""
        self.work += multiplying(self._gadgets.at(level))
        self.uses.setdefault(element, set()).add(level)

    def _rows(self, level: int, extended: bool) -> int:
        """Return the number of primes of a value."""
        return self._gadgets.at(level).rows if extended else level

    def _do(self, transforms: int = 0, products: int = 0) -> None:
        self.work += Work(transforms, products)

    def _value(self, level: int, size: int = 2, extended: bool = False) -> _Counted:
        self._identities += 1
        return _Counted(self._identities, level, size, extended)


def ciphertext_bytes(parameters: Parameters, level: int, polynomials: int = 2) -> int:
    """Return the bytes of a ciphertext's residues as they travel; a fresh one is one polynomial and a seed."""
    return polynomials * sum(parameters.poly_modulus_degree * word_bits(p) // 8 for p in parameters.primes[:level])
