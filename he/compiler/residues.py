"""The compiler's entrance for networks whose logits are too large for one plaintext modulus."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from math import prod

from he.circuit.circuit import Circuit
from he.circuit.commitment import SALT_BYTES, require_salt
from he.circuit.residues import MOST_MODULI, ResidueCircuit, room_bits
from he.compiler.compile import require_network, require_options
from he.compiler.exact import exact_lowering
from he.compiler.search import PackingName, search
from he.ring.params import ParameterError, Security
from he.ring.plain_moduli import SIZES, moduli, require_modulus
from intnn import IntNetwork, LutActivation, Requantise

TRIED = 4  # of the splits that fit, the ones with the fewest primes, are priced


def compile_residues(
    network: IntNetwork,
    *,
    images: int | None = 1,
    packing: PackingName = "latency",
    security: Security = "128",
    salt: bytes | None = None,
    plain_moduli: Sequence[int] | None = None,
) -> ResidueCircuit:
    """Compile an integer network for BFV modulo several primes; the combined logits equal `network.logits`.

    A polynomial network's integers grow with every layer, but each of its operations can be done modulo a prime t, and
    logits modulo enough primes are known themselves. A client has one secret key and one set of evaluation keys,
    encrypts an image once for each prime, and combines the logits; whatever is beyond the proved worst case it refuses.
    Where one prime is enough, it is the only one.

    Args:
        network: an integer network whose activations are all `IntPolynomial`; its logits may be of any size.
        images: see `he.compile_exact`.
        packing: see there.
        security: see there.
        salt: see there.
        plain_moduli: the primes, each ≡ 1 mod 2N for the ring degree N that is found, whose product holds the largest
            logit, rounded up to a power of two, and a sign. By default they are the largest primes ≡ 1 mod 65536 of one
            size from 17 to 48 bits, the one of those tried that takes the least time in all.

    Raises:
        ParameterError: if no supported parameter set fits, with the reason for each ring, if `plain_moduli` are not
            such primes, if a stage or a logit ignores the input, or if `security` is another string.
        TypeError: if a layer has no encrypted evaluation, is a table or rescales, or the salt is no bytes.
        ValueError: if `images` is not positive, `packing` is another string, or the salt has another length.
    """
    require_network(network)
    images = require_options(images, packing, security)
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else require_salt(salt)
    for i, layer in enumerate(network.layers):
        if isinstance(layer, LutActivation | Requantise):
            raise TypeError(
                f"layer {i} must be linear or an IntPolynomial, for tables read whole numbers and not residues, got "
                f"{type(layer).__name__}; use compile_exact"
            )
    bits = network.intervals[-1].magnitude.bit_length()
    told = bits + bits % 2  # of the reach: it is told up to a factor of four, as the moduli are

    def circuit(t: int, first: Circuit | None = None) -> Circuit:
        like = first.parameters if first else None
        lowering = exact_lowering(network, security, packing=packing, plain_modulus=t, wraps=True, like=like)
        rings = (like.poly_modulus_degree,) if like else None
        return search(lowering, images, packing, security, salt, rings)

    if plain_moduli is None:
        found, reasons = _cheapest(circuit, bits)
    else:
        primes = _named(plain_moduli, bits)
        first = circuit(primes[0])
        found, reasons = [first, *(circuit(t, first) for t in primes[1:])], ["the primes were asked for"]
    room = room_bits([one.parameters.t for one in found])
    return ResidueCircuit(tuple(found), min(told, room), tuple(reasons))


def _cheapest(circuit: Callable[..., Circuit], bits: int) -> tuple[list[Circuit], list[str]]:
    """Return the circuits of the split that takes the least time, and what was tried.

    Args:
        circuit: compiles for a prime; and for another one by what was found for a larger one.
        bits: every logit is below 2^bits in magnitude.
    """
    tried: list[tuple[float, int, Circuit]] = []
    reasons, refusals = [], []
    for count, size in _splits(bits):
        try:
            first = circuit(next(moduli(size)))
        except ParameterError as refusal:
            refusals.append(f"{count} primes of {size} bits: {refusal}")
            continue
        tried.append((count * first.cost().total, count, first))
        reasons.append(f"{count} prime(s) of {size} bits: {tried[-1][0]:.1f} units in all")
        if len(tried) == TRIED:
            break
    if not tried:
        raise ParameterError("; ".join([f"logits have {bits} bits", *refusals]))
    _, count, first = min(tried, key=lambda priced: priced[0])
    size = first.parameters.t.bit_length()
    found = [first, *islice(_alike(circuit, first, islice(moduli(size), 1, None)), count - 1)]
    if len(found) < count or room_bits([one.parameters.t for one in found]) < bits:
        raise ParameterError(f"too few primes of {size} bits serve the network; name others in `plain_moduli`")
    return found, reasons


def _splits(bits: int) -> Iterator[tuple[int, int]]:
    """Yield how many primes of which size hold integers below 2^bits in magnitude, the fewest of every size."""
    last = SIZES[-1] + 1
    for count in range(1, MOST_MODULI + 1):
        fitting = (size for size in SIZES if _holds(list(islice(moduli(size), count)), count, bits))
        size = next(fitting, None)
        if size is not None and size < last:
            yield count, size
            last = size


def _holds(primes: Sequence[int], count: int, bits: int) -> bool:
    return len(primes) == count and room_bits(primes) >= bits


def _alike(circuit: Callable[..., Circuit], first: Circuit, primes: Iterator[int]) -> Iterator[Circuit]:
    """Yield circuits that differ from the first in t alone. A prime by which weights look unusual is left out."""
    for t in primes:
        try:
            found = circuit(t, first)
        except ParameterError:
            continue
        told = replace(found.interface, parameters=first.parameters)
        if told.digest == first.interface.digest:
            yield found


def _named(primes: Sequence[int], bits: int) -> list[int]:
    """Return primes that a caller names, the largest first.

    Raises:
        ParameterError: if one is none, one is named twice, or their product is too small.
    """
    each = sorted(map(require_modulus, primes), reverse=True)
    if not each or len(set(each)) < len(each):
        raise ParameterError(f"`plain_moduli` must be one or more different primes, got {list(primes)!r:.80}")
    if room_bits(each) < bits:
        raise ParameterError(
            f"`plain_moduli` must have a product that holds {bits} bits and a sign, as the logits have, got one of "
            f"{prod(each).bit_length()} bits; name another prime, or leave them out"
        )
    return each
