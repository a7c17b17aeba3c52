"""The evaluator of an integer network: one compiled call, shared among threads if the caller wants."""

import math
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from intnn import ops
from intnn.compiled import run as kernel
from intnn.compiled.instructions import Instructions, pack
from intnn.device.placements import Placements
from intnn.layers.nodes import Node, Shape
from intnn.machine.host import instruction_set
from intnn.values.arrays import Array, array, batched, integer
from intnn.values.domain import IntDomain, Interval
from intnn.values.value_object import Unstorable, ValueObject

PRODUCTS_PER_CHUNK = 1 << 25  # about 0.15 ms on a fast core: far more than it costs to hand a chunk to a thread
CHUNKS_PER_THREAD = 4  # so that a thread that was held up does not hold up all
MAX_THREADS = 1024


@dataclass(frozen=True, eq=False)
class CompiledNetwork(ValueObject):
    """An integer network with its layers fused and its weights packed, for the instruction set of this processor.

    Activations are bytes, weights are sums of signed bytes, and sums are int32: the network has proved that they fit.
    A copy, and what comes back from a file of `pickle`, is packed anew for the processor that it is on.
    The bits are those of `IntNetwork.logits`, for every batch size and number of threads.

    Attributes:
        input_shape: The shape of one input.
        input_domain: The integers that an input element may be; at most 256.
        layers: The layers, as in `IntNetwork`.
        intervals: The range of every layer's output, as the network derived them.
        instructions: What the kernel reads (derived).
        classes: The number of outputs for one input (derived).

    Raises:
        UnsupportedError: A range does not fit, or the layers come in an order that the kernels do not know. A linear
            layer comes first; behind each may follow a SumPool2d, a Requantise and a LutActivation, in this order.
    """

    input_shape: Shape
    input_domain: IntDomain
    layers: tuple[Node, ...]
    intervals: tuple[Interval, ...] = field(repr=False)
    instructions: Instructions = field(init=False, repr=False)
    classes: int = field(init=False)
    _width: int = field(init=False, repr=False)  # the elements of a vector; 0 for images
    _free_dtype: np.dtype[Any] | None = field(init=False, repr=False)  # all its values are in the domain

    def __post_init__(self) -> None:
        instructions = pack(self.input_shape, self.input_domain, self.layers, self.intervals, instruction_set())
        dtypes = (np.dtype(kind) for kind in (np.uint8, np.int8))
        free = next((d for d in dtypes if self.input_domain.issuperset(_range(d))), None)
        object.__setattr__(self, "instructions", instructions)
        object.__setattr__(self, "classes", math.prod(self.intervals[-1].lo.shape))
        object.__setattr__(self, "_free_dtype", free)
        object.__setattr__(self, "_width", self.input_shape[0] if len(self.input_shape) == 1 else 0)

    def logits(self, x: ArrayLike, threads: int = 1, dtype: DTypeLike = np.int64, backend: str = "numba") -> Array:
        """Evaluate integers.

        Args:
            x: Integers [batch, *input_shape] inside ``input_domain``; uint8 or int8 arrays are the fastest.
            threads: How many threads to use, at least 1; small batches use fewer.
            dtype: The result's type; the narrower, the faster. It must hold ``instructions.output``.
            backend: "numba" for this processor, or "cuda" for the GPU in use, which gives the same bits and may hold
                ``x`` already: then it keeps the outputs, as int64.

        Returns:
            The outputs [batch, classes]; those of more than one axis are flattened.

        Raises:
            TypeError: ``x`` does not hold integers.
            ValueError: The shape is wrong, the batch empty, a value outside the domain, ``threads`` below 1, the
                dtype too narrow, or the backend unknown.
            DeviceError: With "cuda", there is no GPU, or it fails; the message says what is missing.
        """
        if backend != "numba":
            return self._logits_by(backend, x, np.dtype(dtype))
        # This condition takes a fraction of a microsecond; where it holds, the checks would find nothing.
        if (
            isinstance(x, np.ndarray)
            and x.dtype is self._free_dtype
            and x.ndim == 2
            and x.size == len(x) * self._width > 0
            and x.flags.c_contiguous
        ):
            rows: Array = x
        else:
            rows = self._checked(x).reshape(-1, math.prod(self.input_shape))
        if dtype is not np.int64:
            self._require(np.dtype(dtype))
        threads = integer(threads, "threads", 1, MAX_THREADS)
        y: Array = np.empty((len(rows), self.classes), dtype)
        if threads == 1:
            kernel.run(self.instructions.words, rows, y)
        else:
            self._share(rows, y, threads)
        return y

    def bind(self, x: Array, y: Array) -> Callable[[], object]:
        """A function without arguments that evaluates what ``x`` holds when it is called, and writes ``y``.

        It serves callers that evaluate the same buffers again and again, and costs the least that a call can:
        everything is checked here, and nothing in the call.

        Args:
            x: The buffer of inputs [batch, *input_shape], contiguous: uint8 or int8, whichever type has all its values
                in the input domain.
            y: The buffer of outputs, int64 [batch, classes], contiguous and writeable.

        Raises:
            ValueError: The buffers are not as described.
        """
        batch = len(x) if x.ndim else 0
        if x.dtype != self._free_dtype or x.shape[1:] != self.input_shape or not batch or not x.flags.c_contiguous:
            raise ValueError(
                f"`x` must be a contiguous array of {self._free_dtype or 'a byte type that is the input domain'} of "
                f"shape [batch, {', '.join(map(str, self.input_shape))}], got {x.dtype} {x.shape}"
            )
        if y.dtype != np.int64 or y.shape != (batch, self.classes) or not y.flags.carray:
            raise ValueError(
                f"`y` must be a contiguous int64 array of shape {(batch, self.classes)}, got {y.dtype} {y.shape}"
            )
        rows = x.reshape(batch, -1)
        if batch > 1:
            return _Bound(kernel.run, (self.instructions.words, rows, y), ())
        run_at = kernel.run_unsigned_at if x.dtype == np.uint8 else kernel.run_signed_at
        words = self.instructions.words
        numbers = (words.ctypes.data, words.size, rows.ctypes.data, rows.size, y.ctypes.data, y.size)
        return _Bound(run_at, numbers, (words, x, y))

    def _logits_by(self, backend: str, x: ArrayLike, dtype: np.dtype[Any]) -> Array:
        if backend != ops.CUDA:
            raise ValueError(f'`backend` must be "numba" or "cuda", got {backend!r}')
        self._require(dtype)
        outputs = self._placements.logits(x)
        return outputs.astype(dtype, copy=False) if isinstance(outputs, np.ndarray) else outputs

    @cached_property
    def _placements(self) -> Placements:
        count = len(self.layers)
        shapes = tuple(interval.lo.shape for interval in self.intervals)
        bounds = (np.iinfo(np.int32).max,) * count  # sums are int32: `pack` has proved it
        return Placements(
            self.input_shape, self.input_domain, self.layers, tuple((i - 1,) for i in range(count)), shapes,
            self.intervals, bounds,
        )  # fmt: skip

    def _checked(self, x: ArrayLike) -> Array:
        """The inputs as a contiguous batch of uint8, int8 or int64, the types that the kernel is compiled for."""
        values = array(x, "x")
        if values.dtype in (np.uint8, np.int8):
            is_free = values.dtype == self._free_dtype or not values.size
            if not is_free and not (self.input_domain.lo <= values.min() and values.max() <= self.input_domain.hi):
                self.input_domain.require(values, "x")  # names the value
        else:
            values = self.input_domain.require(values, "x")
        return np.ascontiguousarray(batched(values, self.input_shape, "x"))

    def _require(self, dtype: np.dtype[Any]) -> None:
        if dtype.kind not in "iu" or not _range(dtype).issuperset(self.instructions.output):
            raise ValueError(f"`dtype` must be an integer type that holds {self.instructions.output}, got {dtype}")

    def _share(self, x: Array, y: Array, threads: int) -> None:
        """Evaluate chunks from one queue, on this thread and on others as soon as they wake."""
        shortest = -(-PRODUCTS_PER_CHUNK // max(1, self.instructions.products))
        size = max(-(-len(x) // (threads * CHUNKS_PER_THREAD)), shortest)
        queue = deque(slice(start, start + size) for start in range(0, len(x), size))
        if len(queue) == 1:
            kernel.run(self.instructions.words, x, y)
            return

        def work() -> None:
            while queue:
                try:
                    part = queue.popleft()
                except IndexError:  # another thread was faster
                    return
                kernel.run(self.instructions.words, x[part], y[part])

        pool, helpers = _pool(threads, os.getpid()), min(threads, len(queue)) - 1
        others = [pool.submit(work) for _ in range(helpers)]
        work()
        for other in others:
            if not other.cancel():  # it has begun
                other.result()


class _Bound(Unstorable, partial[None], instead="bind the CompiledNetwork again"):
    """A compiled function with its arguments, called without Numba's look at their types; it keeps their memory."""

    kept: tuple[Any, ...]

    def __new__(cls, dispatcher: Any, arguments: tuple[Any, ...], kept: tuple[Any, ...]) -> "_Bound":
        types = tuple(map(numba.typeof, arguments))
        dispatcher.compile(types)
        self = super().__new__(cls, dispatcher.overloads[types].entry_point, *arguments)
        self.kept = kept
        return self


def _range(dtype: np.dtype[Any]) -> IntDomain:
    limits = np.iinfo(dtype)
    return IntDomain(max(int(limits.min), -(2**63)), min(int(limits.max), 2**63 - 1))


@cache
def _pool(threads: int, _process: int) -> ThreadPoolExecutor:
    """The idle threads of this process; a forked process has none of its parent's."""
    return ThreadPoolExecutor(threads, thread_name_prefix="intnn")
