"""Table lookup on a GPU, four bytes to a word; `intnn.ops.reference.lookup` defines the result."""

from typing import Any

import numpy as np
from numba import cuda, int32

from intnn.machine.cuda.launch import launch


def lookup_kernel(x, table, y):  # type: ignore[no-untyped-def]
    """Write table[x] for every byte of x: x and y are int32 words [n], the table is uint8 [256], by a byte's bits."""
    shared = cuda.shared.array(256, int32)  # words: two threads that look up two bytes of one word do not collide
    for i in range(cuda.threadIdx.x, 256, cuda.blockDim.x):
        shared[i] = table[i]
    cuda.syncthreads()
    for i in range(cuda.grid(1), x.shape[0], cuda.gridsize(1)):
        word, result = x[i], int32(0)
        for k in range(4):
            result |= shared[(word >> (8 * k)) & 255] << (8 * k)
        y[i] = result


def launch_lookup(x: Any, table: Any, y: Any) -> None:
    """Launch `lookup_kernel` on device arrays."""
    launch(lookup_kernel, len(x), x, table, y)


def bits_of(table: np.ndarray, lo: int) -> np.ndarray:
    """A table of bytes [n] for values from ``lo`` on as `lookup_kernel` reads it: uint8 [256], by a value's bits."""
    bits = np.zeros(256, np.uint8)
    bits[np.arange(lo, lo + len(table)) & 255] = table.view(np.uint8)
    return bits


def lookup(x: np.ndarray, table: np.ndarray, lo: int) -> np.ndarray:
    """The elementwise table[x - lo] of int8 or uint8 values; the table is 8-bit too and has at most 256 points."""
    words = np.zeros(-(-x.size // 4), np.int32)
    words.view(np.uint8)[: x.size] = x.view(np.uint8).ravel()
    y = cuda.device_array(words.size, np.int32)
    launch_lookup(cuda.to_device(words), cuda.to_device(bits_of(table, lo)), y)
    return y.copy_to_host().view(table.dtype)[: x.size].reshape(x.shape)
