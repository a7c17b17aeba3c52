"""Variances of the errors that packing totals, and expanding them, add to ciphertexts (`he.engines.rns.traces`)."""

from __future__ import annotations

from he.readers.key_switching import key_switch_variance
from he.readers.variance import rounding_variance
from he.ring.gadget import Gadget
from he.ring.params import Parameters


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
    return key_switch_variance(Gadget.of(parameters, level)) / N + rounding_variance(N)
