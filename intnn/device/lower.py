"""From layers to steps: what is fused, which kernel serves, and how values lie; nothing is on a GPU yet."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from intnn.device import steps as run
from intnn.device.steps import KernelStep, ProductStep, Step
from intnn.device.values import Value, image_of, narrowest
from intnn.layers.geometry import all_four, both
from intnn.layers.nodes import (
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    IntPolynomial,
    Join,
    LutActivation,
    Node,
    Requantise,
    Reshape,
    Scale,
    Shape,
    SumPool2d,
)
from intnn.ops.cuda import layers as kernels
from intnn.ops.cuda.lookup import bits_of
from intnn.ops.cuda.product import MOST_COLUMNS, AnyTile, Epilogue, Product, Window, filled
from intnn.values.arrays import Array
from intnn.values.domain import IntDomain, Interval

INT31, LIMIT = 1 << 31, 1 << 63
FURTHEST = 1 << 61  # from zero of what is looked up: sums by factors, rounded, are below 2**62 + 2**61
LARGEST_WEIGHT = 4 * 127  # four products of bytes cost about as much as a sum in wider integers
LARGEST_IDENTITY = 1 << 12  # points of a table that stands for none
BYTES = (np.dtype(np.uint8), np.dtype(np.int8))
_TYPES = {BYTES[0]: "u8", BYTES[1]: "s8"}

Sources = tuple[tuple[int, ...], ...]


class Lowering:
    """The steps of a network, made by its constructor.

    Args:
        input_shape: The shape of one input.
        input_domain: The integers that an input element may be.
        layers: The layers.
        sources: The layers that every layer reads; -1 is the input.
        shapes: The output shape of every layer.
        intervals: The range of every layer's output.
        bounds: The largest sum of absolute terms in every layer.
        tile: The tile of tensor cores, or None, as for `Product`.

    Attributes:
        values: All values by their numbers; 0 is the network's input as callers have it, the last one its outputs.
        steps: What makes them, in order.

    Raises:
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
        tile: AnyTile,
    ) -> None:
        for i, bound in enumerate(bounds):
            if bound >= LIMIT:
                raise ValueError(
                    f'`layers[{i}]` can reach {bound}, and a GPU calculates below 2**63; choose the backend "numpy"'
                )
        self._layers, self._sources, self._tile = layers, sources, tile
        self._hulls = {-1: input_domain, **{i: interval.hull for i, interval in enumerate(intervals)}}
        self._bounds = bounds
        self._shapes = {-1: input_shape, **dict(enumerate(shapes))}
        self._readers = {i: [j for j, read in enumerate(sources) if i in read] for i in self._shapes}
        entering = narrowest(input_domain.lo, input_domain.hi)
        self.values, self.steps = [Value.flat(input_shape, entering)], list[Step]()
        self._at = {-1: 0}  # where each layer's output is
        self._laid: dict[tuple[int, tuple[int, int, int]], int] = {}
        for i in range(len(layers)):
            if i not in self._at:  # else it is part of an earlier step
                self._lower(i)
        last = self._at[len(layers) - 1]
        outputs = Value.flat(shapes[-1], np.dtype(np.int64))
        self._add_moves("outputs", (last,), outputs, adds=False)

    def _lower(self, i: int) -> None:
        layer, bound = self._layers[i], self._bounds[i]
        match layer:
            case Dense():
                self._dense(i, layer)
            case Conv2d():
                self._conv2d(i, layer)
            case SumPool2d():
                window = Window(both(layer.size), both(layer.step), all_four(layer.padding))
                self._window_sums(i, np.zeros(0, np.int8), np.zeros(self._shapes[i][0], np.int64), window, (1, 1))
            case Scale():
                self._elementwise(i, kernels.scale_kernel, (layer.weight, layer.bias), len(layer.weight) > 1)
            case Requantise():
                numbers = (layer.shift, layer.domain.lo, layer.domain.hi)
                factors = layer.multiplier
                self._elementwise(i, kernels.rescale_kernel, (factors,), len(factors) > 1, numbers)
            case LutActivation():
                self._table(i, layer)
            case IntPolynomial():
                self._elementwise(i, kernels.polynomial_kernel, (np.array(layer.coefficients, np.int64),), False)
            case Flatten() | Reshape():
                self._at[i] = self._at[self._sources[i][0]]  # the elements keep their numbers
            case Add() | Concatenate():
                adds = isinstance(layer, Add)
                dtype = narrowest(-bound, bound) if adds else self._narrowest(i)
                read = tuple(self._at[number] for number in self._sources[i])
                self._at[i] = self._add_moves(self._name(i), read, Value.rows(image_of(self._shapes[i]), dtype), adds)
            case _:
                raise TypeError(f"`layers[{i}]` must be a layer with a kernel for GPUs, got {type(layer).__name__}")

    def _dense(self, i: int, layer: Dense) -> None:
        """A dense layer sees the whole image that its input lies as: nothing is flattened."""
        number = self._rows_of(self._sources[i][0])
        layout, outputs = self.values[number].layout, len(layer.weight)
        window = Window((layout[1], layout[2]))
        self._linear(i, number, layer.weight.reshape(outputs, *layout), layer.bias, window, (outputs, 1, 1), 1)

    def _conv2d(self, i: int, layer: Conv2d) -> None:
        (source,), weight = self._sources[i], layer.weight
        window = Window((weight.shape[2], weight.shape[3]), layer.strides, layer.borders, layer.dilations)
        channels, *image = image_of(self._shapes[source])
        seen, (outputs, *places) = weight[0].size, image_of(self._shapes[i])
        is_shorter = filled(seen) * math.prod(places) <= filled(channels) * math.prod(image)
        if self._at[source] == 0 and layer.groups == 1 and is_shorter and self.values[0].dtype in BYTES:
            # An input of few channels: rows of all that windows see take no more room than pixels filled up.
            y = Value.rows((seen, places[0], places[1]), self.values[0].dtype)
            made = self._new(y)
            taps, launches = run.windows(channels, (image[0], image[1]), y, window)
            self.steps.append(KernelStep(f"inputs of layers[{i}]", (0,), made, (taps,), launches))
            flat = weight.reshape(outputs, seen, 1, 1)
            self._linear(i, made, flat, layer.bias, Window(), image_of(self._shapes[i]), 1)
            return
        number = self._as_it_is(source)
        self._linear(i, number, layer.weight, layer.bias, window, image_of(self._shapes[i]), layer.groups)

    def _linear(
        self, i: int, number: int, weight: Array, bias: Array, window: Window, layout: tuple[int, int, int], groups: int
    ) -> None:
        x = self.values[number]
        narrow = weight.min() >= -LARGEST_WEIGHT and weight.max() <= LARGEST_WEIGHT
        fits = self._bounds[i] < INT31 and len(weight) <= MOST_COLUMNS
        if not (x.dtype in _TYPES and narrow and groups == 1 and fits):
            laid = weight.transpose(2, 3, 1, 0)
            laid = laid.astype(narrowest(int(laid.min()), int(laid.max())))
            group = weight.shape[1], len(weight) // groups
            self._window_sums(i, laid.ravel(), bias.astype(np.int64), window, group, number, layout)
            return
        fused, epilogue = self._epilogue(i, 256)
        if epilogue is not None and not _is_of_bytes(epilogue):
            fused, epilogue = (), None
        if weight.min() >= 0 and 127 < weight.max() <= 255:
            weight = weight.astype(np.uint8)
        product = Product(weight, bias.astype(np.int32), x.image, window, epilogue, _TYPES[x.dtype], self._tile)
        y = Value.rows(layout, product.out_dtype)
        made = self._new(y)
        self.steps.append(ProductStep(self._name(i, *fused), (number,), made, product))
        self._at |= dict.fromkeys((i, *fused), made)

    def _window_sums(
        self,
        i: int,
        weight: Array,
        bias: Array,
        window: Window,
        group: tuple[int, int],
        number: int | None = None,
        layout: tuple[int, int, int] | None = None,
    ) -> None:
        number = self._as_it_is(self._sources[i][0]) if number is None else number
        fused, epilogue = self._epilogue(i, LARGEST_IDENTITY)
        multiplier, table, numbers = np.zeros(0, np.int64), np.zeros(0, np.int8), (0, 0, 0)
        if epilogue is not None:
            multiplier, table = epilogue.multiplier.astype(np.int64), epilogue.table
            numbers = epilogue.shift, epilogue.lo, epilogue.hi
        dtype = self._narrowest(i) if epilogue is None else epilogue.table.dtype
        y, parameters = Value.rows(layout or image_of(self._shapes[i]), dtype), (weight, bias, multiplier, table)
        launches = run.window_sums(self.values[number], y, window, group, numbers)
        self._add(i, number, y, parameters, launches, fused)

    def _epilogue(self, i: int, largest: int) -> tuple[tuple[int, ...], Epilogue | None]:
        """What can be fused with sums: a rescaling, a table or both, if nothing else reads what lies between.

        A rescaling alone becomes one with a table of what it gives, if that has at most ``largest`` points.

        Returns:
            The layers that are fused, and the epilogue; None leaves the sums.
        """
        fused, shift, factors = list[int](), 0, np.ones(1, np.int64)
        follower = self._only_reader(i)
        if follower is not None and isinstance(layer := self._layers[follower], Requantise):
            shift, factors = layer.shift, layer.multiplier
            fused.append(follower)
            follower = self._only_reader(follower)
        hull = self._hulls[fused[0] if fused else i]
        if follower is not None and isinstance(layer := self._layers[follower], LutActivation):
            table = _within(layer, hull)
            fused.append(follower)
        elif fused and hull.size <= largest:
            table = np.arange(hull.lo, hull.hi + 1)
        else:
            return (), None
        table = table.astype(narrowest(int(table.min()), int(table.max())))
        return tuple(fused), Epilogue(np.broadcast_to(factors, self._shapes[i][0]), shift, hull.lo, hull.hi, table)

    def _table(self, i: int, layer: LutActivation) -> None:
        (source,) = self._sources[i]
        number, hull = self._rows_of(source), self._hulls[source]
        x, table = self.values[number], _within(layer, hull)
        table = table.astype(narrowest(int(table.min()), int(table.max())))
        y = replace(x, dtype=table.dtype)
        if x.dtype in _TYPES and table.dtype in _TYPES:
            self._add(i, number, y, (bits_of(table, hull.lo),), run.lookup_bytes)
        else:
            self._add(i, number, y, (table,), run.elementwise(kernels.table_kernel, x, hull.lo))

    def _elementwise(self, i: int, kernel: Any, parameters: tuple[Array, ...], by_channel: bool, *numbers: Any) -> None:
        source = self._sources[i][0]
        number = self._as_it_is(source) if by_channel else self._rows_of(source)
        x = self.values[number]
        y = replace(x, dtype=self._narrowest(i))
        self._add(i, number, y, parameters, run.elementwise(kernel, x, *numbers))

    def _add(
        self,
        i: int,
        number: int,
        y: Value,
        parameters: tuple[Array, ...],
        launches: run.Bind,
        fused: tuple[int, ...] = (),
    ) -> None:
        made = self._new(y)
        self._at |= dict.fromkeys((i, *fused), made)
        self.steps.append(KernelStep(self._name(i, *fused), (number,), made, parameters, launches))

    def _add_moves(self, what: str, read: tuple[int, ...], y: Value, adds: bool) -> int:
        made = self._new(y)
        launches = run.moves([self.values[number] for number in read], y, adds)
        self.steps.append(KernelStep(what, read, made, (), launches))
        return made

    def _as_it_is(self, layer: int) -> int:
        """The value of a layer's output, laid out as its shape says: what flattened it did not move it."""
        number, layout = self._at[layer], image_of(self._shapes[layer])
        if number and self.values[number].layout == layout:
            return number
        if (number, layout) not in self._laid:
            y, what = Value.rows(layout, self.values[number].dtype), f"{self._name(layer)} laid out"
            self._laid[number, layout] = self._add_moves(what, (number,), y, adds=False)
        return self._laid[number, layout]

    def _rows_of(self, layer: int) -> int:
        """The value of a layer's output in rows, whatever their order: it is in rows but for the network's input."""
        return self._at[layer] or self._as_it_is(layer)

    def _new(self, value: Value) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def _only_reader(self, i: int) -> int | None:
        return (
            self._readers[i][0] if len(self._readers[i]) == 1 and self._sources[self._readers[i][0]] == (i,) else None
        )

    def _narrowest(self, i: int) -> np.dtype[Any]:
        return narrowest(self._hulls[i].lo, self._hulls[i].hi)

    def _name(self, *layers: int) -> str:
        kinds = ", ".join(type(self._layers[i]).__name__ for i in layers if i >= 0)
        return f"layers[{layers[0]}] {kinds}" if kinds else "inputs"


def _is_of_bytes(epilogue: Epilogue) -> bool:
    """Whether a product of bytes can do it: factors of int32, and a table of bytes whose ends no sum is 2**63 from."""
    return (
        epilogue.table.dtype in _TYPES
        and bool(np.abs(epilogue.multiplier).max() < INT31)
        and max(-epilogue.lo, epilogue.hi) <= FURTHEST
    )


def _within(layer: LutActivation, hull: IntDomain) -> Array:
    """The part of a table that is read for values in an interval."""
    lo = layer.lut.domain.lo
    return layer.lut.table[hull.lo - lo : hull.hi + 1 - lo]
