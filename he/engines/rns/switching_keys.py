"""One client's evaluation keys, as the kernels of key switching read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from he.engines.rns.encoder import Encoder
from he.formats.switching import RELINEARISATION
from he.kernels.tables.factors import Factors
from he.ring.slots import automorphism, permutation


@dataclass(frozen=True, eq=False)
class SwitchingKeys:
    """Evaluation keys as factors of products.

    Attributes:
        relinearisation: the relinearisation key; None if the circuit needs none.
        galois: the key of every Galois element, permuted by the inverse automorphism, so that only the result of a
            rotation has to be permuted.
        permutations: the permutation of every Galois element, as `he.ring.slots.permutation` returns it.
    """

    relinearisation: Factors | None
    galois: dict[int, Factors]
    permutations: dict[int, tuple[np.ndarray, np.ndarray]]

    @staticmethod
    def of(encoder: Encoder, keys: Iterable[tuple[int, np.ndarray]]) -> SwitchingKeys:
        """Return as factors the keys that `he.formats.switching.read` yields; one of them is held at a time."""
        N, primes = encoder.parameters.poly_modulus_degree, range(len(encoder.parameters.primes))
        galois = {
            g: encoder.factors(np.take(key, np.argsort(automorphism(N, g)), axis=-1), primes) for g, key in keys
        }  # the identity permutes nothing, so relinearisation's is read like any other
        relinearisation = galois.pop(RELINEARISATION, None)
        return SwitchingKeys(relinearisation, galois, {g: permutation(N, g) for g in galois})
