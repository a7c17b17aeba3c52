"""Operators that give images of another size: transposed convolutions and resizing."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType

import numpy as np

from intnn.convert.onnx import shapes
from intnn.convert.onnx.call import Call, spatial
from intnn.convert.onnx.layers import as_read
from intnn.convert.onnx.values import Value
from intnn.convert.resampling import Points, Side, linear, nearest, transposed_convolution
from intnn.layers.geometry import LARGEST_WINDOW
from intnn.layers.nodes import Shape
from intnn.network.edges import checked_shape
from intnn.values.arrays import Array, IntArray


def transposed(call: Call) -> Value:
    """A transposed convolution over one or two spatial axes."""
    weight = call.floats(1)
    rank = weight.ndim - 2
    if rank not in (1, 2):
        raise call.refused(
            f"must have one or two spatial axes, got a weight of shape {weight.shape}", "use ConvTranspose2d"
        )
    groups = int(call.attribute("group", 1))
    image, taps = call.image(0), list(weight.shape[2:])
    if call.attribute("kernel_shape", taps) != taps:
        raise call.refused("must have the kernel_shape of its weight", "export the model again")
    if len(call.moved(0).shape) != rank + 1:
        raise call.refused(f"must have an image of {rank} axes for its weight of {rank}", "export the model again")
    bias = call.floats(2) if call.has(2) else np.zeros(weight.shape[1] * groups)
    kernel = weight.reshape(*weight.shape[:2], *spatial(taps, rank, 1))
    _, height, width = image.shape
    sides = _sides(call, [height, width][-rank:], taps)
    both = (sides[0], sides[1]) if rank == 2 else (Side(1, 0, 0, 1), sides[0])
    made = transposed_convolution(
        call.builder.append, image, (kernel.shape[0], height, width), kernel, bias, both, groups
    )
    return as_read(made, rank)


def _sides(call: Call, lengths: list[int], taps: list[int]) -> list[Side]:
    """Stride, borders and dilation along every axis, however the file gives them."""
    rank = len(taps)
    strides, dilations, more = (
        [int(number) for number in call.attribute(name, None) or [default] * rank]
        for name, default in (("strides", 1), ("dilations", 1), ("output_padding", 0))
    )
    pads = [int(pad) for pad in call.attribute("pads", None) or [0] * 2 * rank]
    wanted = call.attribute("output_shape", None)
    automatic = call.attribute("auto_pad", b"NOTSET")
    automatic = automatic.decode(errors="replace") if isinstance(automatic, bytes) else automatic
    if automatic not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise call.refused(f"must have an auto_pad of the standard, got {automatic!r}", "export the model again")
    if automatic in ("SAME_UPPER", "SAME_LOWER") and wanted is None:
        wanted = [length * stride for length, stride in zip(lengths, strides, strict=True)]
    has_all = wanted is None or len(wanted) in (rank, rank + 2)  # with the batch and the channels, or without
    if [len(strides), len(dilations), len(more), len(pads)] != [rank, rank, rank, 2 * rank] or not has_all:
        raise call.refused(f"must have one number for each of {rank} axes", "export the model again")
    if min(*strides, *dilations) < 1 or min(*more, *pads) < 0:
        raise call.refused(
            "must have strides and dilations of at least 1, and pads of at least 0", "crop behind the model"
        )
    if automatic == "VALID":
        pads = [0] * 2 * rank
    sides = []
    for axis in range(rank):
        before, after = pads[axis], pads[rank + axis]
        if wanted is not None:
            full = strides[axis] * (lengths[axis] - 1) + more[axis] + dilations[axis] * (taps[axis] - 1) + 1
            missing = full - int(wanted[-rank:][axis])
            if missing < 0:
                raise call.refused(
                    f"must reach its output_shape, got at most {full} along axis {axis}", "export it again"
                )
            small, large = missing // 2, missing - missing // 2
            before, after = (small, large) if automatic == "SAME_UPPER" else (large, small)
        sides.append(Side(strides[axis], before, after - more[axis], dilations[axis]))
    return sides


def resized(call: Call) -> Value:
    """Resize and Upsample: the nearest pixels, or those around each point by their distances."""
    mode, way = _text(call, "mode", "nearest"), _way(call)
    if mode not in ("nearest", "linear") or way not in _WAYS:
        remedy = 'resize by mode="nearest" or "bilinear", or convolve with fixed weights'
        raise call.refused(f"must resize to the nearest pixels or linearly, got {mode}, {way}", remedy)
    call.require("antialias", 0, "use antialias=False")
    if _text(call, "keep_aspect_ratio_policy", "stretch") != "stretch":
        raise call.refused("must stretch to the sizes that it gives", "export it with keep_aspect_ratio_policy=stretch")
    value, image = call.moved(0), call.image(0, moved=True)
    lengths = value.shape[1:]
    counts, scales = _counts(call, value.shape)
    if counts == list(lengths):  # whatever the factors, onnxruntime and torch copy it
        return value
    points = []
    for length, count, scale in zip(lengths, counts, scales, strict=True):
        if mode == "nearest":
            found = Points.of_indices(_indices(call, length, count, scale))
        else:
            found = Points.at(*_WAYS[way](length, count, _ratio(length, count, scale)), count)
        if found is None:
            by, remedy = (
                ("", "choose a size that has more divisors in common with the image's")
                if scale is None
                else (f" by {scale}", "give it a size, and not a factor")
            )
            raise call.refused(f"must resize by a ratio of small numbers, got {length} to {count}{by}", remedy)
        points.append(found)
    vertical, horizontal = points if len(points) == 2 else (Points(1, 1, 0, 1), *points)
    channels, height, width = image.shape
    read = call.builder.append, image, (channels, height, width), (vertical, horizontal)
    made, factor = (nearest(*read), 1) if mode == "nearest" else linear(*read)
    if factor > 1:
        made = call.builder.scaled(made, np.array([1 / factor]), np.zeros(1))
    return replace(as_read(made, len(points)), never_negative=value.never_negative, steps=value.steps)


_Place = tuple[Fraction, Fraction]  # of the first point, and the distance to the next


def _from_corners(length: int, count: int, ratio: Fraction) -> _Place:  # noqa: ARG001 - one signature for all ways
    return Fraction(0), Fraction(max(length - 1, 1), max(count - 1, 1))


def _from_half_a_pixel(length: int, count: int, ratio: Fraction) -> _Place:  # noqa: ARG001
    return ratio / 2 - Fraction(1, 2), ratio


def _from_the_middle(length: int, count: int, ratio: Fraction) -> _Place:
    """What is left of the last point is divided among both ends."""
    whole = Fraction(length) / ratio
    return Fraction(length) / 2 * (1 - count / whole) + ratio / 2 - Fraction(1, 2), ratio


#: Where the first point lies in pixels, and the next, by the names that ONNX has for the ways to say it.
_WAYS: Mapping[str, Callable[[int, int, Fraction], _Place]] = MappingProxyType(
    {
        "align_corners": _from_corners,
        "asymmetric": lambda length, count, ratio: (Fraction(0), ratio),  # noqa: ARG005
        "half_pixel": _from_half_a_pixel,
        "half_pixel_symmetric": _from_the_middle,
        "pytorch_half_pixel": lambda length, count, ratio: (
            _from_half_a_pixel(length, count, ratio) if count > 1 else (Fraction(0), ratio)
        ),
        "tf_half_pixel_for_nn": lambda length, count, ratio: (ratio / 2, ratio),  # noqa: ARG005
    }
)
_ROUNDINGS: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "floor": np.floor,
        "ceil": np.ceil,
        "round_prefer_floor": lambda x: np.ceil(x - np.float32(0.5)),
        "round_prefer_ceil": lambda x: np.floor(x + np.float32(0.5)),
    }
)


def _way(call: Call) -> str:
    return _text(call, "coordinate_transformation_mode", "half_pixel") if call.opset > 10 else "asymmetric"


def _indices(call: Call, length: int, count: int, scale: float | None) -> IntArray:
    """The numbers of the nearest pixels; -1 and ``length`` are those of the border.

    Where a point lies exactly between two pixels is decided exactly, as by torch; onnxruntime divides in float32, and
    takes the other pixel for a few pairs of sides, such as 14 to 4.
    """
    rounding = _text(call, "nearest_mode", "round_prefer_floor") if call.opset > 10 else "floor"
    if rounding not in _ROUNDINGS:
        raise call.refused(f"must have a nearest_mode of the standard, got {rounding}", "export the model again")
    first, step = _WAYS[_way(call)](length, count, _ratio(length, count, scale))
    exact = [float(first + step * i) for i in range(count)]
    return np.clip(_ROUNDINGS[rounding](np.array(exact, np.float32)), -1, length).astype(np.int64)


def _ratio(length: int, count: int, scale: float | None) -> Fraction:
    """The pixels of the image for a pixel of the result; factors of float32 stand for the fraction next to them."""
    if scale is None:
        return Fraction(length, count)
    near = Fraction(scale).limit_denominator(1000)
    return 1 / (near if near and abs(near - Fraction(scale)) <= 1e-6 * near else Fraction(scale))


def _counts(call: Call, shape: Shape) -> tuple[list[int], list[float] | list[None]]:
    """The sides of the result behind the channels, and their factors where the file gives these."""
    sides = (1, *shape)
    if call.operator == "Upsample" or call.opset < 11:
        factors = call.attribute("scales", None) if call.opset < 9 else call.floats(1).tolist()
        sizes = None
    else:
        factors = call.floats(2).tolist() if call.has(2) and call.floats(2).size else None
        sizes = [int(side) for side in shapes.known(call, 3).array] if call.has(3) else None
    given = factors if factors is not None else sizes
    axes = call.axes(call.attribute("axes", list(range(len(sides)))), len(sides))
    if given is None or len(given) != len(axes):
        raise call.refused(f"must have a size or a factor for each of {len(axes)} axes, got {given}", "export it again")
    if factors is not None:
        every = dict.fromkeys(range(len(sides)), 1.0) | dict(zip(axes, map(float, factors), strict=True))
        if every[0] != 1 or every[1] != 1 or not all(0 < factor < 1 << 16 for factor in every.values()):
            raise call.refused(f"must resize height and width by positive factors, got {given}", "resize images alone")
        scales = [every[axis] for axis in range(2, len(sides))]
        sides32 = np.array(shape[1:], np.float32)  # in the type of the factors: 10 by 1.3 are 13, and not 12
        counts = np.floor(sides32 * np.array(scales, np.float32)).astype(np.int64).tolist()
    else:
        assert sizes is not None
        all_sizes = dict(enumerate(sides)) | dict(zip(axes, sizes, strict=True))
        if all_sizes[0] not in (0, 1) or all_sizes[1] != shape[0]:
            raise call.refused(f"must resize height and width alone, got {given}", "resize images alone")
        counts = [all_sizes[axis] for axis in range(2, len(sides))]
    if max(counts) > LARGEST_WINDOW:
        raise call.refused(f"must have sides of at most {LARGEST_WINDOW} pixels, got {counts}", "make smaller images")
    checked_shape((shape[0], *counts), "output shape")  # before anybody counts its pixels
    return counts, scales if factors is not None else [None] * len(counts)


def _text(call: Call, name: str, default: str) -> str:
    """An attribute that is a word."""
    value = call.attribute(name, default)
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
