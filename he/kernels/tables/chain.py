"""A chain of primes with everything that kernels need to know of it, as arrays with named fields."""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from he.kernels.instructions.butterflies import CHUNK
from he.kernels.tables.roots import WORD, Roots, arranged, quotient, roots


class Tables(NamedTuple):
    """What kernels take of a chain. Every constant w that residues are multiplied with comes with its `quotient`.

    Attributes:
        constants: `CONSTANTS` [primes].
        pairs: `PAIRS` [primes, primes]. At [d, j] stands what p_d is modulo p_j.
        forward: uint64 [primes, N], the powers of the roots, `arranged`.
        forward_quotients: uint64 [primes, N], the quotients of the powers.
        inverse: uint64 [primes, N], the powers of the inverse roots, `arranged`.
        inverse_quotients: uint64 [primes, N], the quotients of these powers.
    """

    constants: np.ndarray
    pairs: np.ndarray
    forward: np.ndarray
    forward_quotients: np.ndarray
    inverse: np.ndarray
    inverse_quotients: np.ndarray


#: The constants of one prime p: ``modulus`` is p, ``montgomery`` -1 / p modulo 2**52, ``one`` the quotient of 1 (for
#: reductions), ``radix`` 2**52 modulo p, and ``degree`` 1 / N modulo p.
CONSTANTS = np.dtype(
    [
        (name, np.int64)
        for name in ("modulus", "montgomery", "one", "radix", "radix_quotient", "degree", "degree_quotient")
    ]
)

#: The constants of a prime d modulo another one, p: ``residue`` is d modulo p, ``inverse`` 1 / d, and ``half`` d // 2.
#: Modulo d itself the residue is 0, and the others have no meaning.
PAIRS = np.dtype([(name, np.int64) for name in ("residue", "residue_quotient", "inverse", "inverse_quotient", "half")])


@dataclass(frozen=True, eq=False)
class Chain:
    """Primes p_0, p_1, ... with their tables.

    Attributes:
        N: The ring degree.
        primes: All primes of the chain.
        tables: What the kernels take.
    """

    N: int
    primes: tuple[int, ...]
    tables: Tables


@cache
def chain(N: int, primes: tuple[int, ...]) -> Chain:
    """The tables for some primes.

    Raises:
        ValueError: The ring is too small, or a prime does not suit it.
    """
    if N < CHUNK:
        raise ValueError(f"`N` must be at least {CHUNK}, got {N}")
    found = [roots(N, p) for p in primes]
    tables = Tables(
        np.array([_constants(p, table) for p, table in zip(primes, found, strict=True)], CONSTANTS),
        np.array([[_pair(d, p) for p in primes] for d in primes], PAIRS),
        np.array([arranged(table.forward) for table in found]),
        np.array([arranged(table.forward_quotients) for table in found]),
        np.array([arranged(table.inverse) for table in found]),
        np.array([arranged(table.inverse_quotients) for table in found]),
    )
    return Chain(N, primes, tables)


def _constants(p: int, table: Roots) -> tuple[int, ...]:
    radix = (1 << WORD) % p
    return p, table.montgomery, quotient(1, p), radix, quotient(radix, p), *table.degree


def _pair(d: int, p: int) -> tuple[int, ...]:
    inverse = pow(d, -1, p) if d != p else 0
    return d % p, quotient(d % p, p), inverse, quotient(inverse, p), d // 2 % p
