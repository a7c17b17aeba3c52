"""The lattice scheme on a ring so small that plain Python integers keep up; it hides nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from he.functional.rlwe import parameters as module
from he.functional.rlwe.reference import composed
from he.kernels.passes import functional as kernels
from he.kernels.tables.chain import chain

N = 64


@pytest.fixture(scope="module", autouse=True)
def small_ring() -> Iterator[None]:
    """All parameters of a module's tests belong to the ring of degree 64, with short primes and a quarter's reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RING_DEGREES", (N,))
        patch.setattr(module, "MAX_MODULUS_BITS", {"128": {N: 170}})
        patch.setattr(module, "MOST", module.QUARTER)
        patch.setattr(module, "_MOST_BITS", 41)
        patch.setattr(module, "_derived", module._derived.__wrapped__)
        yield


def polynomials(transformed: np.ndarray, primes: tuple[int, ...]) -> list[list[int]]:
    """The polynomials modulo q that uint64 [n, primes, N] are the transforms of."""
    tables, one = chain(N, primes).tables, np.zeros((1, len(primes), N), np.uint64)
    one[..., 0] = 1
    kernels.forward_all(tables, one)
    out = np.empty_like(transformed)
    kernels.multiply_back(tables, transformed, one[0], out)
    return [composed(row.tolist(), primes) for row in out]
