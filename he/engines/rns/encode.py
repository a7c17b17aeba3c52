"""The encoding of slots as polynomials, on arrays.

BFV follows N. P. Smart and F. Vercauteren, "Fully homomorphic SIMD operations" (DCC 2014). CKKS follows J. H. Cheon et
al., "Homomorphic Encryption for Arithmetic of Approximate Numbers" (ASIACRYPT 2017).
"""

from __future__ import annotations

import numpy as np

from he.kernels.passes import evaluate
from he.kernels.tables.chain import chain
from he.ring.slots import polynomial, slot_order


def encode_exact(slots: np.ndarray, plain_modulus: int) -> np.ndarray:
    """Return the polynomial modulo t with slots int64 [N]: its coefficients int64 [N] in centred form."""
    N, t = len(slots), plain_modulus
    values = np.empty(N, np.uint64)
    values[slot_order(N)] = slots % t
    evaluate.inverse(chain(N, (t,)).tables, values, 0)
    coefficients = values.astype(np.int64)
    return np.where(coefficients > t // 2, coefficients - t, coefficients)


def decode_exact(coefficients: np.ndarray, plain_modulus: int) -> np.ndarray:
    """Return the slots int64 [N], from 0 to t - 1, of the polynomial modulo t with these coefficients int64 [N]."""
    N, t = len(coefficients), plain_modulus
    values = (coefficients % t).astype(np.uint64)
    evaluate.forward(chain(N, (t,)).tables, values, 0)
    return values[slot_order(N)].astype(np.int64)


def encode_approximate(slots: np.ndarray, scale: float) -> np.ndarray:
    """Return the rounded coefficients of the real polynomial with slots float64 [N / 2], times ``scale``.

    Returns:
        [N]: int64 if all are below 2**62, and Python's integers otherwise.

    Raises:
        ValueError: if one is beyond float64.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        coefficients = np.rint(polynomial(slots) * scale)
    if not np.isfinite(coefficients).all():
        raise ValueError(f"a plaintext at scale {scale} must fit float64, got larger numbers")
    if np.abs(coefficients).max() < 2.0**62:
        return coefficients.astype(np.int64)
    return np.array([int(c) for c in coefficients.tolist()], object)
