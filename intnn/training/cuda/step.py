"""Training steps on a GPU; `intnn.training.step` defines the result.

With what windows see as rows x [positions, in], weights w [out, in] and errors e [positions, out], all bytes,

    forward  x wT [positions, out]       backward  e w [positions, in]       gradient  eT x [out, in]

are one kernel (`intnn.ops.cuda.gemm`), which reads both operands along the axis that it sums over. So w, e and x are
transposed first; forward, x is never written out. Exponents stay on the device, so that a step is a row of launches
that waits for nothing but its logits.
"""

import math

import numpy as np
from numba import cuda

from intnn.machine.cuda.device import DeviceMemoryError, free_bytes, gpu_in_use, reported
from intnn.machine.cuda.launch import compiled, launch
from intnn.ops.cuda.product import TENSOR, DeviceArray, Product, Tile, Window, filled
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
    """One block's variables and buffers on the device.

    Args:
        block: The plan.
        variables: The variables to start from; the host's arrays are not changed.
        batch: The examples of every batch.
        tile: The tile of its products, as for `Product`.
        is_first: Whether nobody asks for the errors at its inputs.
    """

    def __init__(self, block: Block, variables: Variables, batch: int, tile: Tile | None, is_first: bool) -> None:
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
        back = image if is_first else terms * out + positions * terms * 4 + (0 if block.is_dense else 4 * image)
        return variables + activations + back + SMALL

    def forward(self, inputs: DeviceArray) -> None:
        """Evaluate bytes [batch, h, w, channels]: int32 sums [positions, out], bytes y, and slopes."""
        block = self.block
        self._forward.launch(inputs.view(np.int32), self.sums, self.batch)
        if block.activation is None:
            return
        shape = self.positions, block.outputs
        arguments = (self.sums, *self._tables, block.shift, DOMAIN.lo, self.unpooled, self.slope, *shape)
        launch(kernels.activate_kernel, self.unpooled.size, *arguments)
        if block.pool > 1:
            kind = np.uint8 if block.activation.codomain.lo >= 0 else np.int8
            x, y, image = self.unpooled.view(kind), self.y.view(kind), (block.rows, block.cols, block.pool)
            launch(kernels.pool_kernel, y.size, x, y, block.pool_shift, y.size, filled(block.outputs), image)

    def quantise(self, d: DeviceArray, above: DeviceArray, change: int, stream: generator.Key) -> None:
        """Turn int32 errors at the outputs, of exponent above + change, into bytes [positions, out] at the sums."""
        block = self.block
        launch(kernels.largest_kernel, d.size, d, self.largest, self.pooled, block.outputs)
        if block.activation is not None:
            change += block.pool_shift
        image, shape = (block.rows, block.cols, block.pool), (self.positions, block.outputs)
        chain, made = (above, change, self.exponent), (self.errors, self._bias_gradient)
        arguments = (d, self.largest, stream, self.slope, *chain, *made, *shape, image)
        launch(kernels.quantise_errors_kernel, self.errors.size, *arguments)

    def backward(self) -> None:
        """Find the errors at the inputs, int32 [batch, h, w, channels], from those at the sums."""
        block, terms = self.block, self._taps * self._pixel
        _transpose(self.w, self._wt, block.outputs, terms)
        self._backward.launch(self.errors.view(np.int32), self._patches, self.positions)
        if not block.is_dense:
            image, window = (block.height, block.width, block.rows, block.cols), self._window
            launch(kernels.fold_kernel, self.d.size, self._patches, self.d, self._pixel, self.d.size, image, window)

    def update(self, x: DeviceArray, rate: Rate, descent: Descent) -> None:
        """Find the gradients from bytes x [batch, h, w, channels] and the errors at the sums, and descend."""
        block = self.block
        out, positions = block.outputs, self.positions
        _transpose(self.errors, self._et, positions, filled(out))
        image = (block.height, block.width, block.rows * block.cols, block.cols)
        _patches(x.view(np.int8), self._xt, positions, self._pixel, image, self._window)
        self._gradient.launch(self._et.view(np.int32), self._weight_gradient, out)
        launch(kernels.column_sums_kernel, self.errors.size, self.errors, self._bias_gradient, positions, out)
        dropped, shifts = block.gradient_shifts(self.batch), gradient_scales(block, 0, rate.shift)
        momentum, limit = descent.momentum_shift, block.weight_limit << block.fraction
        for values, gradient, bits, shift, decay, most, fraction, shape in (
            ((self.weight_velocity, self.weights, self.w), self._weight_gradient, dropped[0], shifts[0],
             descent.decay_shift, limit, block.fraction, (out * self._taps, block.channels)),
            ((self.bias_velocity, self.bias, self.b), self._bias_gradient, dropped[1], shifts[1],
             0, BIAS_LIMIT, block.bias_shift, (1, out)),
        ):  # fmt: skip
            scale = bits, rate.mantissa, shift - bits
            rule = momentum, decay, VELOCITY_LIMIT, most, fraction
            arguments = (gradient, *values, self.exponent, self.largest, scale, rule, *shape)
            launch(kernels.update_kernel, gradient.size, *arguments)

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
        self, plan: Plan, state: list[Variables], batch: int, descent: Descent, tile: Tile | None = TENSOR
    ) -> None:
        self._plan, self._descent, first, last = plan, descent, plan.blocks[0], plan.blocks[-1]
        self.nbytes = needed = sum(_Block.nbytes(block, batch, i == 0) for i, block in enumerate(plan.blocks))
        """The bytes of the GPU's memory that it takes, at most."""
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
            self._table = cuda.to_device(exponential())
            self._exponent = cuda.to_device(np.array([EXP_EXPONENT], np.int64))
            self._d = cuda.device_array(batch * filled(last.outputs), np.int32)

    def step(self, labels: IntArray, rate: Rate, rounding: tuple[int, int]) -> IntArray:
        """Train on the batch in ``inputs``; the arguments and the result are those of `intnn.training.step.step`.

        Raises:
            DeviceError: Something went wrong on the GPU; the state is gone with it.
        """
        first, last = self._plan.blocks[0], self._plan.blocks[-1]
        _, kind = _types(first)
        x: Array = (self.inputs ^ self._offset).view(kind).reshape(-1, first.channels)
        with reported("training on the GPU"), self._gpu:
            self.launch(to_device(x), cuda.to_device(labels.astype(np.int64)), rate, rounding)
            return to_host(self.blocks[-1].sums, len(labels), last.outputs).astype(np.int64)

    def state(self) -> list[Variables]:
        """The variables as they are now, copied."""
        with reported("reading what was trained from the GPU"), self._gpu:
            return [block.variables() for block in self.blocks]

    def launch(self, x: DeviceArray, labels: DeviceArray, rate: Rate, rounding: tuple[int, int]) -> None:
        """Train on bytes [batch, h, w, channels], filled up as by `to_device`, with labels int64 [batch]."""
        seen = [x]
        for block in self.blocks:
            block.forward(seen[-1])
            seen.append(block.y)
        last = self.blocks[-1]
        shape = last.batch, last.block.outputs
        arguments = (last.sums, labels, self._table, last.block.shift, self._d, *shape)
        launch(kernels.softmax_errors_kernel, last.batch, *arguments)
        d, above, change = self._d, self._exponent, 0
        for i in reversed(range(len(self.blocks))):
            block = self.blocks[i]
            block.quantise(d, above, change, generator.key(rounding[0], generator.ROUNDING, rounding[1], i))
            if i:
                block.backward()
                d = block.d
            block.update(seen[i], rate, self._descent)
            above, change = block.exponent, block.block.weight_exponent


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


def _transpose(x: DeviceArray, y: DeviceArray, rows: int, columns: int) -> None:
    """Transpose bytes [rows, columns], a multiple of 16: what windows of one pixel see of images of one pixel."""
    _patches(x, y, rows, columns, (1, 1, 1, 1), (1, 1, 1, 0))


def _patches(
    x: DeviceArray,
    y: DeviceArray,
    positions: int,
    pixel: int,
    image: tuple[int, int, int, int],
    window: tuple[int, int, int, int],
) -> None:
    grid = -(-positions // 32), -(-window[0] * window[1] * pixel // 32)
    compiled(kernels.patches_kernel)[grid, kernels.LANES](x, y, positions, pixel, image, window)
