"""Dense and convolutional layers on a GPU: operands are laid out, and kernels of `gemm` or `warpgroups` launched.

`dense` and `conv2d` take and return host arrays. `Product` keeps a layer's parameters on the device and works
on device arrays, so that the output of one layer is the input of the next.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numba import cuda

from intnn.machine.cuda.device import MOST_BLOCKS, TENSOR_CORES, device
from intnn.machine.cuda.intrinsics import SIMULATED, tensor_map
from intnn.machine.cuda.launch import Launch, bound
from intnn.ops.cuda.gemm import Tile, dot_kernel, tensor_kernel
from intnn.ops.cuda.warpgroups import GroupTile, lines, warpgroup_kernel
from intnn.values.arrays import Array

DeviceArray = Any  # numba.cuda's, or its simulator's
AnyTile = Tile | GroupTile | None
TENSOR, GROUPS = Tile(), GroupTile()
HOPPER = (9, 0)  # the compute capability whose tensor cores read shared memory themselves
SIMULATED_TILE = Tile(1, 1, 1, stages=2)  # one warp: a simulated thread is a thread of Python
NARROW, SLICE = 64, 64  # columns, and bytes that a sum is of: with no more of either, groups of warps are too wide
ALIGNED = 16  # bytes; every row and every pixel begins on such a border
MOST_COLUMNS = 64 * MOST_BLOCKS[1]  # of a product: blocks along the second axis have 64 columns at least
_TYPES = MappingProxyType({np.int8: "s8", np.uint8: "u8"})


@dataclass(frozen=True, eq=False)
class Epilogue:
    """What becomes of a sum: min(max(floor((sum multiplier + 2**(shift - 1)) / 2**shift), lo), hi), then a table.

    Attributes:
        multiplier: Integers [columns] that fit int32, one factor for each column.
        shift: The exponent of the divisor, in [0, 62].
        lo: The smallest value that is looked up, at least -2**61.
        hi: The largest value that is looked up, at most 2**61.
        table: int8 or uint8 [hi - lo + 1]; the result has its dtype.
    """

    multiplier: Array
    shift: int
    lo: int
    hi: int
    table: np.ndarray


@dataclass(frozen=True)
class Window:
    """What one output sees of an image; every pair is (vertical, horizontal).

    Attributes:
        size: The taps along each axis.
        stride: The step from one output to the next.
        borders: The rows or columns of zeros around the image: top, bottom, left, right.
        dilation: The distance of neighbouring taps.
    """

    size: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    borders: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def outputs(self, image: tuple[int, int]) -> tuple[int, int]:
        """The height and width of the result for an image of this height and width."""
        top, bottom, left, right = self.borders
        padded = image[0] + top + bottom, image[1] + left + right
        axes = zip(padded, self.size, self.stride, self.dilation, strict=True)
        height, width = ((side - gap * (taps - 1) - 1) // step + 1 for side, taps, step, gap in axes)
        return height, width


def filled(channels: int) -> int:
    """The channels of a row on the device: so many that every pixel begins on a border of 16 elements."""
    return -(-channels // ALIGNED) * ALIGNED


def fitting_tile(capability: tuple[int, int]) -> AnyTile:
    """The tile for a GPU of this compute capability; None for dp4a, where there are no integer tensor cores."""
    if SIMULATED:
        return SIMULATED_TILE
    if capability == HOPPER:
        return GROUPS
    return TENSOR if capability >= TENSOR_CORES else None


def channels_last(x: np.ndarray) -> np.ndarray:
    """Bring 8-bit [n, c, h, w] to flat int32 words [n, h, w, c'], where zeros fill c up to a multiple of 16."""
    pixels = np.zeros((len(x), *x.shape[2:], filled(x.shape[1])), x.dtype)
    pixels[..., : x.shape[1]] = x.transpose(0, 2, 3, 1)
    return pixels.reshape(-1).view(np.int32)


def signed_bytes(w: np.ndarray) -> list[np.ndarray]:
    """The fewest int8 arrays that add up to integers; each carries as much as it can of what is left."""
    parts, left = list[np.ndarray](), w.astype(np.int64)
    while left.any() or not parts:
        parts.append(np.clip(left, -128, 127).astype(np.int8))
        left = left - parts[-1]
    return parts


def offsets(window: Window, width: int, pixel: int, piece: int) -> np.ndarray:
    """Where a window's pieces lie: int32 [pieces * 3] of (row, column, words from the window's first pixel).

    Args:
        window: The window.
        width: The width of the image.
        pixel: The words of a pixel.
        piece: The words of a piece, a divisor of ``pixel``.
    """
    taps = (np.arange(count) * gap for count, gap in zip(window.size, window.dilation, strict=True))
    down, across, skip = np.meshgrid(*taps, np.arange(0, pixel, piece), indexing="ij")
    return np.stack([down, across, (down * width + across) * pixel + skip], -1).astype(np.int32).ravel()


@cache
def _kernel(tile: AnyTile, x_type: str, w_type: str, fused: bool) -> Any:
    if isinstance(tile, GroupTile):
        return warpgroup_kernel(tile, x_type, w_type, fused)
    return tensor_kernel(tile, x_type, w_type, fused) if tile else dot_kernel(x_type, w_type, fused)


class Product:
    """A convolution, or a dense layer as the convolution of images of one pixel, with its parameters on the device.

    They are copied there when they are first needed; ``nbytes`` says before how many bytes they take.

    Args:
        w: The weights, integers [out, in, kh, kw], with at most `MOST_COLUMNS` outputs; uint8 stays what it is, others
            become sums of int8, each of which costs as much as a product with bytes.
        b: The bias, int32 [out]; every sum, bias included, must fit in int32.
        image: The height and width of the input.
        window: What one output sees; its size is that of the weights.
        epilogue: What becomes of the sums; None leaves int32 sums.
        x_type: The type of the inputs, "s8" or "u8".
        tile: The tensor cores' tile (compute capability 8.0 and later), `Tile.fitted` to the outputs; a `GroupTile` on
            9.0 alone, which serves matrices that are not too small for it; None calculates with dp4a (6.1 and later).
    """

    def __init__(
        self,
        w: np.ndarray,
        b: np.ndarray,
        image: tuple[int, int] = (1, 1),
        window: Window | None = None,
        epilogue: Epilogue | None = None,
        x_type: str = "s8",
        tile: AnyTile = TENSOR,
    ) -> None:
        out, channels, *kernel = w.shape
        window = window or Window((kernel[0], kernel[1]))
        parts = [w] if w.dtype in (np.uint8, np.int8) else signed_bytes(w)
        self.image, self.columns = image, out
        self.out_image = window.outputs(image)
        self.out_dtype = np.dtype(np.int32) if epilogue is None else epilogue.table.dtype
        is_short = out <= NARROW and filled(channels) <= SLICE  # half of what groups of warps do would be for nothing
        if isinstance(tile, GroupTile) and (window != Window() or len(parts) > 1 or is_short):
            tile = SIMULATED_TILE if SIMULATED else TENSOR
        tile = tile.fitted(out) if isinstance(tile, Tile) else tile
        self._tile, self._kind = tile, (x_type, _TYPES[parts[0].dtype.type], epilogue is not None)
        self._pixel = filled(channels) // 4
        # The window is seen once by every part of the weights: its pieces come again, and sums go on.
        places = np.tile(offsets(window, image[1], self._pixel, 4 if tile else 1), len(parts))
        self._chunks = len(places) // 3
        self.depth = self._chunks * (16 if tile else 4)
        """The bytes that a sum is of: the taps' channels, with those that fill them up."""
        multiplier = np.ones(out) if epilogue is None else epilogue.multiplier
        table = np.zeros(1, np.uint8) if epilogue is None else epilogue.table.view(np.uint8)
        laid = np.concatenate([channels_last(part).reshape(out, -1) for part in parts], axis=1)
        if isinstance(tile, GroupTile) and epilogue is not None:
            order = lines(out)
            laid = np.concatenate([laid, np.zeros((len(order) - out, laid.shape[1]), np.int32)])[order]
        self._lines, width = len(laid), self.row_width
        self._host = laid.ravel(), _filled(b, width), places, _filled(multiplier, width), np.ascontiguousarray(table)
        (top, _, left, _), area = window.borders, self.out_image[0] * self.out_image[1]
        self._geometry = (*image, self._pixel, area, self.out_image[1], *window.stride, top, left)
        self._requantise = (0, 0, 0) if epilogue is None else (epilogue.shift, epilogue.lo, epilogue.hi)

    @property
    def pixel_bytes(self) -> int:
        """The bytes of a pixel of the input, with those that fill it up."""
        return 4 * self._pixel

    @property
    def nbytes(self) -> int:
        """The bytes of the parameters on the device."""
        return sum(array.nbytes for array in self._host)

    @cached_property
    def w(self) -> DeviceArray:
        """The weights on the device, int32 words; another product's may be put in their place."""
        return cuda.to_device(self._host[0])

    @cached_property
    def b(self) -> DeviceArray:
        """The biases on the device, int32 [row_width]; others may be put in their place."""
        return cuda.to_device(self._host[1])

    @cached_property
    def _vectors(self) -> tuple[DeviceArray, ...]:
        return tuple(map(cuda.to_device, self._host[2:]))

    def place(self) -> None:
        """Copy the parameters to the device now."""
        _ = self.w, self.b, self._vectors

    @property
    def row_width(self) -> int:
        """The columns of the result, with those that fill it up to a multiple of 16."""
        return filled(self.columns)

    def output(self, images: int) -> DeviceArray:
        """Room on the device for the result of so many images, in int32 words."""
        rows = images * self.out_image[0] * self.out_image[1]
        return cuda.device_array(rows * self.row_width * self.out_dtype.itemsize // 4, np.int32)

    def bound(self, x: DeviceArray, y: DeviceArray, images: int) -> Launch:
        """Return what multiplies words that `channels_last` has laid out, and writes rows of ``row_width``."""
        rows = images * self.out_image[0] * self.out_image[1]
        if isinstance(self._tile, GroupTile):
            return self._bound_by_groups(self._tile, x, y, rows)
        tile, (places, *vectors) = self._tile, self._vectors
        across, along, threads = (tile.rows, tile.columns, tile.threads) if tile else (64, 64, 256)
        grid, sizes = (-(-rows // across), -(-self.row_width // along)), (rows, self.columns, self._chunks)
        arguments = x, self.w, y, places, self.b, *vectors, sizes, self._geometry, self._requantise
        return bound(_kernel(tile, *self._kind), grid, threads, *arguments)

    def _bound_by_groups(self, widest: GroupTile, x: DeviceArray, y: DeviceArray, rows: int) -> Launch:
        """The same by groups of warps: the windows are the rows of a matrix as they lie."""
        multiprocessors = device().multiprocessors
        tile = widest.fitted(rows, self.row_width, multiprocessors)
        grid, sizes = tile.grid(rows, self.row_width, multiprocessors), (rows, self.columns, self.depth)
        left = tensor_map(x, rows, self.depth, tile.rows)
        right = tensor_map(self.w, self._lines, self.depth, tile.columns)
        _, *vectors = self._vectors
        arguments = left, right, y, self.b, *vectors, sizes, self._requantise
        return bound(_kernel(tile, *self._kind), (grid,), tile.threads, *arguments, shared=tile.shared)

    def launch(self, x: DeviceArray, y: DeviceArray, images: int) -> None:
        """Multiply now, as `bound` does later."""
        self.bound(x, y, images)(0)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Evaluate 8-bit [batch, in, h, w] on the host -> [batch, out, h', w']."""
        y = self.output(len(x))
        self.launch(cuda.to_device(channels_last(x)), y, len(x))
        values = y.copy_to_host().view(self.out_dtype).reshape(len(x), *self.out_image, self.row_width)
        return np.ascontiguousarray(values[..., : self.columns].transpose(0, 3, 1, 2))


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    stride: int,
    padding: int,
    epilogue: Epilogue | None = None,
    tile: AnyTile = TENSOR,
) -> np.ndarray:
    """Convolve 8-bit [batch, in, h, w] with 8-bit [out, in, kh, kw], and add int32 [out].

    The result [batch, out, h', w'] has int32, or the dtype of the epilogue's table.

    Raises:
        TypeError: An operand has another dtype.
    """
    x_type = _checked(x, w, b)
    window = Window((w.shape[2], w.shape[3]), (stride, stride), (padding,) * 4)
    return Product(w, b, (x.shape[2], x.shape[3]), window, epilogue, x_type, tile)(x)


def dense(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, epilogue: Epilogue | None = None, tile: AnyTile = TENSOR
) -> np.ndarray:
    """Multiply 8-bit [batch, in] by 8-bit [out, in], and add int32 [out].

    The result [batch, out] has int32, or the dtype of the epilogue's table.

    Raises:
        TypeError: An operand has another dtype.
    """
    x_type = _checked(x, w, b)
    return Product(w[..., None, None], b, epilogue=epilogue, x_type=x_type, tile=tile)(x[..., None, None])[..., 0, 0]


def _filled(vector: np.ndarray, width: int) -> np.ndarray:
    result = np.zeros(width, np.int32)
    result[: len(vector)] = vector
    return result


def _checked(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> str:
    for name, array, allowed in (("x", x, tuple(_TYPES)), ("w", w, tuple(_TYPES)), ("b", b, (np.int32,))):
        if array.dtype.type not in allowed:
            raise TypeError(f"`{name}` must be {' or '.join(t.__name__ for t in allowed)}, got {array.dtype}")
    return _TYPES[x.dtype.type]
