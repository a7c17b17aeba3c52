"""Torch with a seed, on one thread, with deterministic algorithms: equal arguments give equal bits on one machine."""

import contextlib
from collections.abc import Iterator

import torch

from intnn.values.arrays import integer

THREADS = 1  # sums depend on how threads divide them; networks this small gain little from more


@contextlib.contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Seed torch, fix its number of threads, and let it use deterministic algorithms alone; put all back afterwards."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(THREADS)
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict)


def generator(seed: int, device: torch.device) -> torch.Generator:
    """A seeded generator of random numbers: torch's own, which is the caller's, is left alone.

    Raises:
        TypeError: `seed` is not an integer.
        ValueError: `seed` is outside int64.
    """
    return torch.Generator(device).manual_seed(integer(seed, "seed"))
