"""Key switching with one special prime and with several, side by side on the same ciphertexts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.harness.timing import timed
from bench.harness.yardstick import seal_rotate_ms
from bench.report.he import HeRow
from he.engines.rns.algebra import Residues
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.engines.rns.value import Value
from he.engines.rns.weights import Weights
from he.formats import hybrid
from he.formats.switching import RELINEARISATION
from he.parties.keys import SecretKey
from he.ring.gadget import Gadgets
from he.ring.params import Parameters
from he.ring.scheme import Scheme

SCALE_BITS = 30
REPEATS = 15


@dataclass(frozen=True)
class SwitchingJob:
    """Key switches at one level by several gadgets, on one thread, taking turns; processor time of that thread.

    Attributes:
        poly_modulus_degree: N.
        coeff_modulus_bits: The bits of the primes, the one that never carries data last.
        level: The number of data primes of the ciphertexts.
        specials: The numbers of special primes, none more than there are primes above the level.
    """

    poly_modulus_degree: int
    coeff_modulus_bits: tuple[int, ...]
    level: int
    specials: tuple[int, ...]

    @property
    def title(self) -> str:
        """The ring and the level."""
        return f"key switching, N = {self.poly_modulus_degree}, {self.level} data primes"


def switches(job: SwitchingJob) -> Iterator[HeRow]:
    """The rows of a job: one for each operation and number of special primes."""
    N, bits = job.poly_modulus_degree, job.coeff_modulus_bits
    secret = SecretKey.generate(Parameters(Scheme.CKKS, N, bits, scale_bits=SCALE_BITS))
    sides = {specials: _operations(secret, job.level, specials) for specials in job.specials}
    unit = seal_rotate_ms(clock=time.thread_time)
    for work in sides[job.specials[0]][1]:
        seconds: dict[int, list[float]] = {specials: [] for specials in sides}
        for i in range(REPEATS + 1):
            for specials, (_, operations) in sides.items():
                elapsed = timed(operations[work], time.thread_time)[0]
                if i:  # the first one compiles
                    seconds[specials].append(elapsed)
        for specials, (size, _) in sides.items():
            ms = 1000 * statistics.median(seconds[specials])
            name = f"rns, {specials} special"
            yield HeRow(
                work=work,
                scheme="ckks",
                poly_modulus_degree=N,
                coeff_modulus_bits=bits,
                engine=name,
                threads=1,
                batch=0,
                ms=ms,
                units=ms / unit,
                ratio_to_seal=None,
                evaluation_key_bytes=size,
            )


def _operations(secret: SecretKey, level: int, specials: int) -> tuple[int, dict[str, Callable[[], object]]]:
    """The bytes of all keys, and by their names what is timed."""
    parameters = secret.parameters
    most = len(parameters.primes)
    gadgets = Gadgets.of(parameters, [min(specials, most - n) for n in range(1, most)])
    encoder, elements = Encoder.of(parameters, gadgets), [RELINEARISATION, parameters.galois_element(1)]
    keys = [(element, gadgets.at(level)) for element in elements]
    data = secret.hybrid_keys(keys)
    bound = SwitchingKeys.of(encoder, hybrid.read_all(data, keys, parameters.scheme))
    algebra = Residues.of(parameters.scheme)(encoder, Weights({}, {}, {}), bound, False, [], Workers(1), Buffers())
    x = Value(_uniform(parameters.primes[:level], parameters.poly_modulus_degree))
    product, cut = algebra.multiply(x, x), x.fresh(2)
    algebra.decompose(cut)
    return len(data), {
        "relinearise": lambda: algebra.relinearise(product),
        "rotate": lambda: algebra.mod_down(algebra.rotate(x.fresh(1), 1)),
        "one more rotation": lambda: algebra.rotate(cut, 1),
    }


def _uniform(primes: Sequence[int], N: int) -> np.ndarray:
    """Residues of a ciphertext that looks as all do: random."""
    rng = np.random.default_rng(0)
    return np.array([[rng.integers(0, p, N, np.uint64) for p in primes] for _ in range(2)])
