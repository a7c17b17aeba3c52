"""Evaluate a circuit in the clear: everything but the cryptography, by the same arithmetic.

Packing, rotations, tables as polynomials and the order of operations are those of the encrypted evaluation.
"""

from __future__ import annotations

import numpy as np

from he.circuit.circuit import Circuit, require_circuit
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
        TypeError: if `circuit` is no circuit.
    """
    if isinstance(circuit, ResidueCircuit):
        logits = combined(circuit.interface, [simulate(one, images) for one in circuit.circuits])
        assert logits is not None  # the bound on logits was proved
        return logits
    interface, scheme, results = require_circuit(circuit).interface, circuit.parameters.scheme, []
    (spec,) = interface.inputs
    for batch in [spec.check(batch, scheme) for batch in spec.batches(images)]:
        packed = spec.layout.pack(batch)
        algebra = ClearAlgebra(
            circuit.parameters.plain_modulus, packed, circuit.program.plaintexts, circuit.parameters.rows
        )
        slots = np.array(run(circuit.program, algebra))
        # Copies of a CKKS logit are the same sum in another order: they agree to a few roundings of float64.
        tolerance = 0.0 if scheme.exact else 1e-9 * (1 + float(np.abs(slots).max()))
        results.append(interface.output.unpack(slots, len(batch), tolerance))
    return np.concatenate(results)
