"""The scales of one encrypted step of a network of squares, and what is agreed on before.

Of seven primes at the start, with V at the top and W lowered to level 5, for pairs of hidden units and of classes:

    U = X V              level 6    pairs of units, which are then taken apart
    U^2                  level 5
    R = Y - [U^2, 1] W   level 4    pairs of classes
    R W'^T               level 3    the first numbers of conj(R) W', which are sums over pairs of classes
    times 2 U            level 2    pairs of units again; the factor 2 is in the scale
    -dV = X^T ...        level 1    pairs of units
    -dW = [U^2, 1]^T R   level 1    pairs of classes

The ones behind U^2 are the samples' own column of ones, which is 0 in slots without a sample: so no such slot counts.
A convolution's units stand place by place, and -dV is a sum over places too.
Pairs are taken apart by their conjugates (`Arithmetic.halves`), which costs a key switch for two units.

Scales of fresh and worn weights have one ratio for both layers (`he.training.refreshed.plan`), and U^2 has the scale of
the samples, so that biases have that of other weights: that leaves one scale to choose, the samples'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from he.ring.params import ParameterError
from he.training.refreshed.network import LEVELS, NetworkDescent, SquareNetwork
from he.training.refreshed.plan import RefreshedPlan, worn_room
from intnn.values.arrays import FloatArray, IntArray, instance

SECOND = 5  # the level of W; X and V are at the highest
_LEAST_BITS, _MOST_BITS = 20, 44  # of the scale of samples


@dataclass(frozen=True)
class NetworkScales:
    """The scales of the values of a step.

    Attributes:
        samples: The number of all samples, by which gradients are divided.
        primes: The primes of the parameters.
        sample: The scale of X, Y and U^2.
        descent: The constants of the steps.
    """

    samples: int
    primes: tuple[int, ...]
    sample: float
    descent: NetworkDescent

    def _product(self, level: int, *scales: float) -> float:
        """The scale of a product at a level, once it is rescaled."""
        return math.prod(scales) / self.primes[level - 1]

    @cached_property
    def unit(self) -> float:
        """The scale of U, once pairs are apart; its square is rescaled to that of samples."""
        return math.sqrt(self.sample * self.primes[5])

    @cached_property
    def first(self) -> float:
        """The scale of fresh V; halves are twice their numbers."""
        return self.unit * self.primes[6] / (2 * self.sample)

    @cached_property
    def second(self) -> float:
        """The scale of fresh W, for which both layers have one ratio of fresh to worn scales."""
        rates = self.descent.first_rate / self.descent.second_rate
        return math.sqrt(self.primes[2] * self.primes[3] * rates * self.first / self.unit)

    @cached_property
    def residual(self) -> float:
        """The scale of R."""
        return self._product(5, self.sample, self.second)

    @cached_property
    def error(self) -> float:
        """The scale of R W'^T; halves are twice their numbers."""
        return 2 * self._product(4, self.residual, self.second)

    @cached_property
    def inner(self) -> float:
        """The scale of U * R W'^T."""
        return self._product(3, self.error, self.unit)

    @cached_property
    def first_gradient(self) -> float:
        """The scale of dV: the mean over samples and the factor 2 are in it."""
        return self._product(2, self.inner, self.sample) * self.samples / 2

    @cached_property
    def second_gradient(self) -> float:
        """The scale of dW."""
        return self._product(2, self.sample, self.residual) * self.samples

    @property
    def worn(self) -> tuple[float, float]:
        """The scales of both layers' worn weights: where a gradient's total is that gradient times its rate."""
        return self.first_gradient / self.descent.first_rate, self.second_gradient / self.descent.second_rate

    @property
    def target_factor(self) -> int:
        """What targets are multiplied by, rounded, to have the scale of logits before these are rescaled."""
        return round(self.second)


@dataclass(frozen=True)
class NetworkPlan(RefreshedPlan):
    """The public frame of training one network: see `RefreshedPlan`.

    Raises:
        ValueError: As in `RefreshedPlan`, or the number of hidden units is odd.
        ParameterError: As in `RefreshedPlan`.
    """

    descent: NetworkDescent

    levels = LEVELS

    def __post_init__(self) -> None:
        if instance(self.descent, NetworkDescent, "descent").hidden % 2:
            raise ValueError(f"`hidden` must be even, for units go in pairs, got {self.descent.hidden}")
        super().__post_init__()

    @property
    def sample_bits(self) -> int:
        """The binary logarithm of the scale of fresh samples."""
        return int(math.log2(self.scales.sample))

    @cached_property
    def scales(self) -> NetworkScales:
        """The scales of a step: the largest of samples for which worn weights within the reach have room.

        Raises:
            ParameterError: There is none of use.
        """
        frame = self.parameters_of(_LEAST_BITS)
        for bits in range(_MOST_BITS, _LEAST_BITS - 1, -1):
            scales = NetworkScales(self.samples, frame.primes, 2.0**bits, self.descent)
            if max(scales.worn) * self.descent.reach <= worn_room(frame):
                return scales
        raise ParameterError(
            f"no scale holds the weights that {self.samples} samples make, within `reach`, {self.descent.reach:g}; "
            "plan for fewer samples, or a smaller reach"
        )

    @property
    def weights(self) -> int:
        """The number of pairs of weights: V's of two hidden units, then W's of two classes, row by row."""
        return self._of_first + (len(self.indices) * self.descent.hidden + 1) * self.pairs

    @cached_property
    def indices(self) -> IntArray:
        """The feature that every tap of the first layer meets at every place, int64 [places, taps]."""
        return self.descent.indices(self.features)

    @property
    def _of_first(self) -> int:
        return self.indices.shape[1] * self.descent.hidden // 2

    @property
    def fresh_scales(self) -> FloatArray:
        """As in `RefreshedPlan`."""
        return self._by_layer(self.scales.first, self.scales.second)

    @property
    def worn_scales(self) -> FloatArray:
        """As in `RefreshedPlan`."""
        return self._by_layer(*self.scales.worn)

    def _by_layer(self, first: float, second: float) -> FloatArray:
        return np.repeat([[first], [second]], [self._of_first, self.weights - self._of_first], axis=0)

    @property
    def initial(self) -> FloatArray:
        """The weights at the start, which are public: float64 [weights, 2]."""
        return self.paired(SquareNetwork.initial(self.features, self.classes, self.descent))

    def paired(self, network: SquareNetwork) -> FloatArray:
        """Return a network's weights as they are packed: float64 [weights, 2]; behind an odd last class stand zeros."""
        second = np.pad(network.second, [(0, 0), (0, 2 * self.pairs - self.classes)])
        return np.concatenate([network.first.reshape(-1, 2), second.reshape(-1, 2)])

    def network(self, weights: FloatArray) -> SquareNetwork:
        """Return the network with these weights: the inverse of `paired`."""
        first, second = np.split(weights, [self._of_first])
        second = second.reshape(-1, 2 * self.pairs)[:, : self.classes]
        return SquareNetwork(first.reshape(-1, self.descent.hidden), second, self.indices)
