"""The engine on a GPU: the bytes of the fast engine's answers.

A circuit is written down as launches of kernels when it is prepared (`he.engines.cuda.tape`), and so it is known then
what it takes of the device's memory, and what cannot be evaluated. Plaintexts lie on the device once for all sessions;
a session has its keys there, one memory for all values, and one stream; and up to 16 MiB of the host's memory are
pinned for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from he.circuit.circuit import Circuit
from he.engines.cuda.places import Places, key_rows, places, rotations, stacked
from he.engines.cuda.schemes import recorded
from he.engines.cuda.tape import Plan, Tape
from he.engines.engine import Evaluator, Prepared, thread_count
from he.engines.rns.encoder import Encoder
from he.engines.rns.engine import encoder_of
from he.engines.rns.operands import Operands, arrived
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Task, Workers, run_on
from he.engines.rns.weights import Weights
from he.formats import compact
from he.formats.compact import Form
from he.formats.seal_bytes import CiphertextArray
from he.kernels.cuda.columns import root_bytes
from he.program.program import Program
from he.ring.slots import automorphism
from intnn.machine.cuda.device import device, reported
from intnn.values.value_object import Unstorable

if TYPE_CHECKING:  # what needs the extra `cuda`
    from he.engines.cuda.device import Board, Resident


class CudaEngine:
    """Evaluates circuits on a GPU; see `he.engines.engine.Engine`.

    Args:
        graph: whether a session's evaluations after its first one are started by one call, as a CUDA graph, and not
            kernel by kernel. Where no graph can be captured, a RuntimeWarning says why, and kernels are started so.
    """

    name = "cuda"

    def __init__(self, *, graph: bool = True) -> None:
        self._graph = graph

    def prepare(self, circuit: Circuit, threads: int | None = None) -> CudaPrepared:
        """Encode the circuit's plaintexts on the processor, on so many threads, and copy them to the GPU.

        Raises:
            DeviceError: if there is no GPU that can be used, or it has too little free memory.
            ValueError: as `he.engines.rns.engine.RnsEngine.prepare`; or if a sum has more terms than kernels add up.
        """
        encoder = _encoder(circuit)
        return self._resident(
            CudaPrepared(circuit, encoder, Weights.encoded(circuit, encoder, thread_count(threads)), self._graph)
        )

    def restore(self, circuit: Circuit, arrays: Mapping[str, np.ndarray]) -> CudaPrepared:
        """See `Engine.restore`; raises what `prepare` does."""
        encoder = _encoder(circuit)
        return self._resident(
            CudaPrepared(circuit, encoder, Weights.restored(circuit.program, encoder, arrays), self._graph)
        )

    def _resident(self, prepared: CudaPrepared) -> CudaPrepared:
        """Return a prepared circuit that is on the device."""
        _ = prepared.resident
        return prepared


class CudaPrepared(Unstorable, instead="store it with `PreparedCircuit.save`"):
    """A circuit with its encoded plaintexts and the plan of its evaluation, for any number of clients.

    Attributes:
        plan: the plan.

    Raises:
        ValueError: if a sum has more terms than kernels add up.
    """

    name = CudaEngine.name

    def __init__(self, circuit: Circuit, encoder: Encoder, weights: Weights, graph: bool = True) -> None:
        self._graph = graph
        self.circuit, self._encoder, self._weights = circuit, encoder, weights
        self._N = encoder.parameters.poly_modulus_degree
        keys, both_parts = circuit.interface.keys, circuit.interface.both_parts
        self.plan = planned(circuit.program, encoder, places(weights, keys, circuit.program.encrypted), both_parts)

    @cached_property
    def resident(self) -> Resident:
        """What is on the device, copied when it is asked for first."""
        from he.engines.cuda.device import Resident

        elements = rotations(self.circuit.interface.keys)
        orders = [automorphism(self._N, element) for element in elements]
        with reported("copying a circuit to the GPU"):
            return Resident(self.plan, self._encoder.chain, self._rows, stacked(orders, np.int32, self._N))

    @property
    def _rows(self) -> np.ndarray:
        """The rows of all weights, in the order of `places`."""
        weights = self._weights
        rows = [*(weights.factors[p].rows() for p in weights.factors), *weights.addends.values()]
        return np.concatenate(rows) if rows else np.empty((0, self._N), np.uint64)

    def bind(
        self,
        keys: bytes | memoryview | SwitchingKeys,
        threads: int | None = None,
        like: Evaluator | None = None,
        network: Sequence[bytes | memoryview] = (),
    ) -> CudaEvaluator:
        """See `Prepared.bind`; the threads are the processor's, which check a large request's digest and copy it.

        Raises:
            DeviceMemoryError: if the GPU has too little free memory.
        """
        from he.engines.cuda.device import Board

        threads = thread_count(threads)
        operands = self._operands(network)
        if isinstance(like, CudaEvaluator):
            rows = like.board.keys_for(self.resident)
        else:
            if not isinstance(keys, SwitchingKeys):
                keys = SwitchingKeys.of_interface(self._encoder, keys, self.circuit.interface)
            found = [keys.key(element, gadget).factors.rows() for element, gadget in self.circuit.interface.keys]
            rows = stacked(found, np.uint64, self._N)
        with reported("copying keys to the GPU"):
            board = Board(self.resident, self.plan, rows, operands, graph=self._graph, threads=threads)
            return CudaEvaluator(self, self._encoder, board, threads)

    def _operands(self, network: Sequence[bytes | memoryview]) -> list[np.ndarray]:
        """Return the rows of the encrypted operands, in the order of `Program.encrypted`."""
        program, read = self.circuit.program, Operands.read(self.circuit.program, self._encoder, network)
        return [
            read.factors[p].rows() if p in read.factors else read.addends[p].reshape(-1, self._N)
            for p in program.encrypted
        ]

    def arrays(self) -> Mapping[str, np.ndarray]:
        """See `Prepared.arrays`."""
        return self._weights.arrays(self.circuit.program)

    def memory(self, like: Prepared | None = None) -> Mapping[str, int]:
        """See `Prepared.memory`."""
        row, keys, chain = 8 * self._N, self.circuit.interface.keys, self._encoder.chain
        weights = [len(plain.addresses) for plain in self._weights.factors.values()]
        weights += [len(rows) for rows in self._weights.addends.values()]
        other = like if isinstance(like, CudaPrepared) else None
        roots = 0 if other and other._encoder.chain is chain else root_bytes(self._N, len(chain.primes))
        permutations = np.dtype(np.int32).itemsize * self._N * len(rotations(keys))
        return {
            "weights on the GPU, once": row * sum(weights),
            "tables on the GPU, once": self.plan.table_bytes + roots + permutations,
            "keys on the GPU, for each session": 0 if other else row * sum(key_rows(gadget) for _, gadget in keys),
            "values on the GPU, for each session": row * self.plan.rows,
            "requests on the GPU, for each session": self.plan.request_bytes,
            "pinned memory of the host, for each session": self.plan.pinned_bytes(self._N),
        }

    def remarks(self) -> Sequence[str]:
        """Return how many kernels an evaluation starts, and how; see `Prepared.remarks`."""
        kernels = self.plan.started(self._N)
        each = ", ".join(f"{count} {name}" for name, count in sorted(kernels.items(), key=lambda item: -item[1]))
        how = "by one graph after a session's first evaluation" if self._graph else "one by one"
        return [f"kernels of an evaluation, started {how}: {kernels.total()} ({each})"]


class CudaEvaluator(Unstorable, instead="bind the keys again with `PreparedCircuit.session`"):
    """A prepared circuit with one client's keys on the device; see `he.engines.engine.Evaluator`.

    Attributes:
        board: the session's memory on the device.
    """

    name = CudaEngine.name

    def __init__(self, prepared: CudaPrepared, encoder: Encoder, board: Board, threads: int) -> None:
        self.board, self.threads, self.reads_ahead = board, threads, board.reads_ahead
        self._circuit, self._encoder = prepared.circuit, encoder

    def evaluate(self, inputs: Sequence[bytes | memoryview | np.ndarray]) -> list[bytes]:
        """See `Evaluator.evaluate`; requests that come at once wait for each other."""
        program = self._circuit.program
        if len(inputs) != len(program.inputs):
            raise ValueError(f"`inputs` must be {len(program.inputs)} ciphertexts, got {len(inputs)}")
        return self._written(self._results(inputs))

    def evaluate_ahead(self, unverified: Sequence[memoryview], verify: Task) -> list[bytes]:
        """See `he.engines.engine.ReadsAhead.evaluate_ahead`."""
        if not self.board.may_copy_ahead(unverified):
            verify()
            return self.evaluate(unverified)
        return self._written(self.board.answer_ahead(unverified, verify))

    def _written(self, results: Sequence[np.ndarray]) -> list[bytes]:
        """Return the residues of outputs, uint64 [rows, N] each, as they travel."""
        interface = self._circuit.interface
        parameters = interface.parameters
        form = Form.result(parameters, interface.output_level, interface.output_scale)
        shape = 2, interface.output_level, parameters.poly_modulus_degree
        return [compact.write(CiphertextArray(rows.reshape(shape), form.ntt, form.scale), form) for rows in results]

    def _results(self, inputs: Sequence[bytes | memoryview | np.ndarray]) -> list[np.ndarray]:
        """Return the residues of outputs, uint64 [rows, N] each.

        Slots in the clear become residues on the processor, and so do ciphertexts beside them.

        Raises:
            SealDataError: if an input is no fresh ciphertext.
        """
        ciphertexts = [data for data in inputs if not isinstance(data, np.ndarray)]
        if inputs and len(ciphertexts) == len(inputs):
            return self.board.answer(ciphertexts)
        N = self._circuit.parameters.poly_modulus_degree
        return self.board.evaluate([arrived(self._encoder, data).reshape(-1, N) for data in inputs])


def _encoder(circuit: Circuit) -> Encoder:
    """Return the circuit's encoder, where there is a GPU: who has none is told before anything is encoded."""
    encoder = encoder_of(circuit)
    device()
    return encoder


def planned(program: Program, encoder: Encoder, constants: Places, both_parts: bool) -> Plan:
    """Return the plan of a program's evaluation, whose inputs are fresh ciphertexts."""
    tape, levels = Tape(), encoder.parameters.levels
    tape.inputs = [tape.new(2, levels) for _ in program.inputs]
    for plain in program.encrypted:
        multiplied = plain in program.encrypted_factors
        rows = len(encoder.product_primes(plain.level)) if multiplied else plain.level
        tape.operands.append(tape.new(2, rows))
    algebra = recorded(encoder.parameters.scheme)(encoder, constants, both_parts, tape)
    with Workers(1) as workers:
        for value in run_on(workers, program, algebra, algebra.made_by(program)):
            algebra.output(value)
    return replace(Plan.of(tape), form=Form.fresh(encoder.parameters))
