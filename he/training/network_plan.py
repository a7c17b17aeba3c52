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
Pairs are taken apart by their conjugates (`Arithmetic.halves`), which costs a key switch for two units.

Scales of fresh and worn weights have one ratio for both layers (`he.training.refreshed`), and U^2 has the scale of the
samples, so that biases have that of other weights: that leaves one scale to choose, the samples'.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from he.formats.compact import Form
from he.formats.switching import RELINEARISATION
from he.ring.params import RING_DEGREES, ParameterError, Parameters, Security, max_modulus_bits
from he.ring.slots import trace_elements
from he.training.head import MOST_CLASSES
from he.training.network import LEVELS, NetworkDescent, SquareNetwork
from he.training.plan import MOST_FEATURES, MOST_SAMPLES
from he.training.refreshed import fresh_form, move_factors, worn_form, worn_room
from intnn.values.arrays import FloatArray, instance, integer
from intnn.values.value_object import ValueObject

TOP, SECOND = LEVELS + 1, 5  # the levels of X and V, and of W
_FIRST, _MIDDLE = 46, 38  # bits of primes: the first and the special one; those between them
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
class NetworkPlan(ValueObject):
    """The public frame of training one network.

    Attributes:
        samples: The number of all owners' samples together, from 1 to 2**20.
        features: The number of features with the column of ones, from 2 to 4096.
        classes: The number of classes, from 2 to 1024.
        descent: The network and the constants of its steps.
        security: As in `Parameters`.
        ring_degree: N; by default the smallest that the security allows.

    Raises:
        TypeError: An argument has another type.
        ValueError: A number is out of its range, that of hidden units is odd, or a ciphertext has no room for all
            weights.
        ParameterError: The parameters are not secure, or weights within the descent's reach have no room.
    """

    samples: int
    features: int
    classes: int
    descent: NetworkDescent
    security: Security = "128"
    ring_degree: int | None = None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("samples", 1, MOST_SAMPLES),
            ("features", 2, MOST_FEATURES),
            ("classes", 2, MOST_CLASSES),
        ):
            object.__setattr__(self, name, integer(getattr(self, name), name, low, high))
        instance(self.descent, NetworkDescent, "descent")
        if self.descent.hidden % 2:
            raise ValueError(f"`hidden` must be even, for units go in pairs, got {self.descent.hidden}")
        if self.weights > self.block_samples:
            raise ValueError(
                f"the network must have at most {self.block_samples} pairs of weights, which one ciphertext holds, got "
                f"{self.weights}; plan for fewer hidden units or features"
            )
        _ = self.scales

    @cached_property
    def parameters(self) -> Parameters:
        """The encryption parameters; their scale is that of fresh samples."""
        return self._parameters(int(math.log2(self.scales.sample)))

    def _parameters(self, scale_bits: int) -> Parameters:
        bits = (_FIRST, *[_MIDDLE] * LEVELS, _FIRST)
        return Parameters("ckks", self.degree, bits, scale_bits=scale_bits, security=self.security)  # type: ignore[arg-type]

    @cached_property
    def degree(self) -> int:
        """The ring degree."""
        if self.ring_degree is not None:
            return self.ring_degree
        bits, limits = 2 * _FIRST + LEVELS * _MIDDLE, {N: max_modulus_bits(N, self.security) for N in RING_DEGREES}
        return next(N for N, limit in limits.items() if limit is None or bits <= limit)

    @cached_property
    def scales(self) -> NetworkScales:
        """The scales of a step: the largest of samples for which worn weights within the reach have room.

        Raises:
            ParameterError: There is none of use.
        """
        frame = self._parameters(_LEAST_BITS)
        for bits in range(_MOST_BITS, _LEAST_BITS - 1, -1):
            scales = NetworkScales(self.samples, frame.primes, 2.0**bits, self.descent)
            if max(scales.worn) * self.descent.reach <= worn_room(frame):
                return scales
        raise ParameterError(
            f"no scale holds the weights that {self.samples} samples make, within `reach`, {self.descent.reach:g}; "
            "plan for fewer samples, or a smaller reach"
        )

    @property
    def block_samples(self) -> int:
        """The most samples of a block, which is the number of slots."""
        return self.degree // 2

    @property
    def pairs(self) -> int:
        """The ciphertexts that the targets of some samples take: two classes each."""
        return -(-self.classes // 2)

    @property
    def weights(self) -> int:
        """The number of pairs of weights: V's of two hidden units, then W's of two classes, row by row."""
        return self._of_first + (self.descent.hidden + 1) * self.pairs

    @property
    def _of_first(self) -> int:
        return self.features * self.descent.hidden // 2

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
    def move_factors(self) -> tuple[int, int]:
        """As in `RefreshedPlan`."""
        scales = self.scales
        return move_factors(self.descent.momentum, self.parameters, scales.second, scales.worn[1])

    @property
    def fresh_form(self) -> Form:
        """As in `RefreshedPlan`."""
        return fresh_form(self.parameters)

    @property
    def worn_form(self) -> Form:
        """As in `RefreshedPlan`."""
        return worn_form(self.parameters)

    @property
    def steps(self) -> int:
        """The number of steps."""
        return self.descent.steps

    @property
    def levels(self) -> int:
        """The levels of a step."""
        return LEVELS

    @property
    def reach(self) -> float:
        """What no weight may exceed."""
        return self.descent.reach

    @property
    def initial(self) -> FloatArray:
        """The weights at the start, which are public: float64 [weights, 2]; behind an odd last class stand zeros."""
        network = SquareNetwork.initial(self.features, self.classes, self.descent)
        second = np.pad(network.second, [(0, 0), (0, 2 * self.pairs - self.classes)])
        return np.concatenate([network.first.reshape(-1, 2), second.reshape(-1, 2)])

    def network(self, weights: FloatArray) -> SquareNetwork:
        """Return the network with these weights, in the order of `initial`."""
        first, second = np.split(weights, [self._of_first])
        return SquareNetwork(first.reshape(self.features, -1), second.reshape(-1, 2 * self.pairs)[:, : self.classes])

    @property
    def block_forms(self) -> list[Form]:
        """The forms of a block's ciphertexts: the features', and behind them the targets', two classes each."""
        return [Form.fresh(self.parameters)] * (self.features + self.pairs)

    @property
    def key_elements(self) -> tuple[int, ...]:
        """The Galois elements of all evaluation keys: as in `HeadPlan`, and conjugation's."""
        return (RELINEARISATION, *trace_elements(self.degree, pairs=False))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the plan in hexadecimal digits; it covers the parameters and scales, which follow from it."""
        sizes = {"samples": self.samples, "features": self.features, "classes": self.classes}
        known = {"network": sizes, "descent": asdict(self.descent), "parameters": self.parameters.digest}
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
