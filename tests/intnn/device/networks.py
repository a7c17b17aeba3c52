"""Networks with layers of every kind, of every geometry and of integers of every width."""

import numpy as np

from intnn import (
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    IntDomain,
    IntNetwork,
    IntPolynomial,
    Lut,
    LutActivation,
    Requantise,
    Reshape,
    Scale,
    SumPool2d,
)
from intnn.layers.intervals import propagate
from intnn.values.domain import Interval

DOMAINS = (IntDomain(0, 15), IntDomain(-128, 127), IntDomain(0, 255), IntDomain(-3, 2000), IntDomain.ring(17))
LARGEST_WEIGHTS = (5, 127, 500, 1 << 13)  # a byte, some bytes, too many of them
LARGEST_TABLE = 1 << 12


def network(seed, most=6):
    """A random network of up to ``most`` layers, each of a kind that fits what is there; numbers decide on all of it.

    Hypothesis would draw the simplest layers again and again, and few that can be fused.
    """
    rng = np.random.default_rng(seed)
    shape, domain = _one(rng, [(2, 5, 4), (1, 6, 5), (1, 5, 6), (7,)]), _one(rng, DOMAINS)
    layers, inputs, intervals = [], [], [Interval.full(domain, shape)]
    for _ in range(rng.integers(1, most + 1)):
        layer, read = _layer(rng, layers, intervals)
        try:
            interval, _bound = propagate(layer, *(intervals[number + 1] for number in read))
        except ValueError:  # a sum beyond int64
            continue
        layers.append(layer)
        inputs.append(read)
        intervals.append(interval)
    return IntNetwork(shape, domain, tuple(layers), inputs=tuple(inputs)) if layers else network(seed + 1)


def _one(rng, options):
    return options[rng.integers(len(options))]


def _numbers(rng, count, lo, hi):
    return tuple(int(number) for number in rng.integers(lo, hi + 1, count))


def _layer(rng, layers, intervals):
    """A layer that reads the last value, and what it reads."""
    x, last = intervals[-1], len(intervals) - 2
    shape, hull = x.lo.shape, x.hull
    kinds = ["requantise", "scale", "add", "concatenate", "reshape"]
    kinds += ["dense"] * 6 if len(shape) == 1 else [*["conv2d"] * 5, "pool", "flatten"] if len(shape) == 3 else []
    kinds += ["table"] * 3 if hull.size <= LARGEST_TABLE else ["requantise"] * 4
    kinds += ["table"] * 4 if layers and isinstance(layers[-1], Requantise) and hull.size <= LARGEST_TABLE else []
    kinds += ["polynomial"] if hull.magnitude < 1000 else []
    match _one(rng, kinds):
        case "dense":
            weight = _weights(rng, (int(rng.integers(1, 19)), *shape))
            layer = Dense(weight, rng.integers(-9, 10, len(weight)))
        case "conv2d":
            layer = _conv2d(rng, shape)
        case "pool":
            layer = SumPool2d(_numbers(rng, 2, 1, 2), _numbers(rng, 2, 1, 2), _numbers(rng, 4, 0, 2))
        case "flatten":
            layer = Flatten()
        case "reshape":
            layer = Reshape(_one(rng, [(x.lo.size,), (1, x.lo.size, 1), (x.lo.size, 1, 1), shape[::-1]]))
        case "scale":
            channels = _one(rng, [1, shape[0]])
            layer = Scale(rng.integers(-3, 4, channels), rng.integers(-9, 10, channels))
        case "requantise":
            bits = max(0, hull.magnitude.bit_length() - 7)
            factors = rng.integers(-64, 65, _one(rng, [1, shape[0]]))
            ends = _one(rng, [(-128, 127), (0, 255), (0, 40), (-3000, 3000)])
            layer = Requantise(factors, min(bits + 6, 62), IntDomain(*ends))
        case "table":
            lo, hi = hull.lo - int(rng.integers(4)), hull.hi + int(rng.integers(4))
            ends = _one(rng, [(0, 16), (-128, 128), (-5000, 5000)])
            layer = LutActivation(Lut(IntDomain(lo, hi), rng.integers(*ends, hi - lo + 1)))
        case "polynomial":
            layer = IntPolynomial(_one(rng, [(0, 0, 1), (-3, 2), (1, -2, 3, 1)]))
        case "add":
            same = [i - 1 for i, interval in enumerate(intervals) if interval.lo.shape == shape]
            return Add(), (last, *(_one(rng, same) for _ in range(rng.integers(1, 3))))
        case "concatenate":
            same = [i - 1 for i, interval in enumerate(intervals) if interval.lo.shape[1:] == shape[1:]]
            return Concatenate(), (_one(rng, same), last)
    return layer, (last,)


def _conv2d(rng, shape):
    groups = shape[0] if _one(rng, [False, False, True]) else 1
    outputs = groups * int(rng.integers(1, 4))
    sides = [int(rng.integers(1, min(3, side) + 1)) for side in shape[1:]]
    borders, dilation = _numbers(rng, 4, 0, 2), _numbers(rng, 2, 1, 2)
    fits = all(
        gap * (taps - 1) < side + before + after
        for gap, taps, side, before, after in zip(dilation, sides, shape[1:], borders[::2], borders[1::2], strict=True)
    )
    weight = _weights(rng, (outputs, shape[0] // groups, *sides))
    bias = rng.integers(-9, 10, outputs)
    return Conv2d(weight, bias, _numbers(rng, 2, 1, 2), borders, dilation if fits else 1, groups)


def _weights(rng, shape):
    largest = _one(rng, LARGEST_WEIGHTS)
    least = _one(rng, [0, -largest])
    return rng.integers(least, largest + 1, shape)
