"""The parties of functional encryption in one process, with a stopwatch for each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from itertools import pairwise
from pathlib import Path
from time import perf_counter, process_time

from bench.harness.timing import timed
from he.functional.parties.authority import Authority
from he.functional.parties.books import Exposure, Opening
from he.functional.parties.owner import Block, Owner, arranged
from he.functional.parties.request import KeyRequest
from he.functional.parties.trainer import Products
from he.functional.scheme import FunctionalKey, PublicKey
from intnn.training.schedule import Epoch
from intnn.values.arrays import IntArray

OWNER = "their owner"
DATA = "the training images"


@dataclass
class Seconds:
    """Wall-clock seconds of the parts of a run."""

    setup: float = 0.0
    encrypt: float = 0.0
    keys: float = 0.0
    decrypt: float = 0.0
    train: float = 0.0

    @property
    def all(self) -> float:
        """The whole run."""
        return self.setup + self.encrypt + self.keys + self.decrypt + self.train

    def within(self, total: float) -> Seconds:
        """These parts of a whole, and the trainer's own work for the rest of it."""
        return replace(self, train=self.train + total - self.all)

    def plus(self, other: Seconds) -> Seconds:
        """Both, one behind the other."""
        return Seconds(*(one + more for one, more in zip(astuple(self), astuple(other), strict=True)))

    def times(self, batches: float, steps: float) -> Seconds:
        """What a run takes that has so many times the batches, and the steps."""
        return Seconds(
            self.setup * batches, self.encrypt * batches, self.keys * steps, self.decrypt * steps, self.train * steps
        )


class Steps:
    """A stopwatch for the steps of a training run, to be called with the report of every epoch.

    It counts processor time, of all threads, and takes the fastest epoch: an epoch of small steps is as long as a
    process's turn, and on a busy machine others have their share of most epochs' time and caches.
    """

    def __init__(self) -> None:
        self._ends: list[tuple[float, int]] = []

    def __call__(self, epoch: Epoch) -> None:
        """An epoch is over."""
        self._ends.append((process_time(), epoch.seen))

    def seconds(self, batch_size: int) -> float | None:
        """What a step takes in the fastest epoch behind the first, which sets things up; None if there is none."""
        epochs = ((now - then) * batch_size / examples for (then, _), (now, examples) in pairwise(self._ends))
        return min(epochs, default=None)


class Parties:
    """An authority, and an owner for every instance; what both and the trainer take is measured."""

    def __init__(self, authority: Authority) -> None:
        self._authority, self._before = authority, Seconds()
        self.keys_s = self.products_s = 0.0  # the authority's part of a trainer's products, and both parts
        self.ciphertext_bytes = 0
        self._issued: dict[tuple[tuple[int, ...], int], tuple[int, int]] = {}  # requests and a key's bytes, by shape

    @property
    def seconds(self) -> Seconds:
        """What each has taken so far."""
        return replace(self._before, keys=self.keys_s, decrypt=self.products_s - self.keys_s)

    @property
    def keys(self) -> int:
        """The keys that were issued, one for every vector."""
        return sum(requests * vectors for ((vectors, _), _), (requests, _) in self._issued.items())

    @property
    def key_bytes(self) -> int:
        """Their size."""
        return sum(requests * size for requests, size in self._issued.values())

    def open(self, openings: Sequence[Opening]) -> list[PublicKey]:
        """Open instances."""
        setup_s, public_keys = timed(lambda: self._authority.open_all(openings))
        self._before.setup += setup_s
        return public_keys

    def encrypted(self, public_key: PublicKey, x: IntArray) -> Measured:
        """Encrypt vectors for an instance."""
        encrypt_s, blocks = timed(lambda: [self._sent(block) for block in Owner(OWNER, public_key).encrypt(x)])
        self._before.encrypt += encrypt_s
        return Measured(self, Products(self, public_key.instance, arranged(blocks, [OWNER])))

    def exposure(self) -> Exposure:
        """What the keys that were issued tell."""
        return self._authority.exposure(DATA)

    def issue(self, request: KeyRequest) -> FunctionalKey:
        """Have the authority issue a key."""
        begun = perf_counter()
        key = self._authority.issue(request)
        self.keys_s += perf_counter() - begun
        scope = request.scope
        shape = request.y.shape, 0 if scope is None else scope.stop - scope.start
        requests, size = self._issued.get(shape) or (0, len(key.to_bytes()))  # its bytes follow from the shape
        self._issued[shape] = requests + 1, size
        return key

    def _sent(self, block: Block) -> Block:
        """A block as the trainer reads it."""
        data = block.to_bytes()
        self.ciphertext_bytes += len(data)
        return Block.from_bytes(data)


class Measured:
    """A trainer's products; what they take beside the authority's part counts as decryption."""

    def __init__(self, parties: Parties, products: Products) -> None:
        self.instance, self._parties, self._products = products.instance, parties, products

    def products(self, y: IntArray, start: int, stop: int) -> IntArray:
        """See `he.functional.parties.trainer.Products`."""
        begun = perf_counter()
        result = self._products.products(y, start, stop)
        self._parties.products_s += perf_counter() - begun
        return result


class Kept:
    """Products that are kept, as a curious trainer would."""

    def __init__(self, products: Measured) -> None:
        self.instance, self._products = products.instance, products

    def products(self, y: IntArray, start: int, stop: int) -> IntArray:
        """See `he.functional.parties.trainer.Products`."""
        self.kept = self._products.products(y, start, stop)
        return self.kept


@contextmanager
def parties_at_work() -> Iterator[Parties]:
    """Parties whose authority's journal is thrown away at the end."""
    with tempfile.TemporaryDirectory() as folder, Authority(Path(folder) / "journal") as authority:
        yield Parties(authority)
