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


def expansion_variance(parameters: Parameters, level: int, pairs: bool = True) -> float:
    """Return the variance, at a root, of the error that expanding adds to every ciphertext, whatever their number.

    The errors of what is expanded come out as they were, both of a pair, beside it. Every splitting is a sum of two
    images, which are values at different roots: so the errors of the n - 1 images that make one ciphertext, for
    n = N / 2 pairs or n = N numbers, add up.
    """
    N = parameters.poly_modulus_degree
    return _switch_variance(parameters, level) * N * ((N >> pairs) - 1)


def _switch_variance(parameters: Parameters, level: int) -> float:
    """Return the variance of a coefficient of what a key switch adds, with the rounding of its result."""
    N = parameters.poly_modulus_degree
    return key_switch_variance(Gadget.of(parameters, level)) / N + rounding_variance(N)
