"""The reference engine: SEAL's own evaluator on one thread, with digits around 0, as the bounds on noise want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
import tenseal.sealapi as sealapi

from he.circuit.circuit import Circuit
from he.engines.engine import Evaluator, Prepared, require_evaluable, thread_count
from he.engines.seal.algebra import BfvAlgebra, CkksAlgebra, SealAlgebra, Value, present
from he.formats import compact, switching
from he.formats.compact import Form
from he.formats.seal_bridge import create_context, from_bytes, level_ids, to_bytes
from he.formats.seal_bytes import require
from he.program.algebra import run
from he.program.operations import Plain
from he.ring.scheme import Scheme
from intnn.values.value_object import Unstorable


class SealEngine:
    """Evaluates circuits by SEAL; see `he.engines.engine.Engine`. It cannot store its encoded plaintexts."""

    name = "seal"

    def prepare(self, circuit: Circuit, threads: int | None = None) -> SealPrepared:
        """Encode the circuit's plaintexts on one thread; see `Engine.prepare`."""
        require_evaluable(circuit)
        if circuit.interface.key_levels:
            raise ValueError(
                "SEAL switches keys with one special prime and keys for all levels only, and the circuit has others: "
                "prepare `circuit.with_usual_keys()`"
            )
        thread_count(threads)
        return SealPrepared(self.name, circuit)

    def restore(self, circuit: Circuit, arrays: Mapping[str, np.ndarray]) -> SealPrepared:
        """Encode the circuit's plaintexts anew; `arrays` is ignored."""
        return self.prepare(circuit)


class SealPrepared(Unstorable, instead="store the circuit, and prepare it again"):
    """A circuit with its plaintexts as SEAL encodes them."""

    def __init__(self, name: str, circuit: Circuit) -> None:
        self.name, self.circuit = name, circuit
        self.context = create_context(circuit.parameters)
        self.level_ids = level_ids(self.context, circuit.parameters)
        algebra = {Scheme.BFV: BfvAlgebra, Scheme.CKKS: CkksAlgebra}[circuit.parameters.scheme]
        self.algebra = algebra(circuit, self.context, self.level_ids)

    def bind(
        self,
        keys: bytes | memoryview,
        threads: int | None = None,
        like: Evaluator | None = None,
        network: Sequence[bytes | memoryview] = (),
    ) -> SealEvaluator:
        """Return an evaluator for one client's keys, which uses one thread; see `Prepared.bind`.

        Nothing is shared with `like`: SEAL's keys name the plaintext modulus of their context.
        """
        thread_count(threads)
        elements, key_id = self.circuit.interface.key_elements, self.context.key_parms_id()
        operands = self.circuit.program.encrypted
        require(len(network) == len(operands), f"the network must be {len(operands)} ciphertexts, got {len(network)}")
        relin, galois = switching.restored(keys, self.circuit.parameters, elements, key_id)
        return SealEvaluator(
            self,
            self.algebra.with_keys(
                from_bytes(sealapi.RelinKeys(), self.context, relin),
                from_bytes(sealapi.GaloisKeys(), self.context, galois),
                {plain: self._operand(plain, data) for plain, data in zip(operands, network, strict=True)},
            ),
        )

    def _operand(self, plain: Plain, data: bytes | memoryview) -> Any:
        form = Form.operand(self.circuit.parameters, plain.level, plain.scale)
        return from_bytes(sealapi.Ciphertext(), self.context, compact.restored(data, form, self.level_ids))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return no arrays: SEAL's encoded plaintexts are not stored."""
        return {}

    def memory(self, like: Prepared | None = None) -> Mapping[str, int]:
        """Return nothing: SEAL does not tell."""
        return {}

    def remarks(self) -> Sequence[str]:
        """Return nothing."""
        return ()


class SealEvaluator(Unstorable, instead="bind the keys again with `PreparedCircuit.session`"):
    """A prepared circuit with one client's keys; see `he.engines.engine.Evaluator`."""

    threads = 1

    def __init__(self, prepared: SealPrepared, algebra: SealAlgebra) -> None:
        self.name = prepared.name
        self._prepared, self._algebra, self._circuit = prepared, algebra, prepared.circuit
        self._lock = Lock()  # evaluations share ciphertexts whose scales are set

    def algebra(self, inputs: Sequence[Any] = ()) -> SealAlgebra:
        """Return the algebra that evaluates with this client's keys on these ciphertexts."""
        return self._algebra.on(inputs)

    def evaluate(self, inputs: Sequence[bytes | memoryview | np.ndarray]) -> list[bytes]:
        """See `Evaluator.evaluate`; all inputs must be encrypted."""
        if len(inputs) != (expected := len(self._circuit.program.inputs)):
            raise ValueError(f"`inputs` must be {expected} ciphertexts, got {len(inputs)}")
        ciphertexts = [self._loaded(data) for data in inputs]
        try:
            with self._lock:
                results = run(self._circuit.program, self.algebra(ciphertexts))
        except RuntimeError as error:
            if "transparent" not in str(error):
                raise
            raise ValueError(
                "SEAL computes no ciphertext that is legible without a key, and the terms of a hidden unit cancel: "
                'prepare the circuit with engine="rns", or leave the unit out'
            ) from error
        interface, ids = self._circuit.interface, self._prepared.level_ids
        forms = [Form.result(interface.parameters, interface.output_level, scale) for scale in interface.scales]
        written = [to_bytes(present(value).ciphertext) for value in results]
        return [
            compact.compact(data, form, interface.parameters, ids) for data, form in zip(written, forms, strict=True)
        ]

    def read(self, data: bytes | memoryview) -> Value:
        """Return a fresh ciphertext, given as it travels, as a value of `algebra`."""
        return Value(self._loaded(data))

    def _loaded(self, data: bytes | memoryview | np.ndarray) -> Any:
        if isinstance(data, np.ndarray):
            raise ValueError('SEAL takes no input that is legible without a key: prepare the circuit with engine="rns"')
        restored = compact.restored(data, Form.fresh(self._circuit.parameters), self._prepared.level_ids)
        return from_bytes(sealapi.Ciphertext(), self._prepared.context, restored)
