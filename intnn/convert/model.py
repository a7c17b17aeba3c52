"""One way in for models of any library."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from intnn.convert.errors import ConversionError
from intnn.convert.from_onnx import from_onnx
from intnn.convert.from_sklearn import from_sklearn
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork

GROUP = "intnn.converters"

Converter = Callable[[Any, Any], Graph]

_OWN: Mapping[str, Converter] = {
    "sklearn": lambda model, _: from_sklearn(model),
    "onnx": lambda model, _: from_onnx(model),
    "npz": lambda model, _: Graph.load(model),
    "json": lambda model, _: Graph.load(model),
}


def graph_of(model: Any, example: Any = None) -> Graph:
    """The float graph of a model, whatever made it.

    Other packages add converters by entry points of the group `intnn.converters`: the name is the root package of the
    model's class or of a class that it inherits from, or the suffix of a file without its dot; the object is a function
    of a model and an example that returns a `Graph`. In this house `plaintext_models` does so for torch.

    Args:
        model: A `Graph`; a fitted estimator of scikit-learn; a module of torch; or the path of a file: ONNX (.onnx), an
            exported program of torch (.pt2), or a saved graph (.npz, .json).
        example: A batch of inputs, of any size, for those that need it: modules of torch do.

    Raises:
        TypeError: Nobody converts such a model, or what should convert it returned no graph.
        ConversionError: The model has no equal among graphs.
        FormatError: A saved graph is damaged.
        OSError: A file cannot be read.
    """
    if isinstance(model, Graph):
        return model
    if isinstance(model, IntNetwork):
        raise TypeError("`model` must be a float network, got an IntNetwork, which is quantised already; compile it")
    names = _names(model)
    for name in names:
        convert = _OWN.get(name) or _registered(name)
        if convert is not None:
            graph = convert(model, example)
            if not isinstance(graph, Graph):
                raise TypeError(f"the converter for {name!r} must return a Graph, got {type(graph).__name__}")
            return graph
    registered = sorted({point.name for point in _points()})
    taken = ("Graph", "scikit-learn's estimators", "files .onnx, .npz, .json", *(f"{name!r}" for name in registered))
    got = _described(model, names)
    raise TypeError(f"`model` must be one of {'; '.join(taken)}; got {got}; install the package that converts it")


def _names(model: Any) -> list[str]:
    """The names under which a converter may stand: a file's suffix, or the root packages of a model's classes."""
    if isinstance(model, str | os.PathLike):
        return [Path(model).suffix.removeprefix(".").lower()]
    roots = [kind.__module__.split(".")[0] for kind in type(model).__mro__]
    return [root for root in dict.fromkeys(roots) if root not in ("builtins", "abc", "typing")]


def _registered(name: str) -> Converter | None:
    """The converter of another package.

    Raises:
        ConversionError: It cannot be loaded, since something that it needs is missing.
    """
    for point in _points():
        if point.name != name:
            continue
        try:
            return point.load()
        except (ImportError, AttributeError) as error:
            raise ConversionError(
                f"the converter for {name!r}", f"must be importable: {error}", "install what it needs"
            ) from error
    return None


def _points() -> Iterable[Any]:
    """The entry points of our group."""
    from importlib.metadata import entry_points  # which takes as long to import as all of this package

    return entry_points(group=GROUP)


def _described(model: Any, names: list[str]) -> str:
    if isinstance(model, str | os.PathLike):
        return f"a path that ends in {names[0]!r}" if names[0] else "a path without a suffix"
    return f"{type(model).__module__}.{type(model).__qualname__}"
