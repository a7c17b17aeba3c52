"""Polynomials over Z_t for a prime t of at most 50 bits, as int64 arrays of ascending coefficients.

Interpolation multiplies along a binary tree, block by block with floating-point transforms, so that its time is nearly
linear in the number of points (von zur Gathen and Gerhard, *Modern Computer Algebra*, chapter 10).
"""

from __future__ import annotations

import math

import numpy as np

from he.ring.arithmetic import centred, matrix_product, product

_WHOLE, _PART = 16, 8  # bits of the parts into which one factor and the other are cut, for products exact in float64


def vanishing(points: np.ndarray, t: int) -> np.ndarray:
    """Return the monic polynomial of degree D that is zero at D points: int64 [D + 1]."""
    blocks = _leaves(points, t)
    while len(blocks) > 1:
        blocks = multiply(blocks[::2], blocks[1::2], t)
    return blocks[0, blocks.shape[1] - 1 - len(points) :]


def interpolate(points: np.ndarray, values: np.ndarray, zero: np.ndarray, t: int) -> np.ndarray:
    """Return the polynomial of degree below D through D distinct points, of which `zero` is the vanishing one."""
    # Lagrange: the sum of y_i / M'(x_i) times M(x) / (x - x_i), where M is zero at all points.
    slopes = evaluate(product(zero[1:], np.arange(1, len(zero)), t), points % t, t)
    blocks = _leaves(points, t)
    sums = np.zeros((len(blocks), 1), np.int64)
    sums[: len(points), 0] = product(values % t, _inverse(slopes, t), t)
    while len(blocks) > 1:
        left, right = blocks[::2], blocks[1::2]
        sums = (multiply(sums[::2], right, t) + multiply(sums[1::2], left, t)) % t
        blocks = multiply(left, right, t)
    return sums[0, sums.shape[1] - len(points) :]


def divide(p: np.ndarray, monic: np.ndarray, t: int) -> tuple[np.ndarray, np.ndarray]:
    """Return quotient and remainder of p by a monic polynomial of at most its length."""
    remainder, degree = p.copy(), len(monic) - 1
    quotient = np.zeros(len(p) - degree, np.int64)
    for i in range(len(quotient) - 1, -1, -1):
        quotient[i] = remainder[i + degree]
        part = remainder[i : i + degree + 1]
        part[:] = (part - product(monic, int(quotient[i]), t)) % t
    return quotient, remainder[:degree]


def multiply(a: np.ndarray, b: np.ndarray, t: int) -> np.ndarray:
    """Return the products of rows [n, i] and [n, j]: [n, i + j - 1].

    The factors are cut into parts of about 16 and 8 bits, of which a modulus of 17 bits has one and two: the sums of
    2^16 products of parts are below 2^40, and the transforms err by far less than one half.
    """
    length = a.shape[1] + b.shape[1] - 1
    size = 1 << (length - 1).bit_length()
    wholes = [np.fft.rfft(part, size) for part in _parts(centred(a, t), _WHOLE, t)]
    parts = [np.fft.rfft(part, size) for part in _parts(b, _PART, t)]
    total = np.zeros((len(a), length), np.int64)
    for i, whole in enumerate(wholes):
        for j, part in enumerate(parts):
            made = np.rint(np.fft.irfft(whole * part, size)[:, :length]).astype(np.int64) % t
            total = (total + product(made, pow(2, _WHOLE * i + _PART * j, t), t)) % t
    return total


def _parts(values: np.ndarray, bits: int, t: int) -> list[np.ndarray]:
    """Return the parts of residues, the lowest first; the last one has what is left, a bit more, and the sign."""
    count = max(1, -(-(t.bit_length() - 1) // bits))
    low = [values >> bits * i & ((1 << bits) - 1) for i in range(count - 1)]
    return [*low, values >> bits * (count - 1)]


def evaluate(p: np.ndarray, points: np.ndarray, t: int) -> np.ndarray:
    """Return a polynomial's values at points: by blocks of about the root of its length, then by Horner's rule."""
    size = math.isqrt(len(p) - 1) + 1
    powers = np.empty((size, len(points)), np.int64)
    powers[0] = 1
    for i in range(1, size):
        powers[i] = product(powers[i - 1], points, t)
    step = product(powers[-1], points, t)
    blocks = np.zeros((-(-len(p) // size), size), np.int64)
    blocks.ravel()[: len(p)] = p
    result = np.zeros(len(points), np.int64)
    for part in matrix_product(centred(blocks, t), centred(powers, t), t)[::-1]:
        result = (product(result, step, t) + part) % t
    return result


def _leaves(points: np.ndarray, t: int) -> np.ndarray:
    """Return x - x_i for every point and x for as many more as make a power of two: [2^n, 2]."""
    leaves = np.zeros((1 << (len(points) - 1).bit_length(), 2), np.int64)
    leaves[:, 1] = 1
    leaves[: len(points), 0] = -points % t
    return leaves


def _inverse(values: np.ndarray, t: int) -> np.ndarray:
    """Return the inverses of residues that are not zero, by Fermat: x^(t - 2)."""
    result = np.ones_like(values)
    for bit in f"{t - 2:b}":
        result = product(result, result, t)
        if bit == "1":
            result = product(result, values, t)
    return result
