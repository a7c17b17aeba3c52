"""One client's evaluation keys, as the kernels of key switching read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from he.engines.rns.encoder import Encoder
from he.kernels.tables.factors import Factors
from he.ring.slots import automorphism, permutation


@dataclass(frozen=True, eq=False)
class SwitchingKeys:
    """Evaluation keys as factors of products.

    Attributes:
        relinearisation: the relinearisation key; None if the client sent none.
        galois: the key of every Galois element, permuted by the inverse automorphism, so that only the result of a
            rotation has to be permuted.
        permutations: the permutation of every Galois element, as `he.ring.slots.permutation` returns it.
    """

    relinearisation: Factors | None
    galois: dict[int, Factors]
    permutations: dict[int, tuple[np.ndarray, np.ndarray]]

    @staticmethod
    def of(encoder: Encoder, relinearisation: np.ndarray | None, galois: dict[int, np.ndarray]) -> SwitchingKeys:
        """Return as factors keys uint64 [levels, 2, levels + 1, N] of `he.formats.seal_bytes.read_keys`."""
        N, primes = encoder.parameters.poly_modulus_degree, range(len(encoder.parameters.primes))
        return SwitchingKeys(
            None if relinearisation is None else encoder.factors(relinearisation, primes),
            {
                g: encoder.factors(np.take(key, np.argsort(automorphism(N, g)), axis=-1), primes)
                for g, key in galois.items()
            },
            {g: permutation(N, g) for g in galois},
        )
