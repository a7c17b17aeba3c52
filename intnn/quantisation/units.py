"""Integers with a unit for every channel, by which networks are rounded."""

import math
from dataclasses import dataclass, replace

import numpy as np

from intnn.layers.nodes import Conv2d, Dense, Shape
from intnn.quantisation.compensate import compensated
from intnn.values.arrays import Array, FloatArray
from intnn.values.rounding import round_half_up

LARGEST = float(1 << 62)  # above, integers are Python's


@dataclass(frozen=True)
class Value:
    """What a float node has become: its values are unit * integer + offset, channel by channel.

    Attributes:
        number: The integer layer that gives the integers, or that of the network's input.
        unit: The unit of every channel, [channels]; it may be negative, or zero where the values are constant.
        offset: The offset of every channel, [channels].
        integers: The integers on samples, float64 [n, channels, ...]; they need not keep all of their bits.
        weights: What that layer was rounded from, as long as it may be rounded anew; else None.
    """

    number: int
    unit: FloatArray
    offset: FloatArray
    integers: FloatArray
    weights: "Weights | None" = None

    @property
    def reals(self) -> FloatArray:
        """The real values on the samples."""
        return along(self.unit, self.integers[0]) * self.integers + along(self.offset, self.integers[0])


@dataclass(frozen=True)
class Weights:
    """A weighted layer before it is rounded.

    Attributes:
        layer: The float layer from the integers of ``reads`` to real numbers.
        reads: What the layer reads.
        largest: The largest magnitude of its integer weights, where it may choose its units.
        shared: Whether all outputs must have one unit.
    """

    layer: Dense | Conv2d
    reads: Value
    largest: int
    shared: bool

    def scaled(self, weight: FloatArray, bias: FloatArray) -> "Weights":
        """The layer with a factor and an offset behind it, [out] or [1] each."""
        rows = self.layer.weight * along(np.broadcast_to(weight, self.layer.bias.shape), self.layer.weight)
        return replace(self, layer=replace(self.layer, weight=rows, bias=self.layer.bias * weight + bias))

    def units(self) -> FloatArray:
        """The unit of every output, [out], by which its largest weight becomes ``largest``."""
        rows = np.abs(self.layer.weight).reshape(len(self.layer.weight), -1).max(axis=1)
        if self.shared:
            rows = np.full_like(rows, rows.max())
        constant = np.where(self.layer.bias, np.abs(self.layer.bias), 1.0)  # a row of zeros is its bias, or nothing
        if self.shared:
            constant = np.full_like(constant, constant.max())
        return np.where(rows, rows, constant) / self.largest

    def rounded(self, unit: FloatArray) -> Dense | Conv2d:
        """The integer layer whose outputs have a unit, [out]."""
        layer = replace(
            self.layer, weight=self.layer.weight / along(unit, self.layer.weight), bias=self.layer.bias / unit
        )
        weight, bias = compensated(layer, self.reads.integers)
        return replace(layer, weight=whole(weight), bias=whole(bias))


def along(channels: Array, values: Array) -> Array:
    """One number for each channel [channels], in a shape that meets values [channels, ...]."""
    return channels.reshape(-1, *[1] * (values.ndim - 1))


def columns(layer: Dense | Conv2d, channels: FloatArray) -> FloatArray:
    """What belongs to a layer's input channels [channels], in a shape that meets its weights."""
    groups = layer.groups if isinstance(layer, Conv2d) else 1
    rows = channels.reshape(groups, -1).repeat(len(layer.weight) // groups, axis=0)
    return rows.reshape(*rows.shape, *[1] * (layer.weight.ndim - 2))


def in_another_shape(channels: FloatArray, shape: Shape, other: Shape) -> FloatArray | None:
    """One number for each channel of a value, once its elements are in another shape; None where a channel has several.

    Args:
        channels: One number for each channel, or one for all.
        shape: The shape of the value.
        other: A shape of as many elements.
    """
    rows = np.repeat(channels, math.prod(shape) // len(channels)).reshape(other[0], -1)
    return None if (rows != rows[:, :1]).any() else rows[:, 0]


def common_unit(fixed: FloatArray, free: FloatArray, close: float) -> FloatArray:
    """A unit of which several others are nearly multiples.

    Args:
        fixed: Units that shall be multiples of the result, [values, channels].
        free: Units that shall not be smaller than the result, [values, channels].
        close: The relative error of a multiple that is small enough.

    Returns:
        The unit of every channel, [channels]: the finest of the others over a whole number, and over the least power of
        two for which the multiples are close enough.
    """
    finest = np.min(fixed if len(fixed) else free, axis=0)
    if not len(fixed):
        return finest
    unit = finest / np.ceil(finest / np.min([*fixed, *free], axis=0))
    while np.abs(np.rint(fixed / unit) / (fixed / unit) - 1).max() > close:
        unit = unit / 2
    return unit


def whole(values: FloatArray) -> Array:
    """Floats rounded to integers, halves up: int64, or Python integers where one is larger."""
    if np.abs(values).max() < LARGEST:
        return round_half_up(values)
    rounded: Array = np.empty(values.size, object)
    rounded[:] = [int(value) for value in np.floor(values + 0.5).ravel()]
    return rounded.reshape(values.shape)
