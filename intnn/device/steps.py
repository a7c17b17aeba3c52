"""The steps of a network on a GPU: kernels with their parameters, and what they read and make."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numba import cuda

from intnn.device.values import Value
from intnn.machine.cuda.launch import Launch, shared_out
from intnn.ops.cuda import layers as kernels
from intnn.ops.cuda.lookup import lookup_kernel
from intnn.ops.cuda.product import DeviceArray, Product, Window
from intnn.values.arrays import Array

Arrays = Sequence[DeviceArray]


class Step(Protocol):
    """A launch or a few.

    Attributes:
        what: What it is, for people.
        reads: The numbers of the values that it reads.
        makes: The number of the value that it makes.
    """

    what: str
    reads: tuple[int, ...]
    makes: int

    @property
    def nbytes(self) -> int:
        """The bytes of its parameters on the device."""

    def place(self) -> None:
        """Copy its parameters to the device."""

    def bound(self, read: Arrays, y: DeviceArray, inputs: int) -> list[Launch]:
        """Return what makes a value of so many inputs; every array is flat, and as long as they need."""


@dataclass(eq=False)
class ProductStep:
    """A linear layer on bytes, and what is fused with it."""

    what: str
    reads: tuple[int, ...]
    makes: int
    product: Product

    @property
    def nbytes(self) -> int:
        """The bytes of its parameters on the device."""
        return self.product.nbytes

    def place(self) -> None:
        """Copy its parameters to the device."""
        self.product.place()

    def bound(self, read: Arrays, y: DeviceArray, inputs: int) -> list[Launch]:
        """Return what multiplies; the kernel reads and writes words."""
        return [self.product.bound(read[0].view(np.int32), y.view(np.int32), inputs)]


@dataclass(eq=False)
class KernelStep:
    """Any other layer.

    Attributes:
        parameters: Arrays of the host, copied to the device by `place`.
        bind: Returns what launches the kernels on what is read, what is made, the parameters on the device, and the
            number of inputs.
    """

    what: str
    reads: tuple[int, ...]
    makes: int
    parameters: tuple[Array, ...]
    bind: Callable[[Arrays, DeviceArray, Arrays, int], list[Launch]]
    _placed: Arrays = field(default=(), init=False)

    @property
    def nbytes(self) -> int:
        """The bytes of its parameters on the device."""
        return sum(array.nbytes for array in self.parameters)

    def place(self) -> None:
        """Copy its parameters to the device."""
        self._placed = [cuda.to_device(np.ascontiguousarray(array)) for array in self.parameters]

    def bound(self, read: Arrays, y: DeviceArray, inputs: int) -> list[Launch]:
        """Return what launches the kernels."""
        return self.bind(read, y, self._placed, inputs)


Bind = Callable[[Arrays, DeviceArray, Arrays, int], list[Launch]]


def window_sums(x: Value, y: Value, window: Window, group: tuple[int, int], requantise: tuple[int, int, int]) -> Bind:
    """Sums over windows, weighted or not; the parameters are the kernel's, from the weights to the table."""
    numbers = _numbers(window)
    image = (*x.image, y.pixels, y.layout[2])

    def bind(read: Arrays, out: DeviceArray, placed: Arrays, inputs: int) -> list[Launch]:
        rows, columns = inputs * y.pixels, y.layout[0]
        shapes = (rows, columns, y.width, x.width), image, numbers, group
        arguments = read[0], *placed, out, *shapes, requantise
        return [shared_out(kernels.window_sums_kernel, rows * columns, *arguments)]

    return bind


def windows(channels: int, image: tuple[int, int], y: Value, window: Window) -> tuple[Array, Bind]:
    """What windows see of an input of bytes as callers have it, as rows: the kernel's parameter, and the kernel."""
    height, width = image
    (down, across), (down_gap, side_gap) = window.size, window.dilation
    channel, row, column = np.indices((channels, down, across)).reshape(3, -1)
    row, column = row * down_gap, column * side_gap
    taps = np.stack([row, column, (channel * height + row) * width + column], -1).astype(np.int32)
    (top, _, left, _), steps = window.borders, window.stride
    shape = (channels * height * width, *image, y.pixels, y.layout[2])

    def bind(read: Arrays, out: DeviceArray, placed: Arrays, inputs: int) -> list[Launch]:
        words = inputs * y.size // 4
        arguments = read[0], placed[0], out.view(np.int32), words, y.width // 4, shape, (*steps, top, left)
        return [shared_out(kernels.windows_kernel, words, *arguments)]

    return taps, bind


def _numbers(window: Window) -> tuple[int, ...]:
    top, _, left, _ = window.borders
    return (*window.size, *window.stride, *window.dilation, top, left)


def elementwise(kernel: Any, x: Value, *numbers: Any) -> Bind:
    """A kernel of (x, parameters..., y, numbers..., width, columns) on elements that stay where they are."""

    def bind(read: Arrays, out: DeviceArray, placed: Arrays, inputs: int) -> list[Launch]:
        return [shared_out(kernel, inputs * x.size, read[0], *placed, out, *numbers, x.width, x.layout[0])]

    return bind


def lookup_bytes(read: Arrays, out: DeviceArray, placed: Arrays, _inputs: int) -> list[Launch]:
    """Return what looks bytes up, four at a time, in a table of bytes by their bits."""
    x, y = read[0].view(np.int32), out.view(np.int32)
    return [shared_out(lookup_kernel, len(x), x, placed[0], y)]


def moves(sources: Sequence[Value], y: Value, adds: bool) -> Bind:
    """Values behind one another in the order of their elements, or added up."""

    def bind(read: Arrays, out: DeviceArray, _placed: Arrays, inputs: int) -> list[Launch]:
        launches, shift, target, size = list[Launch](), 0, (y.pixels, y.width, y.count), inputs * y.size
        for i, (array, x) in enumerate(zip(read, sources, strict=True)):
            source = (x.pixels, x.width, x.count)
            arguments = array, out, source, target, shift, size, int(adds and i > 0)
            launches.append(shared_out(kernels.move_kernel, size, *arguments))
            shift += 0 if adds else x.count
        return launches

    return bind
