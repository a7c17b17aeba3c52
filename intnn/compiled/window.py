"""A linear layer as windows of bytes, with pooling folded in and neighbouring pixels side by side in the lanes."""

from dataclasses import dataclass

import numpy as np

from intnn.compiled.fuse import FusedLayer, UnsupportedError
from intnn.compiled.layout import Layout, byte_offset
from intnn.layers.geometry import both
from intnn.layers.nodes import Conv2d, SumPool2d
from intnn.values.arrays import IntArray

MAX_TERMS = 8  # how many signed bytes may add up to a weight


@dataclass(frozen=True, eq=False)
class Window:
    """What the sums of a fused layer read, and where they go.

    Attributes:
        weights: int64 [lanes, rows, bytes]: bytes that lie together in memory, in rows of a multiple of four.
        starts: int64 [rows]: the byte offset of every row from a place.
        bias: int64 [lanes]: the bias of every lane.
        channel: int64 [lanes]: the output channel of every lane.
        places: int64 [length, 2]: the byte offsets of input and output inside an image; [0, 2] for a vector.
        layout: Where the outputs lie.
        valid: How many lanes hold outputs; the others are not stored.
        columns: How many vectors a register tile has.
    """

    weights: IntArray
    starts: IntArray
    bias: IntArray
    channel: IntArray
    places: IntArray
    layout: Layout
    valid: int
    columns: int

    def groups(self) -> tuple[IntArray, IntArray]:
        """The weights as signed bytes, without groups of zeros: offsets [groups] and weights [groups, 4, lanes].

        Raises:
            UnsupportedError: A weight needs too many signed bytes to add up to it.
        """
        lanes, _, size = self.weights.shape
        rest = self.weights.reshape(lanes, -1, 4).transpose(1, 2, 0)
        places = (self.starts[:, None] + np.arange(0, size, 4)).ravel()
        offsets, panels = [places[:0]], [rest[:0]]
        while rest.any():
            if len(panels) > MAX_TERMS:
                raise UnsupportedError(f"weights must be sums of at most {MAX_TERMS} signed bytes")
            alive = rest.any(axis=(1, 2))
            places, rest = places[alive], rest[alive]
            panel = np.clip(rest, -128, 127)
            offsets.append(places)
            panels.append(panel)
            rest = rest - panel
        return np.concatenate(offsets), np.concatenate(panels)


def window(fused: FusedLayer, following: FusedLayer | None, x: Layout, lanes: int) -> Window:
    """Describe a layer's sums in vectors of ``lanes``, written in the layout that the following layer wants."""
    offset = 0 if fused.gives_sums or fused.gives_signed_bytes else byte_offset(fused.output.hull)
    if isinstance(fused.linear, Conv2d):
        padding = 0 if following is None or fused.flattens else following.padding
        return _convolution(fused, fused.linear, x, lanes, offset, padding)
    weight, bias = fused.linear.weight, fused.linear.bias
    out = len(weight)
    columns, total = _tiled(out, lanes)
    weights = np.zeros((total, 1, -(-x.size // 4) * 4), np.int64)
    weights[:out, 0, x.places] = weight
    channel = np.minimum(np.arange(total), out - 1)
    padded = np.pad(bias, (0, total - out))
    nowhere = np.zeros((0, 2), np.int64)
    layout = Layout.vector(out, offset, total)
    return Window(weights, np.zeros(1, np.int64), padded, channel, nowhere, layout, total, columns)


def _convolution(fused: FusedLayer, layer: Conv2d, x: Layout, lanes: int, offset: int, padding: int) -> Window:
    """Put as many pixels of a row into a vector's lanes as make the fewest vector products."""
    weight, bias, step = _pooled(layer, fused.pool)
    out, channels, tall, wide = weight.shape
    _, height, width = fused.shape
    weight = weight.transpose(0, 2, 3, 1).reshape(out, tall, wide * channels)  # bytes of a row lie together

    def row_bytes(pixels: int) -> int:
        return -(-(wide + (pixels - 1) * step) * channels // 4) * 4

    def products(pixels: int) -> int:
        return row_bytes(pixels) * _tiled(out * pixels, lanes)[1] * -(-width // pixels)

    # Sums are stored whole, with unused lanes: one pixel at a time leaves the next one's alone.
    most = 1 if fused.gives_sums else max(1, min(width, 4 * lanes // out))
    pixels = min(range(1, most + 1), key=products)
    columns, total = _tiled(out * pixels, lanes)
    weights = np.zeros((total, tall, row_bytes(pixels)), np.int64)
    for p in range(pixels):
        start = p * step * channels
        weights[p * out : (p + 1) * out, :, start : start + wide * channels] = weight
    unused = (0, total - out * pixels)

    layout = Layout.image(fused.shape, offset, total if fused.gives_sums else out, padding)
    # The last group of pixels may overlap the one before: the same sums, twice.
    lefts = np.minimum(np.arange(0, width, pixels), width - pixels)
    rows, cols = (side.ravel() for side in np.meshgrid(np.arange(height), lefts, indexing="ij"))
    inputs = (rows * x.pitch + cols * channels) * step
    outputs = layout.places.reshape(fused.shape)[0, rows, cols]
    return Window(
        weights,
        np.arange(tall) * x.pitch,
        np.pad(np.tile(bias, pixels), unused),
        np.pad(np.tile(np.arange(out), pixels), unused),
        np.stack([inputs, outputs], axis=1),
        layout,
        total if fused.gives_sums else out * pixels,
        columns,
    )


def _pooled(layer: Conv2d, pool: SumPool2d | None) -> tuple[IntArray, IntArray, int]:
    """A convolution and the sum pooling behind it as one convolution: weights, biases, stride."""
    (stride, _), (out, channels, tall, wide) = layer.strides, layer.weight.shape  # `fuse` takes plain layers alone
    if pool is None:
        return layer.weight, layer.bias, stride
    (size, _), (step, _) = both(pool.size), both(pool.step)
    reach = (size - 1) * stride
    weight = np.zeros((out, channels, tall + reach, wide + reach), np.int64)
    for i in range(0, reach + 1, stride):
        for j in range(0, reach + 1, stride):
            weight[:, :, i : i + tall, j : j + wide] += layer.weight
    return weight, layer.bias * pool.area, stride * step


def _tiled(channels: int, lanes: int) -> tuple[int, int]:
    """Vectors of a register tile, and the channels rounded up to tiles."""
    columns = next(n for n in (1, 2, 4) if n * lanes >= min(channels, 4 * lanes))
    return columns, -(-channels // (columns * lanes)) * columns * lanes
