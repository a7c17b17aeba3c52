"""The examples of a training run: bytes, an order for every epoch, and changes that make new examples of old ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from intnn.training import generator
from intnn.values.arrays import Array, IntArray
from intnn.values.domain import IntDomain


@dataclass(frozen=True)
class Changes:
    """The random changes that make new examples of old ones every time that they are seen.

    Attributes:
        moved_by: The most pixels by which images are moved, either way in both directions.
        mirrored: Whether half of the images are mirrored, left and right.
    """

    moved_by: int = 0
    mirrored: bool = False


NO_CHANGES = Changes()


@dataclass(frozen=True, eq=False)
class Examples:
    """The data of a training run.

    Attributes:
        inputs: The inputs, uint8 [n, height, width, channels]; 128 is added where the domain has negative values.
        labels: The classes, int64 [n].
        fill: The byte that fills a moved image up: zero, or what is nearest to it in the domain.
    """

    inputs: Array
    labels: IntArray
    fill: int

    @classmethod
    def of(cls, x: IntArray, labels: IntArray, domain: IntDomain) -> "Examples":
        """The examples with inputs x, integers [n, height, width, channels] inside a domain within one byte."""
        offset = offset_of(domain)
        return cls((x + offset).astype(np.uint8), labels, min(max(0, domain.lo), domain.hi) + offset)

    def batches(self, size: int, seed: int, epoch: int) -> Iterator[IntArray]:
        """The indices of every whole batch of an epoch, in a random order of the examples."""
        draws = generator.draws(generator.key(seed, generator.ORDER, epoch), len(self.labels))
        order = np.argsort(draws, kind="stable")
        for start in range(0, len(order) - size + 1, size):
            yield order[start : start + size]

    def write(self, chosen: IntArray, changes: Changes, stream: generator.Key, out: Array) -> None:
        """Write the chosen inputs to ``out``, uint8 [batch, ...], each changed at random."""
        if changes == NO_CHANGES:
            out[...] = self.inputs[chosen]
            return
        from intnn.training.cpu.batch import gather  # imported late, so that Numba costs nothing where nobody trains

        draws = generator.draws(stream, 3 * len(chosen)).reshape(-1, 3)
        sides = 2 * changes.moved_by + 1
        choices = np.array([sides, sides, 1 + changes.mirrored])
        picked = (draws * choices >> 32) - np.array([changes.moved_by, changes.moved_by, 0])
        gather(self.inputs, chosen, picked, self.fill, out)


def offset_of(domain: IntDomain) -> int:
    """The number that is added to a domain's values so that they are unsigned bytes."""
    return 128 if domain.lo < 0 else 0
