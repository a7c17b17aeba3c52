"""The error of encrypting by a public key, as SEAL does it.

SEAL computes u (b, a) + (e', e'') with one prime p more than the ciphertext is to have, and divides by p. With b = e -
a s this leaves (e u + e' + e'' s) / p, and what rounding both polynomials leaves. Errors have the variance that SEAL's
have, and u is uniform on -1, 0 and 1 like a secret, but of any norm. Where a key has two owners, e and s are sums of
one of each.
"""

from __future__ import annotations

import math

from he.readers.variance import ERROR_VARIANCE, SECRET_VARIANCE, rounding_variance
from he.ring.norms import random_canonical_norm, random_euclidean_norm, secret_norm
from he.ring.params import Parameters


def encryption_norm(parameters: Parameters) -> float:
    """Return a bound on the Euclidean norm of the error, at any level, but for a chance below 2^-57."""
    N = parameters.poly_modulus_degree
    secret, error = secret_norm(N, parameters.owners), random_euclidean_norm(N, ERROR_VARIANCE)
    of_key = random_euclidean_norm(N, parameters.owners * ERROR_VARIANCE)
    whole = of_key * random_canonical_norm(N, SECRET_VARIANCE) + error * (1 + secret)
    return whole / min(parameters.primes) + math.sqrt(N) / 2 * (1 + secret)


def encryption_variance(parameters: Parameters) -> float:
    """Return the variance of a coefficient of the error, at any level."""
    N = parameters.poly_modulus_degree
    whole = ERROR_VARIANCE * (1 + 2 * parameters.owners * N * SECRET_VARIANCE)
    return whole / min(parameters.primes) ** 2 + rounding_variance(N, owners=parameters.owners)
