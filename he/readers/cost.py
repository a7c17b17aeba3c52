"""The cost of a program: time in units of one SEAL rotation, and the bytes of its keys, ciphertexts and values.

Time is counted in the two steps that the fast engine does to a polynomial modulo one prime: a
number-theoretic transform (N log N operations) and a pass of slotwise multiplications (N operations). The number of
steps that an operation takes follows from the algorithms: key switching by one digit for every prime (Cheon et al., *A
full RNS variant of approximate homomorphic encryption*, SAC 2018, section 3) or for groups of them (`he.ring.gadget`),
rotations of one value that share its digits (Halevi and Shoup, *Faster homomorphic linear transformations in HElib*,
CRYPTO 2018, section 5), and BFV products in two bases (Bajard et al., *A full RNS variant of FV*, SAC 2016, section 4).
The engine keeps the ciphertexts of both schemes transformed, and its mod-down is lazy: one follows a whole sum of
rotations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from he.formats import hybrid
from he.formats.switching import key_bytes
from he.program.algebra import apply
from he.program.operations import arguments
from he.program.program import Program
from he.readers.counting import Counted, WorkAlgebra
from he.readers.work import Switches, Work
from he.ring.gadget import Gadgets
from he.ring.packed import word_bits
from he.ring.params import Parameters

#: What the fast engine's steps cost on one thread in a ring of degree 8192: a transform of a polynomial modulo one
#: prime; a slotwise product of such a polynomial that is added to another; the same where both come from memory; and
#: reading such a polynomial of an arriving ciphertext. The unit is one SEAL rotation in CKKS at log q = 60 + 40 + 40 +
#: 60: these were measured as 11.5, 2.2, 5.9 and 33 us where it takes 2.1 ms.
TRANSFORM, PRODUCT, STREAM, LOAD = 0.0055, 0.00105, 0.0028, 0.016
REFERENCE_RING = 8192  # other rings are priced in proportion to N log N and N


def units_of(work: Work, parameters: Parameters) -> float:
    """Return the time of some steps in the parameters' ring, in units of one SEAL rotation."""
    longer = parameters.poly_modulus_degree / REFERENCE_RING
    deeper = math.log2(parameters.poly_modulus_degree) / math.log2(REFERENCE_RING)
    passes = PRODUCT * work.products + STREAM * work.streamed
    return longer * (deeper * TRANSFORM * work.transforms + passes)


@dataclass(frozen=True)
class Cost:
    """The cost of one evaluation.

    Attributes:
        work: all steps of each class of operations, by its name.
        units: the time of each class of operations, by its name, in units of one SEAL rotation.
        switches: what is done at each level that takes more or less time by its gadget.
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
    switches: dict[int, Switches]
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
            switches={level: some.times(count) for level, some in self.switches.items()},
            hoisted=count * self.hoisted,
            groups=count * self.groups,
            single=count * self.single,
        )


def cost(
    program: Program,
    parameters: Parameters,
    weights: Sequence[int] | None = None,
    level: int | None = None,
    gadgets: Gadgets | None = None,
) -> Cost:
    """Return the cost of a placed program on the fast engine, on one thread.

    Args:
        program: a program that has been placed.
        parameters: the parameters for which it was placed.
        weights: for every operation, for how much work of its kind it stands (`he.program.fold`); 1 by default. Keys,
            rotations and bytes are those of the program itself.
        level: the level of the inputs of a part of a program; that of fresh ciphertexts by default.
        gadgets: those by which keys are switched, which then travel as `he.formats.hybrid` has it; by default with one
            special prime, and keys as SEAL makes them.
    """
    counter, by_gadget = WorkAlgebra(parameters, level), gadgets or Gadgets.of(parameters)
    values: list[Counted] = []
    work: dict[str, Work] = {}
    switches: dict[int, Switches] = {}
    loaded = waiting = most = 0
    outputs = set(program.outputs)
    for position, operation in enumerate(program.operations):
        first = len(values)
        values += apply(counter, operation, [values[a] for a in arguments(operation)])
        made = range(first, len(values))
        counter.mod_down(*(values[a] for a in made if a in outputs))
        name = type(operation).__name__
        times = weights[position] if weights else 1
        done, switched = counter.take()
        for at, some in switched.items():
            done += some.work(by_gadget.at(at))
            switches[at] = switches.get(at, Switches()) + some.times(times)
        work[name] = work.get(name, Work()) + done.times(times)
        loaded += 2 * times * values[-1].level if name == "Input" else 0
        waiting += sum(values[a].size * values[a].level for a in made)
        most = max(most, waiting)
        for a in {*arguments(operation), *made}:
            if program.last_use[a] <= position:
                waiting -= values[a].size * values[a].level
    units = {name: units_of(done, parameters) for name, done in work.items()}
    units["Input"] = parameters.poly_modulus_degree / REFERENCE_RING * LOAD * loaded
    rotations = [times for times in counter.rotated.values() if times > 1]
    keys = by_gadget.keys(counter.uses)
    needed = sum(hybrid.key_bytes(gadget) for _, gadget in keys)
    return Cost(
        work=work,
        units=units,
        switches=switches,
        hoisted=sum(rotations),
        groups=len(rotations),
        single=sum(counter.rotated.values()) - sum(rotations),
        keys={element: max(levels) for element, levels in counter.uses.items()},
        uses={element: frozenset(levels) for element, levels in counter.uses.items()},
        key_bytes=needed if gadgets else len(counter.uses) * key_bytes(parameters, parameters.levels),
        needed_key_bytes=needed,
        value_bytes=8 * parameters.poly_modulus_degree * most,
    )


def rotation_costs(parameters: Parameters, level: int, gadgets: Gadgets | None = None) -> tuple[float, float]:
    """Return what one more rotation of a value costs, and what it costs to rotate a rotated value further."""
    counter, gadget = WorkAlgebra(parameters, level), (gadgets or Gadgets.of(parameters)).at(level)
    value = counter.input(0)
    first = counter.rotate(value, 1)
    counter.take()
    found = []
    for rotated in (value, first):
        counter.rotate(rotated, 2)
        found.append(units_of(counter.take()[1][level].work(gadget), parameters))
    one, other = found
    return one, other - one


def ciphertext_bytes(parameters: Parameters, level: int, polynomials: int = 2) -> int:
    """Return the bytes of a ciphertext's residues as they travel; a fresh one is one polynomial and a seed."""
    return polynomials * sum(parameters.poly_modulus_degree * word_bits(p) // 8 for p in parameters.primes[:level])
