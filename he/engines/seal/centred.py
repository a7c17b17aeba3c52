"""SEAL's key switching with digits around 0.

SEAL decomposes a polynomial into digits from 0 to p - 1. Their mean, half a prime in every coefficient, adds up at the
roots next to 1, where key switching is then a hundred times as noisy as elsewhere. Key switching is linear, so the mean
can be taken out from outside: half a prime is added to every coefficient before a switch, and what SEAL makes of these
halves alone is subtracted after it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import tenseal.sealapi as sealapi

from he.formats.seal_bridge import from_bytes
from he.formats.seal_bytes import CiphertextArray, LevelIds, write_ciphertext
from he.kernels.passes import evaluate
from he.kernels.tables.chain import chain
from he.ring.params import Parameters

Switch = Callable[[Any, Any], None]  # from a ciphertext into an empty one


class CentredSwitching:
    """Key switching under one client's keys. It sets scales of ciphertexts that it keeps: one thread at a time.

    Args:
        parameters: the parameter set.
        context: SEAL's context of that set.
        ids: SEAL's identifiers of the levels.
    """

    def __init__(self, parameters: Parameters, context: Any, ids: LevelIds) -> None:
        self._parameters, self._context, self._ids = parameters, context, ids
        self._evaluator = sealapi.Evaluator(context)
        self._halves: dict[tuple[int, int], Any] = {}
        self._switched_halves: dict[tuple[Hashable, int], Any] = {}

    def switched(self, ciphertext: Any, key: Hashable, switch: Switch) -> Any:
        """Return what a key switch makes of a ciphertext; `key` says which key it uses."""
        level = ciphertext.coeff_modulus_size()
        halves = self._halves_of(level, ciphertext.size())
        halves.scale = ciphertext.scale  # by which SEAL recognises what may be added
        shifted, result = sealapi.Ciphertext(), sealapi.Ciphertext()
        self._evaluator.add(ciphertext, halves, shifted)
        switch(shifted, result)
        if (key, level) not in self._switched_halves:
            alone = sealapi.Ciphertext()
            switch(halves, alone)
            self._switched_halves[key, level] = alone
        switched = self._switched_halves[key, level]
        switched.scale = result.scale
        self._evaluator.sub_inplace(result, switched)
        return result

    def _halves_of(self, level: int, size: int) -> Any:
        """Return a ciphertext whose last polynomial has half of each prime as every coefficient, the others zeros."""
        if (level, size) not in self._halves:
            N, ntt_form = self._parameters.poly_modulus_degree, self._parameters.scheme.ntt_form
            residues = np.zeros((size, level, N), np.uint64)
            residues[-1] = np.array(self._parameters.primes[:level], np.uint64)[:, None] // 2
            if ntt_form:
                tables = chain(N, self._parameters.primes).tables
                for prime, row in enumerate(residues[-1]):
                    evaluate.forward(tables, row, prime)
            data = write_ciphertext(CiphertextArray(residues, ntt_form, 1.0), self._ids)
            self._halves[level, size] = from_bytes(sealapi.Ciphertext(), self._context, data)
        return self._halves[level, size]
