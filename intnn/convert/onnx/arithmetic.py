"""Functions of single elements, and arithmetic of values with constants and with each other."""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from intnn.convert.onnx.call import Call
from intnn.convert.onnx.values import Constant, Feature, Form, Pointwise, Value
from intnn.layers.nodes import Activation, Shape
from intnn.network.edges import MAX_ELEMENTS
from intnn.values.arrays import Array, FloatArray

_erf = np.frompyfunc(math.erf, 1, 1)
_LARGEST_POWER = 16

_Function = Callable[..., FloatArray]
_CONSTANTS: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
}


def activation(name: str, *parameters: tuple[str, float]) -> Callable[[Call], Value]:
    """The reader of an operator that is an activation, with its parameters and their defaults."""

    def read(call: Call) -> Value:
        return activated(call, name, *(call.attribute(key, default) for key, default in parameters))

    return read


def activated(call: Call, name: str, *parameters: float) -> Value:
    """An activation of the first operand."""
    node = Activation(name, tuple(float(parameter) for parameter in parameters))
    return _function(call, node.apply, node)


def celu(call: Call) -> Value:
    """max(x, 0) + min(alpha (exp(x / alpha) - 1), 0), which is an ELU between two scales."""
    alpha = float(call.attribute("alpha", 1.0))
    inner = Pointwise(lambda x: x / alpha, (call.floating(0),), (1 / alpha, 0.0), call.place)
    node = Activation("elu", (1.0,))
    return _scaled(call, Pointwise(node.apply, (inner,), node, call.place), alpha, 0.0)


def selu(call: Call) -> Value:
    """An ELU times gamma."""
    gamma = float(call.attribute("gamma", 1.0507009873554805))
    made = activated(call, "elu", call.attribute("alpha", 1.6732632423543772))
    return _scaled(call, made, gamma, 0.0)


def gelu(call: Call) -> Value:
    """GELU, exact or by its approximation."""
    return activated(call, "gelu_tanh" if call.attribute("approximate", b"none") == b"tanh" else "gelu")


def swish(call: Call) -> Value:
    """Swish: x sigmoid(alpha x)."""
    call.require("alpha", 1.0, "use SiLU")
    return activated(call, "silu")


def magnitude(call: Call) -> Value:
    """|x|, which is a leaky ReLU with a slope of -1."""
    return activated(call, "leaky_relu", -1.0)


def hard_sigmoid(call: Call) -> Value:
    """max(0, min(1, alpha x + beta))."""
    alpha, beta = float(call.attribute("alpha", 0.2)), float(call.attribute("beta", 0.5))
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:  # its float32 is 2e-9 off
        return activated(call, "hardsigmoid")
    node = Activation("hardtanh", (0.0, 1.0))
    inner = _scaled(call, call.floating(0), alpha, beta)
    return Pointwise(node.apply, (inner,), node, call.place)


def leaky(call: Call) -> Value:
    """PRelu with one slope."""
    slopes = call.floats(1)
    if not slopes.size or (slopes != slopes.ravel()[0]).any():
        raise call.refused("must have one slope for all channels", "train with LeakyReLU or with one parameter")
    return activated(call, "leaky_relu", float(slopes.ravel()[0]))


def clip(call: Call) -> Value:
    """max(low, min(high, x)), where a missing limit is infinite."""
    if call.opset < 11:
        low, high = call.attribute("min", -math.inf), call.attribute("max", math.inf)
    else:
        low, high = (call.scalar(i) if call.has(i) else default for i, default in ((1, -math.inf), (2, math.inf)))
    return clipped(call, call.floating(0), low, high)


def extremum(is_minimum: bool) -> Callable[[Call], Value]:
    """The reader of Min or Max: of a value and one number."""

    def read(call: Call) -> Value:
        if len(call.operands) != 2:
            raise call.refused("must be of a value and a number", "use Clip or MaxPool")
        number = 0 if isinstance(call.operand(0), Constant) else 1
        limit, value = call.scalar(number), call.floating(1 - number)
        return clipped(call, value, -math.inf, limit) if is_minimum else clipped(call, value, limit, math.inf)

    return read


def clipped(call: Call, value: Feature | Pointwise, low: float, high: float) -> Value:
    """A value between two limits, of which one may be infinite; half-open ones are shifted ReLUs."""
    if beyond(low) and beyond(high):
        return value
    if not (beyond(low) or beyond(high)):
        node = Activation("hardtanh", (low, high))
        return Pointwise(node.apply, (value,), node, call.place)
    node = Activation("relu")
    if isinstance(value, Pointwise) and value.form == node and low < 0 <= high:  # both limits in two steps
        return clipped(call, value.arguments[0], 0.0, high)
    sign, limit = (1.0, low) if beyond(high) else (-1.0, high)
    if sign == 1 and limit == 0:
        return Pointwise(node.apply, (value,), node, call.place)
    inner = _scaled(call, value, sign, -sign * limit)
    return _scaled(call, Pointwise(node.apply, (inner,), node, call.place), sign, limit)


def beyond(limit: float) -> bool:
    """Whether a limit is none: infinite, or the largest float32, which stands for it in files."""
    return abs(limit) >= float(np.finfo(np.float32).max)


def erf(call: Call) -> Value:
    """The error function, which is a part of GELU and nothing alone."""
    return _function(call, lambda x: np.asarray(_erf(x), np.float64), None)


def negated(call: Call) -> Value:
    """-x."""
    value = call.operand(0)
    return Constant(-call.constant(0)) if isinstance(value, Constant) else _scaled(call, call.floating(0), -1.0, 0.0)


def square_root(call: Call) -> Value:
    """The square root of a constant."""
    return Constant(np.sqrt(call.constant(0)))


def binary(call: Call) -> Value:
    """Add, Sub, Mul, Div: constants with each other, values with constants, and values with each other."""
    first, second = call.operand(0), call.operand(1)
    if isinstance(first, Constant) and isinstance(second, Constant):
        return _known(call, call.constant(0), call.constant(1))
    if isinstance(second, Constant):
        return _with_constant(call, call.floating(0), call.floats(1), constant_first=False)
    if isinstance(first, Constant):
        return _with_constant(call, call.floating(1), call.floats(0), constant_first=True)
    return _of_two(call, call.floating(0), call.floating(1))


def power(call: Call) -> Value:
    """A value to the power of a positive integer."""
    if isinstance(call.operand(0), Constant):
        return _known(call, call.constant(0), call.constant(1))
    exponent = call.scalar(1)
    if exponent not in range(1, _LARGEST_POWER + 1):
        raise call.refused(
            f"must have an exponent among the integers from 1 to {_LARGEST_POWER}, got {exponent:g}", "use x * x"
        )
    coefficients = (*[0.0] * int(exponent), 1.0)
    node = Activation("square") if exponent == 2 else Activation("polynomial", coefficients)
    return _function(call, node.apply, node)


def _known(call: Call, first: Array, second: Array) -> Value:
    shape = np.broadcast_shapes(first.shape, second.shape)
    if math.prod(shape) > MAX_ELEMENTS:
        raise call.refused(f"must give at most {MAX_ELEMENTS} elements, got shape {shape}", "export the model again")
    with np.errstate(all="ignore"):  # what is not finite is refused where it becomes a weight
        return Constant(np.asarray(_CONSTANTS[call.operator](first, second)).astype(first.dtype))


def _with_constant(call: Call, value: Feature | Pointwise, constant: FloatArray, constant_first: bool) -> Value:
    """Scale by w and add b, one of each for all elements, or for each channel or element."""
    match call.operator, constant_first:
        case "Add", _:
            weight, bias = np.ones_like(constant), constant
        case "Sub", False:
            weight, bias = np.ones_like(constant), -constant
        case "Sub", True:
            weight, bias = -np.ones_like(constant), constant
        case "Mul", _:
            weight, bias = constant, np.zeros_like(constant)
        case "Div", False if constant.all():
            weight, bias = 1 / constant, np.zeros_like(constant)
        case _:
            raise call.refused("must not divide by zero, nor by a value of the network", "multiply by a constant")
    shape = value.base.shape if isinstance(value, Pointwise) else value.shape
    if constant.size == 1 and constant.ndim <= 1 + len(shape):
        return _scaled(call, value, weight.item(), bias.item())
    _require_broadcast(call, constant.shape, shape)
    rows = [parameter.reshape(parameter.shape[1:]) if parameter.ndim > len(shape) else parameter
            for parameter in (weight, bias)]  # fmt: skip
    return call.builder.scaled_everywhere(call.builder.feature(value), *rows)


def _require_broadcast(call: Call, constant: Shape, shape: Shape) -> None:
    """A constant must not make a value larger, nor differ from row to row."""
    sides = (1, *shape)
    aligned = (*[1] * (len(sides) - len(constant)), *constant)
    if len(aligned) != len(sides) or any(c not in (1, s) for c, s in zip(aligned, sides, strict=True)):
        raise call.refused(
            f"must have a constant that fits shape (batch, {', '.join(map(str, shape))}), got {constant}",
            "give the constant the shape of the value",
        )


def _of_two(call: Call, first: Feature | Pointwise, second: Feature | Pointwise) -> Value:
    """Arithmetic of two values: of one feature's functions as a pattern; otherwise a sum or a difference."""
    forms: dict[str, tuple[_Function, Literal["sum", "difference"] | None]] = {
        "Add": (np.add, "sum"),
        "Sub": (np.subtract, "difference"),
        "Mul": (np.multiply, None),
        "Div": (lambda x, y: x / y, None),
    }
    function, form = forms[call.operator]
    bases = [value.base if isinstance(value, Pointwise) else value for value in (first, second)]
    if bases[0] is bases[1]:
        return call.builder.pointwise(Pointwise(function, (first, second), form, call.place))
    if form is None:
        raise call.refused(
            "must have a constant operand, got a product or quotient of two values of the network",
            "leave gates and attention out; encrypted networks add branches and do not multiply them",
        )
    one, other = call.builder.feature(first), call.builder.feature(second)
    return call.builder.summed(one, other, 1.0 if form == "sum" else -1.0)


def _function(call: Call, function: _Function, form: Form) -> Value:
    return call.builder.pointwise(Pointwise(function, (call.floating(0),), form, call.place))


def _scaled(call: Call, value: Value, factor: float, offset: float) -> Pointwise:
    assert not isinstance(value, Constant)
    return call.builder.pointwise(Pointwise(lambda x: factor * x + offset, (value,), (factor, offset), call.place))
