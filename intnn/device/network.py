"""A network on the GPU in use: placed once, then evaluated."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from intnn.device.arrays import on_device
from intnn.device.lower import Lowering, Sources
from intnn.device.values import Memory
from intnn.layers.nodes import Join, Node, Shape
from intnn.machine.cuda.device import (
    DeviceMemoryError,
    device,
    free_bytes,
    give_back,
    gpu_in_use,
    gpu_of,
    number,
    reported,
)
from intnn.machine.cuda.graph import Repeated
from intnn.machine.cuda.launch import launch
from intnn.ops.cuda.layers import copy_kernel, outside_kernel
from intnn.ops.cuda.product import DeviceArray, fitting_tile
from intnn.values.arrays import Array, array, batched
from intnn.values.domain import IntDomain, Interval
from intnn.values.value_object import Unstorable

MAX_ROWS = 1 << 30  # kernels number rows in 32 bits, and go a tile beyond the last
MAX_ELEMENTS = 1 << 32  # of a value of one input, and of a batch, which `ENOUGH` bytes hold: kernels number them so
ENOUGH = 1 << 30  # bytes of all buffers: more inputs at once are no faster, and others want memory too
MOST_EVALUATIONS = 8  # of different numbers of inputs, that are kept with their graphs


class DeviceNetwork(Unstorable, instead="place the IntNetwork again"):
    """An integer network whose weights are on a GPU; the bits are those of `IntNetwork.logits`.

    It is evaluated on the GPU that was in use when it was made, whichever a thread uses. Activations stay there between
    layers, in a few buffers that are kept for the next call. One call at a time uses them: further threads wait.

    `IntNetwork.on_device` makes one.

    Args:
        input_shape: The shape of one input.
        input_domain: The integers that an input element may be.
        layers: The layers, as in `IntNetwork`.
        sources: The layers that every layer reads; -1 is the input.
        shapes: The output shape of every layer.
        intervals: The range of every layer's output.
        bounds: The largest sum of absolute terms in every layer.

    Raises:
        NoDeviceError: There is no GPU to use; the message says what is missing.
        DeviceMemoryError: The weights and one input do not fit the GPU's free memory. Nothing has been allocated.
        DeviceError: Something else went wrong on the GPU.
        TypeError: A layer has no kernel.
        ValueError: A value can reach 2**63.
    """

    def __init__(
        self,
        input_shape: Shape,
        input_domain: IntDomain,
        layers: Sequence[Node | Join],
        sources: Sources,
        shapes: Sequence[Shape],
        intervals: Sequence[Interval],
        bounds: Sequence[int],
    ) -> None:
        self.device, self._gpu = device(), gpu_in_use()
        self._shape, self._domain = input_shape, input_domain
        tile = fitting_tile(self.device.capability)
        lowered = Lowering(input_shape, input_domain, layers, sources, shapes, intervals, bounds, tile)
        self._steps, self._values = lowered.steps, lowered.values
        parameters = sum(step.nbytes for step in self._steps)
        order = [(step.reads, step.makes) for step in self._steps]
        self.memory = Memory.of([value.nbytes for value in self._values], order, parameters)
        self.classes = self._values[-1].count
        pixels = max(value.pixels for value in self._values)
        if (most := max(value.size for value in self._values)) >= MAX_ELEMENTS:
            raise ValueError(f"a value of a network on a GPU must have less than {MAX_ELEMENTS} elements, got {most}")
        self._most = min(MAX_ROWS // pixels, max(1, ENOUGH // self.memory.per_input))  # inputs at once
        self._buffers: list[DeviceArray] = []
        self._evaluations: dict[int, _Evaluation] = {}
        self._lock = threading.Lock()
        with reported("placing a network on the GPU"):
            free = free_bytes()
            if not self.memory.inputs(free - parameters):
                raise DeviceMemoryError(
                    f"the GPU must have {parameters + self.memory.per_input} bytes free for the weights and one input, "
                    f"got {free}; `nvidia-smi` shows who holds the others"
                )
            for step in self._steps:
                step.place()

    def explain(self) -> str:
        """The steps with their sizes in bytes, of parameters and of what one input needs; and what is held now.

        What the driver takes for its context, for kernels and for graphs comes on top, and is the driver's to know.
        """
        held = f"inputs in buffers: {self._capacity}, evaluations kept: {len(self._evaluations)}"
        sizes = f"{self.memory.parameters} bytes of parameters, {self.memory.per_input} an input"
        lines = [f"{self.device.name}: {sizes}; {held}"]
        for step in self._steps:
            y, buffer = self._values[step.makes], self.memory.buffers[step.makes]
            shape = " x ".join(map(str, y.layout))
            lines.append(
                f"{step.what}: {shape} {y.dtype}, {y.nbytes} bytes in buffer {buffer}, {step.nbytes} of parameters"
            )
        return "\n".join(lines)

    def logits(self, x: Any) -> Any:
        """Evaluate integers.

        Args:
            x: Integers [batch, *input_shape] inside ``input_domain``: an array of the host, or a contiguous one on the
                GPU, of Numba, CuPy, torch or any library that knows DLPack, which does not leave it. A stream that it
                names is waited for.

        Returns:
            The logits, int64 [batch, classes]: of numpy, or on the GPU if the inputs were there, as an array with a
            ``__cuda_array_interface__``. There they are written by CUDA's default stream, after this returns: who reads
            them, or writes over ``x``, on a stream that does not wait for that one synchronises first.

        Raises:
            TypeError: ``x`` does not hold integers, or one on the GPU holds them in another order of bytes.
            ValueError: The shape is wrong, the batch empty, a value outside the domain, or an array on the GPU is not
                contiguous, or on another GPU than the network.
            DeviceMemoryError: The GPU has too little free memory for one input.
            DeviceError: Something else went wrong on the GPU.
        """
        # The lock comes last: in a forked process it may be locked for ever, and the GPU says before what is wrong.
        with reported("evaluating a network on the GPU"), self._gpu, self._lock:
            there = on_device(x)
            if there is None:
                return self._from_host(self._checked(array(x, "x")))
            return self._from_device(self._checked_there(there))

    def _checked(self, x: Array) -> Array:
        values = batched(self._domain.require(x, "x"), self._shape, "x")
        return values.astype(self._values[0].dtype).ravel()

    def _checked_there(self, x: DeviceArray) -> DeviceArray:
        if np.dtype(x.dtype).kind not in "iu" or x.dtype == np.uint64:
            raise TypeError(f"`x` must hold integers that fit int64, got dtype {x.dtype}; cast it first")
        if not np.dtype(x.dtype).isnative:
            raise TypeError(f"`x` must hold integers in the byte order of this machine, got dtype {x.dtype}")
        batched(x, self._shape, "x")
        if (where := gpu_of(x)) != number():
            raise ValueError(
                f"`x` must lie on GPU {number()}, as the network does, got GPU {where}; ask within "
                f"`with numba.cuda.gpus[{where}]:` for a network there"
            )
        if not x.is_c_contiguous():
            raise ValueError("`x` must be contiguous where it lies on a GPU; call its `contiguous` or the like")
        values, limits = x.reshape(x.size), np.iinfo(x.dtype)
        if not (self._domain.lo <= limits.min and limits.max <= self._domain.hi):
            found = cuda.to_device(np.zeros(1, np.int32))
            launch(outside_kernel, x.size, values, self._domain.lo, self._domain.hi, found)
            if found.copy_to_host()[0]:
                self._domain.require(x.copy_to_host(), "x")  # names the value
        return values

    def _from_host(self, x: Array) -> Array:
        size = self._values[0].count
        batch = len(x) // size
        result = np.empty((batch, self.classes), np.int64)
        for start, stop in self._parts(batch):
            evaluation = self._evaluation(stop - start)
            evaluation.inputs.copy_to_device(x[start * size : stop * size])
            evaluation.start()
            result[start:stop] = evaluation.logits.copy_to_host().reshape(-1, self.classes)
        return result

    def _from_device(self, x: DeviceArray) -> DeviceArray:
        size = self._values[0].count
        batch = x.size // size
        result = cuda.device_array((batch, self.classes), np.int64)
        flat = result.reshape(result.size)
        for start, stop in self._parts(batch):
            evaluation = self._evaluation(stop - start)
            _copy(_part(x, start * size, stop * size), evaluation.inputs)
            evaluation.start()
            _part(flat, start * self.classes, stop * self.classes).copy_to_device(evaluation.logits)
        return result

    def _parts(self, batch: int) -> Iterator[tuple[int, int]]:
        """The inputs that are evaluated at once, each time from the first to before the last; buffers hold them."""
        most = self._fit(batch)
        for start in range(0, batch, most):
            yield start, min(start + most, batch)

    @property
    def _capacity(self) -> int:
        """The inputs that the buffers hold."""
        return self._buffers[0].size // self.memory.sizes[0] if self._buffers else 0

    def _fit(self, batch: int) -> int:
        """How many inputs are evaluated at once; buffers grow to hold them, as far as there is memory."""
        wanted = min(batch, self._most)
        if wanted > self._capacity:
            held = self._capacity * self.memory.per_input  # what is given back when buffers are replaced
            fits = min(wanted, self.memory.inputs(free_bytes() + held))
            if not max(fits, self._capacity):
                raise DeviceMemoryError(
                    f"the GPU must have {self.memory.per_input} bytes free for one input, got {free_bytes()}; "
                    "`nvidia-smi` shows who holds the others"
                )
            if fits > self._capacity:
                self._drop_buffers()
                self._buffers = [cuda.device_array(fits * size, np.uint8) for size in self.memory.sizes]
        return min(wanted, self._capacity)

    def release(self) -> None:
        """Give the memory of buffers and graphs back to the GPU; the next call allocates it again. Weights stay.

        A call of another thread that uses it is waited for.

        Raises:
            DeviceError: Something went wrong on the GPU.
        """
        with reported("releasing memory of the GPU"), self._gpu, self._lock:
            self._drop_buffers()
            give_back()

    def _drop_buffers(self) -> None:
        self._evaluations.clear()  # their kernels have the buffers' addresses
        self._buffers = []

    def _evaluation(self, inputs: int) -> "_Evaluation":
        """The evaluation of so many inputs; those of the last few numbers are kept."""
        found = self._evaluations.pop(inputs, None) or self._bound(inputs)
        self._evaluations[inputs] = found  # behind the others: the first is the one that was not needed for longest
        if len(self._evaluations) > MOST_EVALUATIONS:
            del self._evaluations[next(iter(self._evaluations))]
        return found

    def _bound(self, inputs: int) -> "_Evaluation":
        pairs = zip(self._values, self.memory.buffers, strict=True)
        arrays = [self._buffers[buffer][: inputs * value.nbytes].view(value.dtype) for value, buffer in pairs]
        launches = [
            launch
            for step in self._steps
            for launch in step.bound([arrays[number] for number in step.reads], arrays[step.makes], inputs)
        ]
        return _Evaluation(arrays[0], Repeated(launches), arrays[-1])


class _Evaluation(NamedTuple):
    """The evaluation of some number of inputs, in a network's buffers: a graph from the second time on.

    Attributes:
        inputs: Where the inputs go, flat.
        start: Starts the kernels.
        logits: Where the logits are then, flat.
    """

    inputs: DeviceArray
    start: Repeated
    logits: DeviceArray


def _part(x: DeviceArray, start: int, stop: int) -> DeviceArray:
    """A part of a flat array, which is the array itself where that is all of it: a slice takes Numba some 10 µs."""
    return x if stop - start == x.size else x[start:stop]


def _copy(x: DeviceArray, y: DeviceArray) -> None:
    """Copy integers on the GPU to where the type may be another one."""
    if x.dtype == y.dtype:
        y.copy_to_device(x)
    else:
        launch(copy_kernel, y.size, x, y)
