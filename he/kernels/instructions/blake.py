"""BLAKE2Xb for whatever computes with words of 64 bits: written once, as additions, exclusive ors and rotations.

J.-P. Aumasson et al., "BLAKE2X", 2016; the compression is BLAKE2b's (RFC 7693). An `Arithmetic` that emits instructions
of LLVM gives straight code, for a word or for a vector of words of a processor, or for a thread of a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # who counts bytes needs no compiler
    from intnn.machine.simd import Builder, Value

BUFFER = 4096  # bytes that are drawn at once
NODE = 64  # bytes of them that are computed by themselves
INITIAL = (
    0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
    0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
)  # fmt: skip
_ORDERS = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)
ORDERS = (*_ORDERS, *_ORDERS[:2])  # of the message's words, in each of twelve rounds
PLACES = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip
ALL = (1 << 64) - 1


class Arithmetic(Protocol):
    """What computes with words of 64 bits."""

    def word(self, number: int, /) -> Value:
        """Return a number as a word."""

    def add(self, x: Value, y: Value, /) -> Value:
        """Add modulo 2**64."""

    def xor(self, x: Value, y: Value, /) -> Value:
        """Take the exclusive or."""

    def rotated(self, x: Value, bits: int, /) -> Value:
        """Rotate to the right."""


@dataclass(frozen=True)
class Emitted:
    """Instructions of LLVM.

    Attributes:
        builder: what emits them.
        word: makes a constant of the type that is computed with, a word or a vector of words.
    """

    builder: Builder
    word: Callable[[int], Value]

    def add(self, x: Value, y: Value) -> Value:
        """See `Arithmetic`."""
        return self.builder.add(x, y)

    def xor(self, x: Value, y: Value) -> Value:
        """See `Arithmetic`."""
        return self.builder.xor(x, y)

    def rotated(self, x: Value, bits: int) -> Value:
        """See `Arithmetic`."""
        b = self.builder
        return b.or_(b.lshr(x, self.word(bits)), b.shl(x, self.word(64 - bits)))


class Integers:
    """Plain integers of Python."""

    word = int

    def add(self, x: int, y: int) -> int:
        """See `Arithmetic`."""
        return x + y & ALL

    def xor(self, x: int, y: int) -> int:
        """See `Arithmetic`."""
        return x ^ y

    def rotated(self, x: int, bits: int) -> int:
        """See `Arithmetic`."""
        return x >> bits | x << 64 - bits & ALL


def root(on: Arithmetic, seed: Sequence[Value], counter: Value) -> list[Value]:
    """Compute the root of the ``counter``-th buffer of SEAL's generator, 8 words, from a seed of 8 words."""
    state = [on.word(initial) for initial in INITIAL]
    # Digest of 64 bytes, key of 64, fan-out and depth 1; and in the second word the length of the whole output.
    state[0] = on.xor(state[0], on.word(0x01014040))
    state[1] = on.xor(state[1], on.word(BUFFER << 32))
    state = _compressed(on, state, seed, 128, is_last=False)
    return _compressed(on, state, [counter], 136, is_last=True)


def node(on: Arithmetic, root: Sequence[Value], number: Value) -> list[Value]:
    """Compute node ``number`` of a buffer, 8 words, from its root."""
    state = [on.word(initial) for initial in INITIAL]
    # Digest of 64 bytes, no key, leaves of 64 bytes; the node's number; inner digests of 64 bytes.
    state[0] = on.xor(state[0], on.word(NODE | NODE << 32))
    state[1] = on.xor(state[1], on.xor(on.word(BUFFER << 32), number))
    state[2] = on.xor(state[2], on.word(NODE << 8))
    return _compressed(on, state, root, NODE, is_last=True)


def _compressed(
    on: Arithmetic, state: Sequence[Value], block: Sequence[Value], count: int, *, is_last: bool
) -> list[Value]:
    """Compress a block, behind whose words there are zeros, into a state of 8 words, after so many bytes."""
    message = [*block, *[on.word(0)] * (16 - len(block))]
    v = [*state, *[on.word(initial) for initial in INITIAL]]
    v[12] = on.xor(v[12], on.word(count))
    v[14] = on.xor(v[14], on.word(ALL if is_last else 0))
    for order in ORDERS:
        for n, (a, b, c, d) in enumerate(PLACES):
            for added, turned in zip(order[2 * n : 2 * n + 2], ((32, 24), (16, 63)), strict=True):
                v[a] = on.add(on.add(v[a], v[b]), message[added])
                v[d] = on.rotated(on.xor(v[d], v[a]), turned[0])
                v[c] = on.add(v[c], v[d])
                v[b] = on.rotated(on.xor(v[b], v[c]), turned[1])
    return [on.xor(state[i], on.xor(v[i], v[8 + i])) for i in range(8)]
