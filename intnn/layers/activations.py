"""Elementwise layers: float functions by name, and the integer functions that stand for them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from intnn.layers.geometry import Shape
from intnn.ops import Operations
from intnn.values.arrays import Array, FloatArray, IntArray, frozen, instance, integer, integers, real, reals
from intnn.values.domain import IntDomain
from intnn.values.lut import Lut
from intnn.values.value_object import ValueObject

_LARGEST_SHIFT = 62  # 2**(shift - 1) and 2**shift are int64
_LARGEST_DEGREE = 64  # of an integer polynomial


def _sigmoid(x: FloatArray) -> FloatArray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))  # no exponential that could overflow


def _gelu(x: FloatArray) -> FloatArray:
    erf = np.frompyfunc(math.erf, 1, 1)
    return np.asarray(x * 0.5 * (1.0 + np.asarray(erf(x * math.sqrt(0.5)), np.float64)), np.float64)


def _gelu_tanh(x: FloatArray) -> FloatArray:
    inside = np.clip(x, -1e3, 1e3)  # its cube is no float for huge values, and the tangent is 1 long before
    return x * 0.5 * (1.0 + np.tanh(math.sqrt(2 / math.pi) * (inside + 0.044715 * inside**3)))


def _elu(x: FloatArray, alpha: float) -> FloatArray:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


#: Every function by its name, with the names of its parameters.
_FUNCTIONS: Mapping[str, tuple[Callable[..., FloatArray], tuple[str, ...]]] = MappingProxyType(
    {
        "relu": (lambda x: np.maximum(x, 0.0), ()),
        "leaky_relu": (lambda x, slope: np.where(x > 0, x, slope * x), ("slope",)),
        "elu": (_elu, ("alpha",)),
        "gelu": (_gelu, ()),
        "gelu_tanh": (_gelu_tanh, ()),
        "silu": (lambda x: x * _sigmoid(x), ()),
        "softplus": (lambda x: np.logaddexp(x, 0.0), ()),
        "mish": (lambda x: x * np.tanh(np.logaddexp(x, 0.0)), ()),
        "softsign": (lambda x: x / (1.0 + np.abs(x)), ()),
        "tanh": (np.tanh, ()),
        "sigmoid": (_sigmoid, ()),
        "hardtanh": (lambda x, low, high: np.clip(x, low, high), ("low", "high")),
        "hardsigmoid": (lambda x: np.clip(x / 6.0 + 0.5, 0.0, 1.0), ()),
        "hardswish": (lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0), ()),
        "square": (np.square, ()),
    }
)


@dataclass(frozen=True)
class Activation(ValueObject):
    """An elementwise float function, by name.

    Attributes:
        name: "relu", "leaky_relu", "elu", "gelu", "gelu_tanh" (its usual approximation), "silu", "softplus", "mish",
            "softsign", "tanh", "sigmoid", "hardtanh", "hardsigmoid", "hardswish", "square" or "polynomial". All are
            torch's functions.
        coefficients: The polynomial's coefficients, ascending: c[0] + c[1] x + ...; of a leaky ReLU the slope below
            zero, which is -1 for the magnitude; of an ELU alpha; of a hard tangent its least and greatest value; empty
            for the other functions.

    Raises:
        ValueError: The name is unknown, or coefficients are missing, superfluous or not finite.
    """

    name: str
    coefficients: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in (*_FUNCTIONS, "polynomial"):
            raise ValueError(f"`name` must be one of {', '.join(_FUNCTIONS)}, polynomial, got {self.name!r}")
        if not np.iterable(self.coefficients):
            raise TypeError(f"`coefficients` must be a sequence of floats, got {self.coefficients!r}")
        coefficients = reals([real(c, "coefficients") for c in self.coefficients], "coefficients")
        if self.name == "polynomial":
            if not len(coefficients):
                raise ValueError("`coefficients` must be given for a polynomial, got none")
        elif len(coefficients) != len(due := _FUNCTIONS[self.name][1]):
            expected = f"({', '.join(due)})" if due else "empty"
            raise ValueError(f"`coefficients` must be {expected} for {self.name}, got {self.coefficients}")
        object.__setattr__(self, "coefficients", tuple(coefficients.tolist()))
        if self.name == "hardtanh" and not self.coefficients[0] <= self.coefficients[1]:
            raise ValueError(f"`coefficients` must be in order for a hardtanh, got {self.coefficients}")

    @property
    def is_polynomial(self) -> bool:
        """Whether the function is a polynomial as it stands."""
        return self.name in ("square", "polynomial")

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of the input."""
        return shape

    def apply(self, x: Array, ops: Operations | None = None) -> FloatArray:  # noqa: ARG002 - numpy's own functions
        """Evaluate every element in float64."""
        if self.name == "polynomial":
            return np.asarray(np.polynomial.polynomial.polyval(x, self.coefficients), np.float64)
        return np.asarray(_FUNCTIONS[self.name][0](x, *self.coefficients), np.float64)


@dataclass(frozen=True)
class IntPolynomial(ValueObject):
    """A polynomial with integer coefficients, exact on integers; only integer networks have it.

    Homomorphic encryption evaluates it as it stands, modulo whatever is larger than its values.

    Attributes:
        coefficients: The coefficients, ascending: c[0] + c[1] x + ...; (0, 0, 1) is the square. The last is not zero.

    Raises:
        TypeError: A coefficient is no integer.
        ValueError: One does not fit int64, the last one is zero, or the degree is 0 or above 64.
    """

    coefficients: tuple[int, ...]

    def __post_init__(self) -> None:
        if not np.iterable(self.coefficients):
            raise TypeError(f"`coefficients` must be a sequence of integers, got {self.coefficients!r}")
        coefficients = tuple(integer(c, "coefficients") for c in self.coefficients)
        if not 2 <= len(coefficients) <= _LARGEST_DEGREE + 1 or not coefficients[-1]:
            raise ValueError(
                f"`coefficients` must have a degree from 1 to {_LARGEST_DEGREE} and not end in zero, got {coefficients}"
            )
        object.__setattr__(self, "coefficients", coefficients)

    @property
    def degree(self) -> int:
        """The degree of the polynomial."""
        return len(self.coefficients) - 1

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of the input."""
        return shape

    def apply(self, x: Array, ops: Operations | None = None) -> Array:  # noqa: ARG002 - numpy's own arithmetic
        """Evaluate every element by Horner's rule in the dtype of ``x``, which must hold all of it exactly."""
        total = np.full_like(x, self.coefficients[-1])
        for coefficient in self.coefficients[-2::-1]:
            total = total * x + coefficient
        return np.asarray(total, x.dtype)


@dataclass(frozen=True, eq=False)
class Requantise(ValueObject):
    """y = saturate(floor((x multiplier + 2**(shift - 1)) / 2**shift)): a wide accumulator on a narrow scale.

    The quotient is rounded to the nearest integer, halves up; a ``shift`` of 0 only multiplies. Only integer networks
    have this layer.

    Attributes:
        multiplier: One integer for all elements, or [channels] for the first axis of the input; stored as int64 [1] or
            [channels], read-only.
        shift: The exponent of the divisor 2**shift, in [0, 62].
        domain: The interval in which results saturate; a ring would wrap.

    Raises:
        TypeError: The parameters are not integers.
        ValueError: The shape is wrong or empty, the shift is outside its range, or the domain is a ring.
    """

    multiplier: IntArray
    shift: int
    domain: IntDomain

    def __post_init__(self) -> None:
        multiplier = integers(self.multiplier, "multiplier")
        if multiplier.ndim > 1 or not multiplier.size:
            raise ValueError(f"`multiplier` must be one integer or have shape (channels,), got {multiplier.shape}")
        if instance(self.domain, IntDomain, "domain").modulus is not None:
            raise ValueError(f"`domain` must be an interval, where values saturate, got {self.domain}")
        object.__setattr__(self, "multiplier", frozen(multiplier.reshape(-1)))
        object.__setattr__(self, "shift", integer(self.shift, "shift", 0, _LARGEST_SHIFT))

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of the input."""
        if len(self.multiplier) not in (1, shape[0]):
            raise ValueError(f"{self} must have an input of {len(self.multiplier)} channels, got shape {shape}")
        return shape

    def apply(self, x: Array, ops: Operations) -> Array:
        """Rescale every element of [batch, channels, ...]."""
        return ops.requantise(
            x.astype(np.int64, copy=False), self.multiplier, self.shift, self.domain.lo, self.domain.hi
        )

    def __repr__(self) -> str:
        return f"Requantise({len(self.multiplier)} multipliers, shift {self.shift}, into {self.domain})"


@dataclass(frozen=True)
class LutActivation(ValueObject):
    """One lookup table for every element of its input; only integer networks have it.

    Attributes:
        lut: The table, whose domain must hold whatever the layers before it can give.

    Raises:
        TypeError: ``lut`` is no `Lut`.
    """

    lut: Lut

    def __post_init__(self) -> None:
        instance(self.lut, Lut, "lut")

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of the input."""
        return shape

    def apply(self, x: Array, ops: Operations) -> Array:
        """Look every element up; ``x`` must lie in the table's domain."""
        return ops.lookup(x.astype(np.int64, copy=False), self.lut.table, self.lut.domain.lo)
