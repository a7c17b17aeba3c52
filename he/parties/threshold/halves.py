"""What one owner contributes to the keys of both, and the keys that two contributions make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from he.circuit.interface import Interface
from he.formats import compact, polynomials, switching
from he.formats.compact import Form
from he.formats.messages import MessageError
from he.formats.seal_bridge import SealDataError
from he.formats.seal_bytes import CiphertextArray
from he.formats.switching import RELINEARISATION
from he.kernels.passes.evaluate import inverse
from he.kernels.tables.chain import chain
from he.parties.public_key import PublicKey
from he.parties.threshold.share import KeyShare
from he.parties.threshold.strings import digits, expanded, multiplying, seeds


class First(NamedTuple):
    """What an owner publishes first: its share of the public key, and what the relinearisation key needs.

    Attributes:
        public: uint64 [primes, N], transformed.
        products: the same for every digit of a relinearisation key, modulo the primes of its gadget.
    """

    public: np.ndarray
    products: Sequence[np.ndarray]

    def to_parts(self, interface: Interface) -> list[bytes]:
        """Return it as two parts of a message."""
        primes = [digit.gadget.primes for digit in multiplying(interface)]
        products = b"".join(map(polynomials.write, self.products, primes))
        return [polynomials.write(self.public, interface.parameters.primes), products]

    @staticmethod
    def from_parts(parts: Sequence[memoryview], interface: Interface) -> First:
        """Read what `to_parts` returned.

        Raises:
            MessageError: if the parts have another length, or a residue is not below its prime.
        """
        parameters = interface.parameters
        due = [public_bytes(interface), products_bytes(interface)]
        if [len(part) for part in parts] != due:
            raise MessageError(f"an owner's first message must have parts of {due} bytes, got {list(map(len, parts))}")
        try:
            public = polynomials.read(parts[0], parameters.primes, parameters.poly_modulus_degree)
            return First(public, _read(parts[1], interface, multiply_only=True))
        except SealDataError as error:
            raise MessageError(f"an owner's first message is malformed: {error}") from error


class Strings:
    """The polynomials that both owners of a key have in common.

    Args:
        interface: the circuit's public part.
        nonces: what both owners have drawn for it, in order.
    """

    def __init__(self, interface: Interface, nonces: Sequence[bytes]) -> None:
        self._interface = interface
        drawn = seeds(b"first", interface.digest.encode(), *nonces)
        self.public = next(drawn)
        self.products = [next(drawn) for _ in multiplying(interface)]
        self._nonces = nonces

    def of_keys(self, *published: bytes | memoryview) -> list[np.ndarray]:
        """Return the seeds of all digits of the keys, by what both owners have published."""
        drawn = seeds(b"second", self._interface.digest.encode(), *self._nonces, *published)
        return [next(drawn) for _ in digits(self._interface)]


def first(share: KeyShare, interface: Interface, strings: Strings, *, leads: bool) -> First:
    """Return an owner's first contribution; that of the one who leads holds its share of the secret, encrypted."""
    ntt = interface.parameters.scheme.ntt_form
    public = share.masked(expanded(strings.public, interface, transformed=ntt))
    products = []
    for seed, digit in zip(strings.products, multiplying(interface), strict=True):
        term = share.term(digit.gadget, digit.group, None) if leads else None
        rows = share.masked(expanded(seed, interface, transformed=True), term)
        products.append(rows[digit.indices])
    return First(public, products)


def second(share: KeyShare, interface: Interface, named: Sequence[np.ndarray], other: First, *, leads: bool) -> bytes:
    """Return an owner's shares of all evaluation keys, one behind the other, by the other owner's first contribution.

    Args:
        share: the owner's share of the secret.
        interface: the circuit's public part.
        named: the seeds of `Strings.of_keys`.
        other: what the other owner has published first.
        leads: whether this is the owner who leads.
    """
    products, parts = iter(other.products), []
    for seed, digit in zip(named, digits(interface), strict=True):
        mask = expanded(seed, interface, transformed=_transformed(interface))
        if digit.element == RELINEARISATION:
            theirs = np.zeros_like(mask)
            theirs[digit.indices] = next(products)
            twice = share.added(theirs, theirs)
            mask = share.added(mask, twice if leads else share.negated(twice))
        rows = share.masked(mask, share.term(digit.gadget, digit.group, digit.element))
        parts.append(polynomials.write(rows[digit.indices], digit.gadget.primes))
    return b"".join(parts)


def keys_data(interface: Interface, named: Sequence[np.ndarray], contributed: Sequence[bytes | memoryview]) -> bytes:
    """Return the evaluation keys, one behind the other, that both owners' contributions of `second` make.

    Raises:
        MessageError: if there are not two, one has another length, or a residue is not below its prime.
    """
    parameters, ntt = interface.parameters, _transformed(interface)
    if len(contributed) != 2:
        raise MessageError(f"each of two owners must contribute one part to their keys, got {len(contributed)} in all")
    try:
        read = [_read(half, interface) for half in contributed]
    except SealDataError as error:
        raise MessageError(f"an owner's shares of keys are malformed: {error}") from error
    parts = []
    for seed, digit, rows, others in zip(named, digits(interface), *read, strict=True):
        total = _sum(rows, others, digit.gadget.primes)
        if not ntt:
            _untransform(total, digit.gadget.primes)
        form = Form(digit.gadget.primes, parameters.poly_modulus_degree, ntt, 1.0, seeded=True)
        parts.append(compact.write(CiphertextArray(total[None], ntt, 1.0, seed), form))
    return b"".join(parts)


def joint_public_key(interface: Interface, strings: Strings, publics: Sequence[np.ndarray], key: str) -> PublicKey:
    """Return the public key that both owners' shares make, for evaluation keys of this name."""
    parameters = interface.parameters
    form = switching.zero_form(parameters, len(parameters.primes))
    total = _sum(publics[0], publics[1], parameters.primes)
    if not form.ntt:
        _untransform(total, parameters.primes)
    zero = compact.write(CiphertextArray(total[None], form.ntt, 1.0, strings.public), form)
    return PublicKey.sealed(interface.digest, key, zero)


def public_bytes(interface: Interface) -> int:
    """Count the bytes of an owner's share of the public key."""
    parameters = interface.parameters
    return polynomials.row_bytes(parameters.primes, parameters.poly_modulus_degree)


def products_bytes(interface: Interface) -> int:
    """Count the bytes of what the relinearisation key needs of an owner first."""
    return sum(digit.bytes for digit in multiplying(interface))


def keys_bytes(interface: Interface) -> int:
    """Count the bytes of an owner's shares of all evaluation keys."""
    return sum(digit.bytes for digit in digits(interface))


def _transformed(interface: Interface) -> bool:
    """Return whether seeds of evaluation keys name transformed polynomials; those of usual keys always do."""
    return interface.parameters.scheme.ntt_form or interface.key_levels is None


def _read(data: bytes | memoryview, interface: Interface, *, multiply_only: bool = False) -> list[np.ndarray]:
    """Read polynomials of digits that lie one behind the other.

    Raises:
        SealDataError: if a residue is not below its prime, or there are more or fewer bytes.
    """
    view, start, rows = memoryview(data), 0, []
    for digit in multiplying(interface) if multiply_only else digits(interface):
        part = view[start : start + digit.bytes]
        rows.append(polynomials.read(part, digit.gadget.primes, digit.gadget.degree))
        start += digit.bytes
    if start != len(view):
        raise SealDataError(f"{len(view) - start} bytes follow the last polynomial")
    return rows


def _sum(x: np.ndarray, y: np.ndarray, primes: Sequence[int]) -> np.ndarray:
    """Return the sum of published polynomials."""
    return (x + y) % np.array(primes, np.uint64)[:, None]


def _untransform(rows: np.ndarray, primes: tuple[int, ...]) -> None:
    tables = chain(rows.shape[-1], primes).tables
    for prime, row in enumerate(rows):
        inverse(tables, row, prime)
