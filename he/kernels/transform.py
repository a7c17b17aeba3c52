"""The negacyclic number-theoretic transform and its inverse, in place, on eight residues at a time.

Two stages at once where they fit; and once a block is small, all of its stages, so that it stays in the first cache.
Numba's cache on disk looks at this file alone: whoever changes `lanes` must touch it.
"""

import numba

from he.kernels import lanes
from intnn.arrays import Array
from intnn.kernels.emit import emitted

CACHED = 2048  # residues of a block that stays in the first cache

forward_4, forward_16, forward_32 = emitted(lanes.forward_4), emitted(lanes.forward_16), emitted(lanes.forward_32)
inverse_4, inverse_16, inverse_32 = emitted(lanes.inverse_4), emitted(lanes.inverse_16), emitted(lanes.inverse_32)
scale = emitted(lanes.scale)


@numba.njit(cache=True, nogil=True)
def forward(x: Array, w: Array, quotients: Array, prime: int) -> None:
    """Transform uint64 [N], in place; from below 4 p to below p."""
    N, address = x.size, x.ctypes.data
    size, blocks = N, 1
    while size > CACHED:
        forward_pass(address, 0, blocks, blocks, size, w, quotients, prime)
        size, blocks = size // 4, blocks * 4
    for block in range(blocks):
        start = address + 8 * block * size
        inner, count = size, 1
        while inner > 32:
            forward_pass(start, block * count, count, blocks * count, inner, w, quotients, prime)
            inner, count = inner // 4, count * 4
        for i in range(count):
            k = (blocks + block) * count + i
            if inner == 32:
                forward_32((start + 256 * i, w.ctypes.data, quotients.ctypes.data, k, prime))
            else:
                forward_16((start + 128 * i, w.ctypes.data, quotients.ctypes.data, k, prime))


@numba.njit(cache=True, nogil=True)
def forward_pass(
    address: int, first: int, count: int, m: int, size: int, w: Array, quotients: Array, prime: int
) -> None:
    """Two stages on ``count`` blocks, the ``first`` one of m and those behind it."""
    stride = 2 * size  # a quarter of a block, in bytes
    for i in range(count):
        k = m + first + i
        w0, q0 = w[k], quotients[k]
        w1, q1, w2, q2 = w[2 * k], quotients[2 * k], w[2 * k + 1], quotients[2 * k + 1]
        start = address + 8 * i * size
        for j in range(0, stride, 64):
            forward_4((start + j, stride, w0, q0, w1, q1, w2, q2, prime))


@numba.njit(cache=True, nogil=True)
def inverse(x: Array, w: Array, quotients: Array, prime: int, degree: int, degree_quotient: int) -> None:
    """The inverse transform of uint64 [N], in place; from below 2 p to below p."""
    N, address = x.size, x.ctypes.data
    size, blocks = N, 1
    while size > CACHED:
        size, blocks = size // 4, blocks * 4
    inner = size
    while inner > 32:
        inner //= 4
    for block in range(blocks):
        start, count, reached = address + 8 * block * size, size // inner, inner
        for i in range(count):
            k = (blocks + block) * count + i
            if inner == 32:
                inverse_32((start + 256 * i, w.ctypes.data, quotients.ctypes.data, k, prime))
            else:
                inverse_16((start + 128 * i, w.ctypes.data, quotients.ctypes.data, k, prime))
        while reached < size:
            reached, count = reached * 4, count // 4
            inverse_pass(start, block * count, count, blocks * count, reached, w, quotients, prime)
    while size < N:
        size, blocks = size * 4, blocks // 4
        inverse_pass(address, 0, blocks, blocks, size, w, quotients, prime)
    for j in range(0, 8 * N, 64):
        scale((address + j, address + j, degree, degree_quotient, prime))


@numba.njit(cache=True, nogil=True)
def inverse_pass(
    address: int, first: int, count: int, m: int, size: int, w: Array, quotients: Array, prime: int
) -> None:
    """Two stages of the inverse on ``count`` blocks."""
    stride = 2 * size
    for i in range(count):
        k = m + first + i
        w0, q0 = w[k], quotients[k]
        w1, q1, w2, q2 = w[2 * k], quotients[2 * k], w[2 * k + 1], quotients[2 * k + 1]
        start = address + 8 * i * size
        for j in range(0, stride, 64):
            inverse_4((start + j, stride, w1, q1, w2, q2, w0, q0, prime))
