"""What kernels need to know of a gadget: how its digits are extended, and the special primes divided out."""

from functools import cache
from typing import NamedTuple

import numpy as np

from he.kernels.tables.extension import Extension, extension
from he.kernels.tables.roots import factors
from he.ring.gadget import Gadget


class GadgetTables(NamedTuple):
    """The constants of a gadget; its *rows* are the primes of extended polynomials, those of the level first.

    Attributes:
        groups: int64 [digits, 2], the first data prime of every digit, and the first one behind it.
        indices: int64 [rows], the place in the chain of every row's prime.
        up: Of every digit, from its primes to all rows: hats and shares [level], factors [digits, rows, specials] and
            modulus [digits, rows]. Hats are divided by N; of a shorter last digit the last factors are 0.
        down: From the special primes to those of the level. Hats are divided by N.
        special: `FACTOR` [rows], the product of the special primes modulo every prime: 0 modulo themselves.
        inverses: `FACTOR` [level], 1 divided by that product.
    """

    groups: np.ndarray
    indices: np.ndarray
    up: Extension
    down: Extension
    special: np.ndarray
    inverses: np.ndarray


@cache
def gadget_tables(gadget: Gadget) -> GadgetTables:
    """Compute the constants of a gadget."""
    N, primes, data = gadget.degree, gadget.primes, gadget.primes[: gadget.level]
    digits = [extension(tuple(primes[i] for i in group), primes, N) for group in gadget.groups]
    padded = np.zeros((len(digits), len(primes), gadget.specials), np.int64)
    for g, digit in enumerate(digits):
        padded[g, :, : digit.factors.shape[1]] = digit.factors
    up = Extension(
        np.concatenate([digit.hats for digit in digits]),
        np.concatenate([digit.shares for digit in digits]),
        padded,
        np.array([digit.modulus for digit in digits]),
    )
    return GadgetTables(
        groups=np.array([(group.start, group.stop) for group in gadget.groups], np.int64),
        indices=np.array(gadget.indices, np.int64),
        up=up,
        down=extension(gadget.special_primes, data, N),
        special=factors([gadget.factor] * len(primes), primes),
        inverses=factors([pow(gadget.factor, -1, p) for p in data], data),
    )
