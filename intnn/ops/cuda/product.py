"""Dense and convolutional layers on a GPU: operands are laid out, and the kernels of `intnn.ops.cuda.gemm` launched.

`dense` and `conv2d` take and return host arrays. `Product` keeps a layer's parameters on the device and works
on device arrays, so that the output of one layer is the input of the next.
"""

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numba import cuda

from intnn.ops.cuda.gemm import Tile, dot_kernel, tensor_kernel
from intnn.values.arrays import IntArray

DeviceArray = Any  # numba.cuda's, or its simulator's
TENSOR = Tile()
ALIGNED = 16  # bytes; every row and every pixel begins on such a border
_TYPES = MappingProxyType({np.int8: "s8", np.uint8: "u8"})


@dataclass(frozen=True, eq=False)
class Epilogue:
    """What becomes of a sum: min(max(floor((sum multiplier + 2**(shift - 1)) / 2**shift), lo), hi), then a table.

    Attributes:
        multiplier: int32 [columns], one factor for each column.
        shift: The exponent of the divisor, in [0, 62].
        lo: The smallest value that is looked up.
        hi: The largest value that is looked up.
        table: int8 or uint8 [hi - lo + 1]; the result has its dtype.
    """

    multiplier: IntArray
    shift: int
    lo: int
    hi: int
    table: np.ndarray


def channels_last(x: np.ndarray) -> np.ndarray:
    """Bring 8-bit [n, c, h, w] to flat int32 words [n, h, w, c'], where zeros fill c up to a multiple of 16."""
    filled = np.zeros((len(x), *x.shape[2:], -(-x.shape[1] // ALIGNED) * ALIGNED), x.dtype)
    filled[..., : x.shape[1]] = x.transpose(0, 2, 3, 1)
    return filled.reshape(-1).view(np.int32)


def offsets(kernel: tuple[int, int], width: int, pixel: int, piece: int) -> np.ndarray:
    """Where a window's pieces lie: int32 [pieces * 3] of (row, column, words from the window's first pixel).

    Args:
        kernel: Height and width of the window.
        width: The width of the image.
        pixel: The words of a pixel.
        piece: The words of a piece, a divisor of ``pixel``.
    """
    down, across, skip = np.meshgrid(*map(np.arange, kernel), np.arange(0, pixel, piece), indexing="ij")
    return np.stack([down, across, (down * width + across) * pixel + skip], -1).astype(np.int32).ravel()


@cache
def _compiled(tile: Tile | None, x_type: str, w_type: str, fused: bool) -> Any:
    return cuda.jit(tensor_kernel(tile, x_type, w_type, fused) if tile else dot_kernel(x_type, w_type, fused))


class Product:
    """A convolution, or a dense layer as the convolution of images of one pixel, with its parameters on the device.

    Args:
        w: The weights, int8 or uint8 [out, in, kh, kw].
        b: The bias, int32 [out]; every sum, bias included, must fit in int32.
        image: The height and width of the input.
        stride: The step of the window.
        padding: The rows and columns of zeros on every side.
        epilogue: What becomes of the sums; None leaves int32 sums.
        x_type: The type of the inputs, "s8" or "u8".
        tile: The tensor cores' tile (compute capability 8.0 and later); None calculates with dp4a (6.1 and later).
    """

    def __init__(
        self,
        w: np.ndarray,
        b: np.ndarray,
        image: tuple[int, int] = (1, 1),
        stride: int = 1,
        padding: int = 0,
        epilogue: Epilogue | None = None,
        x_type: str = "s8",
        tile: Tile | None = TENSOR,
    ) -> None:
        out, channels, *kernel = w.shape
        piece = 4 if tile else 1
        self.image, self.columns = image, out
        self.out_image = tuple((n + 2 * padding - k) // stride + 1 for n, k in zip(image, kernel, strict=True))
        self.out_dtype = np.dtype(np.int32) if epilogue is None else epilogue.table.dtype
        self._kernel = _compiled(tile, x_type, _TYPES[w.dtype.type], epilogue is not None)
        self._block = (tile.rows, tile.columns, tile.threads) if tile else (64, 64, 256)
        self._pixel = -(-channels // ALIGNED) * ALIGNED // 4
        width = self.row_width
        multiplier = np.ones(out) if epilogue is None else epilogue.multiplier
        table = np.zeros(1, np.uint8) if epilogue is None else epilogue.table.view(np.uint8)
        places = offsets((kernel[0], kernel[1]), image[1], self._pixel, piece)
        self._chunks = len(places) // 3
        self.w = cuda.to_device(channels_last(w))
        self.b = cuda.to_device(_filled(b, width))
        vectors = (places, _filled(multiplier, width), table)
        self._vectors = tuple(cuda.to_device(np.ascontiguousarray(vector)) for vector in vectors)
        area = self.out_image[0] * self.out_image[1]
        self._geometry = (*image, self._pixel, area, self.out_image[1], stride, padding)
        self._requantise = (0, 0, 0) if epilogue is None else (epilogue.shift, epilogue.lo, epilogue.hi)

    @property
    def row_width(self) -> int:
        """The columns of the result, with those that fill it up to a multiple of 16."""
        return -(-self.columns // ALIGNED) * ALIGNED

    def output(self, images: int) -> DeviceArray:
        """Room on the device for the result of so many images, in int32 words."""
        rows = images * self.out_image[0] * self.out_image[1]
        return cuda.device_array(rows * self.row_width * self.out_dtype.itemsize // 4, np.int32)

    def launch(self, x: DeviceArray, y: DeviceArray, images: int) -> None:
        """Multiply words that `channels_last` has laid out, and write rows of ``row_width``."""
        rows = images * self.out_image[0] * self.out_image[1]
        grid = -(-rows // self._block[0]), -(-self.row_width // self._block[1])
        sizes = (rows, self.columns, self._chunks)
        places, *vectors = self._vectors
        self._kernel[grid, self._block[2]](
            x, self.w, y, places, self.b, *vectors, sizes, self._geometry, self._requantise
        )  # fmt: skip

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
    tile: Tile | None = TENSOR,
) -> np.ndarray:
    """Convolve 8-bit [batch, in, h, w] with 8-bit [out, in, kh, kw], and add int32 [out].

    The result [batch, out, h', w'] has int32, or the dtype of the epilogue's table.

    Raises:
        TypeError: An operand has another dtype.
    """
    x_type = _checked(x, w, b)
    return Product(w, b, (x.shape[2], x.shape[3]), stride, padding, epilogue, x_type, tile)(x)


def dense(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, epilogue: Epilogue | None = None, tile: Tile | None = TENSOR
) -> np.ndarray:
    """Multiply 8-bit [batch, in] by 8-bit [out, in], and add int32 [out].

    The result [batch, out] has int32, or the dtype of the epilogue's table.

    Raises:
        TypeError: An operand has another dtype.
    """
    x_type = _checked(x, w, b)
    return Product(w[..., None, None], b, epilogue=epilogue, x_type=x_type, tile=tile)(x[..., None, None])[..., 0, 0]


def _filled(vector: np.ndarray, width: int) -> np.ndarray:
    filled = np.zeros(width, np.int32)
    filled[: len(vector)] = vector
    return filled


def _checked(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> str:
    for name, array, allowed in (("x", x, tuple(_TYPES)), ("w", w, tuple(_TYPES)), ("b", b, (np.int32,))):
        if array.dtype.type not in allowed:
            raise TypeError(f"`{name}` must be {' or '.join(t.__name__ for t in allowed)}, got {array.dtype}")
    return _TYPES[x.dtype.type]
