"""Training steps on a GPU; `intnn.training.step` defines the result.

With what windows see as rows x [positions, in], weights w [out, in] and errors e [positions, out], all bytes,

    forward  x wT [positions, out]       backward  e w [positions, in]       gradient  eT x [out, in]

are one kernel (`intnn.ops.cuda.gemm`), which reads both operands along the axis that it sums over. So w, e and x are
transposed first; forward, x is never written out. Exponents stay on the device, and what changes from step to step is
written there by one copy. So a step is a row of launches that are always the same, one graph from the second step on,
and waits for nothing but its logits.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda

from intnn.machine.cuda.device import DeviceMemoryError, free_bytes, gpu_in_use, reported
from intnn.machine.cuda.graph import Repeated
from intnn.machine.cuda.launch import Launch, bound, shared_out
from intnn.machine.cuda.pinned import pinned
from intnn.ops.cuda.product import TENSOR, AnyTile, DeviceArray, Product, Window, filled
from intnn.training import generator
from intnn.training.cuda import kernels
from intnn.training.examples import offset_of
from intnn.training.limits import BIAS_LIMIT, VELOCITY_LIMIT
from intnn.training.ops import numpy_
from intnn.training.plan import Block, Plan
from intnn.training.step import Descent, Rate, Variables, gradient_scales, working_weights
from intnn.training.tables import DOMAIN, EXP_EXPONENT, exponential
from intnn.values.arrays import Array, IntArray
from intnn.values.value_object import Unstorable

SMALL = 1 << 14  # bytes of a block's vectors and tables, at most


class _Block:
    """One block's variables and buffers on the device, and what launches its kernels.

    Args:
        block: The plan.
        variables: The variables to start from; the host's arrays are not changed.
        batch: The examples of every batch.
        tile: The tile of its products, as for `Product`.
        is_first: Whether nobody asks for the errors at its inputs.
    """

    def __init__(self, block: Block, variables: Variables, batch: int, tile: AnyTile, is_first: bool) -> None:
        self.block, self.batch = block, batch
        out, pixel, area = block.outputs, filled(block.channels), block.window[0] * block.window[1]
        self.positions, self._taps = batch * block.rows * block.cols, area
        terms, self._pixel = area * pixel, pixel
        weights, bias = working_weights(block, variables, numpy_)
        self.weights, self.weight_velocity = (
            self._weights_there(values) for values in (variables.weights, variables.weight_velocity)
        )
        self.bias, self.bias_velocity = to_device(variables.bias[None]), to_device(variables.bias_velocity[None])
        self.w, self.b = self._weights_there(weights.astype(np.int8)), to_device(bias[None].astype(np.int32))
        self.unpooled, self.slope, self.errors = (_bytes(self.positions, out) for _ in range(3))
        pooled_rows, pooled_cols, _ = block.output_shape
        self.pooled = batch * pooled_rows * pooled_cols
        self.y = _bytes(self.pooled, out) if block.pool > 1 else self.unpooled
        self._xt = _bytes(terms, self.positions)
        self._et = _bytes(filled(out), self.positions)
        self._bias_gradient = cuda.to_device(np.zeros(filled(out), np.int32))
        self.largest, self.exponent = (cuda.to_device(np.zeros(1, np.int64)) for _ in range(2))
        x_type, x_dtype = _types(block)

        def product(x_type: str, columns: int, terms: int, w: DeviceArray, w_dtype: type = np.int8) -> Product:
            result = Product(np.zeros((columns, terms, 1, 1), w_dtype), np.zeros(columns), x_type=x_type, tile=tile)
            result.w = w.view(np.int32)
            return result

        window = Window(block.window, (block.stride,) * 2, (block.padding,) * 4)
        shape, image = (out, block.channels, *block.window), (block.height, block.width)
        self._forward = Product(np.zeros(shape, np.int8), np.zeros(out), image, window, x_type=x_type, tile=tile)
        self._forward.w, self._forward.b = self.w.view(np.int32), self.b
        self._gradient = product("s8", terms, self.positions, self._xt, x_dtype)
        self.sums, self._weight_gradient = self._forward.output(batch), self._gradient.output(out)
        if not is_first:
            self._wt = _bytes(terms, out)
            self._backward = product("s8", terms, out, self._wt)
            self._patches = self._backward.output(self.positions)
            self.d = self._patches  # the errors at the inputs
            if not block.is_dense:
                self.d = cuda.device_array(batch * block.height * block.width * pixel, np.int32)
        if block.activation is not None:
            tables = block.activation.values.table, block.activation.slopes.table
            self._tables = [cuda.to_device(table.astype(np.uint8).view(np.int8)) for table in tables]
        else:
            self.slope = to_device(np.full((self.positions, out), 64, np.int8))  # slopes of one

    @staticmethod
    def nbytes(block: Block, batch: int, is_first: bool) -> int:
        """The bytes of all this, from shapes alone."""
        out, pixel = filled(block.outputs), filled(block.channels)
        terms, positions = block.window[0] * block.window[1] * pixel, batch * block.rows * block.cols
        image = batch * block.height * block.width * pixel
        variables = block.outputs * terms * (4 + 4 + 1 + 4) + terms * 8
        activations = positions * (out * (3 + 4 + 1) + terms + 1) + batch * math.prod(block.output_shape[:2]) * out
        back = 0 if is_first else terms * out + positions * terms * 4 + (0 if block.is_dense else 4 * image)
        return variables + activations + back + SMALL

    def forward(self, inputs: DeviceArray) -> list[Launch]:
        """Return what evaluates bytes [batch, h, w, channels]: int32 sums [positions, out], bytes y, and slopes."""
        block = self.block
        launches = [self._forward.bound(inputs.view(np.int32), self.sums, self.batch)]
        if block.activation is None:
            return launches
        shape = self.positions, block.outputs
        arguments = (self.sums, *self._tables, block.shift, DOMAIN.lo, self.unpooled, self.slope, *shape)
        launches.append(shared_out(kernels.activate_kernel, self.unpooled.size, *arguments))
        if block.pool > 1:
            kind = np.uint8 if block.activation.codomain.lo >= 0 else np.int8
            x, y, image = self.unpooled.view(kind), self.y.view(kind), (block.rows, block.cols, block.pool)
            pooling = (x, y, block.pool_shift, y.size, filled(block.outputs), image)
            launches.append(shared_out(kernels.pool_kernel, y.size, *pooling))
        return launches

    def quantise(self, d: DeviceArray, above: DeviceArray, change: int, key: DeviceArray) -> list[Launch]:
        """Return what turns int32 errors at the outputs into bytes [positions, out] at the sums.

        The exponent of the errors is above + change, and ``key`` int64 [2] that of the random numbers.
        """
        block = self.block
        largest = shared_out(kernels.largest_kernel, d.size, d, self.largest, self.pooled, block.outputs)
        if block.activation is not None:
            change += block.pool_shift
        image, shape = (block.rows, block.cols, block.pool), (self.positions, block.outputs)
        chain, made = (above, change, self.exponent), (self.errors, self._bias_gradient)
        arguments = (d, self.largest, key, self.slope, *chain, *made, *shape, image)
        return [largest, shared_out(kernels.quantise_errors_kernel, self.errors.size, *arguments)]

    def backward(self) -> list[Launch]:
        """Return what finds the errors at the inputs, int32 [batch, h, w, channels], from those at the sums."""
        block, terms = self.block, self._taps * self._pixel
        launches = [
            _transpose(self.w, self._wt, block.outputs, terms),
            self._backward.bound(self.errors.view(np.int32), self._patches, self.positions),
        ]
        if not block.is_dense:
            image, window = (block.height, block.width, block.rows, block.cols), self._window
            arguments = (self._patches, self.d, self._pixel, self.d.size, image, window)
            launches.append(shared_out(kernels.fold_kernel, self.d.size, *arguments))
        return launches

    def update(self, x: DeviceArray, rate: DeviceArray, descent: Descent) -> list[Launch]:
        """Return what finds the gradients, and descends.

        They come from bytes x [batch, h, w, channels] and the errors at the sums; ``rate`` int64 [2] is the mantissa
        and the shift.
        """
        block = self.block
        out, positions = block.outputs, self.positions
        image = (block.height, block.width, block.rows * block.cols, block.cols)
        launches = [
            _transpose(self.errors, self._et, positions, filled(out)),
            _patches(x.view(np.int8), self._xt, positions, self._pixel, image, self._window),
            self._gradient.bound(self._et.view(np.int32), self._weight_gradient, out),
            shared_out(kernels.column_sums_kernel, self.errors.size, self.errors, self._bias_gradient, positions, out),
        ]
        dropped, shifts = block.gradient_shifts(self.batch), gradient_scales(block, 0, 0)
        momentum, limit = descent.momentum_shift, block.weight_limit << block.fraction
        for values, gradient, bits, shift, decay, most, fraction, shape in (
            ((self.weight_velocity, self.weights, self.w), self._weight_gradient, dropped[0], shifts[0],
             descent.decay_shift, limit, block.fraction, (out * self._taps, block.channels)),
            ((self.bias_velocity, self.bias, self.b), self._bias_gradient, dropped[1], shifts[1],
             0, BIAS_LIMIT, block.bias_shift, (1, out)),
        ):  # fmt: skip
            scale, rule = (bits, shift - bits), (momentum, decay, VELOCITY_LIMIT, most, fraction)
            arguments = (gradient, *values, self.exponent, self.largest, rate, scale, rule, *shape)
            launches.append(shared_out(kernels.update_kernel, gradient.size, *arguments))
        return launches

    def variables(self) -> Variables:
        """The variables, copied to the host."""
        out, rows = self.block.outputs, self.block.outputs * self._taps
        return Variables(
            to_host(self.weights, rows, self.block.channels).reshape(out, -1),
            to_host(self.bias, 1, out)[0],
            to_host(self.weight_velocity, rows, self.block.channels).reshape(out, -1),
            to_host(self.bias_velocity, 1, out)[0],
        )

    @property
    def _window(self) -> tuple[int, int, int, int]:
        return (*self.block.window, self.block.stride, self.block.padding)

    def _weights_there(self, weights: Array) -> DeviceArray:
        return to_device(weights.reshape(-1, self.block.channels))


class _Incoming:
    """What changes from step to step, and is copied to the device at once.

    Args:
        block: The first block.
        batch: The examples of every batch.
        blocks: How many blocks there are.

    Attributes:
        x: The inputs on the device, bytes [batch, h, w, channels] with pixels filled up.
        labels: int64 [batch].
        rate: int64 [2], mantissa and shift.
        keys: int64 [2] for every block, of its random numbers.
    """

    def __init__(self, block: Block, batch: int, blocks: int) -> None:
        self._pixels, self._channels, self._batch = batch * block.height * block.width, block.channels, batch
        self._host = pinned((self.nbytes(block, batch, blocks),), np.uint8)
        self._host[:] = 0
        self._there = cuda.to_device(self._host)
        self.x, self.labels, numbers = self._parts(self._there)
        self.rate, *self.keys = (numbers[i : i + 2] for i in range(0, numbers.size, 2))

    @staticmethod
    def nbytes(block: Block, batch: int, blocks: int) -> int:
        """The bytes of all this, from shapes alone."""
        return batch * block.height * block.width * filled(block.channels) + 8 * (batch + 2 + 2 * blocks)

    def write(self, x: Array, labels: IntArray, rate: Rate, keys: Sequence[generator.Key]) -> None:
        """Copy bytes [batch, h, w, channels], labels and numbers to the device."""
        pixels, classes, numbers = self._parts(self._host)
        pixels.reshape(self._pixels, -1)[:, : self._channels] = x.reshape(self._pixels, -1)
        classes[:], numbers[:] = labels, np.concatenate([rate, *keys])
        self._there.copy_to_device(self._host)

    def _parts(self, whole: Any) -> tuple[Any, Any, Any]:
        """The bytes of the inputs, the labels and the numbers, of the host or on the device."""
        first = self._pixels * filled(self._channels)
        second = first + 8 * self._batch
        return whole[:first], whole[first:second].view(np.int64), whole[second:].view(np.int64)


class DeviceStep(Unstorable, instead="store its `state`"):
    """Steps of one plan on batches of one size, bit-equal to `intnn.training.step.step`.

    They are done on the GPU that is in use when this is made, whichever a thread uses later.

    Args:
        plan: The network.
        state: The variables to start from; they are copied.
        batch: The examples of a step.
        descent: Momentum and decay.
        tile: The tile of all products, as for `Product`.

    Raises:
        DeviceMemoryError: The step does not fit the GPU's free memory. Nothing has been allocated.
    """

    def __init__(
        self, plan: Plan, state: list[Variables], batch: int, descent: Descent, tile: AnyTile = TENSOR
    ) -> None:
        self._plan, first, last = plan, plan.blocks[0], plan.blocks[-1]
        needed = _Incoming.nbytes(first, batch, len(plan.blocks))
        needed += sum(_Block.nbytes(block, batch, i == 0) for i, block in enumerate(plan.blocks))
        self.nbytes = needed
        """The bytes of the GPU's memory that it takes, at most, besides kernels and their graph."""
        self._offset = offset_of(first.inputs)
        self.inputs = np.zeros((batch, first.height, first.width, first.channels), np.uint8)
        """uint8 [batch, height, width, channels]: where the next batch goes, signed inputs plus 128."""
        with reported("preparing training on the GPU"):
            if (free := free_bytes()) < needed:
                raise DeviceMemoryError(
                    f"the GPU must have {needed} bytes free for a step of {batch} examples, got {free}; smaller "
                    "batches need less, and `nvidia-smi` shows who holds the others"
                )
            self._gpu = gpu_in_use()
            pairs = zip(plan.blocks, state, strict=True)
            self.blocks = [_Block(*pair, batch, tile, i == 0) for i, pair in enumerate(pairs)]
            self._incoming = _Incoming(first, batch, len(plan.blocks))
            self._table = cuda.to_device(exponential())
            self._exponent = cuda.to_device(np.array([EXP_EXPONENT], np.int64))
            self._d = cuda.device_array(batch * filled(last.outputs), np.int32)
            self._start = Repeated(self._launches(descent))

    def step(self, labels: IntArray, rate: Rate, rounding: tuple[int, int]) -> IntArray:
        """Train on the batch in ``inputs``; the arguments and the result are those of `intnn.training.step.step`.

        Raises:
            DeviceError: Something went wrong on the GPU; the state is gone with it.
        """
        with reported("training on the GPU"), self._gpu:
            self.write(labels, rate, rounding)
            self.start()
            return to_host(self.blocks[-1].sums, len(labels), self._plan.classes).astype(np.int64)

    def write(self, labels: IntArray, rate: Rate, rounding: tuple[int, int]) -> None:
        """Copy the batch in ``inputs``, and what else a step takes, to the GPU, which must be the one in use."""
        seed, number = rounding
        keys = [generator.key(seed, generator.ROUNDING, number, i) for i in range(len(self.blocks))]
        self._incoming.write(self.inputs ^ self._offset, labels, rate, keys)

    def start(self) -> None:
        """Train on what `write` copied, without waiting for it."""
        self._start()

    def state(self) -> list[Variables]:
        """The variables as they are now, copied."""
        with reported("reading what was trained from the GPU"), self._gpu:
            return [block.variables() for block in self.blocks]

    def _launches(self, descent: Descent) -> list[Launch]:
        """What a step launches, in order."""
        incoming, launches = self._incoming, list[Launch]()
        seen = [incoming.x]
        for block in self.blocks:
            launches += block.forward(seen[-1])
            seen.append(block.y)
        last = self.blocks[-1]
        shape = last.batch, last.block.outputs
        arguments = (last.sums, incoming.labels, self._table, last.block.shift, self._d, *shape)
        launches.append(shared_out(kernels.softmax_errors_kernel, last.batch, *arguments))
        d, above, change = self._d, self._exponent, 0
        for i in reversed(range(len(self.blocks))):
            block = self.blocks[i]
            launches += block.quantise(d, above, change, incoming.keys[i])
            if i:
                launches += block.backward()
                d = block.d
            launches += block.update(seen[i], incoming.rate, descent)
            above, change = block.exponent, block.block.weight_exponent
        return launches


def to_device(x: np.ndarray) -> DeviceArray:
    """Copy [rows, columns] from the host to the device: flat, with rows filled up with zeros."""
    rows = np.zeros((len(x), filled(x.shape[1])), x.dtype)
    rows[:, : x.shape[1]] = x
    return cuda.to_device(rows.ravel())


def to_host(x: DeviceArray, rows: int, columns: int) -> np.ndarray:
    """Copy [rows, columns] from the device to the host, without the filling."""
    return x.copy_to_host().reshape(rows, -1)[:, :columns].copy()


def _types(block: Block) -> tuple[str, type]:
    """What a block's inputs are: bytes with a sign or without."""
    return ("u8", np.uint8) if block.inputs.lo >= 0 else ("s8", np.int8)


def _bytes(rows: int, columns: int) -> DeviceArray:
    return cuda.to_device(np.zeros(rows * filled(columns), np.int8))


def _transpose(x: DeviceArray, y: DeviceArray, rows: int, columns: int) -> Launch:
    """Transpose bytes [rows, columns], a multiple of 16: what windows of one pixel see of images of one pixel."""
    return _patches(x, y, rows, columns, (1, 1, 1, 1), (1, 1, 1, 0))


def _patches(
    x: DeviceArray,
    y: DeviceArray,
    positions: int,
    pixel: int,
    image: tuple[int, int, int, int],
    window: tuple[int, int, int, int],
) -> Launch:
    grid = -(-positions // 32), -(-window[0] * window[1] * pixel // 32)
    return bound(kernels.patches_kernel, grid, kernels.LANES, x, y, positions, pixel, image, window)
