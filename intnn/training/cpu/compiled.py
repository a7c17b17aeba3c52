"""The training step as one compiled call, or as two: their memory, and the way in and out of it."""

import numpy as np

from intnn.machine.host import instruction_set
from intnn.training.cpu import halves
from intnn.training.cpu import words as at
from intnn.training.cpu.step import step
from intnn.training.cpu.tile import tile_rows
from intnn.training.cpu.update import start_sums
from intnn.training.examples import offset_of
from intnn.training.ops import numpy_
from intnn.training.plan import Block, Plan
from intnn.training.step import Begun, Descent, Rate, Variables, working_weights
from intnn.training.tables import EXP_EXPONENT, activation, exponential
from intnn.values.arrays import Array, IntArray
from intnn.values.value_object import Unstorable

CACHED_SUMS = 1 << 15  # how many int32 sums are held at once: 128 KiB
PAGE = 4096
SLACK = 256  # bytes behind every array, which whole vectors may touch


class Compiled(Unstorable, instead="store its `state`"):
    """The memory of steps of one plan on batches of one size.

    Args:
        plan: The network.
        state: The variables to start from; they are copied.
        batch: The examples of a step.
        descent: Momentum and decay.
    """

    def __init__(self, plan: Plan, state: list[Variables], batch: int, descent: Descent):
        self._plan, self._descent = plan, descent
        isa = instruction_set()
        self._lanes = isa.lanes
        self._machine = np.array([isa.lanes, tile_rows(isa)], np.int64)
        self._memory: list[Array] = []
        self._words = np.zeros((len(plan.blocks), at.WORDS), np.int64)
        self._variables: list[dict[int, Array]] = []
        self._exponential = exponential()
        scratch = batch * plan.classes
        for i, (block, variables) in enumerate(zip(plan.blocks, state, strict=True)):
            following = plan.blocks[i + 1] if i + 1 < len(plan.blocks) else None
            scratch = max(scratch, self._lay_out(i, block, following, batch))
            self._load(i, block, variables)
        self._scratch = self._array((scratch,), np.int32)

    def state(self) -> list[Variables]:
        """The variables as they are now, copied."""
        result = []
        for block, arrays in zip(self._plan.blocks, self._variables, strict=True):
            n, k = block.outputs, block.fan_in

            def rows(panels: Array, n: int = n, k: int = k) -> Array:
                return np.ascontiguousarray(panels.transpose(0, 2, 1).reshape(-1, panels.shape[1])[:n, :k])

            result.append(
                Variables(
                    rows(arrays[at.WEIGHTS]),
                    arrays[at.BIAS][:n].copy(),
                    rows(arrays[at.VELOCITY]),
                    arrays[at.BIAS_VELOCITY][:n].copy(),
                )
            )
        return result

    def _numbers(self, rate: Rate) -> IntArray:
        """The numbers of descent, as the kernels take them."""
        return np.array([*rate, self._descent.momentum_shift, self._descent.decay_shift, EXP_EXPONENT], np.int64)

    def _lay_out(self, i: int, block: Block, following: Block | None, batch: int) -> int:
        """Allocate and describe a block, and return how many int32s of scratch it needs."""
        words, lanes = self._words[i], self._lanes
        run = block.window[1] * block.channels
        behind = _up(run, 16 if run > 8 else 8) - run  # what `patches` writes behind a run
        depth, padded = _up(block.fan_in + behind, 8), _up(block.outputs, lanes)
        per_image = block.rows * block.cols
        positions = _up(batch * per_image, 4)
        back_row = _up(depth, lanes)
        images = min(batch, max(1, CACHED_SUMS // (per_image * max(padded, back_row if i else 0))))
        dropped, bias_dropped = block.gradient_shifts(batch)
        offset = offset_of(block.inputs)
        for field, value in {
            at.HEIGHT: block.height, at.WIDTH: block.width, at.CHANNELS: block.channels,
            at.KERNEL_HEIGHT: block.window[0], at.KERNEL_WIDTH: block.window[1], at.STRIDE: block.stride,
            at.PADDING: block.padding, at.POOL: block.pool, at.ROWS: block.rows, at.COLS: block.cols,
            at.OUTPUTS: block.outputs, at.FAN_IN: block.fan_in, at.DEPTH: depth, at.PADDED: padded, at.BLOCK: images,
            at.OFFSET: offset, at.NEXT_OFFSET: 0 if following is None else offset_of(following.inputs),
            at.SHIFT: block.shift, at.POOL_SHIFT: block.pool_shift, at.FRACTION: block.fraction,
            at.WEIGHT_LIMIT: block.weight_limit, at.BIAS_SHIFT: block.bias_shift,
            at.INPUT_EXPONENT: block.input_exponent, at.WEIGHT_EXPONENT: block.weight_exponent,
            at.MASTER_EXPONENT: block.master_exponent, at.BIAS_EXPONENT: block.bias_exponent,
            at.DROPPED: dropped, at.BIAS_DROPPED: bias_dropped, at.IS_RELU: block.activation == activation("relu"),
        }.items():  # fmt: skip
            words[field] = value

        image = (batch, block.height, block.width, block.channels)
        pooled = (batch, block.rows // block.pool, block.cols // block.pool, block.outputs)
        for field, shape, kind, fill in (
            (at.INPUTS, image, np.uint8, offset),
            (at.PATCHES, (positions, depth), np.uint8, 0),
            (at.GROUPS, (positions, depth), np.uint8, 0),
            (at.SLOPES_MET, (positions, padded), np.int8, 0),
            (at.ERRORS, pooled, np.int8, 0),
            (at.SPREAD, (positions, padded), np.uint8, 128),
            (at.ERROR_GROUPS, (positions, padded), np.int8, 0),
            (at.ERROR_SUMS, (padded,), np.int32, 0),
            (at.TRANSPOSED, (back_row, padded) if i else (0,), np.int8, 0),
            (at.BACK, image if i else (0,), np.int32, 0),
        ):
            array = self._array(shape, kind, fill)
            words[field] = array.ctypes.data
            if i == 0 and field == at.INPUTS:
                self._inputs = array
        if block.activation is not None:
            for field, lut in ((at.VALUES, block.activation.values), (at.SLOPES, block.activation.slopes)):
                table = self._array(lut.table.shape, np.int32)
                table[:] = lut.table
                words[field] = table.ctypes.data
        sums, errors = images * per_image * padded, images * per_image * back_row
        sums += sums // 4  # as many bytes of activations
        return max(sums, back_row + max(errors, back_row + padded) if i else 0)

    def _load(self, i: int, block: Block, variables: Variables) -> None:
        """Copy a block's variables into panels of lanes: [panel, input, lane]."""
        words, lanes = self._words[i], self._lanes
        depth, padded = int(words[at.DEPTH]), int(words[at.PADDED])
        arrays: dict[int, Array] = {}
        narrow, _ = working_weights(block, variables, numpy_)
        for field, values, kind in (
            (at.WEIGHTS, variables.weights, np.int32),
            (at.VELOCITY, variables.weight_velocity, np.int32),
            (at.BYTES, narrow, np.int8),
        ):
            rows = np.zeros((padded, depth), kind)
            rows[: block.outputs, : block.fan_in] = values
            group = 4 if field == at.BYTES else 1
            panels = rows.reshape(padded // lanes, lanes, depth // group, group).transpose(0, 2, 1, 3)
            arrays[field] = self._array((padded // lanes, depth, lanes), kind)
            arrays[field].ravel()[:] = panels.ravel()
        for field, values in ((at.BIAS, variables.bias), (at.BIAS_VELOCITY, variables.bias_velocity)):
            arrays[field] = self._array((padded,), np.int32)
            arrays[field][: block.outputs] = values
        arrays[at.INIT] = self._array((padded,), np.int32)
        for field, array in arrays.items():
            words[field] = array.ctypes.data
        self._variables.append(arrays)
        start_sums(words, self._machine)

    def _array(self, shape: tuple[int, ...], kind: type, fill: int = 0) -> Array:
        """Memory that lives as long as this object, on a cache line's edge, with slack behind it.

        Large arrays begin at one offset within their pages. A load that equals a recent store in its low 12 bits waits
        for it, so arrays that are walked through side by side would halve a step's speed: each begins elsewhere.
        """
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        memory = np.zeros(size + SLACK + 2 * PAGE, np.uint8)
        start = -memory.ctypes.data % PAGE + 13 * 64 * len(self._memory) % PAGE
        self._memory.append(memory)
        array: Array = memory[start : start + size].view(kind).reshape(shape)
        array[...] = fill
        return array


class CompiledStep(Compiled, instead="store its `state`"):
    """Steps of one plan on batches of one size, bit-equal to `intnn.training.step.step`; arguments as `Compiled`."""

    def __init__(self, plan: Plan, state: list[Variables], batch: int, descent: Descent):
        super().__init__(plan, state, batch, descent)
        first = plan.blocks[0]
        self.inputs = self._inputs.reshape(batch, first.height, first.width, first.channels)
        """uint8 [batch, height, width, channels]: where the next batch goes, signed inputs plus 128."""

    def step(self, labels: IntArray, rate: Rate, rounding: tuple[int, int]) -> IntArray:
        """Train on the batch in ``inputs``; the arguments and the result are those of `intnn.training.step.step`."""
        logits = np.empty((len(labels), self._plan.classes), np.int64)
        step(
            self._words, self._machine, self._scratch, labels, self._exponential, self._numbers(rate),
            np.array(rounding, np.uint64), logits,
        )  # fmt: skip
        return logits


class CompiledHalves(Compiled, instead="store its `state`"):
    """Steps in two halves, bit-equal to `intnn.training.step.begin` and `finish`; arguments as `Compiled`.

    The first block is dense; shapes are not checked.
    """

    def __init__(self, plan: Plan, state: list[Variables], batch: int, descent: Descent):
        super().__init__(plan, state, batch, descent)
        self._first = self._words[0]
        self._first[at.OFFSET] = 0  # sums from outside are those of inputs as they are, not stored plus 128
        start_sums(self._first, self._machine)
        first = plan.blocks[0]
        self._batch, self._first_shape = batch, (first.outputs, first.fan_in)
        self._rate, self._rounding = self._numbers(Rate(0, 0)), np.zeros(2, np.uint64)  # of the step that has begun

    @property
    def weights(self) -> IntArray:
        """The first block's weights, int64 [outputs, fan_in], column by column: so they lie in panels as well."""
        columns = np.empty(self._first_shape[::-1], np.int64)
        halves.first_weights(self._first, self._machine, columns)
        return columns.T

    def begin(
        self, sums: IntArray, labels: IntArray, rate: Rate, rounding: tuple[int, int], largest: int
    ) -> Begun | None:
        """`intnn.training.step.begin`; None, and nothing changes, where a sum is larger or a label is no class."""
        logits = np.empty((self._batch, self._plan.classes), np.int64)
        errors = np.empty((self._batch, self._first_shape[0]), np.int64)
        (self._rate[0], self._rate[1]), (self._rounding[0], self._rounding[1]) = rate, rounding
        exponent = halves.begin_within(
            self._words, self._machine, self._scratch, sums, largest, labels, self._exponential, self._rate,
            self._rounding, logits, errors,
        )  # fmt: skip
        return None if exponent == halves.REFUSED else Begun(logits, errors, exponent)

    def finish(self, begun: Begun, gradient: IntArray, magnitude: int) -> bool:
        """`intnn.training.step.finish`, right after `begin`; False where no inputs up to a magnitude have this."""
        return bool(
            halves.finish_within(
                self._first, self._machine, begun.exponent, self._rate, begun.errors, magnitude,
                np.ascontiguousarray(gradient.T),
            )
        )  # fmt: skip


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
