"""The random polynomials that two owners of a key have in common, and the layout of what they make with them.

Polynomials are those that seeds name, as in keys and ciphertexts; seeds are hashes of what both owners have
contributed, so that neither chooses them: as far as BLAKE2b and BLAKE2Xb are random oracles, they are uniform, whatever
an owner has sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from he.circuit.interface import Interface
from he.formats import polynomials
from he.formats.switching import RELINEARISATION, transform_rows
from he.ring.gadget import Gadget
from he.ring.packed import SEED_BYTES

_PERSON = b"joint key"  # no other hash of the toolkit has it


@dataclass(frozen=True)
class Digit:
    """One digit of an evaluation key.

    Attributes:
        element: the key's Galois element, or 1 for relinearisation.
        gadget: the key's gadget.
        group: the primes of the digit.
    """

    element: int
    gadget: Gadget
    group: range

    @property
    def indices(self) -> list[int]:
        """The places in the chain of the primes that its polynomials have."""
        return list(self.gadget.indices)

    @property
    def bytes(self) -> int:
        """The number of bytes of one of its polynomials."""
        return polynomials.row_bytes(self.gadget.primes, self.gadget.degree)


def digits(interface: Interface) -> list[Digit]:
    """List the digits of all evaluation keys of a circuit, in the order in which they travel."""
    return [Digit(element, gadget, group) for element, gadget in interface.keys for group in gadget.groups]


def multiplying(interface: Interface) -> list[Digit]:
    """List the digits of the relinearisation keys alone."""
    return [digit for digit in digits(interface) if digit.element == RELINEARISATION]


def seeds(*contributed: bytes | memoryview) -> Iterator[np.ndarray]:
    """Yield seeds, uint64 [8], as many as are wanted, from what both owners have contributed."""
    root = blake2b(b"".join(blake2b(part).digest() for part in contributed), person=_PERSON).digest()
    number = 0
    while True:
        drawn = blake2b(number.to_bytes(8, "little"), key=root, person=_PERSON, digest_size=SEED_BYTES).digest()
        yield np.frombuffer(drawn, "<u8").astype(np.uint64)
        number += 1


def expanded(seed: np.ndarray, interface: Interface, *, transformed: bool) -> np.ndarray:
    """Return the polynomial that a seed names, uint64 [primes, N], transformed.

    Args:
        seed: the seed.
        interface: the circuit's public part.
        transformed: whether the seed names the transformed polynomial, or its coefficients.
    """
    from he.kernels.passes.expand import uniform

    parameters = interface.parameters
    named = np.empty((1, len(parameters.primes), parameters.poly_modulus_degree), np.uint64)
    uniform(seed, np.array(parameters.primes, np.int64), named[0])
    if not transformed:
        transform_rows(named, parameters.primes)
    return named[0]
