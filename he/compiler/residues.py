"""The compiler's entrance for networks whose logits are too large for one plaintext modulus."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from math import prod

from he.circuit.circuit import Circuit
from he.circuit.commitment import SALT_BYTES, require_salt
from he.circuit.residues import MOST_MODULI, ResidueCircuit, room_bits
from he.compiler.arrange import Places
from he.compiler.compile import require_network, require_options
from he.compiler.exact import exact_lowering
from he.compiler.fit_bfv import PlainNorms, fit_bfv, placed_budget
from he.compiler.latency import lower
from he.compiler.search import (
    ALL_RING_DEGREES,
    Found,
    Lowering,
    PackingName,
    find,
    require_no_constant_output,
    rough_prices,
)
from he.compiler.stages import to_stages
from he.compiler.throughput import feature_layers, lower_features
from he.program.operations import Matrix, Operation
from he.program.program import Program
from he.ring.params import ParameterError, Security
from he.ring.plain_moduli import SIZES, moduli, primes_below, require_modulus
from intnn import IntNetwork, IntPolynomial, LutActivation, Requantise

_WIDEST = next(moduli(SIZES[-1]))
_WHOLE = LutActivation | Requantise  # layers that read whole numbers, and not residues


def is_of_polynomials(network: IntNetwork) -> bool:
    """Return whether a network has activations, all of which are polynomials, as `compile_residues` takes it."""
    has_polynomials = any(isinstance(layer, IntPolynomial) for layer in network.layers)
    return has_polynomials and not any(isinstance(layer, _WHOLE) for layer in network.layers)


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
            logit, rounded up to a power of two, and a sign. By default they are the largest ones of at most 17, 20, 22,
            ... or 48 bits, whichever takes the least time in all, by prices before schedules are chosen.

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
        if isinstance(layer, _WHOLE):
            raise TypeError(
                f"layer {i} must be linear or an IntPolynomial, for tables read whole numbers and not residues, got "
                f"{type(layer).__name__}; use compile_exact"
            )
    reach = network.intervals[-1].magnitude.bit_length()
    told = reach + reach % 2  # bits: so primes and bound tell the reach up to a factor of four, as a single prime does
    bits = told if plain_moduli is None else reach

    places = None
    if packing == "latency":  # units lie where they lie modulo any prime
        places = Places.of(to_stages(network.input_shape, network.layers, network.sources, _WIDEST))

    def lowering(t: int, largest: int) -> Lowering:
        return exact_lowering(network, security, packing=packing, plain_modulus=t, largest=largest, places=places)

    def compiled(t: int, others: Iterable[int] | None) -> list[Circuit]:
        """Return the circuits for a prime and these other ones; or, if there are none, for as many as are needed."""
        found = find(lowering(t, t), images, packing, security, salt)
        circuits, N = [found.circuit], found.circuit.parameters.poly_modulus_degree
        for other in islice(primes_below(t, N), MOST_MODULI) if others is None else others:
            if others is None and _holds(circuits, bits):
                break
            try:
                circuits.append(_with_weights_of(lowering(other, t), found))
            except ParameterError:
                if others is not None:
                    raise
        if not _holds(circuits, bits):
            raise ParameterError(f"too few primes below {t} serve the network at N={N}")
        return circuits

    if plain_moduli is None:
        circuits, reasons = _cheapest(compiled, _splits(lowering(_WIDEST, _WIDEST), images, packing, security, bits))
    else:
        first, *others = _named(plain_moduli, bits)
        circuits, reasons = compiled(first, others), ["the primes were asked for"]
    room = room_bits([circuit.parameters.t for circuit in circuits])
    return ResidueCircuit(tuple(circuits), min(told, room), tuple(reasons))


def _cheapest(
    compiled: Callable[[int, None], list[Circuit]], splits: Sequence[_Split]
) -> tuple[list[Circuit], list[str]]:
    """Return the circuits of the first split that is not refused, and what the splits would cost."""
    reasons = [f"{split}, before schedules are chosen" for split in splits]
    for split in splits:
        try:
            return compiled(split.primes[0], None), reasons
        except ParameterError as refusal:
            reasons.append(f"{split} refused: {refusal}")
    raise ParameterError("; ".join(reasons))


def _holds(circuits: Sequence[Circuit], bits: int) -> bool:
    return room_bits([circuit.parameters.t for circuit in circuits]) >= bits


@dataclass(frozen=True)
class _Split:
    """Primes for a network, the largest first, and what their circuits cost by schedules that have not been chosen."""

    primes: list[int]
    units: float

    def __str__(self) -> str:
        size = self.primes[0].bit_length()
        return f"{len(self.primes)} prime(s) of at most {size} bits: {self.units:.1f} units"


def _splits(
    lowering: Lowering, images: int | None, packing: PackingName, security: Security, bits: int
) -> list[_Split]:
    """Return the splits that fit a ring, the cheapest first.

    Args:
        lowering: the network, modulo any prime.
        images: see `compile_residues`.
        packing: see there.
        security: see there.
        bits: every logit is below 2^bits in magnitude.

    Raises:
        ParameterError: if there are none.
    """
    found, refusals = [], [f"logits have {bits} bits"]
    price = rough_prices(lowering, images, packing, security)
    for size in _sizes(bits):
        t = next(moduli(size))
        try:
            fit, units = price(partial(fit_bfv, t=t, security=security, checked=False))
        except ParameterError as refusal:
            refusals.append(f"primes of {size} bits: {refusal}")
            continue
        if primes := _enough(t, fit.parameters.poly_modulus_degree, bits):
            found.append(_Split(primes, len(primes) * units))
    if not found:
        raise ParameterError("; ".join(refusals))
    return sorted(found, key=lambda split: split.units)


def _sizes(bits: int) -> list[int]:
    """Return the sizes of primes to try: for every number of primes, the fewest first, the least size that needs it."""
    sizes: dict[int, int] = {}
    for size in SIZES:
        splits = (_enough(next(moduli(size)), N, bits) for N in reversed(ALL_RING_DEGREES))
        if primes := next(filter(None, splits), None):
            sizes.setdefault(len(primes), size)
    return [sizes[count] for count in sorted(sizes)]


def _enough(first: int, N: int, bits: int) -> list[int]:
    """Return a prime and the next smaller ones for a ring, so many that they hold integers below 2^bits; or none."""
    primes, whole = [first], first
    for t in primes_below(first, N):
        if whole // 2 + 1 >= 1 << bits or len(primes) == MOST_MODULI:
            break
        primes.append(t)
        whole *= t
    return primes if whole // 2 + 1 >= 1 << bits else []


def _with_weights_of(lowering: Lowering, found: Found) -> Circuit:
    """Return the circuit of the same operations with a lowering's weights, which are those modulo a smaller prime.

    All noise grows with t, so the bound for the larger one holds, if weights are within their declared norms.

    Raises:
        ParameterError: if a plaintext is larger than plaintexts usually are, or a logit the same for every input.
    """
    first, t = found.circuit, lowering.modulus
    assert t is not None
    packing = first.interface.packing
    if found.schedules:
        recorded = lower(lowering.stages, packing, lowering.encode, lowering.activate, found.schedules).program
    else:
        layers = feature_layers(lowering.stages, lowering.encode, lowering.norms)
        recorded = lower_features(lowering.scheme, layers, packing, lowering.activate).program
    program = _with_operands(first.program, recorded)
    bound = placed_budget(program, first.parameters, PlainNorms(t), first.interface.gadgets)
    if not program.plaintexts:
        require_no_constant_output(program, t)
    interface = replace(first.interface, parameters=replace(first.parameters, plain_modulus=t))
    return Circuit(interface, program, bound, lowering.reasons, first.salt)


def _with_operands(program: Program, recorded: Program) -> Program:
    """Return a placed program with the plaintexts and matrices of another one of the same operations, as recorded."""
    matrices = (operation for operation in recorded.operations if isinstance(operation, Matrix))

    def changed(operation: Operation) -> Operation:
        if not isinstance(operation, Matrix):
            return operation
        other = next(matrices)
        return replace(operation, weights=other.weights, constants=other.constants)

    return replace(program, operations=tuple(map(changed, program.operations)), plaintexts=recorded.plaintexts)


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
