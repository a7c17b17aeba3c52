"""One client's evaluation keys, as the kernels of key switching read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from he.circuit.interface import Interface
from he.engines.rns.encoder import Encoder
from he.formats import hybrid, switching
from he.formats.switching import RELINEARISATION
from he.kernels.tables.factors import SPARE, Factors
from he.kernels.tables.roots import WORD
from he.ring.gadget import Gadget
from he.ring.params import Parameters
from he.ring.slots import automorphism, permutation

#: How words are laid out, on any processor: the bits of their factor, and the bytes behind a row.
_LAYOUT = np.array([WORD, SPARE])


@dataclass(frozen=True, eq=False)
class SwitchingKey:
    """An evaluation key as factors of products.

    Attributes:
        gadget: the gadget that it was made for, which has the highest level at which it switches.
        factors: the digits of the key, [digits, 2] with a row for every prime of the gadget.
    """

    gadget: Gadget
    factors: Factors

    def at(self, gadget: Gadget) -> np.ndarray:
        """Return the addresses of the rows for the gadget of a level: int64 [digits, 2, rows]."""
        top, level = self.gadget.level, gadget.level
        rows = [*range(level), *range(top, top + gadget.specials)]
        return np.ascontiguousarray(self.factors.addresses[: len(gadget.groups), :, rows])

    @cached_property
    def by_prime(self) -> np.ndarray:
        """The addresses of rows by the indices of their primes: int64 [digits, 2, primes]; 0 where there is no row."""
        digits, halves, _ = self.factors.addresses.shape
        result = np.zeros((digits, halves, len(self.gadget.chain)), np.int64)
        result[..., list(self.gadget.indices)] = self.factors.addresses
        return result


@dataclass(frozen=True, eq=False)
class SwitchingKeys:
    """Evaluation keys by Galois elements, of which 1 is relinearisation's, and by their numbers of special primes.

    Attributes:
        keys: the keys, permuted by the inverse automorphism, so that only the result of a rotation has to be permuted.
        permutations: the permutation of every Galois element, as `he.ring.slots.permutation` returns it.
    """

    keys: Mapping[tuple[int, int], SwitchingKey]
    permutations: Mapping[int, tuple[np.ndarray, np.ndarray]]

    def key(self, element: int, gadget: Gadget) -> SwitchingKey:
        """Return the key of a Galois element that serves a gadget.

        Raises:
            ValueError: if there is none: kernels would read where no key is.
        """
        found = self.keys.get((element, gadget.specials))
        if found is None or gadget.level > found.gadget.level:
            what = "relinearisation" if element == RELINEARISATION else f"the Galois element {element}"
            there = "none" if found is None else f"one up to level {found.gadget.level}"
            raise ValueError(
                f"the keys must have one of {what} for level {gadget.level} with {gadget.specials} special prime(s), "
                f"got {there}; make those that `he.ring.gadget.Gadgets.keys` lists"
            )
        return found

    @staticmethod
    def read(encoder: Encoder, data: bytes | memoryview, elements: Sequence[int]) -> SwitchingKeys:
        """Return the keys that `he.formats.switching.write` wrote, which have one special prime, for these elements.

        Raises:
            SealDataError: as `he.formats.switching.read`.
        """
        parameters = encoder.parameters
        gadget = Gadget.of(parameters, parameters.levels)
        found = switching.read(data, parameters, elements)
        return SwitchingKeys.of(encoder, ((element, gadget, key) for element, key in found))

    @staticmethod
    def of_interface(encoder: Encoder, data: bytes | memoryview, interface: Interface) -> SwitchingKeys:
        """Return the keys that an interface names, as they travel.

        Raises:
            SealDataError: if the bytes are not as many as these keys have, or a residue is not below its prime.
        """
        if interface.key_levels is None:
            return SwitchingKeys.read(encoder, data, interface.key_elements)
        return SwitchingKeys.of(encoder, hybrid.read_all(data, interface.keys, encoder.parameters.scheme))

    @staticmethod
    def of(encoder: Encoder, keys: Iterable[tuple[int, Gadget, np.ndarray]]) -> SwitchingKeys:
        """Return keys as factors; one of them is held at a time.

        Args:
            encoder: the encoder of the keys' parameters.
            keys: Galois element, gadget and key, uint64 [digits, 2, rows, N] in transformed form.
        """
        N = encoder.parameters.poly_modulus_degree
        found = {}
        for element, gadget, key in keys:  # the identity permutes nothing, so relinearisation's is read like any other
            permuted = np.take(key, np.argsort(automorphism(N, element)), axis=-1)
            found[element, gadget.specials] = SwitchingKey(gadget, encoder.factors(permuted, gadget.indices))
        return SwitchingKeys(found, _permutations(N, found))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the keys as arrays by name; `restored` is the inverse.

        The name of a key says its Galois element, its highest level, and its number of special primes.
        """
        named = {
            f"{element}.{key.gadget.level}.{specials}": key.factors.memory
            for (element, specials), key in self.keys.items()
        }
        return {**named, "layout": _LAYOUT}

    @staticmethod
    def restored(parameters: Parameters, arrays: Mapping[str, np.ndarray]) -> SwitchingKeys:
        """Return the keys that `arrays` returned; nothing is copied, and residues are not looked at.

        Raises:
            ValueError: if an array has another shape than its key, or words are laid out in another way.
        """
        if not np.array_equal(arrays.get("layout", ()), _LAYOUT):
            raise ValueError(f"`layout` must be {_LAYOUT.tolist()}; make the keys anew from those that travel")
        N, found = parameters.poly_modulus_degree, {}
        for name in arrays.keys() - {"layout"}:
            element, level, specials = map(int, name.split("."))
            gadget = Gadget.of(parameters, level, specials)
            shape, memory = (len(gadget.groups), 2), arrays[name]
            due = prod(shape) * Factors.size(N, gadget.primes)
            if memory.shape != (due,) or memory.dtype != np.uint8:
                raise ValueError(f"`{name}` must be uint8 [{due}], got {memory.dtype} {memory.shape}")
            found[element, specials] = SwitchingKey(gadget, Factors(memory, N, gadget.primes, shape))
        return SwitchingKeys(found, _permutations(N, found))


def _permutations(N: int, keys: Iterable[tuple[int, int]]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    elements = {element for element, _ in keys} - {RELINEARISATION}
    return {element: permutation(N, element) for element in elements}
