"""Layers with weights, and pooling."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from intnn.convert.onnx.call import Call, spatial
from intnn.convert.onnx.values import Feature, Value
from intnn.layers.nodes import Conv2d, Dense, MaxPool2d, SumPool2d
from intnn.values.arrays import FloatArray, IntArray

Window = dict[str, Any]


def gemm(call: Call) -> Value:
    """Gemm: alpha x W + beta b, with W transposed or not."""
    call.require("transA", 0, "leave the batch axis first")
    weight = call.floats(1) * call.attribute("alpha", 1.0)
    bias = call.floats(2) * call.attribute("beta", 1.0) if call.has(2) else np.zeros(1)
    return dense(call, weight if call.attribute("transB", 0) else weight.T, bias)


def matmul(call: Call) -> Value:
    """X W."""
    return dense(call, call.floats(1).T, np.zeros(1))


def dense(call: Call, weight: FloatArray, bias: FloatArray) -> Value:
    """A dense layer with weights [out, in] and a bias that is broadcast over its outputs."""
    value = call.feature(0)
    if weight.ndim != 2 or len(value.shape) != 1:
        raise call.refused(
            f"must multiply vectors by a matrix, got shapes {value.shape} and {weight.T.shape}",
            "flatten the input first; products along the last axis of larger inputs are not read",
        )
    if value.order is not None and weight.shape[1] == len(value.order):
        ordered = np.empty_like(weight)
        ordered[:, value.order] = weight
        weight = ordered
    if bias.size not in (1, len(weight)):
        raise call.refused(f"must have a bias of {len(weight)} values, got shape {bias.shape}", "export it again")
    vector = call.builder.in_shape(value, value.shape)
    return call.builder.append(Dense(weight, np.broadcast_to(bias.ravel(), len(weight))), vector)


def convolution(call: Call) -> Value:
    """A convolution over one or two spatial axes."""
    weight = call.floats(1)
    rank = weight.ndim - 2
    if rank not in (1, 2):
        raise call.refused(f"must have one or two spatial axes, got a weight of shape {weight.shape}", "use Conv2d")
    value = call.feature(0)
    bias = call.floats(2) if call.has(2) else np.zeros(len(weight))
    if call.attribute("kernel_shape", list(weight.shape[2:])) != list(weight.shape[2:]):
        raise call.refused("must have the kernel_shape of its weight", "export the model again")
    image = call.image(0)
    window = _window(call, value, list(weight.shape[2:]))
    kernel = weight.reshape(*weight.shape[:2], *window.pop("size"))
    node = Conv2d(kernel, bias, groups=int(call.attribute("group", 1)), **window)
    return as_read(call.builder.append(node, image), rank)


def average_pool(call: Call) -> Value:
    """A sum over every window, and a division by the pixels that it holds: with padding or not, but not beyond it."""
    image, window, borders = _pooled(call)
    counts_padding = bool(call.attribute("count_include_pad", 0))
    held = [
        _held(side, *along, counts_padding=counts_padding)
        for side, *along in zip(
            image.shape[1:], window["size"], window["stride"], (borders[:2], borders[2:]),
            (window["padding"][:2], window["padding"][2:]), strict=True,
        )
    ]  # fmt: skip
    pixels = np.outer(*held)
    if not pixels.all():
        raise call.refused("must have a pixel of the image in every window", "pool with less padding")
    return _average(call, image, SumPool2d(**window), pixels)


def global_average_pool(call: Call) -> Value:
    """The mean of every channel; spatial axes of one element stay."""
    return _global_average(call, keep=True)


def reduce_mean(call: Call) -> Value:
    """The same, if it is over all spatial axes."""
    given = call.integers(1) if call.has(1) else call.attribute("axes", None)
    rank = 1 + len(call.feature(0).shape)
    axes = call.axes(given, rank) if given else []
    if sorted(axes) != list(range(2, rank)) or rank == 2:
        raise call.refused(f"must be over all spatial axes, got {given}", "average over height and width")
    return _global_average(call, keep=bool(call.attribute("keepdims", 1)))


def max_pool(call: Call) -> Value:
    """The largest value of every window."""
    call.require("storage_order", 0, "export the model without indices of maxima")
    value, window, _ = _pooled(call, moved=True)
    steps, never_negative = call.moved(0).steps, call.moved(0).never_negative
    made = call.builder.append(MaxPool2d(**window), value, never_negative=never_negative)
    result = as_read(made, len(call.moved(0).shape) - 1)
    return Feature(result.node, result.shape, None, never_negative, steps)


def global_max_pool(call: Call) -> Value:
    """The largest value of every channel; spatial axes of one element stay."""
    image = call.image(0)
    made = call.builder.append(MaxPool2d((image.shape[1], image.shape[2])), image, never_negative=image.never_negative)
    return as_read(made, len(call.feature(0).shape) - 1)


def pad(call: Call) -> Value:
    """Zeros around an image: sums over windows of one pixel, which count those beyond the border as zero."""
    if call.attribute("mode", b"constant") != b"constant":
        raise call.refused("must pad with zeros", "use constant padding")
    value = call.feature(0)
    rank = 1 + len(value.shape)
    is_old = call.opset < 11
    numbers = list(call.attribute("pads", [])) if is_old else call.integers(1)
    filling = call.attribute("value", 0.0) if is_old else call.scalar(2) if call.has(2) else 0.0
    axes = call.axes(call.integers(3), rank) if call.has(3) else list(range(rank))
    if filling or len(numbers) != 2 * len(axes) or any(number < 0 for number in numbers):
        raise call.refused("must pad with zeros, a number of at least 0 for each end of an axis", "use ZeroPad2d")
    before, after = [0] * rank, [0] * rank
    for axis, start, end in zip(axes, numbers[: len(axes)], numbers[len(axes) :], strict=True):
        before[axis], after[axis] = start, end
    if any(before[:2] + after[:2]):
        raise call.refused("must pad spatial axes alone", "pad height and width")
    if not any(before + after):
        return value
    image = call.image(0)
    (top, left), (bottom, right) = (spatial(ends[2:], rank - 2, 0) for ends in (before, after))
    if rank == 3:
        top = bottom = 0
    made = call.builder.append(SumPool2d(1, 1, (top, bottom, left, right)), image, never_negative=image.never_negative)
    return as_read(made, rank - 2)


def batch_normalisation(call: Call) -> Value:
    """One factor and one offset for each channel."""
    call.require("training_mode", 0, "export the model in evaluation mode")
    call.require("spatial", 1, "export the model with another opset")
    value = call.feature(0)
    scale, offset, mean, variance = (call.floats(i) for i in range(1, 5))
    if any(p.shape != value.shape[:1] for p in (scale, offset, mean, variance)):
        raise call.refused(f"must have {value.shape[0]} parameters each, one for a channel", "export the model again")
    if (variance < 0).any():
        raise call.refused(f"must have a variance that is not negative, got {variance.min()}", "train it again")
    factor = scale / np.sqrt(variance + call.attribute("epsilon", 1e-5))
    along = (-1, *[1] * (len(value.shape) - 1))
    weight, bias = (np.broadcast_to(p.reshape(along), value.shape) for p in (factor, offset - mean * factor))
    return call.builder.scaled_everywhere(value, weight, bias)


def _pooled(call: Call, moved: bool = False) -> tuple[Feature, Window, Sequence[int]]:
    """The image that is pooled, its window with all pixels that are padded, and those that the file pads itself."""
    value = call.moved(0) if moved else call.feature(0)
    image = call.image(0, moved)
    size = [int(side) for side in call.attribute("kernel_shape", [])]
    window = _window(call, value, size)
    if window.pop("dilation") != (1, 1):
        raise call.refused("must have dilations of 1", "pool without gaps")
    borders: tuple[int, ...] = window["padding"]
    if call.attribute("ceil_mode", 0):
        top, bottom, left, right = borders
        sides = zip(image.shape[1:], window["size"], window["stride"], ((top, bottom), (left, right)), strict=True)
        below, beside = (_beyond(*side) for side in sides)
        window["padding"] = top, bottom + below, left, right + beside
    return image, window, borders


def _beyond(side: int, taps: int, step: int, borders: tuple[int, int]) -> int:
    """How far one more window reaches beyond the border; it is left out where it would hold nothing but padding."""
    room = side + sum(borders) - taps
    last = room - room % step + step
    return last - room if room % step and last < side + borders[0] else 0


def _held(
    side: int, taps: int, step: int, borders: tuple[int, int], padding: tuple[int, int], *, counts_padding: bool
) -> IntArray:
    """The pixels of an axis in every window, those of the borders among them or not."""
    starts = np.arange(0, side + sum(padding) - taps + 1, step) - borders[0]
    before, after = borders if counts_padding else (0, 0)
    return np.maximum(np.minimum(starts + taps, side + after) - np.maximum(starts, -before), 0)


def _average(call: Call, image: Feature, pool: SumPool2d, pixels: IntArray) -> Feature:
    """Sums over the pixels of their windows [height, width], of which there may be one number for all."""
    total = call.builder.append(pool, image)
    if (pixels == pixels.flat[0]).all():
        mean = call.builder.scaled(total, np.array([1 / pixels.flat[0]]), np.zeros(1))
    else:
        mean = call.builder.scaled_everywhere(total, 1 / pixels, np.zeros(1))
        mean = call.builder.in_shape(mean, total.shape)
    value = as_read(mean, len(call.feature(0).shape) - 1)
    return Feature(value.node, value.shape, None, image.never_negative)


def _global_average(call: Call, keep: bool) -> Feature:
    image = call.image(0)
    pool = SumPool2d((image.shape[1], image.shape[2]))
    made = _average(call, image, pool, np.array(pool.area))
    return made if keep else made.reshaped(made.shape[:1])


def as_read(image: Feature, rank: int) -> Feature:
    """An image of height 1 as the file sees it, where the file has one spatial axis."""
    return image.reshaped((image.shape[0], image.shape[2])) if rank == 1 else image


def _window(call: Call, value: Feature, size: list[int]) -> Window:
    """Size, stride, dilation and padding of a window on a value, for two spatial axes.

    With automatic padding there is one window for each step of the image, and the odd pixel is at the end
    (SAME_UPPER) or at the beginning (SAME_LOWER).
    """
    rank = len(value.shape) - 1
    if len(size) != rank:
        raise call.refused(f"must have a window of {rank} sides, got {size}", "export the model again")
    sides = spatial(value.shape[1:], rank, 1)
    kernel = spatial(size, rank, 1)
    strides = spatial(call.attribute("strides", None), rank, 1)
    dilations = spatial(call.attribute("dilations", None), rank, 1)
    if min(*kernel, *strides, *dilations) < 1:
        raise call.refused("must have sides, strides and dilations of at least 1", "export the model again")
    automatic = call.attribute("auto_pad", b"NOTSET")
    automatic = automatic.decode(errors="replace") if isinstance(automatic, bytes) else automatic
    pads = [int(pad) for pad in call.attribute("pads", None) or [0] * 2 * rank]
    if automatic == "VALID":
        pads = [0] * 2 * rank
    elif automatic in ("SAME_UPPER", "SAME_LOWER"):
        before, after = [], []
        for side, step, tap, gap in list(zip(sides, strides, kernel, dilations, strict=True))[-rank:]:
            missing = max((-(-side // step) - 1) * step + gap * (tap - 1) + 1 - side, 0)
            small, large = missing // 2, missing - missing // 2
            before.append(small if automatic == "SAME_UPPER" else large)
            after.append(missing - before[-1])
        pads = before + after
    elif automatic != "NOTSET":
        raise call.refused(f"must have an auto_pad of the standard, got {automatic!r}", "export the model again")
    if len(pads) != 2 * rank or min(pads) < 0:
        raise call.refused(f"must have {2 * rank} pads of at least 0, got {pads}", "crop before the model")
    before, after = spatial(pads[:rank], rank, 0), spatial(pads[rank:], rank, 0)
    if rank == 1:
        before, after = [0, before[1]], [0, after[1]]
    return {
        "size": tuple(kernel),
        "stride": tuple(strides),
        "padding": (before[0], after[0], before[1], after[1]),
        "dilation": tuple(dilations),
    }
