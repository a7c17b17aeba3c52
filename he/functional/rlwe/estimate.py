"""What attacks on ring learning with errors cost by the best of today's estimates: no proof, a number to compare.

The primal attack reduces the lattice of the samples until a block finds the unusually short vector (secret, error):
uSVP as E. Alkim et al., "Post-quantum key exchange: a new hope" (USENIX Security 2016, section 6.3), estimate it, the
secret scaled to the error as S. Bai and S. Galbraith (ACISP 2014) do. A block of size beta costs what MATZOV, "Report
on the Security of LWE" (2022, section 6), counts for the sieve: classical gates, with dimensions for free. The ring's
structure is not known to help. M. Albrecht's lattice estimator applies the same formulas beside many others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Of the sieve's cost by MATZOV: log2 of gates is SLOPE beta' + OFFSET for a block of beta' after dimensions for free.
_SLOPE, _OFFSET = 0.29613500308205365, 20.387885985467914


@dataclass(frozen=True)
class Estimate:
    """What the primal attack takes.

    Attributes:
        block: The block size beta of the reduction.
        dimension: The dimension d of the lattice.
        bits: log2 of the classical gates.
    """

    block: int
    dimension: int
    bits: float

    def __str__(self) -> str:
        return f"{self.bits:.0f} bits (uSVP with MATZOV's cost: block {self.block}, dimension {self.dimension})"


def primal(N: int, log2_modulus: float, secret: float, error: float, samples: int | None = None) -> Estimate:
    """Estimate the primal attack on a secret of N elements.

    Args:
        N: The number of elements of the secret: the ring's degree.
        log2_modulus: log2 of the modulus q.
        secret: The deviation of an element of the secret.
        error: The deviation of an error.
        samples: The most equations that an attacker has; 3 N by default, more than the attack wants.

    Returns:
        The attack with the smallest block that succeeds; blocks are searched from 50 on.
    """
    available = 3 * N if samples is None else samples
    low, high = 50, 4 * N
    while low < high:
        block = (low + high) // 2
        margin, _ = _margin(block, N, log2_modulus, secret, error, available)
        low, high = (low, block) if margin >= 0 else (block + 1, high)
    _, dimension = _margin(low, N, log2_modulus, secret, error, available)
    return Estimate(low, dimension, _cost(low, dimension))


def _margin(block: int, N: int, log2_q: float, secret: float, error: float, available: int) -> tuple[float, int]:
    """By how many bits the last block's vectors are longer than the short vector's projection, and in what dimension.

    With m equations, d = N + m + 1 and volume q^m (error / secret)^N. Their logarithm is
    (2 beta - d) log2 delta + log2(volume) / d (Alkim et al., equation 1), which has one maximum over m.
    """
    growth = _log2_delta(block)
    scaled = N * math.log2(error / secret)
    # The derivative by d of  -d growth + ((d - N - 1) log2_q + scaled) / d  vanishes here.
    best = math.sqrt(max(((N + 1) * log2_q - scaled) / growth, 1.0))
    d = min(max(round(best), N + 2), N + available + 1)
    longest = (2 * block - d) * growth + ((d - N - 1) * log2_q + scaled) / d
    return longest - math.log2(block) / 2 - math.log2(error), d


def _log2_delta(block: int) -> float:
    """log2 of the root-Hermite factor that blocks of a size reach (Y. Chen's thesis, 2013)."""
    b = float(block)
    return (math.log2(b / (2 * math.pi * math.e)) + math.log2(math.pi * b) / b) / (2 * (b - 1))


def _cost(block: int, dimension: int) -> float:
    """log2 of the gates: tours of sieves on smaller blocks, the cheaper ones before the last counted in."""
    free = block * math.log(4 / 3) / math.log(block / (2 * math.pi * math.e))  # L. Ducas, EUROCRYPT 2018
    progressive = 1 / (1 - 2**-_SLOPE)
    return 2 * math.log2(progressive) + math.log2(max(dimension - block, 1)) + _SLOPE * (block - free) + _OFFSET
