"""A chain of primes with everything that kernels need to know of it, as arrays."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from he.kernels.instructions.butterflies import CHUNK
from he.kernels.tables.roots import WORD, arranged, quotient, roots


@dataclass(frozen=True, eq=False)
class Chain:
    """Primes p_0, p_1, ... with their transforms.

    Attributes:
        N: Ring degree.
        primes: All of them.
        moduli: int64 [primes].
        forward, forward_quotients, inverse, inverse_quotients: uint64 [primes, N]; see `Roots` and `arranged`.
        degree: int64 [primes, 2].
        montgomery: int64 [primes], -1 / p modulo 2**52.
        radix: int64 [primes, 2], 2**52 modulo p with its quotient.
        one: int64 [primes], the quotient of 1: for reductions.
        division: int64 [primes, primes, 3]: at [d, j] 1 / p_d modulo p_j with its quotient, and p_d // 2 modulo p_j.
        raising: int64 [primes, primes, 2]: at [d, j] p_d modulo p_j, with its quotient.
    """

    N: int
    primes: tuple[int, ...]
    moduli: np.ndarray
    forward: np.ndarray
    forward_quotients: np.ndarray
    inverse: np.ndarray
    inverse_quotients: np.ndarray
    degree: np.ndarray
    montgomery: np.ndarray
    radix: np.ndarray
    one: np.ndarray
    division: np.ndarray
    raising: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """What the kernels take."""
        return (
            self.moduli, self.forward, self.forward_quotients, self.inverse, self.inverse_quotients, self.degree,
            self.montgomery, self.radix, self.one, self.division, self.raising,
        )  # fmt: skip


@cache
def chain(N: int, primes: tuple[int, ...]) -> Chain:
    """The arrays for some primes.

    Raises:
        ValueError: The ring is too small, or a prime is none for it.
    """
    if N < CHUNK:
        raise ValueError(f"`N` must be at least {CHUNK}, got {N}")
    tables = [roots(N, p) for p in primes]
    division = np.zeros((len(primes), len(primes), 3), np.int64)
    raising = np.array([[[d % p, quotient(d % p, p)] for p in primes] for d in primes], np.int64)
    for d, divisor in enumerate(primes):
        for j, p in enumerate(primes):
            if d != j:
                w = pow(divisor, -1, p)
                division[d, j] = w, quotient(w, p), divisor // 2 % p
    radix = [(1 << WORD) % p for p in primes]
    return Chain(
        N,
        primes,
        np.array(primes, np.int64),
        np.array([arranged(t.forward) for t in tables]),
        np.array([arranged(t.forward_quotients) for t in tables]),
        np.array([arranged(t.inverse) for t in tables]),
        np.array([arranged(t.inverse_quotients) for t in tables]),
        np.array([t.degree for t in tables], np.int64),
        np.array([t.montgomery for t in tables], np.int64),
        np.array([[r, quotient(r, p)] for r, p in zip(radix, primes, strict=True)], np.int64),
        np.array([quotient(1, p) for p in primes], np.int64),
        division,
        raising,
    )
