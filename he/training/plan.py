"""What an owner and a trainer agree on before anything is encrypted: sizes, constants, parameters, and all scales.

Samples lie in slots: a ciphertext holds one feature of N / 2 samples, or the targets of two classes, a + b X**(N / 2).
Step i takes gradients at level l = L - 2 (i - 1), where L = 2 k data primes are left at the start:

    U_i = total over samples of X R_(i-1)   level l - 1    R_0 = Y
    W_i = sum of weights times U_m / n      level l - 1    1 / n and the last weight are in the scale
    R_i = Y - X W_i                         level l - 2

Totals over slots are packed, N / 2 to a ciphertext, and so a gradient is one ciphertext or a few, and the head with it.
Only where samples are multiplied by the head is it expanded, to a ciphertext for every feature and two classes
(`he.engines.rns.traces`). Both keep levels and scales.

Magnitudes are proved, if the moments' top eigenvalue is at most b: then no residual has a larger norm than the targets
(`he.training.head`), and |U_i| <= |X_j| |R| <= n sqrt(b) |Y| / sqrt(n) by the inequality of Cauchy and Schwarz, for any
part of the samples.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from he.formats.compact import Form
from he.formats.switching import RELINEARISATION
from he.ring.params import RING_DEGREES, ParameterError, Parameters, Security, max_modulus_bits
from he.ring.slots import trace_elements
from he.training.head import MOST_CLASSES, Descent
from he.training.whitening import LARGEST
from intnn.values.arrays import instance, integer
from intnn.values.value_object import ValueObject

MOST_SAMPLES = 1 << 20
MOST_FEATURES = 1 << 12
MOST_WEIGHTS = 1 << 16
_FIRST, _MIDDLE = 46, 38  # bits of primes: the first, which a model ends at, and the special one; those between them
_SPARE = 1.0  # bits of the modulus that no value reaches
_LEAST_SCALE, _LARGEST_SCALE = 20, 44


@dataclass(frozen=True)
class StepScales:
    """The scales of one step.

    Attributes:
        level: The level of the products whose totals are the gradient; the gradient has one less.
        residual: The scale of what they are multiplied with: the targets, or a residual.
        gradient: The scale of the gradient times the number of samples.
        head: The scale at which the same numbers are the head after this step.
        earlier: What earlier gradients are multiplied by, at this level, before they are rescaled and added.
        targets: What targets are multiplied by for the next residual; 0 in the last step.
    """

    level: int
    residual: float
    gradient: float
    head: float
    earlier: tuple[int, ...]
    targets: int


@dataclass(frozen=True)
class HeadPlan(ValueObject):
    """The public frame of one training run.

    Attributes:
        samples: The number of all owners' samples together, from 1 to 2**20.
        features: The number of features with the column of ones, from 2 to 4096.
        classes: The number of classes, from 2 to 1024.
        descent: The constants of the steps.
        inference: Whether a level is left behind the steps, for what the encrypted head makes of encrypted samples.
        security: As in `Parameters`.
        ring_degree: N; by default the smallest that the security allows.

    Raises:
        TypeError: An argument has another type.
        ValueError: A number is out of its range.
        ParameterError: No parameters that are secure hold so many steps of so many samples.
    """

    samples: int
    features: int
    classes: int
    descent: Descent
    inference: bool = False
    security: Security = "128"
    ring_degree: int | None = None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("samples", 1, MOST_SAMPLES),
            ("features", 2, MOST_FEATURES),
            ("classes", 2, MOST_CLASSES),
        ):
            object.__setattr__(self, name, integer(getattr(self, name), name, low, high))
        instance(self.descent, Descent, "descent")
        instance(self.inference, bool, "inference")
        if self.weights > MOST_WEIGHTS:
            raise ValueError(
                f"`features` times half of `classes` must be at most {MOST_WEIGHTS}, the ciphertexts that a head is "
                f"expanded to, got {self.weights}"
            )
        _ = self.parameters

    @property
    def head_level(self) -> int:
        """The number of primes that are left of an encrypted head: one, or two where a product follows."""
        return 1 + self.inference

    @property
    def pairs(self) -> int:
        """The ciphertexts that the targets of some samples take: two classes each."""
        return -(-self.classes // 2)

    @property
    def weights(self) -> int:
        """The number of pairs of a head's weights: for every feature its `pairs`, of two classes each."""
        return self.features * self.pairs

    @property
    def packed(self) -> int:
        """The number of ciphertexts that hold a head's weights."""
        return -(-self.weights // self.block_samples)

    @property
    def block_samples(self) -> int:
        """The most samples of a block, which is the number of slots."""
        return self.parameters.row_length

    @cached_property
    def parameters(self) -> Parameters:
        """The encryption parameters; their scale is that of fresh samples."""
        return replace(self._frame, scale_bits=self.scale_bits[0])

    @cached_property
    def _frame(self) -> Parameters:
        """The parameters before their scale is known, which the primes do not depend on."""
        return Parameters("ckks", self.degree, self.bits, scale_bits=_LEAST_SCALE, security=self.security)  # type: ignore[arg-type]

    @property
    def bits(self) -> tuple[int, ...]:
        """The bits of the primes, the special one last."""
        return (_FIRST, *[_MIDDLE] * (self.descent.levels + self.inference), _FIRST)

    @cached_property
    def degree(self) -> int:
        """The ring degree.

        Raises:
            ParameterError: None is large enough.
        """
        if self.ring_degree is not None:
            return self.ring_degree
        for degree in RING_DEGREES:
            limit = max_modulus_bits(degree, self.security)
            if limit is None or sum(self.bits) <= limit:
                return degree
        raise ParameterError(f"`descent` must have fewer steps, got {self.descent.steps}: no ring holds their levels")

    @cached_property
    def scale_bits(self) -> tuple[int, int]:
        """The binary logarithms of the scales of samples and targets: the largest for which every value has room.

        Raises:
            ParameterError: There are none of use.
        """
        count = 2 * self.descent.steps  # every sample's scale counts in the last gradient, but one, which is a target's
        for total in range(count * _LARGEST_SCALE, count * _LEAST_SCALE, -1):
            samples = total // count
            targets = total - (count - 1) * samples
            if targets <= _LARGEST_SCALE and self._have_room(samples, targets):
                return samples, targets
        raise ParameterError(
            f"no scale holds {self.samples} samples in {self.descent.steps} steps at this bound; plan for less"
        )

    @cached_property
    def scales(self) -> tuple[StepScales, ...]:
        """The scales of all steps."""
        return tuple(self._scales(*self.scale_bits))

    def _scales(self, sample_bits: int, target_bits: int) -> Iterator[StepScales]:
        primes = self._frame.primes
        x, y = 2.0**sample_bits, 2.0**target_bits
        level, residual, gradients = self.descent.levels + self.head_level, y, list[float]()
        for row in self.descent.weights:
            gradient = x * residual / primes[level - 1]
            shares = [weight / row[-1] for weight in row[:-1]]
            earlier = tuple(
                round(share * gradient * primes[level - 1] / other)
                for share, other in zip(shares, gradients, strict=True)
            )
            head = gradient * self.samples / row[-1]
            gradients.append(gradient)
            last = len(gradients) == self.descent.steps
            yield StepScales(level, residual, gradient, head, earlier, 0 if last else round(x * head / y))
            level, residual = level - 2, x * head / primes[level - 2]

    @property
    def target_norm(self) -> float:
        """A bound on the Euclidean norm of two classes' targets together, divided by the root of the samples."""
        return math.hypot(1 - 1 / self.classes, 1 / self.classes)

    @property
    def gradient_bound(self) -> float:
        """A bound on the absolute value of every entry of a gradient, times the number of samples."""
        return self.samples * math.sqrt(self.descent.bound) * self.target_norm

    def _have_room(self, sample_bits: int, target_bits: int) -> bool:
        """Return whether all values stay below half of their moduli, and a bit below that."""
        x, residuals = 2.0**sample_bits, math.sqrt(self.samples) * self.target_norm
        top = self.descent.levels + self.head_level
        needs = [(top, x * LARGEST), (top, 2.0**target_bits)]
        for row, scales in zip(self.descent.weights, self._scales(sample_bits, target_bits), strict=True):
            needs += [
                (scales.level, x * scales.residual * self.gradient_bound),
                (scales.level - 1, scales.gradient * self.gradient_bound * sum(row) / row[-1]),
                (scales.level, x * scales.residual * self.gradient_bound * sum(row) / row[-1]),
            ]
            if scales.targets:
                needs.append((scales.level - 1, x * scales.head * (residuals + 1)))
            needs.append((scales.level, scales.residual * residuals))
        if self.inference:
            product = x * scales.head * self.logit_bound
            needs += [(2, product), (1, product / self._frame.primes[1])]
        return all(math.log2(value) + 1 + _SPARE <= self._frame.log2_modulus(level) for level, value in needs)

    @property
    def head_norm(self) -> float:
        """A bound on the Euclidean norm of two classes' columns of the head together."""
        return sum(self.descent.weights[-1]) * self.gradient_bound / self.samples

    @property
    def logit_bound(self) -> float:
        """A bound on what a head makes of any sample whose features are within 16."""
        return LARGEST * math.sqrt(self.features) * self.head_norm

    @property
    def logit_scale(self) -> float:
        """The scale of what an encrypted head makes of encrypted samples.

        Raises:
            ParameterError: The plan leaves no level for it.
        """
        if not self.inference:
            raise ParameterError("`inference` must be true in the plan for a head that encrypted samples are given to")
        return self.parameters.input_scale * self.scales[-1].head / self.parameters.primes[1]

    @property
    def block_forms(self) -> list[Form]:
        """The forms of a block's ciphertexts: the features', and behind them the targets', two classes each."""
        form = Form.fresh(self.parameters)
        return [form] * self.features + [replace(form, scale=2.0 ** self.scale_bits[1])] * self.pairs

    @property
    def key_elements(self) -> tuple[int, ...]:
        """The Galois elements of all evaluation keys in their order; relinearisation's stands among them, first."""
        return (RELINEARISATION, *trace_elements(self.degree))

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON types, with what follows from it for whoever reads it."""
        constants = {"steps": self.descent.steps, "bound": self.descent.bound, "ratio": self.descent.ratio}
        sizes = {"samples": self.samples, "features": self.features, "classes": self.classes}
        return {
            **sizes,
            "descent": constants,
            "inference": self.inference,
            "security": self.security,
            "ring_degree": self.degree,
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the plan in hexadecimal digits; it covers the parameters and scales, which follow from it."""
        known = {"plan": self.to_dict(), "parameters": self.parameters.digest, "scale_bits": self.scale_bits}
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
