"""The constants for going from residues modulo some primes to residues modulo others."""

from functools import cache
from math import prod
from typing import NamedTuple

import numpy as np

from he.kernels.tables.roots import WORD, factors

MOST_SOURCES = 27  # kernels reduce a sum of a product for each, and one more, in one step


class Extension(NamedTuple):
    """The constants for going from residues modulo some primes to residues modulo others, of the centred value.

    Attributes:
        hats: `FACTOR` [sources], 1 / (Q / q_i) modulo q_i, divided by the degree that `extension` was given.
        shares: float64 [sources], 1 / q_i.
        factors: int64 [targets, sources], Q / q_i times 2**52.
        modulus: int64 [targets], -Q times 2**52.
    """

    hats: np.ndarray
    shares: np.ndarray
    factors: np.ndarray
    modulus: np.ndarray


@cache
def extension(sources: tuple[int, ...], targets: tuple[int, ...], degree: int = 1) -> Extension:
    """Compute the constants for going from some primes to others.

    Args:
        sources: The primes q_i of the residues that are given.
        targets: The primes of those that are wanted.
        degree: What hats are divided by: N where an inverse transform multiplies with them in place of 1 / N.

    Raises:
        ValueError: There are more sources than `MOST_SOURCES`.
    """
    if len(sources) > MOST_SOURCES:
        raise ValueError(
            f"residues are extended from at most {MOST_SOURCES} primes, got {len(sources)}; take fewer primes"
        )
    Q = prod(sources)
    inverses = [pow(degree * (Q // q), -1, q) for q in sources]
    return Extension(
        factors(inverses, sources),
        1 / np.array(sources, np.float64),
        np.array([[(Q // q << WORD) % p for q in sources] for p in targets], np.int64),
        np.array([-(Q << WORD) % p for p in targets], np.int64),
    )
