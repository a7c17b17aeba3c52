"""Symmetric encryption, as SEAL has it: errors of its law, and a polynomial that hides them and a message."""

from he.kernels.instructions import lanes
from he.kernels.passes.functional import transformed
from he.kernels.tables.chain import Tables
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.values.arrays import Array, IntArray

subtract_product, noisy_words = emitted(lanes.subtract_product), emitted(lanes.noisy)
HALF = 21  # coins of either sign that make an error


@compiled
def noisy(uniform: Array, x: Array, out: IntArray) -> None:
    """Round numbers up or down at random, to the right mean, and add errors of SEAL's law to them.

    An error is the number of heads among 21 coins, less that among 21 others: of mean 0 and variance 10.5. No branch
    and no address depends on them.

    Args:
        uniform: Uniform words, uint64 [n], n a multiple of 8: the lowest 42 bits are the coins, and the 22 above them
            the fraction that is added to a number before it is rounded down.
        x: float64 [n], below 2**59 in magnitude.
        out: int64 [n], written.
    """
    for k in range(0, 8 * out.size, 64):
        noisy_words((uniform.ctypes.data + k, x.ctypes.data + k, out.ctypes.data + k, HALF))


@compiled
def encrypted(tables: Tables, message: IntArray, secret: Array, mask: Array, out: Array) -> None:
    """Compute message - mask secret, transformed: with ``mask`` it is a ciphertext of the message, error included.

    Args:
        tables: The chain's.
        message: int64 [1, N], below 2**60 in magnitude, errors included.
        secret: The secret times 2**52, transformed: uint64 [at least level, N].
        mask: A uniform polynomial, transformed: uint64 [level, N].
        out: uint64 [1, level, N], written.
    """
    transformed(tables, message, out)
    for j in range(out.shape[1]):
        p, montgomery = tables.constants[j].modulus, tables.constants[j].montgomery
        row, y, w = out[0, j].ctypes.data, mask[j].ctypes.data, secret[j].ctypes.data
        for k in range(0, 8 * out.shape[2], 64):
            subtract_product((row + k, y + k, w + k, row + k, p, montgomery))
