"""Stopwatches, and the yardstick that makes figures of different machines comparable."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import tenseal.sealapi as sealapi

from he.formats.seal_bridge import create_context
from he.ring.params import Parameters
from he.ring.scheme import Scheme

T = TypeVar("T")


def timed(action: Callable[[], T]) -> tuple[float, T]:
    """Seconds that `action` took, and its result."""
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def median_seconds(action: Callable[[], object], repeats: int) -> float:
    """Median over `repeats` calls, after one that does not count."""
    action()
    return statistics.median(timed(action)[0] for _ in range(repeats))


def seal_rotate_ms(repeats: int = 30) -> float:
    """Milliseconds of one CKKS rotation by SEAL at N = 8192, primes of 60, 40, 40, 60 bits, one thread: the median.

    Published times of encrypted inference come from many machines; divided by this, they can be compared.
    """
    parameters = Parameters(Scheme.CKKS, 8192, (60, 40, 40, 60), scale_bits=40)
    context = create_context(parameters)
    generator, galois = sealapi.KeyGenerator(context), sealapi.GaloisKeys()
    generator.create_galois_keys([parameters.galois_element(1)], galois)
    plaintext, ciphertext, rotated = sealapi.Plaintext(), sealapi.Ciphertext(), sealapi.Ciphertext()
    sealapi.CKKSEncoder(context).encode([0.5] * parameters.slots, 2.0**40, plaintext)
    sealapi.Encryptor(context, generator.secret_key()).encrypt_symmetric(plaintext, ciphertext)
    evaluator = sealapi.Evaluator(context)
    return 1000 * median_seconds(lambda: evaluator.rotate_vector(ciphertext, 1, galois, rotated), repeats)


def peak_rss_bytes() -> int | None:
    """Largest resident memory of this process so far; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
