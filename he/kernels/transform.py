"""The negacyclic number-theoretic transform and its inverse, in place, on eight residues at a time.

Two stages at once where they fit; and once a block is small, all of its stages, so that it stays in the first cache.
Numba's cache on disk looks at this file alone: whoever changes `lanes` must touch it.
"""

import numba

from he.kernels import lanes
from intnn.arrays import Array
from intnn.kernels.emit import emitted

CACHED = 2048  # residues of a block that stays in the first cache

forward_2, forward_4 = emitted(lanes.forward_2), emitted(lanes.forward_4)
inverse_2, inverse_4 = emitted(lanes.inverse_2), emitted(lanes.inverse_4)
forward_last, inverse_first = emitted(lanes.forward_last), emitted(lanes.inverse_first)
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
        while inner >= 32:
            forward_pass(start, block * count, count, blocks * count, inner, w, quotients, prime)
            inner, count = inner // 4, count * 4
        if inner == 16:
            for i in range(count):
                k = blocks * count + block * count + i
                forward_2((start + 128 * i, 64, w[k], quotients[k], prime))
            inner, count = 8, count * 2
        m = blocks * count
        w_at, q_at = w.ctypes.data, quotients.ctypes.data
        for i in range(0, count, 2):
            k = 8 * (m + block * count + i)
            forward_last(
                (start + 64 * i, w_at + k, q_at + k, w_at + 2 * k, q_at + 2 * k, w_at + 4 * k, q_at + 4 * k, prime)
            )


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
    w_at, q_at = w.ctypes.data, quotients.ctypes.data
    for block in range(blocks):
        start, count, inner = address + 8 * block * size, size // 8, 8
        m = blocks * count
        for i in range(0, count, 2):
            k = 8 * (m + block * count + i)
            inverse_first(
                (start + 64 * i, w_at + 4 * k, q_at + 4 * k, w_at + 2 * k, q_at + 2 * k, w_at + k, q_at + k, prime)
            )
        if is_odd_power(size):
            pass
        else:
            count //= 2
            inner = 16
            for i in range(count):
                k = blocks * count + block * count + i
                inverse_2((start + 128 * i, 64, w[k], quotients[k], prime))
        while inner < size:
            inner, count = inner * 4, count // 4
            inverse_pass(start, block * count, count, blocks * count, inner, w, quotients, prime)
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


@numba.njit(cache=True, nogil=True)
def is_odd_power(size: int) -> bool:
    """Whether log2(size) is odd: then stages pair up behind the three within vectors."""
    bits = 0
    while size > 1:
        size //= 2
        bits += 1
    return bits % 2 == 1
