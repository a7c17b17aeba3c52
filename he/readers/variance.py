"""Variances of the errors that encryption and rounding add, and the tails of their distributions.

A polynomial with N independent coefficients of mean 0 and variance V has a deviation of sqrt(N V) at a complex root of
X^N + 1, and half of that variance in a slot of CKKS, which is the real part there (Iliashenko, *Optimisations of fully
homomorphic encryption*, PhD thesis, KU Leuven 2019, section 2; Costache, Laine and Player, *Evaluating the
effectiveness of heuristic worst-case noise analysis in FHE*, ESORICS 2020).
"""

from __future__ import annotations

import math

ERROR_VARIANCE = 10.5  # SEAL draws errors from a centred binomial distribution over 21 + 21 bits
SECRET_VARIANCE = 2 / 3  # SEAL draws secrets uniformly from {-1, 0, 1}; of a sum of several, variances add up
NORMAL_TAIL = 5.4  # a slot, the real part at a root, stays within these; 2 exp(-5.4^2) < 2^-40 (Hoeffding)
PRODUCT_TAIL = 14.0  # so does the real part of a product of two polynomials within these; exp(-2 * 14) < 2^-40


def deviation_at_root(N: int, variance: float) -> float:
    """Return the standard deviation, at a root, of a polynomial with N independent coefficients of that variance."""
    return math.sqrt(N * variance)


def rounding_variance(N: int, size: int = 2, owners: int = 1) -> float:
    """Return the variance of the coefficients of c_0 + c_1 s (+ c_2 s^2) for c uniform on an interval of length one.

    This is the error of rounding the `size` polynomials of a ciphertext to integers, s being the secret of so many
    owners.
    """
    secret = owners * SECRET_VARIANCE
    return (1 + N * secret + (N * N * secret**2 if size == 3 else 0)) / 12
