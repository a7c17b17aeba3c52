"""One way in for models of any library."""

import io
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from intnn.convert.errors import ConversionError
from intnn.convert.from_onnx import from_onnx
from intnn.convert.from_sklearn import from_sklearn
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork

_STATE = "load the weights into the module that they are of, and pass it; or save that by `torch.export.save` (.pt2)"
_PICKLED = "load the model, if you trust whoever wrote it, and pass it"
#: What to do about files whose models nobody reads, by their suffix.
_FILES: Mapping[str, str] = {
    **dict.fromkeys(("bin", "ckpt", "pt", "pth", "safetensors"), _STATE),
    **dict.fromkeys(("joblib", "pickle", "pkl", "skops"), _PICKLED),
    **dict.fromkeys(("h5", "hdf5", "keras", "pb", "tflite"), "convert it to ONNX"),
}

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
    raise TypeError(f"`model` must be one of {'; '.join(taken)}; got {got}; {_remedy(model, names)}")


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


def _remedy(model: Any, names: list[str]) -> str:
    """What to do about a model that nobody converts."""
    if isinstance(model, str | os.PathLike):
        return _FILES.get(
            names[0], "install the package that converts it" if names[0] else "name a file with its suffix"
        )
    if isinstance(model, type):
        return "make an object of this class, and train it"
    if isinstance(model, Mapping):
        return _STATE
    if model is None:
        return "pass a trained model"
    if isinstance(model, bytes | io.IOBase):
        return "pass the path of a file"
    return "install the package that converts it"


def _described(model: Any, names: list[str]) -> str:
    if isinstance(model, str | os.PathLike):
        return f"a path that ends in {names[0]!r}" if names[0] else "a path without a suffix"
    kind = model if isinstance(model, type) else type(model)
    return f"{'the class ' * isinstance(model, type)}{kind.__module__}.{kind.__qualname__}"
