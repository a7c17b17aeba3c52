"""95 % intervals of what several runs measured, and of how much of it is above something else."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plaintext_models.evaluation.judge import Share


@dataclass(frozen=True)
class Estimate:
    """The mean of several runs with its 95 % interval, whose ends are None where there is none.

    Attributes:
        value: The mean; of shares from 0 to 1.
        low: The lower end.
        high: The upper end.
    """

    value: float
    low: float | None
    high: float | None


def estimate(shares: Sequence[Share]) -> Estimate:
    """The mean share of several runs and its 95 % interval.

    Student's interval over the runs, for a network of any seed on these images, widened to Wilson's of the mean of as
    many images as one run has, for these networks on any images. More runs do not narrow the second, since all of them
    judge the same images. Of parts of images, such as pixels, there are more than images, and Wilson's is too narrow:
    Student's is what holds. A run whose share is of nothing has no value, and is left out.

    Args:
        shares: Of every run, the count and of how many.

    Raises:
        ValueError: All shares are of nothing.
    """
    from plaintext_models.evaluation.judge import wilson

    values = [share.value for share in shares if share.n]
    if not values:
        raise ValueError("`shares` must hold one that is not of 0 images")
    mean, images = statistics.fmean(values), min(share.n for share in shares if share.n)
    low, high = wilson(mean * images, images)
    reach = _students(values)
    return Estimate(mean, min(low, max(0.0, mean - reach)), max(high, min(1.0, mean + reach)))


def estimate_number(values: Sequence[float]) -> Estimate:
    """The mean of several runs and Student's 95 % interval; of one run, no interval."""
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Estimate(mean, None, None)
    reach = _students(values)
    return Estimate(mean, mean - reach, mean + reach)


def _students(values: Sequence[float]) -> float:
    """Half of Student's 95 % interval; 0 for one value."""
    from scipy.stats import t

    if len(values) == 1:
        return 0.0
    return float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))


def difference(pairs: Sequence[tuple[Share, Share]]) -> Estimate:
    """The mean difference of shares, a pair a run, and its 95 % interval; none of one run.

    Student's interval over the differences is for networks of any seed on these images, that of `_over_images` for
    these networks on any images. Their reaches are joined as those of independent terms of a sum are, by their squares
    (G. Y. Zou and A. Donner, Statistics in Medicine 27, 2008): for networks of any seed on any images. What seeds
    change is taken for normal. It is not where trainings fail now and then: of one in ten that loses 80 points, the
    intervals of four or eight seeds hold the mean difference in half of all cases.
    """
    found = estimate_number([p.value - q.value for p, q in pairs])
    if found.low is None or found.high is None:
        return found
    below, above = _over_images(pairs)
    return Estimate(
        found.value,
        max(-1.0, found.value - math.hypot(found.value - found.low, below)),
        min(1.0, found.value + math.hypot(found.high - found.value, above)),
    )


def ratio(pairs: Sequence[tuple[float, float]]) -> Estimate:
    """The ratio of geometric means of positive numbers, a pair a run, and Student's 95 % interval by its logarithm."""
    found = estimate_number([math.log(p / q) for p, q in pairs])
    if found.low is None or found.high is None:
        return Estimate(math.exp(found.value), None, None)
    return Estimate(math.exp(found.value), math.exp(found.low), math.exp(found.high))


def _over_images(pairs: Sequence[tuple[Share, Share]]) -> tuple[float, float]:
    """How far below and above the mean difference of shares that of all images may lie, at 95 %.

    Where it was noted what became of each image, the interval of A. Agresti and Y. Min (Statistics in Medicine 24,
    2005) for matched pairs: half a pair is added to each of their four kinds, and what became of an image is the mean
    over the runs. Else that of R. G. Newcombe (Statistics in Medicine 17, 1998, method 10), which takes the images of
    both for different ones: it is too wide where they are the same and what is hard for one network is hard for the
    other, and too narrow where that is easy for it.
    """
    from plaintext_models.evaluation.judge import Z, wilson

    matched = [
        one.astype(float) - other
        for p, q in pairs
        if (one := p.each) is not None and (other := q.each) is not None and p.n == q.n == pairs[0][0].n
    ]
    if len(matched) == len(pairs):
        images = len(matched[0])
        each: Sequence[float] = [math.fsum(image) / len(pairs) for image in zip(*matched, strict=True)]
        mean = math.fsum(each) / (images + 2)
        variance = (math.fsum(one**2 for one in each) + 1) / (images + 2) - mean**2
        reach, shift = Z * math.sqrt(variance / (images + 2)), 2 * mean / images
        return reach + shift, reach - shift
    p, q = (statistics.fmean(share.value for share in side) for side in zip(*pairs, strict=True))
    of_p, of_q = (min(share.n for share in side) for side in zip(*pairs, strict=True))
    (p_low, p_high), (q_low, q_high) = wilson(p * of_p, of_p), wilson(q * of_q, of_q)
    return math.hypot(p - p_low, q_high - q), math.hypot(p_high - p, q - q_low)
