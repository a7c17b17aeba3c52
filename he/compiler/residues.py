"""The compiler's entrance for networks whose logits are too large for one plaintext modulus."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

from he.circuit.circuit import Circuit
from he.circuit.commitment import SALT_BYTES, require_salt
from he.circuit.residues import MOST_MODULI, ResidueCircuit, room_bits
from he.compiler.compile import require_network, require_options
from he.compiler.exact import exact_lowering
from he.compiler.fit_bfv import PlainNorms, placed_budget
from he.compiler.latency import lower
from he.compiler.search import Found, Lowering, PackingName, find, require_no_constant_output
from he.compiler.throughput import feature_layers, lower_features
from he.program.operations import Matrix, Operation
from he.program.program import Program
from he.ring.params import RING_DEGREES, ParameterError, Security
from he.ring.plain_moduli import SIZES, moduli, primes_below, require_modulus
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

    def lowering(t: int, largest: int) -> Lowering:
        return exact_lowering(network, security, packing=packing, plain_modulus=t, largest=largest)

    def first(t: int) -> Found:
        return find(lowering(t, t), images, packing, security, salt)

    if plain_moduli is None:
        found, others, reasons = _cheapest(first, bits)
    else:
        largest, *others = _named(plain_moduli, bits)
        found, reasons = first(largest), ["the primes were asked for"]
    t = found.circuit.parameters.t
    circuits = [found.circuit, *(_with_weights_of(lowering(other, t), found) for other in others)]
    return ResidueCircuit(tuple(circuits), min(told, room_bits([t, *others])), tuple(reasons))


def _cheapest(first: Callable[[int], Found], bits: int) -> tuple[Found, list[int], list[str]]:
    """Return the first circuit of the split that takes the least time, the other primes, and what was tried.

    Args:
        first: compiles for one prime.
        bits: every logit is below 2^bits in magnitude.
    """
    tried: list[tuple[float, Found, list[int]]] = []
    reasons, refusals = [], []
    for size in _sizes(bits):
        try:
            found = first(next(moduli(size)))
        except ParameterError as refusal:
            refusals.append(f"primes of {size} bits: {refusal}")
            continue
        primes = _enough(found.circuit.parameters.t, found.circuit.parameters.poly_modulus_degree, bits)
        if primes:
            units = len(primes) * found.circuit.cost().total
            tried.append((units, found, primes[1:]))
            reasons.append(f"{len(primes)} prime(s) of at most {size} bits: {units:.1f} units in all")
        if len(tried) == TRIED:
            break
    if not tried:
        raise ParameterError("; ".join([f"logits have {bits} bits", *refusals]))
    _, found, others = min(tried, key=lambda priced: priced[0])
    return found, others, reasons


def _sizes(bits: int) -> list[int]:
    """Return the sizes of primes to try: for every number of primes, the fewest first, the least size that needs it."""
    sizes: dict[int, int] = {}
    for size in SIZES:
        splits = (_enough(next(moduli(size)), N, bits) for N in reversed(RING_DEGREES))
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
    bound = placed_budget(program, first.parameters, PlainNorms(t))
    if not program.plaintexts:
        require_no_constant_output(program, t)
    interface = replace(first.interface, parameters=replace(first.parameters, plain_modulus=t))
    return Circuit(interface, program, bound, lowering.reasons, first.salt)


def _with_operands(program: Program, recorded: Program) -> Program:
    """Return a program with the plaintexts and matrices of another one, before it was placed, of the same operations."""
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
