"""Evaluate a circuit in the clear: everything but the cryptography, by the same arithmetic.

Packing, rotations, tables as polynomials and the order of operations are those of the encrypted evaluation.
"""

from __future__ import annotations

import numpy as np

from he.circuit.circuit import Circuit, require_weights
from he.circuit.guards import RangeError, RangeGuard, answers_in_range, images_outside
from he.circuit.packing import OutputLayout
from he.circuit.residues import ResidueCircuit, combined
from he.program.algebra import run
from he.readers.clear import ClearAlgebra


def simulate(circuit: Circuit | ResidueCircuit, images: np.ndarray) -> np.ndarray:
    """Return the logits of images, computed by the circuit's own operations in the clear.

    Args:
        circuit: any compiled network.
        images: [batch, *input_shape], integers for BFV and floats for CKKS; any number, evaluated batch by batch.

    Returns:
        [batch, outputs]: int64 for BFV, equal to `IntNetwork.logits` bit for bit, or Python's integers where they are
        computed modulo several primes and may be longer; float64 for CKKS.

    Raises:
        InputError: if the images are not what the circuit takes.
        ParameterError: if the circuit has no weights, as a `Circuit.public`.
        RangeError: if the circuit's ranges are calibrated and images left them; it has their numbers, and the logits of
            the others. `simulate_guards` says how far they went.
        TypeError: if `circuit` is no circuit.
    """
    if isinstance(circuit, ResidueCircuit):
        logits = combined(circuit.interface, [simulate(one, images) for one in circuit.circuits])
        assert logits is not None  # the bound on logits was proved
        return logits
    return answers_in_range(_batches(circuit, images), lambda batch: _answered(circuit, batch))


def simulate_guards(circuit: Circuit, images: np.ndarray) -> np.ndarray:
    """Return how far images go in a circuit with calibrated ranges, as shares of what a client accepts.

    Args:
        circuit: any compiled network.
        images: as `simulate` takes them.

    Returns:
        float64 [batch, guards]: an answer to an image is accepted if none is above 1. There are no guards, and so no
        columns, where ranges are proved, and for integer networks.

    Raises:
        InputError: if the images are not what the circuit takes.
        ParameterError: as `simulate`.
        TypeError: if `circuit` is no circuit.
    """
    interface, shares = require_weights(circuit).interface, []
    layout = OutputLayout(interface.packing, 1, max(1, len(interface.guards)))
    limits = np.array([guard.limit for guard in interface.guards])
    for batch in _batches(circuit, images):
        guards = _evaluated(circuit, batch)[interface.output.ciphertexts :]
        shares.append(layout.unpack(guards, len(batch), np.inf) / limits if len(guards) else np.empty((len(batch), 0)))
    return np.concatenate(shares)


def _answered(circuit: Circuit, batch: np.ndarray) -> np.ndarray:
    """The logits of a batch.

    Raises:
        RangeError: if an image left its range.
    """
    interface, slots = circuit.interface, _evaluated(circuit, batch)
    # Copies of a CKKS logit are the same sum in another order: they agree to a few roundings of float64.
    tolerance = 0.0 if circuit.parameters.scheme.exact else 1e-9 * (1 + float(np.abs(slots).max()))
    logits, guards = slots[: interface.output.ciphertexts], slots[interface.output.ciphertexts :]
    # In the clear a guard has no scale; its limit is of its number as it is.
    shown = [RangeGuard(guard.limit, 1.0) for guard in interface.guards]
    if outside := images_outside(shown, interface.packing, guards, 1.0, len(batch)):
        raise RangeError(outside)
    return interface.output.unpack(logits, len(batch), tolerance)


def _batches(circuit: Circuit, images: np.ndarray) -> list[np.ndarray]:
    """The batches of images, all of them checked before the first is evaluated."""
    (spec,) = require_weights(circuit).interface.inputs
    return [spec.check(batch, circuit.parameters.scheme) for batch in spec.batches(images)]


def _evaluated(circuit: Circuit, batch: np.ndarray) -> np.ndarray:
    """The slots [ciphertexts, slots] of the answer to a batch."""
    (spec,), modulus = circuit.interface.inputs, circuit.parameters.plain_modulus
    packed = spec.layout.pack(batch)
    return np.array(
        run(circuit.program, ClearAlgebra(modulus, packed, circuit.program.plaintexts, circuit.parameters.rows))
    )
