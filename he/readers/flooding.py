"""How much noise an answer must get so that what it decrypts to tells logits and nothing else of the circuit.

A session adds an encryption of zero, which makes both polynomials of an answer look random, and noise that *floods* the
answer's own: whoever holds the secret key sees the logits' polynomial and the sum of both noises. The sum is as good as
the flood alone, up to a statistical distance that is bounded here. What must be hidden is the error of the evaluation
and that of the encryption of zero; what there is room for follows from the interface alone, so that the flood tells
nothing either.

Where a key has two owners, the same floods the model owner's part of a decryption (`he.parties.threshold`): the data
owner, who adds up all parts, sees the logits' polynomial and the sum of both noises. There is no encryption of zero to
be hidden then, for what an answer looks like tells nothing to who cannot decrypt it.

The statistical distance of independent noises is bounded for a whole answer, over all coefficients of all of its
ciphertexts. For BFV the flood is uniform on an interval, of any length: shifts of the coefficients have a distance of
their sum over the length. CKKS has less room, so its flood is normal: a shift by a vector of Euclidean norm d
has a distance of at most d / (sqrt(2 pi) sigma), which gains a factor of the order of sqrt(N).

Gentry, *A fully homomorphic encryption scheme*, PhD thesis, Stanford 2009; Klucznik and Santato, *On circuit private,
multikey and threshold approximate homomorphic encryption*, IACR Communications in Cryptology, 2025, who show for CKKS
that noise of this order is necessary.
"""

from __future__ import annotations

import math

from he.readers.variance import ERROR_VARIANCE, NORMAL_TAIL, SECRET_VARIANCE, deviation_at_root
from he.ring.norms import random_canonical_norm, random_euclidean_norm, secret_norm
from he.ring.params import Parameters

MOST_UNIFORM_BITS = 80  # of privacy; the modulus is the limit, and not the numbers that are drawn
MOST_NORMAL_BITS = 30  # numbers from a float64 end at 8.5 deviations, which shows in an answer with a chance of 2^-38
_SPARE_BITS = 4  # of the noise budget: what floods an answer of BFV leaves so many, less one
_SHARE = 63 / 64  # of the error that a logit may have is the flood's in CKKS; what it hides is far less than the rest


def uniform_bits(parameters: Parameters, level: int) -> int:
    """Return the bits b of a BFV answer's flood, which is uniform on the integers from -2^(b-1) to 2^(b-1) - 1."""
    return math.floor(parameters.log2_modulus(level) - math.log2(parameters.t)) - _SPARE_BITS + 1


def uniform_noise(parameters: Parameters, level: int) -> float:
    """Return a bound on what this flood adds to the invariant noise."""
    return parameters.t * 2.0 ** (uniform_bits(parameters, level) - 1 - parameters.log2_modulus(level))


def hidden_noise(N: int, ciphertexts: int, bits: int) -> float:
    """Return the largest Euclidean norm of an answer's invariant noise that is hidden up to 2^-bits.

    The flood is longer than 2^-4 q / t: a coefficient is shifted by less than 16 times the noise of that length. What
    all coefficients are shifted by is together at most sqrt(N) times the norm.
    """
    return 2.0 ** (-bits - _SPARE_BITS) / (math.sqrt(N) * ciphertexts)


def price_bits(parameters: Parameters, ciphertexts: int, bits: int) -> float:
    """Return the bits of modulus by which an answer's own noise must be smaller for so many bits of privacy."""
    N = parameters.poly_modulus_degree
    if parameters.scheme.exact:
        return -math.log2(4 * hidden_noise(N, ciphertexts, bits))  # one bit of budget would be enough otherwise
    return -math.log2(hidden_error(N, ciphertexts, bits, 1.0, parameters.owners))


def added_noise(parameters: Parameters, level: int) -> float:
    """Return a bound on the Euclidean norm of what must be hidden beside the invariant noise of a BFV answer.

    For a key of one owner it is that of the encryption of zero. For a key of two it is half a unit in a coefficient:
    who knows the message alone knows its multiple of q / t, which is no integer.
    """
    if parameters.owners == 1:
        return zero_noise(parameters, level)
    return parameters.t * 2.0 ** -parameters.log2_modulus(level) * math.sqrt(parameters.poly_modulus_degree) / 2


def zero_noise(parameters: Parameters, level: int) -> float:
    """Return a bound on the Euclidean norm that an encryption of zero adds to the invariant noise of a BFV answer.

    The encryption of zero (b, a) times u, and (0, e), decrypt to the errors e_b u + e s: products of an error and a
    ternary polynomial.
    """
    N = parameters.poly_modulus_degree
    factors = random_canonical_norm(N, SECRET_VARIANCE) + secret_norm(N)
    products = random_euclidean_norm(N, ERROR_VARIANCE) * factors
    return parameters.t * 2.0 ** -parameters.log2_modulus(level) * products


def zero_deviation(N: int) -> float:
    """Return the standard deviation, at a root, of the same for CKKS; it is one of products."""
    return math.sqrt(2) * deviation_at_root(N, ERROR_VARIANCE) * deviation_at_root(N, SECRET_VARIANCE)


def normal_error(max_error: float) -> float:
    """Return a bound on the error that a CKKS answer's flood adds to a logit, of what a logit may be off by."""
    return _SHARE * max_error


def normal_deviation(N: int, scale: float, max_error: float) -> float:
    """Return the standard deviation of the coefficients of a CKKS answer's flood."""
    return normal_error(max_error) * scale / (NORMAL_TAIL * deviation_at_root(N, 1))


def hidden_error(N: int, ciphertexts: int, bits: int, max_error: float, owners: int = 1) -> float:
    """Return the largest bound on the error of a slot's real and imaginary part that is hidden up to 2^-bits.

    Slots of which both parts are off by d make coefficients of a Euclidean norm of at most sqrt(2) d times the scale.

    Under a key of two owners it is hidden in the mean, over all that is drawn at random. Errors e and their flood of
    deviation sigma then have a Kullback-Leibler divergence from the flood alone of at most E|e|^2 / (2 sigma^2), as
    divergence is convex, and so by Pinsker's inequality a distance of at most sqrt(E|e|^2) / (2 sigma). E|e|^2 is the
    variance at a root, and a bound on a slot is at least `NORMAL_TAIL` of its deviations. Divergences of answers add
    up: n of them have sqrt(n) times the distance. (Li, Micciancio, Schultz and Sorrell, *Securing approximate
    homomorphic encryption using differential privacy*, Crypto 2022.)
    """
    deviation = normal_deviation(N, 1.0, max_error)
    if owners == 2:
        return NORMAL_TAIL * 2 * deviation * 2.0**-bits / math.sqrt(ciphertexts)
    return deviation * math.sqrt(2 * math.pi) * 2.0**-bits / math.sqrt(2 * ciphertexts)
