"""The scales of one encrypted step of logistic regression, and what is agreed on before.

Of six primes at the start, with X and W at the top, b and c of `he.training.logistic`, and targets T - 1 / 2:

    Z = X W              level 5    pairs of classes, which are then taken apart
    Z^2 + b              level 4
    Q = (Z^2 + b)^2 + c  level 3
    R = T - s(Z)         level 2    pairs of classes again
    X^T R                level 1

The constants are added in all slots: those without a sample hold zeros in every feature, and so count nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from he.formats.compact import Form
from he.formats.switching import RELINEARISATION
from he.ring.params import RING_DEGREES, Parameters, Security, max_modulus_bits
from he.ring.slots import trace_elements
from he.training.head import MOST_CLASSES
from he.training.logistic import LEADING, LEVELS, LogisticDescent
from he.training.plan import MOST_FEATURES, MOST_SAMPLES
from he.training.refreshed import fresh_form, move_factors, worn_form, worn_room
from intnn.values.arrays import FloatArray, instance, integer
from intnn.values.value_object import ValueObject

TOP = LEVELS + 1  # the level of X and W
_FIRST, _MIDDLE = 46, 38  # bits of primes: the first and the special one; those between them
_SAMPLE_BITS = 30  # of the scale of samples and targets


@dataclass(frozen=True)
class LogisticScales:
    """The scales of the values of a step.

    Attributes:
        samples: The number of all samples, by which gradients are divided.
        primes: The primes of the parameters.
        rate: The rate, which is in the scale of worn weights.
        worn: The scale of worn weights.
        sample: The scale of X and T.
    """

    samples: int
    primes: tuple[int, ...]
    rate: float
    worn: float
    sample: float = 2.0**_SAMPLE_BITS

    @cached_property
    def residual(self) -> float:
        """The scale of R, for which a total is a descent times the rate at the scale of worn weights."""
        return self.worn * self.rate * self.primes[1] / (self.sample * self.samples)

    @cached_property
    def logit(self) -> float:
        """The scale of Z, once pairs are apart; its fifth power is in R, whose scale has the leading coefficient."""
        _, _, q3, q4, q5, _, *_ = self.primes
        return float((self.residual * LEADING * q3 * q4 * float(q5) ** 2) ** 0.2)

    @cached_property
    def fresh(self) -> float:
        """The scale of fresh weights; halves are twice their numbers."""
        return self.logit * self.primes[5] / (2 * self.sample)

    @cached_property
    def square(self) -> float:
        """The scale of Z^2 + b."""
        return self.logit**2 / self.primes[4]

    @cached_property
    def outer(self) -> float:
        """The scale of (Z^2 + b)^2 + c."""
        return self.square**2 / self.primes[3]

    @property
    def target_factor(self) -> int:
        """What targets are multiplied by at level 3, rounded, to have the scale of R once they are rescaled."""
        return round(self.residual * self.primes[2] / self.sample)


@dataclass(frozen=True)
class LogisticPlan(ValueObject):
    """The public frame of training one head by logistic regression.

    Attributes:
        samples: The number of all owners' samples together, from 1 to 2**20.
        features: The number of features with the column of ones, from 2 to 4096.
        classes: The number of classes, from 2 to 1024.
        descent: The constants of the steps.
        security: As in `Parameters`.
        ring_degree: N; by default the smallest that the security allows.

    Raises:
        TypeError: An argument has another type.
        ValueError: A number is out of its range, or a ciphertext has no room for all weights.
        ParameterError: The parameters are not secure.
    """

    samples: int
    features: int
    classes: int
    descent: LogisticDescent
    security: Security = "128"
    ring_degree: int | None = None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("samples", 1, MOST_SAMPLES),
            ("features", 2, MOST_FEATURES),
            ("classes", 2, MOST_CLASSES),
        ):
            object.__setattr__(self, name, integer(getattr(self, name), name, low, high))
        instance(self.descent, LogisticDescent, "descent")
        if self.weights > self.block_samples:
            raise ValueError(
                f"the head must have at most {self.block_samples} pairs of weights, which one ciphertext holds, got "
                f"{self.weights}; plan for fewer features"
            )
        _ = self.parameters

    @cached_property
    def parameters(self) -> Parameters:
        """The encryption parameters; their scale is that of fresh samples."""
        bits = (_FIRST, *[_MIDDLE] * LEVELS, _FIRST)
        return Parameters("ckks", self.degree, bits, scale_bits=_SAMPLE_BITS, security=self.security)  # type: ignore[arg-type]

    @cached_property
    def degree(self) -> int:
        """The ring degree."""
        if self.ring_degree is not None:
            return self.ring_degree
        bits, limits = 2 * _FIRST + LEVELS * _MIDDLE, {N: max_modulus_bits(N, self.security) for N in RING_DEGREES}
        return next(N for N, limit in limits.items() if limit is None or bits <= limit)

    @cached_property
    def scales(self) -> LogisticScales:
        """The scales of a step: the largest for which worn weights within the reach have room."""
        worn = worn_room(self.parameters) / self.descent.reach
        return LogisticScales(self.samples, self.parameters.primes, self.descent.rate, worn)

    @property
    def block_samples(self) -> int:
        """The most samples of a block, which is the number of slots."""
        return self.degree // 2

    @property
    def block_forms(self) -> list[Form]:
        """The forms of a block's ciphertexts: the features', and behind them the targets', two classes each."""
        return [Form.fresh(self.parameters)] * (self.features + self.pairs)

    @property
    def key_elements(self) -> tuple[int, ...]:
        """The Galois elements of all evaluation keys: as in `HeadPlan`, and conjugation's."""
        return (RELINEARISATION, *trace_elements(self.degree, pairs=False))

    @property
    def pairs(self) -> int:
        """The ciphertexts that the targets of some samples take: two classes each."""
        return -(-self.classes // 2)

    @property
    def weights(self) -> int:
        """The number of pairs of weights, of two classes each, feature by feature."""
        return self.features * self.pairs

    @property
    def initial(self) -> FloatArray:
        """The weights at the start: zeros, float64 [weights, 2]."""
        return np.zeros((self.weights, 2))

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
    def fresh_scales(self) -> FloatArray:
        """As in `RefreshedPlan`, all the same."""
        return np.full((self.weights, 1), self.scales.fresh)

    @property
    def worn_scales(self) -> FloatArray:
        """As in `RefreshedPlan`, all the same."""
        return np.full((self.weights, 1), self.scales.worn)

    @property
    def move_factors(self) -> tuple[int, int]:
        """As in `RefreshedPlan`."""
        return move_factors(self.descent.momentum, self.parameters, self.scales.fresh, self.scales.worn)

    @property
    def fresh_form(self) -> Form:
        """As in `RefreshedPlan`."""
        return fresh_form(self.parameters)

    @property
    def worn_form(self) -> Form:
        """As in `RefreshedPlan`."""
        return worn_form(self.parameters)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the plan in hexadecimal digits; it covers the parameters and scales, which follow from it."""
        sizes = {"samples": self.samples, "features": self.features, "classes": self.classes}
        known = {"logistic": sizes, "descent": asdict(self.descent), "parameters": self.parameters.digest}
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
