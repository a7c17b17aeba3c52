"""The fast engine: our own residue arithmetic on SEAL's ciphertexts and evaluation keys.

Values stay in transformed form, in both schemes. Rotations of one value share its decomposition (hoisting; S. Halevi
and V. Shoup, "Faster Homomorphic Linear Transformations in HElib", CRYPTO 2018): digits are multiplied with a key that
was turned back, and only the result is turned. Digits are centred, so that key switching adds less noise than SEAL's,
whose bounds therefore hold.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np

from he.circuit.circuit import Circuit
from he.engines.rns.algebra import Approximate, Exact, Residues, Value
from he.engines.rns.threads import Workers, run_on
from he.formats import compact
from he.formats.seal_bridge import SealDataError, create_context, expanded, level_ids
from he.formats.seal_bytes import CiphertextArray, read_keys
from he.kernels.tables.roots import LARGEST_PRIME_BITS
from he.program.operations import Conjugate, Rotate, SwapRows, arguments
from intnn.values.arrays import integer

MAX_THREADS = 1024
_TURNS = Rotate | SwapRows | Conjugate
MAX_LEVELS = 24  # sums of so many products, and two more, are reduced at once


class RnsEngine:
    """Evaluates a circuit on arrays of residues.

    Args:
        circuit: what to evaluate; its primes have at most 50 bits.
        relinearisation_key: SEAL's serialisation, or None where the circuit multiplies no ciphertexts.
        galois_keys: SEAL's serialisation, or None where it rotates nothing.
        threads: that one evaluation uses; by default all that this process may use.

    Raises:
        SealDataError: if a key is missing, malformed or made for other parameters.
        ValueError: if a prime is too large, there are too many, or there is no thread.
    """

    name = "rns"

    def __init__(
        self,
        circuit: Circuit,
        relinearisation_key: bytes | None,
        galois_keys: bytes | None,
        threads: int | None = None,
    ) -> None:
        parameters = circuit.parameters
        self.threads = available_threads() if threads is None else integer(threads, "threads", 1, MAX_THREADS)
        if max(parameters.coeff_modulus_bits) > LARGEST_PRIME_BITS:
            raise ValueError(f"primes must have at most {LARGEST_PRIME_BITS} bits, got {parameters.coeff_modulus_bits}")
        if parameters.levels > MAX_LEVELS:
            raise ValueError(f"there must be at most {MAX_LEVELS} data primes, got {parameters.levels}")
        self._circuit, self._context = circuit, create_context(parameters)
        self._ids = level_ids(self._context, parameters)
        relin, galois = {}, {}
        key_id = self._context.key_parms_id()
        if relinearisation_key:
            relin = read_keys(expanded("RelinKeys", self._context, relinearisation_key), parameters, key_id)
        if galois_keys:
            galois = read_keys(expanded("GaloisKeys", self._context, galois_keys), parameters, key_id)
        missing = [g for g in circuit.interface.galois_elements if (g - 1) // 2 not in galois]
        if missing:
            raise SealDataError(
                f"`galois_keys` must hold a key for every rotation of the circuit; {len(missing)} are missing"
            )
        if circuit.interface.multiplies and 0 not in relin:
            raise SealDataError("`relinearisation_key` must be given: the circuit multiplies ciphertexts")
        operations = circuit.program.operations
        self._turns = Counter(op.args[0] for op in operations if isinstance(op, _TURNS))
        self._readers = Counter(a for op in operations for a in set(arguments(op)))
        algebra = Exact if parameters.scheme == "bfv" else Approximate
        self.algebra = algebra(circuit, relin.get(0), {2 * index + 1: key for index, key in galois.items()})

    def evaluate(self, inputs: Sequence[bytes]) -> list[bytes]:
        """See `Engine.evaluate`."""
        expected = self._circuit.program.inputs
        if len(inputs) != expected:
            raise ValueError(f"`inputs` must be {expected} ciphertexts, got {len(inputs)}")
        with Workers(self.threads) as workers:
            algebra = self.algebra.on([partial(self._read, i, data) for i, data in enumerate(inputs)], workers)
            result = run_on(workers, self._circuit.program, algebra, partial(self._made, algebra))
        ntt, scale = self._circuit.parameters.scheme == "ckks", self._circuit.interface.output_scale
        outputs = [self.algebra.left(value) for value in (result if isinstance(result, list) else [result])]
        parameters = self._circuit.parameters
        return [compact.write(CiphertextArray(residues, ntt, scale), parameters) for residues in outputs]

    def _made(self, algebra: Residues, position: int, value: Value | list[Value]) -> None:
        """Say what a value is for; what several operations will want of it is made while nobody waits for it yet."""
        if isinstance(value, Value):
            value.turns, value.readers = self._turns[position], self._readers[position]
            if value.turns > 1:
                algebra.decompose(value)

    def read(self, data: bytes) -> Value:
        """A fresh ciphertext as a value of ``algebra``."""
        return self.algebra.entered(self._read(0, data))

    def _read(self, index: int, data: bytes) -> np.ndarray:
        """The residues of an input, if it is a fresh ciphertext."""
        parameters = self._circuit.parameters
        scale = 1.0 if parameters.scale_bits is None else 2.0**parameters.scale_bits
        read = compact.read(data, parameters, self._ids)
        form = (*read.residues.shape[:2], read.ntt, read.scale)
        if form != (2, parameters.levels, parameters.scheme == "ckks", scale):
            raise ValueError(f"input {index} must be a fresh ciphertext of two polynomials at the top level")
        return read.residues


def available_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
