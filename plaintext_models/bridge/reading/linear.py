"""Operators that are linear: dense layers, convolutions, pools, normalisation, sums and products with constants."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

from intnn.convert import resampling
from intnn.convert.resampling import Points, Side
from intnn.layers.geometry import all_four
from intnn.layers.nodes import Add, Concatenate, Conv2d, Dense, MaxPool2d, SumPool2d
from plaintext_models.bridge.reading.draft import Draft, Value, is_counted
from plaintext_models.bridge.reading.unsupported import UnsupportedError

Sides = Sequence[int]


def linear(draft: Draft, input: Value, weight: Tensor, bias: Tensor | None = None) -> Value:  # noqa: A002 - torch's name
    """A matrix along the last axis: a dense layer of a vector, a convolution by one pixel of everything else."""
    weight, offsets = weight.reshape(-1, weight.shape[-1]), _bias(bias, weight)
    outputs, width = weight.shape
    if len(input.shape) == 1:
        return _dense(draft, input, weight, offsets)
    *axes, _ = input.shape
    rows = math.prod(axes)
    places = input.places.reshape(rows, width)
    if is_counted(places.T):  # vectors are the channels
        number = draft.laid(Value(input.node, places.T), _image(draft, input, width, rows))
        made = draft.whole(draft.add(Conv2d(_floats(weight[:, :, None, None]), offsets), number), (outputs, rows))
        return Value(made.node, made.places.T.reshape(*axes, outputs))
    kernel = weight.repeat(rows, 1)[:, None, None, :]  # every vector is a channel, and a group of its own
    node = Conv2d(_floats(kernel), np.tile(offsets, rows), groups=rows)
    return draft.whole(draft.add(node, draft.laid(input, (rows, 1, width))), (*axes, outputs))


def _dense(draft: Draft, value: Value, weight: Tensor, offsets: NDArray[np.float64]) -> Value:
    """A dense layer that reads elements where they are: their order becomes that of its columns."""
    size = math.prod(draft.shape(value.node))
    if not is_counted(value.places) or size != weight.shape[1]:
        weight = torch.zeros(len(weight), size, dtype=weight.dtype).index_add_(1, value.places, weight)
    number = draft.laid(draft.whole(value.node), (size,))
    return draft.whole(draft.add(Dense(_floats(weight), offsets), number))


def _image(draft: Draft, value: Value, channels: int, rows: int) -> tuple[int, ...]:
    """The shape of what is read by channels: its node's own, where that is an image."""
    own = draft.shape(value.node)
    return own if len(own) == 3 and own[0] == channels else (channels, rows, 1)


def convolution(
    draft: Draft,
    input: Value,  # noqa: A002 - torch's name
    weight: Tensor,
    bias: Tensor | None,
    stride: Sides,
    padding: Sides | str,
    dilation: Sides,
    groups: int,
) -> Value:
    """A convolution of images, or of sequences as images of height one."""
    axes = weight.ndim - 2
    if axes == 3:
        raise UnsupportedError("a convolution of volumes", "use Conv2d or Conv1d")
    require_batch(input, axes)
    steps, gaps = _spread(stride, axes), _spread(dilation, axes)
    if isinstance(padding, str):
        reach = [gap * (side - 1) * (padding == "same") for gap, side in zip(gaps, weight.shape[2:], strict=True)]
        pairs = [(total // 2, total - total // 2) for total in reach]
    else:
        pairs = [(side, side) for side in _spread(padding, axes)]
    if axes == 1:
        weight, steps, gaps, pairs = weight[:, :, None], [1, *steps], [1, *gaps], [(0, 0), *pairs]
    number, borders = _inside(draft, _imaged(draft, input), [side for pair in pairs for side in pair], SumPool2d)
    (down, across), (top, bottom, left, right), (below, beside) = steps, borders, gaps
    node = Conv2d(
        _floats(weight), _bias(bias, weight), (down, across), (top, bottom, left, right), (below, beside), groups
    )
    return _as_read(draft, draft.add(node, number), axes)


def transposed_convolution(
    draft: Draft,
    input: Value,  # noqa: A002 - torch's name
    weight: Tensor,
    bias: Tensor | None,
    stride: Sides,
    padding: Sides,
    output_padding: Sides,
    groups: int,
    dilation: Sides,
) -> Value:
    """A transposed convolution of images, or of sequences as images of height one."""
    axes = weight.ndim - 2
    if axes == 3:
        raise UnsupportedError("a transposed convolution of volumes", "use ConvTranspose2d or ConvTranspose1d")
    require_batch(input, axes)
    steps, pads, more, gaps = (_spread(sides, axes) for sides in (stride, padding, output_padding, dilation))
    sides = [Side(step, pad, pad - end, gap) for step, pad, end, gap in zip(steps, pads, more, gaps, strict=True)]
    if axes == 1:
        weight, sides = weight[:, :, None], [Side(1, 0, 0, 1), *sides]
    offsets = np.zeros(weight.shape[1] * groups) if bias is None else _floats(bias)
    number = _imaged(draft, input)
    channels, height, width = draft.shape(number)
    made = resampling.transposed_convolution(
        draft.add, number, (channels, height, width), _floats(weight), offsets, (sides[0], sides[1]), groups
    )
    return _as_read(draft, made, axes)


def average(
    draft: Draft,
    self: Value,
    kernel_size: Sides,
    stride: Sides,
    padding: Sides,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> Value:
    """Average pooling: sums, times what torch divides by, which differs at the border where it counts no padding."""
    axes = len(self.shape) - 1
    sides, steps, borders = _window(self, kernel_size, stride, padding, ceil_mode)
    ones = torch.ones(1, 1, *((1, *self.shape[1:])[-2:]), dtype=torch.float64)
    pads = [0, *_spread(padding, axes)][-2:]
    averages = F.avg_pool2d(ones, sides, steps, pads, ceil_mode, count_include_pad, divisor_override)
    top, bottom, left, right = borders
    sums = F.avg_pool2d(F.pad(ones, (left, right, top, bottom)), sides, steps, divisor_override=1)
    number = draft.add(SumPool2d(sides, steps, borders), _imaged(draft, self))
    made = _as_read(draft, number, axes)
    factors = (averages / sums).reshape(1, *made.shape[1:])
    return draft.scaled(made, factors.flatten()[0] if (factors == factors.flatten()[0]).all() else factors)


def maximum(
    draft: Draft,
    self: Value,
    kernel_size: Sides,
    stride: Sides,
    padding: Sides,
    dilation: Sides,
    ceil_mode: bool,
) -> Value:
    """Max pooling."""
    if set(dilation) != {1}:
        raise UnsupportedError("max pooling with a dilation", "use one without")
    sides, steps, borders = _window(self, kernel_size, stride, padding, ceil_mode)
    number, (top, bottom, left, right) = _inside(draft, _imaged(draft, self), borders, MaxPool2d)
    number = draft.add(MaxPool2d(sides, steps, (top, bottom, left, right)), number)
    return _as_read(draft, number, len(self.shape) - 1)


def adaptive_average(draft: Draft, self: Value, output_size: Sides) -> Value:
    """Average pooling to a size, over windows that may differ by a pixel."""
    if (kernel := _even(self, output_size)) is not None:
        return average(draft, self, kernel, (), [0], ceil_mode=False, count_include_pad=True)
    number, shape, counts = _adapted(draft, self, output_size)
    sums, pixels = resampling.adaptive_sums(draft.add, number, shape, counts)
    made = _as_read(draft, sums, len(self.shape) - 1)
    return draft.scaled(made, torch.from_numpy(1.0 / pixels).reshape(1, *made.shape[1:]))


def adaptive_maximum(draft: Draft, self: Value, output_size: Sides) -> list[Value]:
    """Max pooling to a size; the places of the largest are no value."""
    if (kernel := _even(self, output_size)) is not None:
        return [maximum(draft, self, kernel, (), [0], [1], ceil_mode=False)]
    made = resampling.adaptive_maxima(draft.add, *_adapted(draft, self, output_size))
    return [_as_read(draft, made, len(self.shape) - 1)]


def resized(
    draft: Draft,
    input: Value | None = None,  # noqa: A002 - torch's name
    self: Value | None = None,
    output_size: Sides | None = None,
    align_corners: bool = False,
    scale_factors: Sequence[float] | None = None,
    **scales: float | None,
) -> Value:
    """An image between whose pixels others are put, or from which some are taken, by straight lines."""
    value = self if input is None else input
    assert value is not None
    lengths = value.shape[1:]
    given: Sequence[float | None] = scale_factors or [
        scales.get(name) for name in ("scales", "scales_h", "scales_w") if name in scales
    ]
    factors: list[float | None] = list(given or [None] * len(lengths))
    sizes = output_size or [int(length * factor) for length, factor in zip(lengths, factors, strict=True) if factor]
    axes = []
    for length, count, factor in zip(lengths, sizes, factors, strict=True):
        ratio = 1 / Fraction(factor).limit_denominator(1000) if factor else Fraction(length, count)
        first = ratio / 2 - Fraction(1, 2)
        if align_corners:
            first, ratio = Fraction(0), Fraction(max(length - 1, 1), max(count - 1, 1))
        elif count == length:  # whatever the factor, torch copies the axis
            first, ratio = Fraction(0), Fraction(1)
        points = Points.at(first, ratio, count)
        if points is None:
            remedy = (
                "give it a size, and not a factor"
                if factor
                else "choose a size that has more divisors in common with the image's"
            )
            raise UnsupportedError(f"an image of {length} pixels resized to {count}", remedy)
        axes.append(points)
    vertical, horizontal = axes if len(axes) == 2 else (Points(1, 1, 0, 1), *axes)
    number = _imaged(draft, value)
    channels, height, width = draft.shape(number)
    made, factor = resampling.linear(draft.add, number, (channels, height, width), (vertical, horizontal))
    return draft.scaled(_as_read(draft, made, len(axes)), 1.0 / factor)


def reduced(
    draft: Draft, value: Value, dim: Sequence[int] | None, keepdim: bool, pool: type[SumPool2d | MaxPool2d]
) -> tuple[Value, int]:
    """A sum or maximum along axes, and the number of elements in each."""
    count = len(value.shape) + 1
    axes = sorted(axis % count - 1 for axis in dim) if dim else list(range(-1, count - 1))
    if -1 in axes:
        raise UnsupportedError(
            "a sum, mean or maximum over the batch", "name the axes of one input, as in x.mean((2, 3))"
        )
    elements = math.prod(value.shape[axis] for axis in axes)
    sides = [1 if axis in axes else side for axis, side in enumerate(value.shape)]
    shape = tuple(side for axis, side in enumerate(sides) if keepdim or axis not in axes)
    if count == 4 and axes[0] > 0:
        size = (value.shape[1] if 1 in axes else 1, value.shape[2] if 2 in axes else 1)
        return draft.whole(draft.add(pool(size), draft.laid(value)), shape), elements
    kept = [axis for axis in range(count - 1) if axis not in axes]
    rows = Value(value.node, value.places.permute(*kept, *axes).reshape(-1, elements))
    if pool is SumPool2d and is_counted(rows.places.T):  # along the channels
        total = linear(draft, rows, torch.ones(1, elements, dtype=torch.float64))
        return Value(total.node, total.places.reshape(shape)), elements
    number = draft.laid(rows, (len(rows.places), 1, elements))
    return draft.whole(draft.add(pool((1, elements)), number), shape), elements


def normalised(
    draft: Draft,
    input: Value,  # noqa: A002 - torch's name
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    eps: float,
) -> Value:
    """Batch normalisation by the statistics that training left."""
    factors = (1.0 if weight is None else weight) / torch.sqrt(running_var + eps)
    offsets = (0.0 if bias is None else bias) - running_mean * factors
    along = (-1, *[1] * (len(input.shape) - 1))
    return draft.scaled(input, factors.reshape(along), offsets.reshape(along))


def padded(draft: Draft, self: Value, pad: Sides, mode: str, value: float | None) -> Value:
    """Zeros around an image or a sequence, or what is never the largest; layers behind it take them over."""
    axes = len(self.shape) - 1
    if mode != "constant" or value not in (None, 0, -math.inf):
        raise UnsupportedError(f"padding by {value if mode == 'constant' else repr(mode)}", "pad with zeros")
    if min(pad) < 0 or len(pad) > 2 * axes + 2 or axes not in (1, 2) or (value and len(pad) > 2 * axes):
        raise UnsupportedError(
            f"padding of {list(pad)}", "pad images or sequences with zeros, and by no negative number"
        )
    if any(channels := pad[2 * axes :]):  # of zeros, which no weight reaches
        before, after = channels
        weight = F.pad(torch.eye(self.shape[0], dtype=torch.float64), (0, 0, before, after))[:, :, None, None]
        number = draft.add(Conv2d(_floats(weight), np.zeros(len(weight))), _imaged(draft, self))
        self = _as_read(draft, number, axes)
    left, right, top, bottom = (*pad[: 2 * axes], 0, 0, 0, 0)[:4]
    if not (left or right or top or bottom):
        return self
    pool = SumPool2d if not value else MaxPool2d
    number = draft.add(pool(1, 1, (top, bottom, left, right)), _imaged(draft, self))
    return _as_read(draft, number, axes)


def summed(draft: Draft, values: Sequence[Value]) -> Value:
    """The sum of values whose shapes broadcast."""
    shape = torch.broadcast_shapes(*(value.shape for value in values))
    values = [Value(value.node, value.places.expand(shape)) for value in values]
    first, *others = values
    shape = draft.shape(first.node)
    sizes = {draft.size(value.node) for value in values}
    if sizes == {first.places.unique().numel()} and all(torch.equal(first.places, other.places) for other in others):
        laid = [draft.laid(draft.whole(value.node), shape) for value in values]  # in whatever order all of them have
        return Value(draft.add(Add(), *laid), first.places)
    return draft.whole(draft.add(Add(), *(draft.laid(value) for value in values)))


def concatenated(draft: Draft, values: Sequence[Value], dim: int) -> Value:
    """Values one behind the other along an axis, which becomes the first of the node's."""
    axis = dim % (len(values[0].shape) + 1) - 1
    if axis < 0:
        raise UnsupportedError("a concatenation of images of the batch", "concatenate along another axis")
    if len(values) == 1:
        return values[0]
    turned = [Value(value.node, value.places.movedim(axis, 0)) for value in values]
    made = draft.whole(draft.add(Concatenate(), *(draft.laid(value) for value in turned)))
    return Value(made.node, made.places.movedim(0, axis))


def require_batch(value: Value, axes: int) -> None:
    """Refuse an image that torch took for a batch."""
    if len(value.shape) != axes + 1:
        raise UnsupportedError("an input without a batch axis", "give an example with one, as in example[None]")


def _imaged(draft: Draft, value: Value) -> int:
    """The number of a node that gives an image, or a sequence as an image of height one."""
    shape = value.shape
    if len(shape) not in (2, 3):
        raise UnsupportedError(
            "an input without a batch axis or channels", "give an example [batch, channels, height, width]"
        )
    return draft.laid(value, shape if len(shape) == 3 else (shape[0], 1, shape[1]))


def _inside(
    draft: Draft, number: int, borders: Sequence[int], pool: type[SumPool2d | MaxPool2d]
) -> tuple[int, Sequence[int]]:
    """The node behind one that only pads, and the borders of both together."""
    node = draft.node(number)
    if not isinstance(node, pool) or not node.size == node.step == 1:
        return number, borders
    (source,) = draft.sources[number]
    return source, [inner + outer for inner, outer in zip(borders, all_four(node.padding), strict=True)]


def _as_read(draft: Draft, number: int, axes: int) -> Value:
    """What a node gives, without the height of a sequence."""
    shape = draft.shape(number)
    return draft.whole(number, shape if axes == 2 else (shape[0], shape[2]))


def _window(
    value: Value, kernel: Sides, stride: Sides, padding: Sides, ceil: bool
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
    """Sides, steps and borders of a pool; rounding up its output is a border that is larger at the end."""
    axes = len(value.shape) - 1
    if axes not in (1, 2):
        raise UnsupportedError(
            "an input without a batch axis or channels", "give an example [batch, channels, height, width]"
        )
    sides = _spread(kernel, axes)
    steps = _spread(stride or sides, axes)
    borders = []
    for side, step, pad, length in zip(sides, steps, _spread(padding, axes), value.shape[1:], strict=True):
        short = (length + 2 * pad - side) % step
        last = length + 2 * pad - side - short + step  # where another window would begin
        extra = step - short if ceil and short and last < length + pad else 0  # torch: not within the padding
        borders += [pad, pad + extra]
    if axes == 1:
        sides, steps, borders = [1, *sides], [1, *steps], [0, 0, *borders]
    (height, width), (down, across), (top, bottom, left, right) = sides, steps, borders
    return (height, width), (down, across), (top, bottom, left, right)


def _even(value: Value, output_size: Sides) -> list[int] | None:
    """The windows of an adaptive pool, where all of them have one size."""
    pairs = [(side, side if count is None else count) for side, count in zip(value.shape[1:], output_size, strict=True)]
    return None if any(side % count for side, count in pairs) else [side // count for side, count in pairs]


def _adapted(draft: Draft, value: Value, output_size: Sides) -> tuple[int, tuple[int, int, int], tuple[int, int]]:
    """An image, its shape, and how many windows an adaptive pool has on it."""
    number = _imaged(draft, value)
    channels, height, width = draft.shape(number)
    counts = [side if count is None else count for side, count in zip(value.shape[1:], output_size, strict=True)]
    return number, (channels, height, width), (counts[0] if len(counts) == 2 else 1, counts[-1])


def _spread(sides: Sides, axes: int) -> list[int]:
    """One number for every axis, where torch takes one for all."""
    return list(sides) * (axes if len(sides) == 1 else 1)


def _bias(bias: Tensor | None, weight: Tensor) -> NDArray[np.float64]:
    return np.zeros(len(weight)) if bias is None else _floats(bias.reshape(-1))


def _floats(values: Tensor) -> NDArray[np.float64]:
    return np.ascontiguousarray(values.detach().numpy(), dtype=np.float64)
