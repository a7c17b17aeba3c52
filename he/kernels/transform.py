"""The negacyclic number-theoretic transform and its inverse, in place, on eight residues at a time.

Two stages at once where they fit; and once a block is small, all of its stages, so that it stays in the first cache.
Numba's cache on disk looks at this file alone: whoever changes `lanes` or `butterflies` must touch it.
"""

import numba

from he.kernels import butterflies, lanes
from intnn.arrays import Array
from intnn.kernels.emit import emitted

CACHED = 2048  # residues of a block that stays in the first cache

forward_4, lift_forward_4 = emitted(butterflies.forward_4), emitted(butterflies.lift_forward_4)
forward_16, forward_32 = emitted(butterflies.forward_16), emitted(butterflies.forward_32)
inverse_4, inverse_16, inverse_32 = (
    emitted(kind) for kind in (butterflies.inverse_4, butterflies.inverse_16, butterflies.inverse_32)
)
lift = emitted(lanes.lift)
inverse_4_last, inverse_finish = emitted(butterflies.inverse_4_last), emitted(butterflies.inverse_finish)


@numba.njit(cache=True, nogil=True)
def forward(x: Array, w: Array, quotients: Array, prime: int) -> None:
    """Transform uint64 [N], in place; from below 4 p to below p."""
    forward_from(x.ctypes.data, x.size, 1, w, quotients, prime)


@numba.njit(cache=True, nogil=True)
def lift_forward(x: Array, one: int, shift: int, w: Array, quotients: Array, prime: int, out: Array) -> None:
    """The transform of x + shift, for any x < 2**52, to another array; ``one`` is the quotient of 1."""
    N, source, target = x.size, x.ctypes.data, out.ctypes.data
    if N <= CACHED:
        for j in range(0, 8 * N, 64):
            lift((source + j, target + j, one, shift, prime))
        forward_from(target, N, 1, w, quotients, prime)
        return
    stride = 2 * N  # a quarter, in bytes
    for j in range(0, stride, 64):
        lift_forward_4((
            source + j, target + j, stride, w[1], quotients[1], w[2], quotients[2], w[3], quotients[3],
            one, shift, prime,
        ))  # fmt: skip
    forward_from(target, N // 4, 4, w, quotients, prime)


@numba.njit(cache=True, nogil=True)
def forward_from(address: int, size: int, blocks: int, w: Array, quotients: Array, prime: int) -> None:
    """The stages that are left for so many blocks of a size."""
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
def inverse(
    x: Array, w: Array, quotients: Array, prime: int, degree: int, degree_quotient: int, added: int, out: Array
) -> None:
    """The inverse transform of uint64 [N] plus a number, to another array or the same; from below 2 p to below p."""
    N, source, target = x.size, x.ctypes.data, out.ctypes.data
    size, blocks = N, 1
    while size > CACHED:
        size, blocks = size // 4, blocks * 4
    inner = size
    while inner > 32:
        inner //= 4
    for block in range(blocks):
        start, count, reached = 8 * block * size, size // inner, inner
        for i in range(count):
            k = (blocks + block) * count + i
            place = start + 8 * inner * i
            if inner == 32:
                inverse_32((source + place, target + place, w.ctypes.data, quotients.ctypes.data, k, prime))
            else:
                inverse_16((source + place, target + place, w.ctypes.data, quotients.ctypes.data, k, prime))
        while reached < size:
            reached, count = reached * 4, count // 4
            inverse_pass(target + start, block * count, count, blocks * count, reached, w, quotients, prime)
    if size == N:
        for j in range(0, 8 * N, 64):
            inverse_finish((target + j, degree, degree_quotient, added, prime))
        return
    while 4 * size < N:
        size, blocks = size * 4, blocks // 4
        inverse_pass(target, 0, blocks, blocks, size, w, quotients, prime)
    stride = 2 * N
    for j in range(0, stride, 64):
        inverse_4_last((
            target + j, stride, w[2], quotients[2], w[3], quotients[3], w[1], quotients[1],
            degree, degree_quotient, added, prime,
        ))  # fmt: skip


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
