"""Discrete Gaussians D(s): an integer x with probability proportional to exp(-x^2 / 2 s^2), for deviations s from 6.4.

A sample is a sum c_1 x_1 + c_2 x_2 + ... of samples x_j of one base law, D(6.4), with public multipliers c_j, as D.
Micciancio and M. Walter, "Gaussian Sampling over the Integers: Efficient, Generic, Constant-Time" (CRYPTO 2017) do it.
The variance of the sum is that of the base law times M, the sum of c_j^2.

**Why the sum is Gaussian.** Let X have the law D(s), s^2 = M s_0^2, and let x have D(s_0). X + c x = z has a
probability proportional to exp(-z^2 / 2 (s^2 + c^2 s_0^2)) times the sum of exp(-(x - m)^2 / 2 t^2) over all integers
x, for some real m, with t^2 = s_0^2 / (1 + c^2 / M). That sum is the same for all m but for a factor between 1 - eps
and 1 + eps, eps = 2 exp(-2 pi^2 t^2) / (1 - exp(-2 pi^2 t^2)), by Poisson's formula. Multipliers with c^2 <= 13 M leave
t^2 >= s_0^2 / 14 = 2.92, and eps < 2^-82: every addition moves the sum by a statistical distance below 2^-81.

**The base law.** A uniform number u of 122 bits gives |x|: the number of thresholds above u, where threshold i is
2^122 P(|x| >= i), rounded; another bit gives the sign. Thresholds that round to 0 are left out, which cuts a tail off
whose probability is below 2^-123. Roundings move every probability of |x| by 2^-122 at most, all of them together a
statistical distance of `BASE_DISTANCE`, below 2^-116. A sample of many terms is `Gaussian.distance` away, below 2^-76.
Whoever tells these samples from exact Gaussians succeeds by that times their number more often than by chance, however
much he computes: by less than 2^-54 for the 3.2 million samples in a block of vectors of 784 elements.

**Side channels.** The upper 58 bits of u decide, unless they are those of a threshold: once in 2^52 base samples. They
are compared with every threshold, and no branch and no address depends on them, but for the one branch that is taken
when any word among many does not decide. Who sees it taken, once in 2^26 such blocks, does not see which word that was.

Words come from AES-256 in counter mode, keyed by the operating system's generator, once for every `Source`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import cache, cached_property

import numpy as np

from he.functional.rlwe import reference
from he.kernels.instructions.multiply import LANES
from he.kernels.passes.functional import COUNT_BITS, gaussian_sums
from he.ring.words import Words
from intnn.values.arrays import Array, IntArray

#: The variance of the base law, as a fraction: its deviation is 6.4.
BASE_VARIANCE = 40.96
_VARIANCE = Decimal("40.96")
#: The largest c^2 / M for which c is a multiplier behind others whose squares sum to M.
SPREAD = 13

AT_ONCE = 1024  # samples, for their words to stay in the second cache


@dataclass(frozen=True)
class Gaussian:
    """The law of a sum of multiples of base samples: a discrete Gaussian.

    Attributes:
        multipliers: The positive multipliers c_j. Each of them squared is at most `SPREAD` times the sum of the squares
            before it.
    """

    multipliers: tuple[int, ...]

    @cached_property
    def multiple(self) -> int:
        """M: the variance as a multiple of the base law's."""
        return sum(c * c for c in self.multipliers)

    @property
    def variance(self) -> float:
        """The square of the deviation."""
        return BASE_VARIANCE * self.multiple

    @property
    def deviation(self) -> float:
        """The deviation s."""
        return math.sqrt(self.variance)

    @property
    def bound(self) -> int:
        """The largest magnitude that a sample can have."""
        return len(thresholds()) * sum(self.multipliers)

    @property
    def distance(self) -> float:
        """An upper bound of the statistical distance of a sample from the discrete Gaussian."""
        return len(self.multipliers) * (BASE_DISTANCE + 2.0**-81)


@cache
def gaussian(multiple: int) -> Gaussian:
    """The law with the fewest terms whose variance is at least ``multiple`` times the base law's, and little more.

    Args:
        multiple: M, from 1 on.
    """
    multipliers, total = [1], 1
    while total < multiple:
        needed = math.isqrt(multiple - total - 1) + 1
        multipliers.append(min(needed, math.isqrt(SPREAD * total)))
        total += multipliers[-1] ** 2
    return Gaussian(tuple(multipliers))


@cache
def thresholds() -> tuple[int, ...]:
    """2^122 P(|x| >= i) of the base law, rounded to the nearest integer, for i = 1, 2, ... until 0."""
    with localcontext(Context(prec=80)):
        weights = [Decimal(1)]  # of |x|, up to a common factor
        while weights[-1] > Decimal(10) ** -70:
            weights.append(2 * (-(Decimal(len(weights)) ** 2) / (2 * _VARIANCE)).exp())
        total = sum(weights, Decimal(0))
        tails = [sum(weights[i:], Decimal(0)) / total * (1 << 122) for i in range(1, len(weights))]
        return tuple(rounded for tail in tails if (rounded := int(tail.to_integral_value())))


@cache
def table() -> Array:
    """The upper 58 bits of the thresholds, above the number of larger ones: rising, as `gaussian_sums` takes them."""
    upper = [threshold >> 64 for threshold in thresholds() if threshold >> 64]
    return np.array([threshold << COUNT_BITS | larger for larger, threshold in enumerate(upper)][::-1], np.uint64)


#: An upper bound of the statistical distance of a base sample from D(6.4): half of 2^-122 for every value of |x|, and
#: the tail.
BASE_DISTANCE = (len(thresholds()) + 1) * 2.0**-123 + 2.0**-123


class Source(Words):
    """Uniform words and Gaussian samples from a key."""

    def samples(self, law: Gaussian, shape: tuple[int, ...]) -> IntArray:
        """Samples of a law, int64 of a shape whose product is a multiple of 64, read-only.

        Every 1024 samples, or those that are left in the end, take the words of all their first base samples, then of
        all second ones, and so on, and then such words as some of these make necessary.
        """
        multipliers, out = np.array(law.multipliers, np.int64), np.empty(math.prod(shape), np.int64)
        for start in range(0, len(out), AT_ONCE):
            part, closest = out[start : start + AT_ONCE], np.full(LANES, np.iinfo(np.uint64).max)
            words = self.words(len(multipliers) * len(part)).reshape(-1, len(part))
            gaussian_sums(words, table(), multipliers, part, closest)
            if not closest.all():
                drawn = words.tolist()  # before `further` overwrites them
                part[:] = reference.gaussian_sums(drawn, thresholds(), law.multipliers, lambda: int(self.words(1)[0]))
        out.setflags(write=False)
        return out.reshape(shape)
