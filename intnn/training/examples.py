"""The examples of a training run: bytes, an order for every epoch, and changes that make new examples of old ones."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from intnn.training import generator
from intnn.values.arrays import Array, FloatArray, IntArray
from intnn.values.domain import IntDomain
from intnn.values.rounding import round_half_up

REPEAT_EXPONENT = 32  # repeats are multiples of 2**-32, as finely as a draw can tell
MOST_REPEATS = 1 << 26  # examples of an epoch: their indices take 512 MiB


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
        repeats: How often an epoch shows every example, int64 [n], positive multiples of 2**-32; None for once each.
    """

    inputs: Array
    labels: IntArray
    fill: int
    repeats: IntArray | None = None

    @classmethod
    def of(cls, x: IntArray, labels: IntArray, domain: IntDomain, repeats: IntArray | None = None) -> "Examples":
        """The examples with inputs x, integers [n, height, width, channels] inside a domain within one byte."""
        offset = offset_of(domain)
        return cls((x + offset).astype(np.uint8), labels, min(max(0, domain.lo), domain.hi) + offset, repeats)

    @property
    def shown(self) -> int:
        """How many examples an epoch shows."""
        return shown(len(self.labels), self.repeats)

    def sorted(self) -> "Examples":
        """The same examples in an order that follows from their content."""
        rows = [(x.tobytes(), label) for x, label in zip(self.inputs, self.labels.tolist(), strict=True)]
        order = np.array(sorted(range(len(rows)), key=rows.__getitem__))
        repeats = None if self.repeats is None else self.repeats[order]
        return replace(self, inputs=self.inputs[order], labels=self.labels[order], repeats=repeats)

    def batches(self, size: int, seed: int, epoch: int) -> Iterator[IntArray]:
        """The indices of every whole batch of an epoch, in a random order of the examples; as many in every epoch."""
        chosen = self._chosen(seed, epoch)
        draws = generator.draws(generator.key(seed, generator.ORDER, epoch), len(chosen))
        order = chosen[np.argsort(draws, kind="stable")]
        for start in range(0, self.shown - size + 1, size):
            yield order[start : start + size]

    def _chosen(self, seed: int, epoch: int) -> IntArray:
        """The index of every example, as often as an epoch shows it.

        That is its repeats rounded up or down by systematic sampling (W. G. Madow, "On the Theory of Systematic
        Sampling, II", Annals of Mathematical Statistics 1949): on average over offsets, exactly its repeats.
        """
        indices = np.arange(len(self.labels))
        if self.repeats is None:
            return indices
        offset = generator.draw(generator.key(seed, generator.REPEATS, epoch), 0)
        ends = np.cumsum(self.repeats) + offset >> REPEAT_EXPONENT
        return np.repeat(indices, np.diff(ends, prepend=0))

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


def repeats_of(weights: FloatArray) -> IntArray:
    """How often an epoch shows examples of these positive weights [n], int64 [n] in multiples of 2**-32.

    Whole weights are numbers of times. Others are proportions: an epoch shows n examples, whatever the weights' sum.

    Raises:
        ValueError: Whole weights add up to more than `MOST_REPEATS`.
    """
    if (weights == np.rint(weights)).all():
        with np.errstate(over="ignore"):
            total = weights.sum()
        if total > MOST_REPEATS:
            raise ValueError(
                f"`sample_weight` must add up to at most {MOST_REPEATS} if weights are whole, which are numbers of "
                f"times, got {total:g}; divide them by a common factor"
            )
        return weights.astype(np.int64) << REPEAT_EXPONENT
    relative = weights / weights.max()
    repeats = round_half_up(relative * (len(weights) / math.fsum(relative)) * 2.0**REPEAT_EXPONENT)
    repeats[weights.argmax()] += (len(weights) << REPEAT_EXPONENT) - repeats.sum()  # what rounding has left
    return repeats


def shown(examples: int, repeats: IntArray | None) -> int:
    """How many examples an epoch shows."""
    return examples if repeats is None else int(repeats.sum()) >> REPEAT_EXPONENT


def offset_of(domain: IntDomain) -> int:
    """The number that is added to a domain's values so that they are unsigned bytes."""
    return 128 if domain.lo < 0 else 0
