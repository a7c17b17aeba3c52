"""Millions of damaged ciphertexts and keys for the parser: python -m tests.he.fuzz_residues [COUNT] [SEED].

Every one must be read as something valid or refused by the one error that is declared; none may take long or much
memory. The everyday suite does the same with a few hundred (`test_residues.py`).
"""

import random
import resource
import struct
import sys
import time

import numpy as np
import tenseal.sealapi as sealapi

from he.formats import compact
from he.formats.seal_bridge import SealDataError, create_context, from_bytes, level_ids, to_bytes
from he.formats.seal_bytes import read_ciphertext, read_keys, write_ciphertext
from he.ring.params import Parameters

PARAMETERS = Parameters("ckks", 1024, (30, 32, 34), scale_bits=25, security="insecure")
WORDS = [b"\0" * 8, b"\xff" * 8, struct.pack("<Q", 1 << 40), struct.pack("<Q", 1), struct.pack("<Q", (1 << 63) + 7)]
SLOWEST_SECONDS = 0.5


def damaged(rng: random.Random, original: bytes) -> bytes:
    """A few changes, most of them where the fields are."""
    data = bytearray(original)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(min(len(data), 200)) if rng.random() < 0.8 else rng.randrange(len(data))
        kind = rng.randrange(5)
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            word = rng.choice(WORDS)
            data[place : place + 8] = word
        elif kind == 2:
            del data[place + 1 :]
        elif kind == 3:
            data[place:place] = rng.randbytes(rng.randint(1, 40))
        else:
            data[place] = rng.randrange(256)
    if rng.random() < 0.5 and len(data) >= 16:  # let the outer length agree, so that the rest is reached
        data[8:16] = struct.pack("<Q", len(data))
    return bytes(data)


class Subject:
    """The parser, and what it should read.

    Attributes:
        ciphertexts: With a seed, whole and compressed, whole and plain; packed, with a seed and whole.
        keys: Galois keys.
    """

    def __init__(self) -> None:
        context = create_context(PARAMETERS)
        self._ids, self._key_id = level_ids(context, PARAMETERS), context.key_parms_id()
        keygen = sealapi.KeyGenerator(context)
        plaintext, galois = sealapi.Plaintext(), sealapi.GaloisKeys()
        sealapi.CKKSEncoder(context).encode([1.0], 2.0**25, plaintext)
        seeded = to_bytes(sealapi.Encryptor(context, keygen.secret_key()).encrypt_symmetric(plaintext))
        keygen.create_galois_keys([3], galois)
        whole = read_ciphertext(seeded, PARAMETERS, self._ids)
        self.ciphertexts = (
            seeded,
            to_bytes(from_bytes(sealapi.Ciphertext(), context, seeded)),
            write_ciphertext(whole, self._ids),
            compact.compact(seeded, PARAMETERS, self._ids),
            compact.write(whole, PARAMETERS),
        )
        self.keys = to_bytes(galois)

    def read(self, data: bytes, as_keys: bool) -> bool:
        """Whether it is accepted; then all residues must be below their primes. Any other error is a finding."""
        try:
            if as_keys:
                found = list(read_keys(data, PARAMETERS, self._key_id).values())
            else:
                found = [compact.read(data, PARAMETERS, self._ids).residues]
        except SealDataError:
            return False
        for residues in found:
            limits = np.array(PARAMETERS.primes, np.uint64)[: residues.shape[-2], None]
            assert (residues < limits).all()
        return True


def main(count: int, seed: int) -> None:
    """Read ``count`` damaged objects."""
    subject, rng = Subject(), random.Random(seed)
    accepted, slowest, start = 0, 0.0, time.perf_counter()
    for _ in range(count):
        kind = rng.randrange(8)
        data = damaged(rng, subject.ciphertexts[kind % 5] if kind else subject.keys)
        before = time.perf_counter()
        accepted += subject.read(data, as_keys=not kind)
        slowest = max(slowest, time.perf_counter() - before)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{count:,} inputs in {seconds:.0f} s, {accepted:,} read, the rest refused")
    print(f"slowest {1000 * slowest:.1f} ms, peak {peak} MB")
    assert slowest < SLOWEST_SECONDS


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
