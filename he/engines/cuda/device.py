"""What the engine keeps on a GPU: of a prepared circuit and of a session; and an evaluation, launch by launch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from numba import cuda

from he.engines.cuda.pieces import Pieces
from he.engines.cuda.requests import Requests
from he.engines.cuda.tape import Kernel, Plan, Step
from he.engines.rns.threads import Task
from he.formats.compact import require_length, require_residues
from he.kernels.cuda import rows, sums, transform
from he.kernels.cuda.columns import root_bytes
from he.kernels.cuda.tables import (
    DeviceArray,
    DeviceTables,
    are_placed,
    device_tables,
    forget_tables,
    with_quotients,
)
from he.kernels.tables.chain import Chain
from intnn.machine.cuda.device import DeviceError, DeviceMemoryError, free_bytes, gpu_in_use, reported
from intnn.machine.cuda.graph import Repeated
from intnn.machine.cuda.launch import Launch
from intnn.machine.cuda.pinned import address, start_copy

Writing = Callable[[DeviceArray, Any], object]  # of a memory and a stream


def require_memory(count: int) -> None:
    """Check that so many bytes are free on the GPU.

    Raises:
        DeviceMemoryError: if they are not.
    """
    free = free_bytes()
    if count > free:
        raise DeviceMemoryError(
            f"this needs {count / 1e6:.1f} MB of the GPU's memory, and {free / 1e6:.1f} MB are free; end other "
            'sessions, or evaluate with engine="rns"'
        )


class Resident:
    """A prepared circuit on the GPU in use when it is made; sessions share it.

    Args:
        plan: the circuit's plan.
        chain: the chain of its primes.
        weights: uint64 [rows, N], plaintexts times 2**52, and addends as they are; or those of another one there.
        orders: int32 [automorphisms, N]; or those of another one there.

    Attributes:
        gpu: a context in which that GPU is in use.
        tables: the chain's tables, which all circuits on that GPU share.
        weights: the weights there.
        orders: the permutations there.
    """

    def __init__(
        self, plan: Plan, chain: Chain, weights: np.ndarray | DeviceArray, orders: np.ndarray | DeviceArray
    ) -> None:
        roots = 0 if are_placed(chain) else root_bytes(chain.N, len(chain.primes))
        own = sum(array.nbytes for array in (weights, orders) if isinstance(array, np.ndarray))
        require_memory(own + plan.table_bytes + roots)
        self.gpu = gpu_in_use()
        self.tables = device_tables(chain)
        self.weights, self.orders = _there(weights), _there(orders)
        self.scales = cuda.to_device(_not_empty(with_quotients(plan.scales)))
        self.steps = [(step.kernel, [cuda.to_device(table) for table in _tables(step)]) for step in plan.launches]
        self._plan: Plan | None = plan

    def load(self, plan: Plan, stream: Any) -> None:
        """Have another plan's tables in the places of these: one of as many lines for the same kernels and scales.

        They are there when this returns. Where it raises, those of neither plan are, and the next call copies all.
        """
        old = self._plan
        self._plan, tables = None, [_tables(step) for step in plan.launches]
        known = [None] * len(tables) if old is None else [_tables(step) for step in old.launches]
        try:
            for before, after, (_, places) in zip(known, tables, self.steps, strict=True):
                for i, (table, there) in enumerate(zip(after, places, strict=True)):
                    if before is None or not np.array_equal(before[i], table):
                        start_copy(address(there), address(table), table.nbytes, stream)
        finally:
            stream.synchronize()  # until then the GPU may read tables that nobody else holds
        self._plan = plan


class Board:
    """One session's memory on the GPU of its circuit, whichever is in use: keys, values, and a stream of its own.

    Everything that an evaluation copies and launches is on that stream, and over when it returns. The stream is one of
    Numba's: it waits for CUDA's legacy default stream, on which Numba works otherwise, and that one for it, and for no
    other stream.

    Args:
        resident: the prepared circuit.
        plan: its plan.
        keys: uint64 [rows, N], or what `keys_for` of another board returns.
        operands: uint64 [rows, N] for every encrypted operand, those that are multiplied with times 2**52.
        graph: whether evaluations after the first one are started as a graph.
        threads: the number of threads that copy large inputs to where the GPU reads them.
        from_host: whether inputs come from the host, for which some of its memory is pinned; functions write others.

    Attributes:
        keys: the keys.
        launches: what starts a kernel with its arguments, in order; the first ones unpack inputs that come as bytes.
        reads_ahead: whether inputs that come as bytes are so large that they had better be copied while they are still
            being verified.
    """

    def __init__(
        self,
        resident: Resident,
        plan: Plan,
        keys: np.ndarray | DeviceArray,
        operands: Sequence[np.ndarray] = (),
        *,
        graph: bool = True,
        threads: int = 1,
        from_host: bool = True,
    ) -> None:
        N = resident.tables.N
        self._resident, self._form, self._lock = resident, plan.form, threading.Lock()
        with resident.gpu:
            own_keys = keys.nbytes if isinstance(keys, np.ndarray) else 0
            require_memory(8 * N * plan.rows + plan.request_bytes + own_keys)
            self._stream = cuda.stream()
            self.keys = _there(keys)
            self._memory = cuda.device_array((plan.rows, N), np.uint64)
            for first, operand in zip(plan.operands, operands, strict=True):
                self._memory[first : first + len(operand)].copy_to_device(operand)
            if from_host:
                self._pieces = Pieces(plan.copied_bytes(N), threads)
            self._parts, self._requests = self._inputs_of(plan) if from_host else ([], None)
            self.reads_ahead = self._requests is not None and self._pieces.long
            # Outputs lie one behind the other, and are copied at once.
            self._outputs = [(first - plan.outputs[0], plan.output_rows) for first in plan.outputs]
            self._made = self._memory[plan.outputs[0] : plan.outputs[-1] + plan.output_rows] if plan.outputs else None
            steps = [launch for kernel, given in resident.steps for launch in self._bound(kernel, *given)]
            self.launches = [*(self._requests.launches if self._requests else ()), *steps]
            self._start_on_bytes, self._start_on_rows = (Repeated(x, graph=graph) for x in (self.launches, steps))

    def _inputs_of(self, plan: Plan) -> tuple[list[DeviceArray], Requests | None]:
        """Return where inputs come to as residues, in parts, and where they come to as bytes, if they do."""
        if not plan.inputs:
            return [], None
        tables, count = self._resident.tables, len(plan.inputs)
        rows = self._memory[plan.inputs[0] : plan.inputs[-1] + plan.input_rows]  # those of one input behind another's
        parts = self._pieces.cut(rows.reshape(rows.size))
        if plan.form is None:
            return parts, None
        residues = rows.reshape(count, 2, plan.input_rows // 2, tables.N)
        return parts, Requests(plan.form, tables.constants, residues, self._pieces)

    def _bound(
        self, kernel: Kernel, table: DeviceArray, terms: DeviceArray = None, shares: DeviceArray = None
    ) -> list[Launch]:
        """Return what launches a step on this memory."""
        resident, memory = self._resident, self._memory
        tables = resident.tables
        match kernel:
            case Kernel.FORWARD:
                return transform.forward(tables, memory, table, resident.scales)
            case Kernel.INVERSE:
                return transform.inverse(tables, memory, table, resident.scales)
            case Kernel.COMBINE | Kernel.COMBINE_TILE:
                return rows.combine(tables, memory, resident.weights, table, terms)
            case Kernel.PRODUCTS:
                return rows.products(tables, memory, resident.weights, table, terms)
            case Kernel.SWITCH:
                return rows.switch(tables, memory, self.keys, resident.orders, table, terms)
            case Kernel.EXTEND:
                return rows.extend(tables, memory, table, terms, shares)
            case Kernel.TENSOR:
                return rows.tensor(tables, memory, table)
            case Kernel.TENSOR_SUMS:
                return rows.tensor_sums(tables, memory, table, terms)
            case Kernel.SQUARE_PARTS:
                return rows.square_parts(tables, memory, table, resident.scales)

    def keys_for(self, resident: Resident) -> np.ndarray | DeviceArray:
        """Return the keys for a board of another circuit: those of this one, or a copy if it is on another GPU."""
        if resident.gpu is self._resident.gpu:
            return self.keys
        with self._resident.gpu:
            copied: np.ndarray = self.keys.copy_to_host()
        return copied

    @property
    def tables(self) -> DeviceTables:
        """The tables of the chain of primes."""
        return self._resident.tables

    def load(self, plan: Plan) -> None:
        """Have evaluations do what another plan says, see `Resident.load`."""
        with reported("copying tables to the GPU"), self._resident.gpu, self._lock:
            self._resident.load(plan, self._stream)

    def evaluate(self, inputs: Sequence[np.ndarray] | Writing) -> list[np.ndarray]:
        """Return the residues of the outputs, uint64 [rows, N], from those of the inputs, the same.

        Inputs may also be given as a function of the memory and the stream that writes them to their places.

        Evaluations that are asked for at once wait for each other: they have one memory.

        Raises:
            DeviceError: if the device fails; nothing is left behind that another evaluation would read.
        """
        return self._alone(self._evaluated, inputs)

    def evaluate_there(self, write: Writing, take: Writing) -> None:
        """Do what `evaluate` does, but for copying: a second function of memory and stream takes outputs from there.

        Raises:
            DeviceError: as `evaluate`.
        """

        def made(_: object) -> list[np.ndarray]:
            write(self._memory, self._stream)
            self._start_on_rows(self._stream)
            take(self._memory, self._stream)
            self._stream.synchronize()
            return []

        self._alone(made, write)

    def answer(self, ciphertexts: Sequence[bytes | memoryview] | Writing) -> list[np.ndarray]:
        """Do what `evaluate` does with inputs as they come, in the plan's form, which are unpacked on the GPU.

        Raises:
            SealDataError: if one has another length, before anything is copied; or if a residue is not below its prime.
            DeviceError: if the device fails.
        """
        assert self._form is not None
        if not callable(ciphertexts):
            for data in ciphertexts:
                require_length(data, self._form)
        return self._alone(self._answered, ciphertexts)

    def may_copy_ahead(self, ciphertexts: Sequence[memoryview]) -> bool:
        """Return whether `answer_ahead` takes these: they have their form, and no other evaluation runs.

        Where one runs, they are verified while this thread would wait for it.
        """
        assert self._requests is not None
        return self._requests.fit(ciphertexts) and not self._lock.locked()

    def answer_ahead(self, ciphertexts: Sequence[memoryview], verify: Task) -> list[np.ndarray]:
        """Do what `answer` does once ciphertexts are verified; they are copied meanwhile.

        Args:
            ciphertexts: views of what nobody writes to, which `may_copy_ahead`.
            verify: called once, by this thread, before a kernel is launched. What it raises is raised; what has been
                copied is overwritten by the next request then.

        Raises:
            SealDataError: as `answer`.
            DeviceError: as `answer`, once ciphertexts are verified.
        """
        once = cache(verify)
        try:
            return self._alone(partial(self._answered, verify=once), ciphertexts)
        except DeviceError:
            once()  # where the device failed before: what is wrong with ciphertexts is said first
            raise

    def _alone(self, made: Callable[[Any], list[np.ndarray]], inputs: Any) -> list[np.ndarray]:
        """Return what is made of inputs while nobody else's evaluation runs."""
        try:
            # The lock comes last: in a forked process it may be locked for ever, and the GPU says before what is wrong.
            with reported("evaluating a circuit"), self._resident.gpu, self._lock:
                return made(inputs)
        except DeviceError:
            forget_tables()
            raise

    def _evaluated(self, inputs: Sequence[np.ndarray] | Writing) -> list[np.ndarray]:
        if callable(inputs):
            inputs(self._memory, self._stream)
        else:
            self._pieces.copy([residues.reshape(-1) for residues in inputs], self._parts, self._stream)
        self._start_on_rows(self._stream)
        outputs = self._copied_out()
        self._stream.synchronize()
        return outputs

    def _answered(
        self, ciphertexts: Sequence[bytes | memoryview] | Writing, verify: Task | None = None
    ) -> list[np.ndarray]:
        assert self._requests is not None
        if callable(ciphertexts):
            ciphertexts(self._memory, self._stream)
        else:
            self._requests.copy(ciphertexts, self._stream, verify)
        self._start_on_bytes(self._stream)
        outputs, verdict = self._copied_out(), self._requests.verdict(self._stream)
        self._stream.synchronize()
        require_residues(not verdict[0])
        return outputs

    def _copied_out(self) -> list[np.ndarray]:
        """Start copying the residues of the outputs."""
        if self._made is None:
            return []
        rows = self._made.copy_to_host(stream=self._stream)
        return [rows[first : first + count] for first, count in self._outputs]


def _tables(step: Step) -> list[np.ndarray]:
    """Return those tables of a step that its kernel takes, as they lie on the device."""
    found = [step.table.view(np.uint64)]
    if step.kernel.wide:
        numbers = step.kernel in (Kernel.COMBINE, Kernel.COMBINE_TILE, Kernel.EXTEND)
        found.append((sums.weighted if numbers else sums.named)(step.terms))
    if len(step.shares):
        found.append(step.shares)
    return [_not_empty(table) for table in found]


def _there(array: np.ndarray | DeviceArray) -> DeviceArray:
    """Return an array on the GPU in use: a copy, unless it is there."""
    return cuda.to_device(_not_empty(array)) if isinstance(array, np.ndarray) else array


def _not_empty(array: np.ndarray) -> np.ndarray:
    """Return an array with at least one line: kernels take none that is empty, and read what is named."""
    return array if len(array) else np.zeros((1, *array.shape[1:]), array.dtype)
