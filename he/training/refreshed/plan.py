"""What plans have in common whose weights an owner refreshes between steps.

All weights stand in one ciphertext, two to a pair: *fresh* at the top level, and *worn* at level 1, to which
totals over samples are added as they come. That takes no product: a rate, the mean over samples and all factors are in
the scale at which a worn weight stands. Momentum takes two integer factors for fresh weights at level 2, the same for
all of them: so all weights have one ratio of the fresh to the worn scale.

Of all values only worn weights must fit the modulus that is left. Sums and products of ciphertexts are those of
integers modulo all primes, and a rescaling takes a multiple of their product to a multiple of the product of the
others: what wraps around on the way does so by multiples of the modulus, and is the same in the end.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol, TypeVar

from he.formats.compact import Form
from he.formats.switching import RELINEARISATION
from he.parties.batch import LARGEST
from he.ring.params import RING_DEGREES, ParameterError, Parameters, Security, max_modulus_bits
from he.ring.slots import trace_elements
from he.training.head import MOST_CLASSES
from he.training.plan import MOST_FEATURES, MOST_SAMPLES
from intnn.values.arrays import FloatArray, integer
from intnn.values.value_object import ValueObject

MOMENTUM = 2  # the level of fresh weights that become worn
_FIRST, _MIDDLE = 46, 38  # bits of primes: the first and the special one; those between them
_SPARE = 1.0  # bits of the modulus that no weight within reach comes to, so that few beyond look as if they were


class RefreshedDescent(Protocol):
    """The constants of steps of any kind."""

    @property
    def steps(self) -> int:
        """The number of steps."""

    @property
    def momentum(self) -> float:
        """What is kept of the last move, in [0, 1)."""

    @property
    def reach(self) -> float:
        """What no weight may exceed."""


@dataclass(frozen=True)
class RefreshedPlan(ValueObject, ABC):
    """The public frame of training with refreshes: `NetworkPlan`, or `LogisticPlan`.

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
        ParameterError: The parameters are not secure, or weights within the descent's reach have no room.
    """

    samples: int
    features: int
    classes: int
    descent: RefreshedDescent
    security: Security = "128"
    ring_degree: int | None = None

    levels: ClassVar[int]  # of a step

    def __post_init__(self) -> None:
        for name, low, high in (
            ("samples", 1, MOST_SAMPLES),
            ("features", 2, MOST_FEATURES),
            ("classes", 2, MOST_CLASSES),
        ):
            object.__setattr__(self, name, integer(getattr(self, name), name, low, high))
        if self.weights > self.block_samples:
            raise ValueError(
                f"there must be at most {self.block_samples} pairs of weights, which one ciphertext holds, got "
                f"{self.weights}; plan for less"
            )
        most = fresh_room(self.parameters) / float(self.fresh_scales.max())
        if not self.descent.reach < most:
            raise ParameterError(
                f"fresh weights within `reach`, {self.descent.reach:g}, have no room, which ends at {most:.3g}; "
                "plan for a smaller reach"
            )

    @property
    @abstractmethod
    def sample_bits(self) -> int:
        """The binary logarithm of the scale of fresh samples."""

    @property
    @abstractmethod
    def weights(self) -> int:
        """The number of pairs of weights."""

    @property
    @abstractmethod
    def initial(self) -> FloatArray:
        """The weights at the start, which are public: float64 [weights, 2]."""

    @property
    @abstractmethod
    def fresh_scales(self) -> FloatArray:
        """The scales of fresh weights, one for every pair: float64 [weights, 1]."""

    @property
    @abstractmethod
    def worn_scales(self) -> FloatArray:
        """The scales of worn weights, one for every pair: float64 [weights, 1]."""

    @cached_property
    def parameters(self) -> Parameters:
        """The encryption parameters; their scale is that of fresh samples."""
        return self.parameters_of(self.sample_bits)

    def parameters_of(self, sample_bits: int) -> Parameters:
        """Return the parameters with another scale, on which the primes do not depend."""
        return Parameters("ckks", self.degree, self._bits, scale_bits=sample_bits, security=self.security)  # type: ignore[arg-type]

    @property
    def _bits(self) -> tuple[int, ...]:
        return (_FIRST, *[_MIDDLE] * self.levels, _FIRST)

    @cached_property
    def degree(self) -> int:
        """The ring degree."""
        if self.ring_degree is not None:
            return self.ring_degree
        limits = {N: max_modulus_bits(N, self.security) for N in RING_DEGREES}
        return next(N for N, limit in limits.items() if limit is None or sum(self._bits) <= limit)

    @property
    def pairs(self) -> int:
        """The ciphertexts that the targets of some samples take: two classes each."""
        return -(-self.classes // 2)

    @property
    def block_samples(self) -> int:
        """The most samples of a block, which is the number of slots."""
        return self.degree // 2

    @property
    def block_forms(self) -> list[Form]:
        """The forms of a block's ciphertexts: the features', and behind them the targets', two classes each."""
        return [Form.fresh(self.parameters)] * (self.features + self.pairs)

    @property
    def fresh_form(self) -> Form:
        """The form of a ciphertext of fresh weights, which stand at scales of their own."""
        parameters = self.parameters
        return Form(parameters.data_primes, parameters.poly_modulus_degree, True, 1.0, seeded=True)

    @property
    def worn_form(self) -> Form:
        """The form of a ciphertext of worn weights, which stand at scales of their own."""
        return Form.result(self.parameters, 1, 1.0)

    @property
    def move_factors(self) -> tuple[int, int]:
        """What fresh weights, and those before, are multiplied by at level 2 for momentum, and to be worn.

        They are rounded to integers, which changes a weight by some 2^-28 of itself in a step.
        """
        ratio = float(self.worn_scales[0, 0] / self.fresh_scales[0, 0]) * self.parameters.primes[MOMENTUM - 1]
        return round((1 + self.descent.momentum) * ratio), round(self.descent.momentum * ratio)

    @property
    def key_elements(self) -> tuple[int, ...]:
        """The Galois elements of all evaluation keys: as in `HeadPlan`, and conjugation's."""
        return (RELINEARISATION, *trace_elements(self.degree, pairs=False))

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON types, with what is trained."""
        return {"trained": type(self).__name__, **asdict(self), "ring_degree": self.degree}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the plan in hexadecimal digits; it covers the parameters and scales, which follow from it."""
        known = {"plan": self.to_dict(), "parameters": self.parameters.digest}
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def worn_room(parameters: Parameters) -> float:
    """Return how large a worn weight may be, times its scale: a bit below what would wrap around."""
    return 2.0 ** (parameters.log2_modulus(1) - 1 - _SPARE)


def fresh_room(parameters: Parameters) -> float:
    """Return how large a fresh weight may be, times its scale, for an owner to encrypt it."""
    return min(LARGEST, 2.0 ** (parameters.log2_modulus(parameters.levels) - 1 - _SPARE))


RefreshedPlanOf = TypeVar("RefreshedPlanOf", bound=RefreshedPlan)
