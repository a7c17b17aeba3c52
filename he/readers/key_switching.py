"""What a key switch adds to the noise, besides the rounding of its result, by the gadget that it uses.

Modulo the special primes of product P, a key encrypts P times what it switches from, with errors e_g. A polynomial of
digits d_g, d_g modulo D_g, so comes out times P, plus the sum of d_g e_g; division by P leaves that sum divided by P,
and a rounding. Digits lie around 0: one of several primes is at most 1/2 + `fraction_error` of D_g, one of a single
prime at most a half. The remainder that mod-down subtracts is as little beyond a half of P, so the rounding is one to
an integer that is at most that far off.

A key of two owners has an error of each, e_1 + e_2. That of their relinearisation key is e_1 + e_2 + 2 (f_1 s_2 + f_2
s_1), with errors f_i and secrets s_i of each: see `he.parties.threshold.share`.
"""

from __future__ import annotations

import math

from he.kernels.passes.extension import fraction_error
from he.readers.variance import ERROR_VARIANCE
from he.ring.gadget import Gadget
from he.ring.norms import random_canonical_norm, secret_norm


def key_switch_norm(gadget: Gadget, owners: int = 1, *, relinearises: bool = False) -> float:
    """Return a bound on the Euclidean norm of what one key switch adds, whatever the polynomial.

    That of a product is at most a digit's Euclidean norm, sqrt(N) times its largest coefficient, times the error's
    canonical norm, which random errors keep but for a chance below `he.ring.norms.chance_beyond` for each digit.

    Args:
        gadget: the gadget.
        owners: how many parties hold the secret key.
        relinearises: whether the key is for relinearisation, and not for an automorphism.
    """
    N, root = gadget.degree, math.sqrt(gadget.degree)
    error = random_canonical_norm(N, owners * ERROR_VARIANCE)
    if owners == 2 and relinearises:
        error += 4 * random_canonical_norm(N, ERROR_VARIANCE) * secret_norm(N)
    half = 1 / 2 if gadget.specials == 1 else 1 / 2 + fraction_error(gadget.specials)
    return half * root * (sum(gadget.moduli) / gadget.factor) * error


def key_switch_variance(gadget: Gadget, owners: int = 1, *, relinearises: bool = False) -> float:
    """Return the variance, at a root, of what one key switch adds where digits are uniform, as those of ciphertexts.

    It is the sum over all digits of a digit times an error of its key, divided by the special primes. What floats may
    make of digits next to a half of their modulus is far below the accuracy of the number.

    Args:
        gadget: the gadget.
        owners: how many parties hold the secret key.
        relinearises: whether the key is for relinearisation, and not for an automorphism.
    """
    N = gadget.degree
    digits = sum((modulus / gadget.factor) ** 2 for modulus in gadget.moduli) / 12
    error = owners * ERROR_VARIANCE
    if owners == 2 and relinearises:
        error += 8 * ERROR_VARIANCE * secret_norm(N) ** 2  # of secrets as large as any, so that tails are a product's
    return (N * digits) * (N * error)
