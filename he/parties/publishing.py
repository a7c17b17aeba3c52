"""The noise under which a CKKS result may be shown to others."""

from __future__ import annotations

import math
import secrets

import numpy as np

from he.circuit.interface import Interface
from he.parties.policy import Policy

_GRID_BITS = 10  # published numbers are multiples of a power of two below the deviation, by so many bits


class PublishingError(RuntimeError):
    """The client has published as many answers under its key as its policy allows."""


def deviation(interface: Interface, policy: Policy, images: int) -> float:
    """Return the standard deviation of the noise that every number of a published answer gets; 0 for BFV.

    An exact decryption of CKKS is a result plus an error, and the error is a function of the secret key. To see the one
    and know the other is to have equations of the key (Li and Micciancio, *On the security of homomorphic encryption
    on approximate numbers*, Eurocrypt 2021). Normal noise of deviation sigma = sqrt(12 q) 2^(s/2) t hides errors of at
    most t in q numbers (Li, Micciancio, Schultz and Sorrell, *Securing approximate homomorphic encryption using
    differential privacy*, Crypto 2022): all that is published, and the same with no error in it, have a
    Kullback-Leibler divergence of at most q t^2 / (2 sigma^2) = 2^-s / 24.

    Here t is the error that the client's interface admits, which its policy has accepted, s is `publishing_bits`, and q
    counts the numbers of this answer as often as answers may be published, so that each takes the same share.
    """
    numbers = policy.most_published * images * interface.output.outputs
    return math.sqrt(12 * numbers) * 2.0 ** (policy.publishing_bits / 2) * interface.tolerance / 2


def noised(logits: np.ndarray, deviation: float) -> np.ndarray:
    """Return logits with normal noise of this deviation, from the system's generator, as multiples of a power of two.

    What lies below the grid is gone, so that no last bits of a float64 tell of the sum that made it (Mironov, *On
    significance of the least significant bits for differential privacy*, CCS 2012).
    """
    generator = secrets.SystemRandom()
    noise = [generator.gauss(0.0, deviation) for _ in range(logits.size)]
    grid = 2.0 ** (math.floor(math.log2(deviation)) - _GRID_BITS)
    return np.rint((logits + np.reshape(noise, logits.shape)) / grid) * grid
