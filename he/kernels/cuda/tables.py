"""The tables of a chain of primes on a GPU: what the transforms and the kernels on residues read there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numba import cuda

from he.kernels.cuda import columns
from he.kernels.tables.chain import Chain
from he.kernels.tables.roots import WORD, roots
from intnn.machine.cuda.device import place_in_use
from intnn.machine.cuda.intrinsics import SIMULATED

DeviceArray = Any
LEAST = 64 if SIMULATED else 1 << columns.BLOCK_BITS  # degree of a ring
MODULUS, MONTGOMERY, ONE, HALF, RADIX, RADIX_QUOTIENT = range(6)  # columns of `constants`


@dataclass(frozen=True, eq=False)
class DeviceTables:
    """A chain's tables on the device, uint64.

    Attributes:
        N: The ring degree.
        primes: All primes of the chain.
        constants: [primes, 6]: p, -1 / p modulo 2**64, floor(2**64 / p), p // 2, and 2**52 modulo p with its quotient.
        forward: [primes, N, 2], powers of the root with their quotients.
        inverse: [primes, N, 2], powers of the inverse root with their quotients.
        halves: [primes, primes], at [d, j] p_d // 2 modulo p_j.
    """

    N: int
    primes: tuple[int, ...]
    constants: DeviceArray
    forward: DeviceArray
    inverse: DeviceArray
    halves: DeviceArray


_placed: WeakValueDictionary[tuple[tuple[int, int], Chain], DeviceTables] = WeakValueDictionary()


def device_tables(chain: Chain) -> DeviceTables:
    """Return a chain's tables on the GPU in use, copied unless somebody holds them there.

    They are freed with their last holder. Two threads that ask at once may each copy them.

    Raises:
        DeviceError: The GPU does not start, or has too little free memory.
        ValueError: The ring is smaller than a block of a transform.
    """
    if chain.N < LEAST:
        raise ValueError(f"`chain.N` must be at least {LEAST}, got {chain.N}")
    key = place_in_use(), chain
    tables = _placed.get(key)
    if tables is None:
        tables = _placed[key] = _copied(chain)
    return tables


def are_placed(chain: Chain) -> bool:
    """Whether somebody holds a chain's tables on the GPU in use."""
    return (place_in_use(), chain) in _placed


def forget_tables() -> None:
    """Have tables copied anew where they are asked for next, after a failure with which they may be gone."""
    _placed.clear()


def _copied(chain: Chain) -> DeviceTables:
    tables, radices = [roots(chain.N, p) for p in chain.primes], [(1 << WORD, p) for p in chain.primes]
    rows = [
        (p, -pow(p, -1, 1 << 64) % (1 << 64), (1 << 64) // p, p // 2, *radix)
        for p, radix in zip(chain.primes, with_quotients(radices).tolist(), strict=True)
    ]
    forward, inverse = (
        np.stack([_longer(*pair, p) for pair, p in zip(pairs, chain.primes, strict=True)])
        for pairs in (
            [(table.forward, table.forward_quotients) for table in tables],
            [(table.inverse, table.inverse_quotients) for table in tables],
        )
    )
    halves = np.array(chain.tables.pairs["half"], np.uint64)
    copied = map(cuda.to_device, (np.array(rows, np.uint64), forward, inverse, halves))
    return DeviceTables(chain.N, chain.primes, *copied)


def with_quotients(numbers: Sequence[tuple[int, int]]) -> np.ndarray:
    """Reduce numbers, each modulo its own prime, and find floor(w 2**64 / p) of each: uint64 [numbers, 2]."""
    return np.array([(w % p, (w % p << 64) // p) for w, p in numbers], np.uint64).reshape(-1, 2)


def _longer(values: np.ndarray, quotients: np.ndarray, p: int) -> np.ndarray:
    """Return what `with_quotients` returns of residues below 2**50, from their quotients of `WORD` bits."""
    w, q, prime, more = np.asarray(values, np.uint64), np.asarray(quotients, np.uint64), np.uint64(p), 64 - WORD
    rest = (w << np.uint64(WORD)) - q * prime  # modulo 2**64, but it is below p
    return np.stack([w, (q << np.uint64(more)) + (rest << np.uint64(more)) // prime], axis=-1)
