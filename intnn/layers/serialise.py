"""From chains of layers to documents, and back."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import numpy as np

from intnn.layers.nodes import (
    Activation,
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    IntPolynomial,
    Join,
    LutActivation,
    MaxPool2d,
    Node,
    Requantise,
    Reshape,
    Scale,
    SumPool2d,
)
from intnn.storage.document import Document, FormatError
from intnn.values.arrays import Array
from intnn.values.domain import IntDomain
from intnn.values.lut import Lut

T = TypeVar("T")


def to_document(kind: str, nodes: tuple[Node | Join, ...], **content: Any) -> Document:
    """Describe a chain; array ``weight`` of node 0 is stored as "nodes.0.weight"."""
    descriptions, arrays = [], {}
    for i, node in enumerate(nodes):
        scalars, tensors = _encode(node)
        descriptions.append({"type": type(node).__name__, **scalars})
        arrays.update({f"nodes.{i}.{name}": tensor for name, tensor in tensors.items()})
    return Document(kind, {**content, "nodes": descriptions}, arrays)


def from_document(document: Document, build: Callable[[tuple[Node | Join, ...], Mapping[str, Any]], T]) -> T:
    """Rebuild the nodes and call ``build(nodes, content)``.

    Raises:
        FormatError: Something is missing, superfluous or invalid; the message names the field.
    """
    content, arrays = dict(document.content), dict(document.arrays)
    descriptions = content.pop("nodes", None)
    if not isinstance(descriptions, list):
        raise FormatError("content.nodes", "must be a list")
    nodes = []
    for i, description in enumerate(descriptions):
        prefix = f"nodes.{i}."
        own = [name for name in arrays if name.startswith(prefix)]
        tensors = {name.removeprefix(prefix): arrays.pop(name) for name in own}
        nodes.append(_guarded(f"content.nodes[{i}]", partial(_decode, description, tensors)))
    if arrays:
        raise FormatError(f"arrays.{min(arrays)}", "must belong to a node")
    return _guarded("content", lambda: build(tuple(nodes), content))


def joined(fields: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Fields of a file and those that were made of others, for a constructor.

    In a call with both, Python 3.11 and older take a field that is there twice for one that is missing, where an
    exception is being handled.

    Raises:
        TypeError: A field is there twice.
    """
    if twice := fields.keys() & more.keys():
        raise TypeError(f"a field `{min(twice)}` must be left out")
    return {**fields, **more}


def _guarded(field: str, build: Callable[[], T]) -> T:
    """Turn whatever a constructor has to say about a file's content into a `FormatError`."""
    try:
        return build()
    except KeyError as error:
        raise FormatError(f"{field}.{error.args[0]}", "must be present") from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FormatError(field, f"must be valid: {error}") from error


def _encode(node: Node | Join) -> tuple[dict[str, Any], dict[str, Array]]:
    """The scalars and the arrays of a node."""
    match node:
        case Dense() | Scale():
            return _parameters(node)
        case Conv2d():
            geometry = {"stride": _sides(node.stride), "padding": _sides(node.padding)}
            more = {"dilation": _sides(node.dilation), "groups": node.groups} if not node.is_plain else {}
            scalars, tensors = _parameters(node)
            return {**geometry, **more, **scalars}, tensors
        case SumPool2d() | MaxPool2d():
            padding = {"padding": _sides(node.padding)} if node.padding else {}
            return {"size": _sides(node.size), "stride": _sides(node.step), **padding}, {}
        case Flatten() | Add() | Concatenate():
            return {}, {}
        case Reshape():
            return {"shape": list(node.shape)}, {}
        case IntPolynomial():
            return {"coefficients": list(node.coefficients)}, {}
        case Activation():
            return {"name": node.name, "coefficients": list(node.coefficients)}, {}
        case Requantise():
            return {"shift": node.shift, "lo": node.domain.lo, "hi": node.domain.hi}, {"multiplier": node.multiplier}
        case LutActivation():
            domain = node.lut.domain
            scalars = {"lo": domain.lo, "hi": domain.hi, "modulus": domain.modulus, "name": node.lut.name}
            return scalars, {"table": node.lut.table}
    raise TypeError(f"`node` must be one of intnn.layers.nodes, got {type(node).__name__}")


def _parameters(node: Dense | Conv2d | Scale) -> tuple[dict[str, Any], dict[str, Array]]:
    """Weights and biases as arrays; biases beyond int64 are numbers of the description."""
    if node.bias.dtype == object:
        return {"bias": node.bias.tolist()}, {"weight": node.weight}
    return {}, {"weight": node.weight, "bias": node.bias}


def _decode(description: dict[str, Any], tensors: dict[str, Array]) -> Node | Join:
    """A node from its type, scalars and arrays; a superfluous field is an unexpected keyword."""
    fields = {**description, **tensors}
    kind = fields.pop("type")
    if isinstance(fields.get("bias"), list):
        fields["bias"] = np.array(fields["bias"], object)
    if kind == "LutActivation":
        domain = IntDomain(fields.pop("lo"), fields.pop("hi"), fields.pop("modulus"))
        return LutActivation(Lut(domain, **fields))
    if kind == "Requantise":
        domain = IntDomain(fields.pop("lo"), fields.pop("hi"))
        return Requantise(**joined(fields, domain=domain))
    types = {cls.__name__: cls for cls in _PLAIN_TYPES}
    if kind not in types:
        raise ValueError(f"`type` must be one of {', '.join(types)}, Requantise, LutActivation, got {kind!r}")
    return types[kind](**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})


_PLAIN_TYPES: tuple[type[Any], ...] = (
    *(Dense, Conv2d, Scale, SumPool2d, MaxPool2d, Flatten, Reshape),
    *(Add, Concatenate, Activation, IntPolynomial),
)


def _sides(sides: int | tuple[int, ...]) -> int | list[int]:
    return sides if isinstance(sides, int) else list(sides)
