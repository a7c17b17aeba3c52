"""The scales of one encrypted step of a network of squares, and what is agreed on before.

One number a slot. Of seven primes at the start, with V at the top and W at level 5:

    U = X V                 level 6     errors times 2 U    level 2 (the factor 2 is in the scale)
    U^2                     level 5     dV = X^T ...        level 1
    R = [U^2, 1] W - Y      level 4     dW = [U^2, 1]^T R   level 1
    R W'^T                  level 3

The ones behind U^2 are the samples' own column of ones, which is 0 in slots without a sample: so no such slot counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from he.formats.switching import RELINEARISATION
from he.ring.params import RING_DEGREES, ParameterError, Parameters, Security, max_modulus_bits
from he.ring.slots import trace_elements
from he.training.head import MOST_CLASSES
from he.training.network import LEVELS, NetworkDescent
from he.training.plan import MOST_FEATURES, MOST_SAMPLES
from intnn.values.arrays import instance, integer
from intnn.values.value_object import ValueObject

TOP, SECOND = LEVELS + 1, 5  # the levels of X and V, and of W
_FIRST, _MIDDLE = 46, 38  # bits of primes: the first and the special one; those between them
_SAMPLE_BITS, _SECOND_BITS = 36, 38  # of scales: with them, gradients of both layers have scales that are nearly equal
_LEAST_BITS, _MOST_BITS = 34, 44  # of the scale of V
_SPARE = 1.0  # bits of the last modulus that no total reaches


@dataclass(frozen=True)
class NetworkScales:
    """The scales of the values of a step.

    Attributes:
        samples: The number of all samples, by which gradients are divided.
        primes: The primes of the parameters.
        first: The scale of V.
        sample: The scale of X and of Y.
        second: The scale of W but for its last row.
    """

    samples: int
    primes: tuple[int, ...]
    first: float
    sample: float = 2.0**_SAMPLE_BITS
    second: float = 2.0**_SECOND_BITS

    def _product(self, level: int, *scales: float) -> float:
        """The scale of a product at a level, once it is rescaled."""
        return math.prod(scales) / self.primes[level - 1]

    @property
    def unit(self) -> float:
        """The scale of U."""
        return self._product(7, self.sample, self.first)

    @property
    def square(self) -> float:
        """The scale of U^2."""
        return self._product(6, self.unit, self.unit)

    @property
    def bias(self) -> float:
        """The scale of W's last row, whose products with samples must have that of the other logits' terms."""
        return self.square * self.second / self.sample

    @property
    def target_factor(self) -> int:
        """What targets are multiplied by to have the scale of logits before these are rescaled."""
        return round(self.square * self.second / self.sample)

    @property
    def residual(self) -> float:
        """The scale of R."""
        return self._product(5, self.square, self.second)

    @property
    def error(self) -> float:
        """The scale of R W'^T."""
        return self._product(4, self.residual, self.second)

    @property
    def inner(self) -> float:
        """The scale of U * R W'^T."""
        return self._product(3, self.error, self.unit)

    @property
    def first_gradient(self) -> float:
        """The scale of dV: the mean over samples and the factor 2 are in it."""
        return self._product(2, self.inner, self.sample) * self.samples / 2

    @property
    def second_gradient(self) -> float:
        """The scale of dW, but for its last row."""
        return self._product(2, self.square, self.residual) * self.samples

    @property
    def bias_gradient(self) -> float:
        """The scale of dW's last row."""
        return self._product(2, self.sample, self.residual) * self.samples


@dataclass(frozen=True)
class NetworkPlan(ValueObject):
    """The public frame of training one network.

    Attributes:
        samples: The number of all samples, from 1 to 2**20.
        features: The number of features with the column of ones, from 2 to 4096.
        classes: The number of classes, from 2 to 1024.
        descent: The network and the constants of its steps.
        security: As in `Parameters`.
        ring_degree: N; by default the smallest that the security allows.

    Raises:
        TypeError: An argument has another type.
        ValueError: A number is out of its range.
        ParameterError: The parameters are not secure, or gradients within the descent's reach have no room.
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
        _ = self.scales

    @cached_property
    def parameters(self) -> Parameters:
        """The encryption parameters; their scale is that of fresh samples."""
        bits, degree = (_FIRST, *[_MIDDLE] * LEVELS, _FIRST), self.ring_degree
        if degree is None:
            limits = {N: max_modulus_bits(N, self.security) for N in RING_DEGREES}
            degree = next(N for N, limit in limits.items() if limit is None or sum(bits) <= limit)
        return Parameters("ckks", degree, bits, scale_bits=_SAMPLE_BITS, security=self.security)  # type: ignore[arg-type]

    @cached_property
    def scales(self) -> NetworkScales:
        """The scales of a step: the largest of V for which gradients within the reach have room.

        Raises:
            ParameterError: There is none of use.
        """
        room = self.parameters.log2_modulus(1) - 1 - _SPARE
        for bits in range(_MOST_BITS, _LEAST_BITS - 1, -1):
            scales = NetworkScales(self.samples, self.parameters.primes, 2.0**bits)
            largest = max(scales.first_gradient, scales.second_gradient, scales.bias_gradient)
            if math.log2(self.descent.reach * largest) <= room:
                return scales
        raise ParameterError(
            f"no scale holds gradients of {self.samples} samples within `reach`, {self.descent.reach:g}; plan for "
            "fewer samples, or a smaller reach"
        )

    @property
    def block_samples(self) -> int:
        """The most samples of a block, which is the number of slots."""
        return self.parameters.row_length

    @property
    def key_elements(self) -> tuple[int, ...]:
        """The Galois elements of all evaluation keys in their order, as in `HeadPlan`."""
        return (RELINEARISATION, *trace_elements(self.parameters.poly_modulus_degree))
