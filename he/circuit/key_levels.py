"""What a circuit's evaluation keys are for: the gadget at every level, and the levels at which each key switches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from he.circuit.inputs import listed
from he.program.placed import key_uses
from he.program.program import Program
from he.ring.gadget import Gadget, Gadgets
from he.ring.params import Parameters
from intnn.values.value_object import ValueObject


@dataclass(frozen=True)
class KeyLevels(ValueObject):
    """The gadgets of a circuit, and the levels at which every key of its interface is used.

    They tell of a network what the levels of its operations tell, which follow from its architecture.

    Attributes:
        specials: the number of special primes at every level, from level 1 on (`he.ring.gadget.Gadgets`).
        levels: for every Galois element of the interface's `key_elements`, in their order, the levels at which its key
            switches, ascending.

    Raises:
        ValueError: if levels are no ascending positive integers.
    """

    specials: tuple[int, ...]
    levels: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "specials", tuple(self.specials))
        object.__setattr__(self, "levels", tuple(map(tuple, self.levels)))
        for some in self.levels:
            if not all(type(level) is int and level >= 1 for level in some) or list(some) != sorted(set(some)):
                raise ValueError(f"`levels` must be different positive integers in order, got {some!r:.80}")

    @staticmethod
    def of(program: Program, gadgets: Gadgets, parameters: Parameters, elements: Sequence[int]) -> KeyLevels:
        """Return those of a placed program, for these Galois elements."""
        uses = key_uses(program, parameters)
        return KeyLevels(gadgets.specials, tuple(tuple(sorted(uses.get(element, ()))) for element in elements))

    def gadgets(self, parameters: Parameters) -> Gadgets:
        """Return the gadgets of all levels.

        Raises:
            ParameterError: if they are none for these parameters.
        """
        return Gadgets.of(parameters, self.specials)

    def keys(self, parameters: Parameters, elements: Sequence[int]) -> list[tuple[int, Gadget]]:
        """List the keys: Galois element and gadget, in the order in which they travel.

        Raises:
            ValueError: if there are levels of more or fewer elements, or one that the parameters do not have.
        """
        if len(self.levels) != len(elements) or any(some[-1:] > (parameters.levels,) for some in self.levels):
            raise ValueError(
                f"`levels` must be from 1 to {parameters.levels} for each of {len(elements)} keys, got {self.levels}"
            )
        return self.gadgets(parameters).keys(dict(zip(elements, self.levels, strict=True)))

    def to_list(self) -> list[Any]:
        """Return the fields as JSON types; `from_list` is the inverse."""
        return [list(self.specials), [list(some) for some in self.levels]]

    @staticmethod
    def from_list(fields: Any) -> KeyLevels:
        """Return what `to_list` wrote.

        Raises:
            TypeError, ValueError: if the fields are malformed.
        """
        specials, levels = listed(fields)
        return KeyLevels(tuple(listed(specials)), tuple(tuple(listed(some)) for some in listed(levels)))
