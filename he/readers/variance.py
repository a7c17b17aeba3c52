"""Variances of what encryption, rounding and key switching add, and how far a polynomial strays from its mean.

A polynomial whose coefficients are independent with variance V stays below 6 * sqrt(N * V) at one complex root of
X^N + 1 except with probability erfc(6) < 2^-55 (Iliashenko, *Optimisations of fully homomorphic encryption*, PhD
thesis, KU Leuven 2019, section 2; Costache, Laine and Player, *Evaluating the effectiveness of heuristic worst-case
noise analysis in FHE*, ESORICS 2020).
"""

from __future__ import annotations

import math

import numpy as np

from he.ring.params import Parameters

ERROR_VARIANCE = 10.5  # SEAL draws errors from a centred binomial distribution over 21 + 21 bits


SECRET_VARIANCE = 2 / 3  # and secrets uniformly from {-1, 0, 1}


TAIL = 6.0  # standard deviations that a polynomial's value stays within at a root; erfc(6) < 2^-55


PRODUCT_TAIL = 14.0  # the same for the real part of two polynomials' product; exp(-2 * 14) < 2^-40


def _deviation(N: int, variance: float) -> float:
    """Of the value at a root of a polynomial with N coefficients of that variance."""
    return math.sqrt(N * variance)


def _norm(N: int, variance: float) -> float:
    """Its canonical norm."""
    return TAIL * _deviation(N, variance)


def rounding_variance(N: int, size: int = 2) -> float:
    """Of the coefficients of c_0 + c_1 s (+ c_2 s^2), if those of c are uniform on an interval of length one.

    This is the error of rounding a ciphertext; times q it is a whole ciphertext at the secret key.
    """
    return (1 + N * SECRET_VARIANCE + (N * N * SECRET_VARIANCE**2 if size == 3 else 0)) / 12


def digit_power(N: int) -> np.ndarray:
    """Mean square, at every slot's root of X^N + 1, of a polynomial with coefficients uniform on [0, 1).

    Such are the digits of SEAL's key switching, in units of their prime: they are not centred. Their mean, 1/2 in every
    coefficient, is 1 / (1 - z) at a root z: N / pi at the root next to 1, which is the first slot's.
    """
    exponents = [1]
    for _ in range(N // 2 - 1):
        exponents.append(exponents[-1] * 3 % (2 * N))
    return N / 12 + 1 / (2 * np.sin(np.pi / (2 * N) * np.array(exponents))) ** 2


def key_switch_variance(parameters: Parameters, level: int) -> float:
    """Variance of what one key switch (relinearisation, rotation) adds at `level`, per `digit_power` of a slot."""
    ratios = sum((p / parameters.primes[-1]) ** 2 for p in parameters.primes[:level])
    return parameters.poly_modulus_degree * ERROR_VARIANCE * ratios
