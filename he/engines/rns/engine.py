"""The fast engine: our own residue arithmetic on SEAL's ciphertexts and evaluation keys.

Values of both schemes stay in transformed form. Rotations of one value share its decomposition (hoisting; S. Halevi
and V. Shoup, "Faster Homomorphic Linear Transformations in HElib", CRYPTO 2018): digits are multiplied with a key that
was permuted back, and only the result is permuted. Digits are centred, so that key switching adds less noise than
SEAL's, whose bounds therefore hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from he.circuit.circuit import Circuit
from he.engines.engine import require_evaluable, require_keys, thread_count
from he.engines.rns.algebra import Residues
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers, run_on
from he.engines.rns.value import Value
from he.engines.rns.weights import Weights
from he.formats import compact
from he.formats.seal_bridge import create_context, expanded, level_ids
from he.formats.seal_bytes import CiphertextArray, read_keys
from he.kernels.tables.roots import LARGEST_PRIME_BITS
from he.program.operations import Conjugate, Rotate, SwapRows, arguments
from he.program.program import Program
from intnn.values.value_object import Unstorable

MAX_LEVELS = 24  # kernels reduce a sum of so many products, and two more, in one step
_AUTOMORPHISMS = Rotate | SwapRows | Conjugate


class RnsEngine:
    """Evaluates circuits on arrays of residues; see `he.engines.engine.Engine`."""

    name = "rns"

    def prepare(self, circuit: Circuit, threads: int | None = None) -> RnsPrepared:
        """Encode the circuit's plaintexts, on so many threads; by default, one for each available processor.

        Raises:
            ValueError: if a prime has more than 50 bits, there are more than 24 data primes, the program has not been
                placed, or `threads` is out of range.
        """
        encoder = _encoder(circuit)
        weights = Weights.encoded(circuit.program, encoder, thread_count(threads))
        return RnsPrepared(self.name, circuit, encoder, weights)

    def restore(self, circuit: Circuit, arrays: Mapping[str, np.ndarray]) -> RnsPrepared:
        """See `Engine.restore`."""
        encoder = _encoder(circuit)
        return RnsPrepared(self.name, circuit, encoder, Weights.restored(circuit.program, encoder, arrays))


def _encoder(circuit: Circuit) -> Encoder:
    """Return the encoder of a circuit, if this engine can evaluate it.

    Raises:
        ValueError: if it cannot.
    """
    require_evaluable(circuit)
    parameters = circuit.parameters
    if max(parameters.coeff_modulus_bits) > LARGEST_PRIME_BITS:
        raise ValueError(
            f"`coeff_modulus_bits` must be at most {LARGEST_PRIME_BITS} each, got {parameters.coeff_modulus_bits}"
        )
    if parameters.levels > MAX_LEVELS:
        raise ValueError(f"the parameters must have at most {MAX_LEVELS} data primes, got {parameters.levels}")
    return Encoder.of(parameters)


class RnsPrepared(Unstorable, instead="store it with `PreparedCircuit.save`"):
    """A circuit with its encoded plaintexts, for any number of clients."""

    def __init__(self, name: str, circuit: Circuit, encoder: Encoder, weights: Weights) -> None:
        self.name = name
        self.circuit, self.encoder, self.weights = circuit, encoder, weights

    @cached_property
    def context(self) -> Any:
        """SEAL's context of the circuit's parameters, by which keys and ciphertexts of clients are read."""
        return create_context(self.circuit.parameters)

    @cached_property
    def level_ids(self) -> dict[int, Any]:
        """SEAL's identifiers of the levels, as `he.formats.seal_bridge.level_ids` returns them."""
        return level_ids(self.context, self.circuit.parameters)

    def bind(
        self, relinearisation_key: bytes | None, galois_keys: bytes | None, threads: int | None = None
    ) -> RnsEvaluator:
        """See `Prepared.bind`."""
        threads = thread_count(threads)
        parameters, key_id = self.circuit.parameters, self.context.key_parms_id()
        relin: dict[int, np.ndarray] = {}
        galois: dict[int, np.ndarray] = {}
        if relinearisation_key:
            relin = read_keys(expanded("RelinKeys", self.context, relinearisation_key), parameters, key_id)
        if galois_keys:
            galois = read_keys(expanded("GaloisKeys", self.context, galois_keys), parameters, key_id)
        by_element = {2 * index + 1: key for index, key in galois.items()}
        require_keys(self.circuit, 0 in relin, set(by_element))
        return RnsEvaluator(self, SwitchingKeys.of(self.encoder, relin.get(0), by_element), threads)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """See `Prepared.arrays`."""
        return self.weights.arrays(self.circuit.program)


class RnsEvaluator(Unstorable, instead="bind the keys again with `PreparedCircuit.session`"):
    """A prepared circuit with one client's keys; see `he.engines.engine.Evaluator`."""

    def __init__(self, prepared: RnsPrepared, keys: SwitchingKeys, threads: int) -> None:
        self.name, self.threads = prepared.name, threads
        self._prepared, self._keys, self._circuit = prepared, keys, prepared.circuit
        self._buffers = Buffers()
        operations = self._circuit.program.operations
        self._rotations = Counter(op.args[0] for op in operations if isinstance(op, _AUTOMORPHISMS))
        self._readers = Counter(a for op in operations for a in set(arguments(op)))

    def evaluate(self, inputs: Sequence[bytes]) -> list[bytes]:
        """See `Evaluator.evaluate`."""
        program: Program = self._circuit.program
        if len(inputs) != len(program.inputs):
            raise ValueError(f"`inputs` must be {len(program.inputs)} ciphertexts, got {len(inputs)}")
        with Workers(self.threads) as workers:
            algebra = self.algebra([partial(self._read, i, data) for i, data in enumerate(inputs)], workers)
            results = run_on(workers, program, algebra, partial(self._made, algebra))
        parameters, scale = self._circuit.parameters, self._circuit.interface.output_scale
        outputs = [algebra.from_ntt(value) for value in results]
        ntt_form = parameters.scheme.ntt_form
        return [compact.write(CiphertextArray(residues, ntt_form, scale), parameters) for residues in outputs]

    def algebra(self, inputs: Sequence[Any] = (), workers: Workers | None = None) -> Residues:
        """Return the algebra that evaluates with this client's keys on these inputs; by default on one thread."""
        return Residues.of(self._circuit.parameters.scheme)(
            self._prepared.encoder,
            self._prepared.weights,
            self._keys,
            self._circuit.interface.both_parts,
            inputs,
            workers or Workers(1),
            self._buffers,
        )

    def _made(self, algebra: Residues, number: int, value: Value) -> None:
        """Note how often a value will be read; compute the digits that several rotations share before they begin."""
        value.rotations, value.readers = self._rotations[number], self._readers[number]
        if value.rotations > 1:
            algebra.decompose(value)

    def read(self, data: bytes) -> Value:
        """Return a fresh ciphertext as a value of `algebra`."""
        return self.algebra().to_ntt(self._read(0, data))

    def _read(self, index: int, data: bytes) -> np.ndarray:
        """Return the residues of an input, if it is a fresh ciphertext.

        Raises:
            ValueError: if it is not.
        """
        parameters = self._circuit.parameters
        read = compact.read(data, parameters, self._prepared.level_ids)
        form = (*read.residues.shape[:2], read.ntt, read.scale)
        if form != (2, parameters.levels, parameters.scheme.ntt_form, parameters.input_scale):
            raise ValueError(f"input {index} must be a fresh ciphertext of two polynomials at the top level")
        if not read.residues[1].any(axis=1).all():
            raise ValueError(f"input {index} must be encrypted, got a ciphertext that is legible without a key")
        return read.residues
