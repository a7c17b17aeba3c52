"""Variances of the errors that encryption, rounding and key switching add, and the tails of their distributions.

A polynomial with N independent coefficients of mean 0 and variance V has a deviation of sqrt(N V) at a complex root of
X^N + 1, and half of that variance in a slot of CKKS, which is the real part there (Iliashenko, *Optimisations of fully
homomorphic encryption*, PhD thesis, KU Leuven 2019, section 2; Costache, Laine and Player, *Evaluating the
effectiveness of heuristic worst-case noise analysis in FHE*, ESORICS 2020).
"""

from __future__ import annotations

import math

from he.ring.params import Parameters

ERROR_VARIANCE = 10.5  # SEAL draws errors from a centred binomial distribution over 21 + 21 bits
SECRET_VARIANCE = 2 / 3  # SEAL draws secrets uniformly from {-1, 0, 1}
NORMAL_TAIL = 5.4  # a slot, the real part at a root, stays within these; 2 exp(-5.4^2) < 2^-40 (Hoeffding)
PRODUCT_TAIL = 14.0  # so does the real part of a product of two polynomials within these; exp(-2 * 14) < 2^-40


def deviation_at_root(N: int, variance: float) -> float:
    """Return the standard deviation, at a root, of a polynomial with N independent coefficients of that variance."""
    return math.sqrt(N * variance)


def rounding_variance(N: int, size: int = 2) -> float:
    """Return the variance of the coefficients of c_0 + c_1 s (+ c_2 s^2) for c uniform on an interval of length one.

    This is the error of rounding the `size` polynomials of a ciphertext to integers.
    """
    return (1 + N * SECRET_VARIANCE + (N * N * SECRET_VARIANCE**2 if size == 3 else 0)) / 12


def key_switch_variance(parameters: Parameters, level: int) -> float:
    """Return the variance, at a root, of what one key switch at `level` adds besides the rounding of its result.

    It is the sum over all digits of a digit times an error of its key, divided by the special prime. Digits lie around
    0 and are uniform: so engines have to decompose, and do.
    """
    N = parameters.poly_modulus_degree
    digits = sum((p / parameters.primes[-1]) ** 2 for p in parameters.primes[:level]) / 12
    return (N * digits) * (N * ERROR_VARIANCE)


def packing_variance(parameters: Parameters, level: int, pairs: bool = True) -> float:
    """Return the variance of the error that packing adds to a total (`he.engines.rns.traces`), whatever their number.

    A total is one coefficient, and its error nearly normal. Each key switch on its way adds an error V per coefficient,
    which every later one doubles: V (1 + 4 + ... + (n / 2)^2) for totals of n = N / 2 pairs, or of n = N numbers, a
    conjugate's with them.
    """
    n = parameters.poly_modulus_degree >> pairs
    return _switch_variance(parameters, level) * (n * n - 1) / 3


def expansion_variance(parameters: Parameters, packed_level: int, level: int, count: int, pairs: bool = True) -> float:
    """Return the variance, at a root, of the error in ciphertexts that were packed, and expanded to so many.

    The totals' errors are included, both of a pair, times the power of two m that ``count`` is rounded up to: they are
    most of it. A coefficient between the places of totals has the error of a packing's last key switches: what gets
    from there, at a root, into one of m ciphertexts has the variance of m images, for these are values at different
    roots. So have the errors of the expansion's own m - 1 key switches.

    Args:
        parameters: the parameters.
        packed_level: the level at which they were packed.
        level: the level at which they were expanded.
        count: their number.
        pairs: whether they are pairs.
    """
    N, m = parameters.poly_modulus_degree, 1 << (count - 1).bit_length()
    n, numbers = N >> pairs, 1 + pairs
    packed, own = (_switch_variance(parameters, at) for at in (packed_level, level))
    return packed * numbers * n * n * (m * m - 1) / 3 + packed * N * (n - m) + own * N * (m - 1)


def _switch_variance(parameters: Parameters, level: int) -> float:
    """Return the variance of a coefficient of what a key switch adds, with the rounding of its result."""
    N = parameters.poly_modulus_degree
    return key_switch_variance(parameters, level) / N + rounding_variance(N)
