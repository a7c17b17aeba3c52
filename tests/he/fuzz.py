"""Millions of mutated messages for whole parties: python -m tests.he.fuzz [COUNT] [SEED].

Interfaces, offers, evaluation keys, requests, answers and states of clients are altered where their structure is, and
so are the messages by which two owners make one key and open answers, and what a model's owner issues; mostly they get
a right digest afterwards, so that parsers are reached. Clients, sessions and owners must take
each of them for what it should be, or refuse it by an error that is declared, within little more memory than they hold
already. An answer that is accepted must be the right one; only where residues were altered may it be another, for a
digest finds accidents, and whoever forges it may choose what an answer says (see `Client`).

The everyday suite does the same with a few hundred (`tests/he/parties/test_fuzz.py`).
"""

from __future__ import annotations

import math
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from he.formats.messages import Kind
from he.ring import params, primes
from tests.he.mutate import mutated
from tests.he.subjects import FindingError, Owners, Pair, Subject

MEMORY = 64 << 20  # bytes that a party may take beside what it holds: no message of these circuits has 2 MB
SLOWEST_SECONDS = 2.0
OF_OWNERS = (
    *(Kind.JOINT_INVITATION, Kind.JOINT_COMMITMENT, Kind.JOINT_FIRST, Kind.JOINT_SHARES, Kind.JOINT_SECOND),
    *(Kind.PUBLIC_KEY, Kind.ENCRYPTED_NETWORK, Kind.PERMISSION, Kind.REVOCATION, Kind.VOUCHER, Kind.PARTIAL_DECRYPTION),
)
WEIGHTS = {
    Kind.INTERFACE: 40,
    Kind.REQUEST: 30,
    Kind.RESPONSE: 23,
    Kind.EVALUATION_KEYS: 1,
    Kind.OFFER: 3,
    Kind.CLIENT: 3,
    **dict.fromkeys(OF_OWNERS, 1),
}

params.is_prime = primes.is_prime = cache(primes.is_prime)  # the same candidates, again and again


@contextmanager
def limited_memory() -> Iterator[None]:
    """For a while this process may take `MEMORY` more than it holds, where the system can say what that is."""
    held, before = Path("/proc/self/statm"), resource.getrlimit(resource.RLIMIT_AS)
    if held.exists():
        most = int(held.read_text().split()[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


NAMES = ("bfv latency", "bfv throughput", "ckks latency", "ckks throughput", "bfv latency levels")


def everybody() -> list[Subject]:
    """Return all parties."""
    return [*map(Pair, NAMES), *map(Owners, ("bfv", "ckks"))]


def attack(
    subjects: list[Subject], count: int, seed: int, report: Callable[[int], None] = lambda done: None
) -> Counter:
    """Give parties so many mutants, under a memory limit; return how many of each kind were accepted and refused.

    Raises:
        FindingError: and the message lies in a file that it names.
    """
    rng, outcomes = random.Random(seed), Counter[str]()
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    for i in range(count):
        (kind,) = rng.choices(kinds, weights)
        (subject,) = rng.choices(subjects, [1 / subject.sizes.get(kind, math.inf) for subject in subjects])
        data, is_altered = mutated(rng, kind, subject, subjects)
        before = time.process_time()  # what else the machine does is not the message's fault
        try:
            with limited_memory():
                accepted = subject.take(kind, data, rng, is_altered)
            if time.process_time() - before > SLOWEST_SECONDS:
                raise FindingError(f"{subject.name}: {kind.name} must be refused soon")
        except FindingError as finding:
            path = Path(tempfile.gettempdir(), f"finding-{seed}-{i}")
            path.write_bytes(data)
            raise FindingError(f"{finding}; seed {seed}, message {i}, in {path}") from finding
        outcomes[f"{kind.name} {'accepted' if accepted else 'refused'}"] += 1
        report(i)
    return outcomes


def _work(count: int, seed: int) -> Counter:
    subjects = everybody()
    start = time.perf_counter()

    def report(done: int) -> None:
        if done % 50_000 == 49_999:
            print(f"seed {seed}: {done + 1:,} of {count:,} in {time.perf_counter() - start:.0f} s", flush=True)

    return attack(subjects, count, seed, report)


def main(count: int, seed: int) -> None:
    """Share so many mutants out to all processors."""
    workers = os.cpu_count() or 1
    print(f"{count:,} messages, {workers} processes, seeds from {seed}", flush=True)
    start = time.perf_counter()
    outcomes = Counter[str]()
    pool = ProcessPoolExecutor(workers)
    try:
        shares = [pool.submit(_work, -(-count // workers), seed + i) for i in range(workers)]
        for share in as_completed(shares):
            outcomes += share.result()
    except BaseException:  # a finding ends the run: the others are not waited for
        for process in list(pool._processes.values()):
            process.terminate()
        raise
    finally:
        pool.shutdown()
    for what, number in sorted(outcomes.items()):
        print(f"{what}: {number:,}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"{outcomes.total():,} messages in {time.perf_counter() - start:.0f} s, peak {peak} MB: no finding")


if __name__ == "__main__":
    main(*map(int, [*sys.argv[1:], *("10_000_000", "0")[len(sys.argv) - 1 :]]))
