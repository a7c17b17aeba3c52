"""From what people have trained in torch to a float graph."""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import ExportedProgram

from intnn.convert.labels import class_labels
from intnn.network.fold import fold_scales
from intnn.network.graph import Graph
from plaintext_models.bridge.agreement import EXAMPLES, require_equal_floats
from plaintext_models.bridge.plain import require_no_lookups
from plaintext_models.bridge.reading.reader import Reader
from plaintext_models.bridge.tracing.capture import Captured, capture, capture_program
from plaintext_models.bridge.tracing.program_file import read_program


@torch.inference_mode(False)
@torch.no_grad()
def from_torch(
    module: nn.Module | ExportedProgram | str | os.PathLike[str],
    example: Tensor | NDArray[Any] | None = None,
    name: str = "",
    classes: Sequence[Any] | None = None,
    **metadata: Any,
) -> Graph:
    """Turn a torch module into a graph that computes the same, in float64.

    `torch.export` traces a copy of the module in evaluation mode, as modules are used, whatever mode it is in; dropout
    is gone, batch normalisation by the statistics that training left is folded into its neighbours, and weights become
    float64, which is exact.
    Modules of one's own, functional calls, branches and shared layers are traced as they compute. What a graph has no
    node for is refused by its name and its module, with what to do. Before the graph is returned, it is compared with
    the module on random inputs and on the example.

    A softmax or a sigmoid at the end is left to the client: encryption cannot compute it and
    the largest score is the same without it. ``metadata["link"]`` says so: "softmax" or "logistic".

    Args:
        module: A module, which stays as it is; a program that `torch.export` has made of one in evaluation mode; or the
            name of a ``.pt2`` file that `torch.export.save` has written, of which nothing is run or unpickled.
        example: Inputs [batch, ...] of any batch size, floats as the module is given them. Not needed for a program.
        name: The name of the graph.
        classes: The name of every class, strings or numbers, for ``metadata["classes"]``; two for a single output.
        **metadata: Stored with the graph.

    Raises:
        TypeError: ``module`` is no module, or ``example`` is no tensor.
        ValueError: The module cannot be traced (control flow that depends on values, hooks, several inputs or outputs,
            weights that are NaN or complex), has an operator that no graph has, or computes something else than its
            graph; the example has no batch axis or no floats; or ``classes`` are not as many as the outputs.
    """
    rows = None if example is None else _checked(example, module)
    if isinstance(module, (str, os.PathLike)) and os.fspath(module).endswith(".pt2"):
        module = read_program(module)
    with torch.random.fork_rng(devices=[]):
        if isinstance(module, ExportedProgram):
            captured = capture_program(module, rows)
        elif rows is None or example is None:
            raise ValueError("`example` must be given for a module: a batch of inputs, of any size")
        else:
            captured = capture(module, rows, tuple(example.shape))  # type: ignore[arg-type]  # whatever it is, it is looked at there
        return _graph(captured, rows, name, classes, metadata)


def convert(model: Any, example: Any = None) -> Graph:
    """`from_torch`, as `intnn.graph_of` finds it: by the entry points "torch" and "pt2" of this package."""
    return from_torch(model, example)


def _graph(
    captured: Captured, rows: Tensor | None, name: str, classes: Sequence[Any] | None, metadata: dict[str, Any]
) -> Graph:
    reader = Reader(captured.shape, captured.batch)
    nodes, sources = reader.read(captured.program)
    if reader.link:
        metadata["link"] = reader.link.removeprefix("log_")
    graph = Graph(captured.shape, nodes, name, metadata, sources)
    if classes is not None:
        metadata["classes"] = class_labels(classes, math.prod(graph.output_shape), "`classes`")
        graph = replace(graph, metadata=metadata)
    graph = fold_scales(graph)
    example = None if rows is None else rows.numpy()
    require_equal_floats(captured.compute, graph, example, link=reader.link)
    return graph


def _checked(example: Any, module: Any) -> Tensor:
    """The example of a module in float64: as many of its inputs as are looked at."""
    if isinstance(example, (tuple, list, dict)):
        raise TypeError(f"`example` must be one tensor, got a {type(example).__name__}; a graph has one input")
    if not isinstance(example, (Tensor, np.ndarray)):
        raise TypeError(f"`example` must be a tensor [batch, ...], got {type(example).__name__}")
    is_float = example.is_floating_point() if isinstance(example, Tensor) else example.dtype.kind == "f"
    if not is_float:
        if isinstance(module, nn.Module):
            require_no_lookups(module)
        raise ValueError(
            f"`example` must hold floats as the module is given them, got {example.dtype}; divide images by 255, say"
        )
    if isinstance(example, Tensor) and (example.is_meta or example.layout != torch.strided):
        raise ValueError(f"`example` must be a dense tensor with values, got {example.layout} on {example.device}")
    if example.ndim < 2 or 0 in example.shape:
        raise ValueError(
            f"`example` must be a batch of inputs, [batch, ...], got shape {tuple(example.shape)}; give example[None]"
        )
    some = example[:EXAMPLES]
    tensor = some if isinstance(some, Tensor) else torch.from_numpy(np.array(some, np.float64))
    if not torch.isfinite(tensor).all():
        raise ValueError("`example` must be finite, got NaN or infinity")
    return tensor.detach().to("cpu", torch.float64, copy=True, memory_format=torch.contiguous_format)
