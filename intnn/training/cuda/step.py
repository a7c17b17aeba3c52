"""A training step of a chain of dense layers on a GPU; `intnn.training.step` defines the result.

With activations x [batch, in], weights w [out, in] and errors e [batch, out], all bytes,

    forward  x wT [batch, out]       backward  e w [batch, in]       gradient  eT x [out, in]

are one kernel (`intnn.ops.cuda.gemm`), which reads both operands along the axis that it sums over. So w, e and x are
transposed first. Exponents stay on the device, so that a step is a row of launches that waits for nothing.
"""

from collections.abc import Sequence

import numpy as np
from numba import cuda

from intnn.machine.cuda.launch import compiled, launch
from intnn.ops.cuda.product import ALIGNED, TENSOR, DeviceArray, Product, Tile
from intnn.training import generator
from intnn.training.cuda import kernels
from intnn.training.limits import BIAS_LIMIT, VELOCITY_LIMIT
from intnn.training.ops import numpy_
from intnn.training.plan import Block
from intnn.training.step import Descent, Rate, Variables, gradient_scales, working_weights
from intnn.training.tables import DOMAIN, EXP_EXPONENT, exponential


class DenseBlock:
    """One dense layer's variables and buffers on the device.

    Args:
        block: The plan of a layer whose kernel covers the whole image.
        variables: The variables to start from; the host's arrays are not changed.
        batch: The rows of every batch.
        tile: The tile of its products, as for `Product`.

    Raises:
        ValueError: The block is a convolution.
    """

    def __init__(self, block: Block, variables: Variables, batch: int, tile: Tile | None = TENSOR) -> None:
        if not block.is_dense:
            raise ValueError(f"`block` must be dense, got a convolution with {block.rows} x {block.cols} outputs")
        self.block, self.batch = block, batch
        inputs, out = block.fan_in, block.outputs
        weights, bias = working_weights(block, variables, numpy_)
        self.weights, self.weight_velocity = to_device(variables.weights), to_device(variables.weight_velocity)
        self.bias, self.bias_velocity = to_device(variables.bias[None]), to_device(variables.bias_velocity[None])
        self.w, self.b = to_device(weights.astype(np.int8)), to_device(bias[None].astype(np.int32))
        self.y, self.slope, self.errors = (_bytes(batch, out) for _ in range(3))
        self._wt, self._et, self._xt = _bytes(inputs, out), _bytes(out, batch), _bytes(inputs, batch)
        self._bias_gradient = cuda.to_device(np.zeros(_width(out), np.int32))
        self.largest, self.exponent = (cuda.to_device(np.zeros(1, np.int64)) for _ in range(2))
        x_type, x_dtype = ("u8", np.uint8) if block.inputs.lo >= 0 else ("s8", np.int8)

        def product(x_type: str, columns: int, terms: int, w: DeviceArray, w_dtype: type = np.int8) -> Product:
            result = Product(np.zeros((columns, terms, 1, 1), w_dtype), np.zeros(columns), x_type=x_type, tile=tile)
            result.w = w.view(np.int32)
            return result

        self._forward = product(x_type, out, inputs, self.w)
        self._forward.b = self.b
        self._backward = product("s8", inputs, out, self._wt)
        self._gradient = product("s8", inputs, batch, self._xt, x_dtype)
        self.sums, self._weight_gradient = self._forward.output(batch), self._gradient.output(out)
        self.d = self._backward.output(batch)  # the errors at the inputs
        if block.activation is not None:
            tables = block.activation.values.table, block.activation.slopes.table
            self._tables = [cuda.to_device(table.astype(np.uint8).view(np.int8)) for table in tables]
        else:
            self.slope = to_device(np.full((batch, out), 64, np.int8))  # slopes of one: errors pass as they are

    def forward(self, x: DeviceArray) -> None:
        """Evaluate bytes [batch, in]: int32 sums [batch, out], bytes y, and slopes."""
        block = self.block
        self._forward.launch(x.view(np.int32), self.sums, self.batch)
        if block.activation is not None:
            shape = self.batch, block.outputs
            arguments = (self.sums, *self._tables, block.shift, DOMAIN.lo, self.y, self.slope, *shape)
            launch(kernels.activate_kernel, self.y.size, *arguments)

    def quantise(self, d: DeviceArray, above: DeviceArray, change: int, stream: generator.Key) -> None:
        """Turn int32 errors [batch, out] at the outputs, of exponent above + change, into bytes at the sums."""
        shape = self.batch, self.block.outputs
        launch(kernels.largest_kernel, self.errors.size, d, self.largest, *shape)
        chain = above, change, self.exponent
        arguments = (d, self.largest, stream, self.slope, *chain, self.errors, *shape)
        launch(kernels.quantise_errors_kernel, self.errors.size, *arguments)

    def backward(self) -> None:
        """Find the errors at the inputs, int32 [batch, in], from those at the sums."""
        _transpose(self.w, self._wt, self.block.outputs, self.block.fan_in)
        self._backward.launch(self.errors.view(np.int32), self.d, self.batch)

    def update(self, x: DeviceArray, rate: Rate, descent: Descent) -> None:
        """Find the gradients from bytes x [batch, in] and the errors at the sums, and descend."""
        block = self.block
        inputs, out = block.fan_in, block.outputs
        _transpose(self.errors, self._et, self.batch, out)
        _transpose(x.view(np.int8), self._xt, self.batch, inputs)
        self._gradient.launch(self._et.view(np.int32), self._weight_gradient, out)
        launch(kernels.column_sums_kernel, out, self.errors, self._bias_gradient, self.batch, out)
        dropped, shifts = block.gradient_shifts(self.batch), gradient_scales(block, 0, rate.shift)
        momentum, limit = descent.momentum_shift, block.weight_limit << block.fraction
        for values, gradient, bits, shift, decay, most, fraction, shape in (
            ((self.weight_velocity, self.weights, self.w), self._weight_gradient, dropped[0], shifts[0],
             descent.decay_shift, limit, block.fraction, (out, inputs)),
            ((self.bias_velocity, self.bias, self.b), self._bias_gradient, dropped[1], shifts[1],
             0, BIAS_LIMIT, block.bias_shift, (1, out)),
        ):  # fmt: skip
            scale = bits, rate.mantissa, shift - bits
            rule = momentum, decay, VELOCITY_LIMIT, most, fraction
            arguments = (gradient, *values, self.exponent, self.largest, scale, rule, *shape)
            launch(kernels.update_kernel, gradient.size, *arguments)

    def variables(self) -> Variables:
        """The variables, copied to the host."""
        shape = self.block.outputs, self.block.fan_in
        return Variables(
            to_host(self.weights, *shape),
            to_host(self.bias, 1, shape[0])[0],
            to_host(self.weight_velocity, *shape),
            to_host(self.bias_velocity, 1, shape[0])[0],
        )


class DenseTrainer:
    """A chain of dense layers on the device.

    Args:
        blocks: The blocks of a `Plan`; the last one has no activation.
        state: The variables of every block to start from.
        batch: The rows of every batch.
        tile: The tile of all products, as for `Product`.

    Raises:
        ValueError: A block is a convolution.
    """

    def __init__(
        self, blocks: Sequence[Block], state: Sequence[Variables], batch: int, tile: Tile | None = TENSOR
    ) -> None:
        self.blocks = [DenseBlock(block, own, batch, tile) for block, own in zip(blocks, state, strict=True)]
        self._table = cuda.to_device(exponential())
        self._exponent = cuda.to_device(np.array([EXP_EXPONENT], np.int64))
        self._d = cuda.device_array(batch * _width(blocks[-1].outputs), np.int32)

    def step(
        self, x: DeviceArray, labels: DeviceArray, rate: Rate, descent: Descent, rounding: tuple[int, int]
    ) -> None:
        """Train on bytes x [batch, in] with labels int64 [batch]; arguments as for `intnn.training.step.step`."""
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
            block.update(seen[i], rate, descent)
            d, above, change = block.d, block.exponent, block.block.weight_exponent


def to_device(x: np.ndarray) -> DeviceArray:
    """Copy [rows, columns] from the host to the device: flat, with rows filled up with zeros."""
    filled = np.zeros((len(x), _width(x.shape[1])), x.dtype)
    filled[:, : x.shape[1]] = x
    return cuda.to_device(filled.ravel())


def to_host(x: DeviceArray, rows: int, columns: int) -> np.ndarray:
    """Copy [rows, columns] from the device to the host, without the filling."""
    return x.copy_to_host().reshape(rows, -1)[:, :columns].copy()


def _width(columns: int) -> int:
    return -(-columns // ALIGNED) * ALIGNED


def _bytes(rows: int, columns: int) -> DeviceArray:
    return cuda.to_device(np.zeros(rows * _width(columns), np.int8))


def _transpose(x: DeviceArray, y: DeviceArray, rows: int, columns: int) -> None:
    grid = -(-rows // 32), -(-columns // 32)
    compiled(kernels.transpose_kernel)[grid, kernels.LANES](x, y, rows, columns)
