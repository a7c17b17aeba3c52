"""The fast engine: our own residue arithmetic on SEAL's ciphertexts and evaluation keys.

Values of both schemes stay in transformed form. Rotations of one value share its decomposition (hoisting; S. Halevi
and V. Shoup, "Faster Homomorphic Linear Transformations in HElib", CRYPTO 2018): digits are multiplied with a key that
was permuted back, and only the result is permuted. Digits are centred, so that key switching adds less noise than
SEAL's, whose bounds therefore hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from he.circuit.circuit import Circuit
from he.engines.engine import Evaluator, Prepared, require_evaluable, thread_count
from he.engines.rns.algebra import Residues
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.operands import Operands, arrived
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers, run_on
from he.engines.rns.value import Value
from he.engines.rns.weights import Weights
from he.formats import compact
from he.formats.compact import Form
from he.formats.seal_bytes import CiphertextArray
from he.program.program import Program
from he.ring.primes import LARGEST_PRIME_BITS
from intnn.values.value_object import Unstorable

MAX_LEVELS = 24  # kernels reduce a sum of so many products, and two more, in one step


class RnsEngine:
    """Evaluates circuits on arrays of residues; see `he.engines.engine.Engine`."""

    name = "rns"

    def prepare(self, circuit: Circuit, threads: int | None = None) -> RnsPrepared:
        """Encode the circuit's plaintexts, on so many threads; by default, one for each available processor.

        Raises:
            ValueError: if a prime has more than 50 bits, there are more than 24 data primes, in CKKS digits of
                a key, the program has not been placed, or `threads` is out of range.
        """
        encoder = encoder_of(circuit)
        weights = Weights.encoded(circuit, encoder, thread_count(threads))
        return RnsPrepared(self.name, circuit, encoder, weights)

    def restore(self, circuit: Circuit, arrays: Mapping[str, np.ndarray]) -> RnsPrepared:
        """See `Engine.restore`."""
        encoder = encoder_of(circuit)
        return RnsPrepared(self.name, circuit, encoder, Weights.restored(circuit.program, encoder, arrays))


def encoder_of(circuit: Circuit) -> Encoder:
    """Return the encoder of a circuit, if engines of residues can evaluate it.

    Raises:
        ValueError: if it cannot.
    """
    require_evaluable(circuit)
    parameters = circuit.parameters
    if max(parameters.coeff_modulus_bits) > LARGEST_PRIME_BITS:
        raise ValueError(
            f"`coeff_modulus_bits` must be at most {LARGEST_PRIME_BITS} each, got {parameters.coeff_modulus_bits}"
        )
    digits = parameters.levels
    if circuit.interface.key_levels and not parameters.scheme.exact:  # whose products add up as many
        digits = max((len(gadget.groups) for _, gadget in circuit.interface.keys), default=0)
    if digits > MAX_LEVELS:
        raise ValueError(
            f"the parameters must have at most {MAX_LEVELS} data primes, or keys with as many digits, got {digits}"
        )
    return Encoder.of(parameters, circuit.interface.gadgets)


class RnsPrepared(Unstorable, instead="store it with `PreparedCircuit.save`"):
    """A circuit with its encoded plaintexts, for any number of clients.

    Attributes:
        buffers: the memory of values, which evaluations for all clients share: what is kept of it does not grow with
            their number.
    """

    def __init__(self, name: str, circuit: Circuit, encoder: Encoder, weights: Weights) -> None:
        self.name = name
        self.circuit, self.encoder, self.weights = circuit, encoder, weights
        self.buffers = Buffers()

    def bind(
        self,
        keys: bytes | memoryview | SwitchingKeys,
        threads: int | None = None,
        like: Evaluator | None = None,
        network: Sequence[bytes | memoryview] = (),
    ) -> RnsEvaluator:
        """See `Prepared.bind`."""
        threads = thread_count(threads)
        operands = Operands.read(self.circuit.program, self.encoder, network)
        if isinstance(like, RnsEvaluator):
            keys = like.keys
        if not isinstance(keys, SwitchingKeys):
            keys = SwitchingKeys.of_interface(self.encoder, keys, self.circuit.interface)
        return RnsEvaluator(self, keys, threads, operands)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """See `Prepared.arrays`."""
        return self.weights.arrays(self.circuit.program)

    def memory(self, like: Prepared | None = None) -> Mapping[str, int]:
        """See `Prepared.memory`."""
        return {"encoded weights": sum(array.nbytes for array in self.arrays().values())}

    def remarks(self) -> Sequence[str]:
        """Return nothing."""
        return ()


class RnsEvaluator(Unstorable, instead="bind the keys again with `PreparedCircuit.session`"):
    """A prepared circuit with one client's keys; see `he.engines.engine.Evaluator`."""

    def __init__(
        self, prepared: RnsPrepared, keys: SwitchingKeys, threads: int, operands: Operands | None = None
    ) -> None:
        self._operands = operands or Operands()
        self.name, self.threads = prepared.name, threads
        self._prepared, self.keys, self._circuit = prepared, keys, prepared.circuit

    def evaluate(self, inputs: Sequence[bytes | memoryview | np.ndarray]) -> list[bytes]:
        """See `Evaluator.evaluate`."""
        program: Program = self._circuit.program
        if len(inputs) != len(program.inputs):
            raise ValueError(f"`inputs` must be {len(program.inputs)} ciphertexts, got {len(inputs)}")
        with Workers(self.threads) as workers:
            algebra = self.algebra([partial(arrived, self._prepared.encoder, data) for data in inputs], workers)
            results = run_on(workers, program, algebra, algebra.made_by(program))
        interface = self._circuit.interface
        form = Form.result(interface.parameters, interface.output_level, interface.output_scale)
        outputs = [algebra.from_ntt(value) for value in results]
        return [compact.write(CiphertextArray(residues, form.ntt, form.scale), form) for residues in outputs]

    def algebra(self, inputs: Sequence[Any] = (), workers: Workers | None = None) -> Residues:
        """Return the algebra that evaluates with this client's keys on these inputs; by default on one thread."""
        return Residues.of(self._circuit.parameters.scheme)(
            self._prepared.encoder,
            self._prepared.weights,
            self.keys,
            self._circuit.interface.both_parts,
            inputs,
            workers or Workers(1),
            self._prepared.buffers,
            self._operands,
        )

    def read(self, data: bytes | memoryview) -> Value:
        """Return a fresh ciphertext as a value of `algebra`."""
        return self.algebra().to_ntt(arrived(self._prepared.encoder, data))
