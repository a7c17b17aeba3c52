"""The negacyclic number-theoretic transform and its inverse, in place, on eight residues at a time.

Two stages at once where they fit; once a block is small, all of its stages, so that it stays in the first cache; and
the last five or six in registers. Tables of powers are `arranged`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from he.kernels.instructions import butterflies
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.machine.memory import words
from intnn.machine.shared import shared
from intnn.values.arrays import Array

CACHED = 2048  # residues of a block that stays in the first cache
LOOSE = 1 << butterflies.LOOSE_BITS  # primes below have kernels of their own
CHUNK = butterflies.CHUNK


def _both(emit: Callable[..., None], **options: object) -> tuple[Any, Any]:
    """For large primes, and for those below `LOOSE`."""
    strict, loose = (emitted(partial(emit, loose=kind, **options)) for kind in (False, True))
    return strict, loose


forward_4, forward_4_loose = _both(butterflies.forward_4)
lift_forward_4, lift_forward_4_loose = _both(butterflies.lift_forward_4)
lift, lift_loose = _both(butterflies.lift)
last_5, last_5_loose = _both(butterflies.forward_last, stages=5, finished=True)
last_6, last_6_loose = _both(butterflies.forward_last, stages=6, finished=True)
last_5_lazy, last_6_lazy = (
    emitted(partial(butterflies.forward_last, stages=stages, loose=True, finished=False)) for stages in (5, 6)
)
first_5, first_5_loose = _both(butterflies.inverse_first, stages=5)
first_6, first_6_loose = _both(butterflies.inverse_first, stages=6)
inverse_4, inverse_4_loose = _both(butterflies.inverse_4)
inverse_4_last, inverse_4_last_loose = _both(butterflies.inverse_4_last)
inverse_finish = emitted(butterflies.inverse_finish)


@compiled
def forward(x: Array, w: Array, quotients: Array, prime: int) -> None:
    """Transform uint64 [N], in place; from below 2**52 to below p."""
    lift_forward(x, quotients[0], 0, w, quotients, prime, x, True)


@compiled
def lift_forward(
    x: Array, one: int, shift: int, w: Array, quotients: Array, prime: int, out: Array, finished: bool
) -> None:
    """The transform of x + shift, for any x < 2**52, to another array or the same.

    Args:
        x: uint64 [N].
        one: The quotient of 1.
        shift: Below p.
        w: Powers of the root, `arranged`.
        quotients: Theirs.
        prime: p.
        out: uint64 [N], written.
        finished: Residues are below p in the end. If not, and p is below `LOOSE`, the low 52 bits are below `LARGEST`
            p, and those above may be anything.
    """
    source, target, powers, their_quotients = x.ctypes.data, out.ctypes.data, w.ctypes.data, quotients.ctypes.data
    lift_forward_at((source, x.size, one, shift, powers, their_quotients, prime, target, finished))


@shared
def lift_forward_at(
    source: int, N: int, one: int, shift: int, powers: int, their_quotients: int, prime: int, target: int, finished: int
) -> None:
    """`lift_forward` by addresses."""
    w, quotients = words(powers, N), words(their_quotients, N)
    if N <= CACHED:
        for j in range(0, 8 * N, 64):
            if prime < LOOSE:
                lift_loose((source + j, target + j, one, shift, prime))
            else:
                lift((source + j, target + j, one, shift, prime))
        forward_from(target, N, 1, w, quotients, prime, finished)
        return
    stride = 2 * N  # a quarter, in bytes
    w0, q0, w1, q1, w2, q2 = w[1], quotients[1], w[2], quotients[2], w[3], quotients[3]
    if prime < LOOSE:
        for j in range(0, stride, 64):
            lift_forward_4_loose((source + j, target + j, stride, w0, q0, w1, q1, w2, q2, one, shift, prime))
    else:
        for j in range(0, stride, 64):
            lift_forward_4((source + j, target + j, stride, w0, q0, w1, q1, w2, q2, one, shift, prime))
    forward_from(target, N // 4, 4, w, quotients, prime, finished)


@compiled
def forward_from(address: int, size: int, blocks: int, w: Array, quotients: Array, prime: int, finished: int) -> None:
    """The stages that are left for so many blocks of a size."""
    while size > CACHED:
        forward_pass(address, 0, blocks, blocks, size, w, quotients, prime)
        size, blocks = size // 4, blocks * 4
    powers, their_quotients = w.ctypes.data, quotients.ctypes.data
    for block in range(blocks):
        start = address + 8 * block * size
        inner, count = size, 1
        while inner > CHUNK:
            forward_pass(start, block * count, count, blocks * count, inner, w, quotients, prime)
            inner, count = inner // 4, count * 4
        chunks = size // CHUNK
        for i in range(chunks):
            place, k = start + 8 * CHUNK * i, (blocks + block) * chunks + i
            if prime >= LOOSE:
                if inner == CHUNK:
                    last_6((place, powers, their_quotients, k, prime))
                else:
                    last_5((place, powers, their_quotients, k, prime))
            elif finished:
                if inner == CHUNK:
                    last_6_loose((place, powers, their_quotients, k, prime))
                else:
                    last_5_loose((place, powers, their_quotients, k, prime))
            elif inner == CHUNK:
                last_6_lazy((place, powers, their_quotients, k, prime))
            else:
                last_5_lazy((place, powers, their_quotients, k, prime))


@compiled
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
        if prime < LOOSE:
            for j in range(0, stride, 64):
                forward_4_loose((start + j, stride, w0, q0, w1, q1, w2, q2, prime))
        else:
            for j in range(0, stride, 64):
                forward_4((start + j, stride, w0, q0, w1, q1, w2, q2, prime))


@compiled
def inverse(
    x: Array, w: Array, quotients: Array, prime: int, degree: int, degree_quotient: int, added: int, out: Array
) -> None:
    """The inverse transform of uint64 [N] plus a number, to another array or the same; from below 2 p to below p."""
    source, target, powers, their_quotients = x.ctypes.data, out.ctypes.data, w.ctypes.data, quotients.ctypes.data
    inverse_at((source, x.size, powers, their_quotients, prime, degree, degree_quotient, added, target))


@shared
def inverse_at(
    source: int,
    N: int,
    powers: int,
    their_quotients: int,
    prime: int,
    degree: int,
    degree_quotient: int,
    added: int,
    target: int,
) -> None:
    """`inverse` by addresses."""
    w, quotients = words(powers, N), words(their_quotients, N)
    size, blocks = N, 1
    while size > CACHED:
        size, blocks = size // 4, blocks * 4
    inner = size
    while inner > CHUNK:
        inner //= 4
    chunks = size // CHUNK
    for block in range(blocks):
        start = 8 * block * size
        for i in range(chunks):
            place, k = start + 8 * CHUNK * i, (blocks + block) * chunks + i
            if inner == CHUNK:
                if prime < LOOSE:
                    first_6_loose((source + place, target + place, powers, their_quotients, k, prime))
                else:
                    first_6((source + place, target + place, powers, their_quotients, k, prime))
            elif prime < LOOSE:
                first_5_loose((source + place, target + place, powers, their_quotients, k, prime))
            else:
                first_5((source + place, target + place, powers, their_quotients, k, prime))
        reached, count = inner, size // inner
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
    w0, q0, w1, q1, w2, q2 = w[1], quotients[1], w[2], quotients[2], w[3], quotients[3]
    if prime < LOOSE:
        for j in range(0, stride, 64):
            inverse_4_last_loose((target + j, stride, w0, q0, w1, q1, w2, q2, degree, degree_quotient, added, prime))
    else:
        for j in range(0, stride, 64):
            inverse_4_last((target + j, stride, w0, q0, w1, q1, w2, q2, degree, degree_quotient, added, prime))


@compiled
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
        if prime < LOOSE:
            for j in range(0, stride, 64):
                inverse_4_loose((start + j, stride, w0, q0, w1, q1, w2, q2, prime))
        else:
            for j in range(0, stride, 64):
                inverse_4((start + j, stride, w0, q0, w1, q1, w2, q2, prime))
