"""The yardstick that makes figures of different machines comparable."""

from __future__ import annotations

import time
from collections.abc import Callable

import tenseal.sealapi as sealapi

from bench.harness.timing import median_seconds
from he.formats.seal_bridge import create_context
from he.ring.params import Parameters
from he.ring.scheme import Scheme


def seal_rotate_ms(repeats: int = 30, clock: Callable[[], float] = time.perf_counter) -> float:
    """Milliseconds of one CKKS rotation by SEAL at N = 8192, primes of 60, 40, 40, 60 bits, one thread: the median.

    Published times of encrypted inference come from many machines; divided by this, they can be compared. What is
    divided must have been measured by the same clock.
    """
    parameters = Parameters(Scheme.CKKS, 8192, (60, 40, 40, 60), scale_bits=40)
    context = create_context(parameters)
    generator, galois = sealapi.KeyGenerator(context), sealapi.GaloisKeys()
    generator.create_galois_keys([parameters.galois_element(1)], galois)
    plaintext, ciphertext, rotated = sealapi.Plaintext(), sealapi.Ciphertext(), sealapi.Ciphertext()
    sealapi.CKKSEncoder(context).encode([0.5] * parameters.slots, 2.0**40, plaintext)
    sealapi.Encryptor(context, generator.secret_key()).encrypt_symmetric(plaintext, ciphertext)
    evaluator = sealapi.Evaluator(context)
    return 1000 * median_seconds(lambda: evaluator.rotate_vector(ciphertext, 1, galois, rotated), repeats, clock)
