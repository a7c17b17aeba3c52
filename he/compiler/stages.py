"""Stages of a network: linear maps, each fused from neighbouring layers, and the activations between them.

A linear map with the activations behind it is a *layer*. Branches end in linear maps that read several layers: whatever
linear nodes and joins lie between activations is one map of all activations that lead to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from he.compiler.linear import Grid, LinearMap, Pool, linear_map
from he.ring.params import ParameterError
from intnn import (
    Activation,
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    IntPolynomial,
    Join,
    LutActivation,
    Node,
    Reshape,
    Scale,
    Shape,
    SumPool2d,
)
from intnn.layers.geometry import both
from intnn.network.edges import INPUT, Sources, chain, flow, is_chain

Step = tuple[Fraction, Fraction]  # down and across
Function = Activation | LutActivation | IntPolynomial
Stage = LinearMap | Function

_ONE: Step = (Fraction(1), Fraction(1))


def to_stages(
    input_shape: Shape, nodes: Sequence[Node | Join], sources: Sources | None = None, modulus: int | None = None
) -> list[Stage]:
    """Return the nodes as stages that begin with a linear map; neighbouring linear nodes are fused.

    Args:
        input_shape: the shape of one input.
        nodes: the nodes of a `Graph` or the layers of an `IntNetwork`.
        sources: what each of them reads; by default, the one before.
        modulus: t, if weights are wanted modulo t alone.

    Raises:
        ParameterError: if a linear map has too many terms.
        TypeError: if a node has no encrypted evaluation.
    """
    sources = chain(len(nodes)) if sources is None else sources
    builder = _Builder(math.prod(input_shape), is_chain(sources), modulus)
    first = _Value({INPUT: None}, np.zeros(math.prod(input_shape)), tuple(input_shape), _ONE, tuple(input_shape))
    last = flow(first, nodes, sources, builder.step)[-1]
    return builder.finish(last)


@dataclass(frozen=True, eq=False)
class _Value:
    """A node's output as an affine function of layers.

    Attributes:
        terms: by the number of a layer, -1 for the input, the map of its units, without a bias; None if it is the
            identity.
        bias: what is added, [units].
        shape: the shape of the node's output.
        step: the pixels of the input from one of its pixels to the next; below one where an image has become larger.
        image: the shape of the image that it is, or that it was before its elements were taken for another image's.
        pool: the sums that it reads of its only layer; None if it reads each unit.
    """

    terms: Mapping[int, LinearMap | None]
    bias: np.ndarray
    shape: Shape
    step: Step
    image: Shape
    pool: Pool | None = None

    @property
    def only(self) -> int | None:
        """The layer, or the input, that the value is itself; None if it is none."""
        (number, linear), *others = self.terms.items()
        return number if not others and linear is None else None

    def map_of(self, number: int) -> LinearMap:
        """Return the map of one layer."""
        return self.terms[number] or LinearMap.identity(len(self.bias))


class _Builder:
    """Makes layers of nodes, one after the other."""

    def __init__(self, inputs: int, is_chain: bool, modulus: int | None) -> None:
        self._inputs, self._is_chain, self._modulus = inputs, is_chain, modulus
        self._layers: list[tuple[LinearMap, list[Function]]] = []
        self._steps: dict[int, Step] = {}  # of the layers whose outputs are pixels
        self._passed: int | None = None  # the layer that passes the input on to later ones

    def step(self, i: int, node: Node | Join, read: list[_Value]) -> _Value:
        """Return the value of the i-th node."""
        try:
            if isinstance(node, Join):
                return self._join(node, read)
            if isinstance(node, Function):
                return self._activated(node, read[0])
            return self._applied(node, read[0])
        except ParameterError as refusal:
            raise ParameterError(f"layer {i}: {refusal}") from None

    def finish(self, value: _Value) -> list[Stage]:
        """Return the stages of a network with this output."""
        if value.only != len(self._layers) - 1 or value.only == INPUT:
            self._layer(value)
        parts = [math.lcm(*(step[axis].denominator for step in self._steps.values())) for axis in (0, 1)]
        for number, step in self._steps.items():  # in parts of a pixel, if the network has larger images than its input
            linear, functions = self._layers[number]
            assert linear.grid is not None
            down, across = (int(pixels * count) for pixels, count in zip(step, parts, strict=True))
            self._layers[number] = replace(linear, grid=Grid(linear.grid.shape, (down, across))), functions
        return [stage for linear, functions in self._layers for stage in (linear, *functions)]

    def _applied(self, node: Node, value: _Value) -> _Value:
        shape = node.output_shape(value.shape)
        if isinstance(node, Flatten | Reshape):
            step, image = _reshaped(value, shape)
            return replace(value, shape=shape, step=step, image=image)
        if not isinstance(node, Dense | Conv2d | Scale | SumPool2d):
            raise TypeError(f"a layer must be linear, a table or a polynomial to be encrypted, got {node}")
        linear = linear_map(node, value.shape, self._modulus)
        plain = replace(linear, bias=np.zeros(linear.outputs))
        terms = {number: plain if known is None else known.then(plain) for number, known in value.terms.items()}
        step, pool, is_image = value.step, value.pool, value.shape == value.image
        if isinstance(node, SumPool2d) and value.only is not None and node.size == node.step and not node.padding:
            sums = np.full(linear.inputs, -1)
            sums[linear.columns] = linear.rows
            pool = Pool(both(node.size), sums)
        if isinstance(node, Conv2d | SumPool2d) and is_image:
            down, across = node.strides if isinstance(node, Conv2d) else both(node.step)
            step = step[0] * down, step[1] * across
        image = shape if is_image else value.image
        return _Value(terms, linear.times(value.bias) + linear.bias, shape, step, image, pool)

    def _join(self, node: Join, read: Sequence[_Value]) -> _Value:
        shape = node.joined_shape([value.shape for value in read])
        numbers = sorted({number for value in read for number in value.terms})
        step = max(value.step for value in read)
        if isinstance(node, Add):
            terms: dict[int, LinearMap | None] = {}
            for number in numbers:
                maps = [value.map_of(number) for value in read if number in value.terms]
                terms[number] = LinearMap.sum_of(maps) if len(maps) > 1 else maps[0]
            return _Value(terms, np.sum([value.bias for value in read], axis=0), shape, step, shape)
        if isinstance(node, Concatenate):
            sizes = {number: self._size(number) for number in numbers}
            terms = {
                number: LinearMap.stacked(
                    [
                        value.map_of(number) if number in value.terms else _nothing(sizes[number], len(value.bias))
                        for value in read
                    ]
                )
                for number in numbers
            }
            return _Value(terms, np.concatenate([value.bias for value in read]), shape, step, shape)
        raise TypeError(f"branches must end in Add or Concatenate to be encrypted, got {node}")

    def _activated(self, function: Function, value: _Value) -> _Value:
        number = value.only
        if number is None or number == INPUT or not self._is_chain:
            number = self._layer(value)
        self._layers[number][1].append(function)
        return _Value({number: None}, np.zeros_like(value.bias), value.shape, value.step, value.image)

    def _layer(self, value: _Value) -> int:
        """Make a layer of an affine function, and return its number."""
        numbers = sorted(value.terms)
        maps = [value.map_of(number) for number in numbers]
        if len(numbers) > 1 and numbers[0] == INPUT:
            numbers[0] = self._pass_input()
        height, width = value.shape[1:] if len(value.shape) == 3 else (1, 1)
        grid = Grid((value.shape[0], height, width), (1, 1)) if height * width > 1 else None
        linear = LinearMap.beside(maps) if len(maps) > 1 else maps[0]
        sizes = tuple(linear.inputs for linear in maps)
        pool = value.pool if len(maps) == 1 else None
        linear = replace(linear, bias=value.bias, reads=tuple(numbers), sizes=sizes, grid=grid, pool=pool)
        self._layers.append((linear, []))
        if grid is not None:
            self._steps[len(self._layers) - 1] = value.step
        return len(self._layers) - 1

    def _pass_input(self) -> int:
        """Return the number of the layer that is the input: only a first layer reads what the client sends."""
        if self._passed is None:
            identity = LinearMap.identity(self._inputs)
            self._layers.append((replace(identity, reads=(INPUT,), sizes=(self._inputs,)), []))
            self._passed = len(self._layers) - 1
        return self._passed

    def _size(self, number: int) -> int:
        return self._inputs if number == INPUT else self._layers[number][0].outputs


def _reshaped(value: _Value, shape: Shape) -> tuple[Step, Shape]:
    """The step and the image of a value whose elements are taken for those of another image.

    Between pixels others have been put where each side is a multiple of what it was. Of elements in the order of
    another image, as every value is while that is done, nothing is known but the image that they were.
    """
    if len(shape) != 3 or len(value.image) != 3 or shape[0] != value.image[0]:
        return value.step, value.image
    if any(side % before for side, before in zip(shape[1:], value.image[1:], strict=True)):
        return value.step, shape
    down, across = (Fraction(before, side) for side, before in zip(shape[1:], value.image[1:], strict=True))
    return (value.step[0] * down, value.step[1] * across), shape


def _nothing(inputs: int, outputs: int) -> LinearMap:
    empty = np.zeros(0)
    return LinearMap(inputs, np.zeros(outputs + 1, np.int64), empty.astype(np.int64), empty, np.zeros(outputs))


def layered(stages: Sequence[Stage]) -> list[tuple[LinearMap, list[Function]]]:
    """Return the stages as linear maps, each with the activations that follow it."""
    layers: list[tuple[LinearMap, list[Function]]] = []
    for stage in stages:
        if isinstance(stage, LinearMap):
            layers.append((stage, []))
        else:
            layers[-1][1].append(stage)
    return layers


def require_no_constant(stages: Sequence[Stage], modulus: float) -> None:
    """Refuse a stage that ignores its input: its ciphertext would be legible without a key.

    Raises:
        ParameterError: if there is one; the message names it.
    """
    for i, stage in enumerate(stages):
        zero = isinstance(stage, LinearMap) and not np.fmod(stage.weights, modulus).any()
        table = isinstance(stage, LutActivation) and len(set(stage.lut.table.tolist())) == 1
        polynomial = isinstance(stage, Activation) and stage.name == "polynomial" and not any(stage.coefficients[1:])
        integers = isinstance(stage, IntPolynomial) and not any(c % modulus for c in stage.coefficients[1:])
        if zero or table or polynomial or integers:
            raise ParameterError(f"stage {i} gives the same output for every input: evaluate it in the clear")
