"""The functions of a training step as tables of integers: activations, their slopes, and the exponential.

A pre-activation z in [-256, 255] stands for z / 32; an activation is a byte y = round(f(z / 32) * 32), and a slope is
round(f'(z / 32) * 64), both saturated. Where z has saturated, the slope is zero: otherwise the gradient pushes a value
that can no longer move, and training drifts into saturation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from types import MappingProxyType

from intnn.values.arrays import IntArray, frozen, instance, integers
from intnn.values.domain import IntDomain
from intnn.values.lut import Lut
from intnn.values.value_object import ValueObject

ACTIVATION_EXPONENT = 5  # activations and pre-activations are multiples of 2**-5
SLOPE_EXPONENT = 6  # slopes are multiples of 2**-6
DOMAIN = IntDomain(-256, 255)  # the domain of pre-activations, which stands for -8 to 8
SLOPES = IntDomain(-127, 127)  # the domain of slopes

LOGIT_EXPONENT = 6  # logits enter the softmax as multiples of 2**-6
EXP_POINTS = 16 << LOGIT_EXPONENT  # 16 nats: with 4, the error of a confident mistake would vanish
EXP_EXPONENT = 15  # the exponential and the loss's errors are multiples of 2**-15

_DECIMAL = Context(prec=30)


@dataclass(frozen=True)
class TableActivation(ValueObject):
    """An activation and its derivative, given by their values.

    Attributes:
        values: The activation, a `Lut` on [-256, 255] into [0, 255] or [-128, 127].
        slopes: The derivative, a `Lut` on [-256, 255] into [-127, 127], in units of 1/64.

    Raises:
        TypeError: One of them is not a `Lut`.
        ValueError: A table has another domain, or values outside its range.
    """

    values: Lut
    slopes: Lut

    def __post_init__(self) -> None:
        for name, lut in (("values", self.values), ("slopes", self.slopes)):
            if instance(lut, Lut, name).domain != DOMAIN:
                raise ValueError(f"`{name}` must be a table on {DOMAIN}, got one on {lut.domain}")
        if not any(byte.issuperset(self.values.range) for byte in BYTES):
            raise ValueError(f"`values` must lie in [0, 255] or [-128, 127], got {self.values.range}")
        if not SLOPES.issuperset(self.slopes.range):
            raise ValueError(f"`slopes` must lie in {SLOPES}, got {self.slopes.range}")

    @property
    def codomain(self) -> IntDomain:
        """The byte that values are stored in: [0, 255] if none is negative, else [-128, 127]."""
        return BYTES[0] if self.values.range.lo >= 0 else BYTES[1]


BYTES = (IntDomain(0, 255), IntDomain(-128, 127))


def activation(name: str) -> TableActivation:
    """Return the tables of "relu", "tanh" or "identity".

    Raises:
        ValueError: There is no such activation.
    """
    if name not in _FUNCTIONS:
        raise ValueError(f"`activation` must be one of {', '.join(map(repr, _FUNCTIONS))}, got {name!r}")
    function, slope = _FUNCTIONS[name]
    values = Lut.from_callable(function, DOMAIN, name=name)
    inside = range(DOMAIN.lo + 1, DOMAIN.hi)
    return TableActivation(values, Lut.from_callable(lambda z: slope(z) if z in inside else 0, DOMAIN))


def exponential() -> IntArray:
    """The table round(2**15 exp(-d / 64)) for d in [0, 1024), int64."""
    unit = Decimal(1 << LOGIT_EXPONENT)
    values = [_DECIMAL.exp(_DECIMAL.divide(Decimal(-d), unit)) * (1 << EXP_EXPONENT) for d in range(EXP_POINTS)]
    return frozen(integers([int(value.to_integral_value()) for value in values], "exponential"))


def _tanh(z: int) -> Decimal:
    """tanh(z / 32) from decimals, which have the same digits on every machine."""
    e = _DECIMAL.exp(_DECIMAL.divide(Decimal(2 * z), Decimal(1 << ACTIVATION_EXPONENT)))
    return _DECIMAL.divide(e - 1, e + 1)


def _rounded(value: Decimal, exponent: int) -> int:
    return int((value * (1 << exponent)).to_integral_value())


Function = Callable[[int], int]

_FUNCTIONS: Mapping[str, tuple[Function, Function]] = MappingProxyType(
    {
        "relu": (lambda z: max(z, 0), lambda z: (z > 0) << SLOPE_EXPONENT),
        "tanh": (
            lambda z: _rounded(_tanh(z), ACTIVATION_EXPONENT),
            lambda z: _rounded(1 - _tanh(z) ** 2, SLOPE_EXPONENT),
        ),
        "identity": (lambda z: min(max(z, -128), 127), lambda z: (-128 < z < 127) << SLOPE_EXPONENT),
    }
)
