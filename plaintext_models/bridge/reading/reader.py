"""From a program of ATen's operators, as torch exports it, to a graph."""

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from intnn.layers.nodes import Activation, Join, Node, Shape
from plaintext_models.bridge.reading.draft import INPUT, Draft, Value, counted
from plaintext_models.bridge.reading.operators import (
    CHECKS,
    MODULES,
    MOVES,
    MOVES_FLOATS,
    OPERATORS,
    REMEDIES,
    SAME,
    SHAPED,
)
from plaintext_models.bridge.reading.unsupported import UnsupportedError
from plaintext_models.bridge.tracing.wide import in_float64, wide, widened

_ELSEWHERE = "compute it outside the module, before or after, or build it of layers that a graph has"

LARGEST = 1 << 28  # elements of what is computed while a program is read


class Reader:
    """Reads a program once, operator by operator: what depends on the input becomes nodes, all else is computed.

    Args:
        input_shape: The shape of one input.
        batch: The size of the program's batch.

    Attributes:
        link: What the program does last and leaves to the client: a name in `LINKS`, or nothing.
    """

    def __init__(self, input_shape: Shape, batch: int) -> None:
        self.draft, self.batch = Draft(input_shape), batch
        self.link = ""

    def read(self, program: ExportedProgram) -> tuple[tuple[Node | Join, ...], tuple[tuple[int, ...], ...]]:
        """The nodes that the program's output depends on, and what they read.

        Raises:
            ValueError: An operator has no place in a graph; the message names it, its module and what to do.
        """
        with in_float64():
            return self._finished(self._output(program))

    def _output(self, program: ExportedProgram) -> Any:
        """What the program gives."""
        values: dict[fx.Node, Any] = dict(self._inputs(program))
        for node in program.graph.nodes:
            if node in values:
                continue
            args, kwargs = fx.map_arg((node.args, node.kwargs), values.__getitem__)
            if node.op == "output":
                return args[0][answer(program)]
            try:
                values[node] = self._evaluate(node, args, kwargs)
            except UnsupportedError as refusal:
                path, kind = _module(node)
                known = MODULES.get(kind)
                what, remedy = (known, REMEDIES[known]) if known else (refusal.what, refusal.remedy)
                place = f" in `{path or 'module'}` ({kind})" if kind else ""
                raise ValueError(f"`module` must be made of what a graph has, got {what}{place}; {remedy}") from None
        raise AssertionError("a program ends in its output")

    def _inputs(self, program: ExportedProgram) -> Mapping[fx.Node, Any]:
        """The input, and parameters, buffers and constants in float64."""
        nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
        found: dict[fx.Node, Any] = {}
        for spec in program.graph_signature.input_specs:
            if spec.kind is InputKind.USER_INPUT:
                found[nodes[spec.arg.name]] = self.draft.whole(INPUT)
            else:
                held = program.state_dict if spec.target in program.state_dict else program.constants
                found[nodes[spec.arg.name]] = wide(held[spec.target])
        return found

    def _evaluate(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        leaves = pytree.tree_leaves((args, kwargs))
        read = [leaf for leaf in leaves if isinstance(leaf, Value)]
        for leaf in leaves if node.target is not operator.getitem else ():
            if isinstance(leaf, Missing):
                raise UnsupportedError(f"the places of what {leaf.name} gives", "use its values only")
        held = pytree.tree_leaves(node.meta.get("val"))
        if any(isinstance(leaf, Tensor) and leaf.numel() > LARGEST for leaf in held):
            raise UnsupportedError(f"{node.target} of more than {LARGEST} elements", "use smaller images and layers")
        if node.op != "call_function":
            raise UnsupportedError("a part with control flow of its own", _ELSEWHERE)
        target: Any = node.target
        if isinstance(target, torch._ops.OpOverload):
            return self._operator(target, args, kwargs, read)
        if isinstance(target, torch._ops.HigherOrderOperator):
            raise UnsupportedError(f"control flow or a mode of its own ({target})", _ELSEWHERE)
        if read and not isinstance(args[0], (list, tuple)):  # neither a size nor one of several results
            raise UnsupportedError(f"{target}", _ELSEWHERE)
        return target(*args, **kwargs)

    def _operator(self, target: torch._ops.OpOverload, args: Any, kwargs: Any, read: list[Value]) -> Any:
        name = target._schema.name.removeprefix("aten::")
        if name in CHECKS:
            return None
        if not read or name in SHAPED:
            if torch.Tag.nondeterministic_seeded in target.tags:
                raise UnsupportedError(f"random numbers ({name})", "compute the same for the same input")
            args, kwargs = widened(self._stood_in(args), self._stood_in(kwargs))
            return target(*args, **kwargs)
        arguments = _bound(target, args, kwargs)
        if any(value.link for value in read) and name not in SAME:
            raise UnsupportedError(f"{name} behind a softmax", "leave the softmax to the end, or out")
        if name in SAME:
            if arguments.get("train"):
                raise UnsupportedError(f"{name} that is not in evaluation mode", REMEDIES["native_dropout"])
            return read[0]
        if name in MOVES or name in MOVES_FLOATS:
            return self._moved(target, args, kwargs, read)
        if name not in OPERATORS:
            raise UnsupportedError(name, REMEDIES.get(name, _ELSEWHERE))
        result = OPERATORS[name](self.draft, arguments, self.batch)
        return [*result, *[Missing(name)] * (len(target._schema.returns) - 1)] if isinstance(result, list) else result

    def _stood_in(self, tree: Any) -> Any:
        """Arguments of what reads nothing but shapes."""
        return pytree.tree_map(
            lambda leaf: torch.zeros(self.batch, *leaf.shape, dtype=torch.float64) if isinstance(leaf, Value) else leaf,
            tree,
        )

    def _moved(self, target: torch._ops.OpOverload, args: Any, kwargs: Any, read: list[Value]) -> Any:
        """Move the places of a batch as torch moves its elements; all images have to be treated alike."""
        value = read[0]
        size = self.draft.size(value.node)
        kind = torch.float64 if target._schema.name.removeprefix("aten::") in MOVES_FLOATS else torch.int64
        starts = size * counted(self.batch)

        def batched(leaf: Any) -> Any:
            if not isinstance(leaf, Value):
                return leaf
            moved = leaf.places + starts.view(-1, *[1] * len(leaf.shape))
            return moved.to(kind).contiguous()  # so that it can be viewed

        def single(moved: Tensor) -> Value:
            moved = moved.to(torch.int64)
            places = moved[0] if moved.ndim and len(moved) == self.batch else None
            if places is None or not torch.equal(moved, places + starts.view(-1, *[1] * places.ndim)):
                raise UnsupportedError(
                    f"{target._schema.name.removeprefix('aten::')} across the batch",
                    "keep the first axis for the batch, as in x.flatten(1) or x.view(len(x), -1)",
                )
            return Value(value.node, places, value.link)

        moved = target(*pytree.tree_map(batched, args), **pytree.tree_map(batched, kwargs))
        return [single(part) for part in moved] if isinstance(moved, (list, tuple)) else single(moved)

    def _finished(self, output: Any) -> tuple[tuple[Node | Join, ...], tuple[tuple[int, ...], ...]]:
        """The nodes that the output depends on, the output last."""
        if not isinstance(output, Value):
            raise ValueError("`module` must compute its output from its input, got one that is constant")
        draft = self.draft
        number, self.link = output.node, output.link
        node = draft.node(number)
        if isinstance(node, Activation) and node.name == "sigmoid" and draft.sources[number] != (INPUT,):
            (number,) = draft.sources[number]
            self.link = "logistic"
        try:
            last = draft.laid(Value(number, output.places), output.shape or (1,))
        except UnsupportedError as refusal:
            raise ValueError(f"`module` must give what a graph can give, got {refusal.what} as output") from None
        if last == INPUT:
            raise ValueError("`module` must have at least one layer, got one that gives its input")
        return draft.needed(last)


class Missing:
    """A result that no node gives.

    Args:
        name: The operator that has it.
    """

    def __init__(self, name: str) -> None:
        self.name = name


def answer(program: ExportedProgram) -> int:
    """Which of a program's outputs is the answer; the others are inputs that it has overwritten."""
    return [spec.kind for spec in program.graph_signature.output_specs].index(OutputKind.USER_OUTPUT)


def _bound(target: torch._ops.OpOverload, args: Any, kwargs: Any) -> dict[str, Any]:
    """An operator's arguments by name, with those that were left out."""
    bound: dict[str, Any] = {}
    for number, argument in enumerate(target._schema.arguments):
        if number < len(args):
            bound[argument.name] = args[number]
        elif argument.name in kwargs or argument.has_default_value():
            bound[argument.name] = kwargs.get(argument.name, argument.default_value)
    return bound


def _module(node: fx.Node) -> tuple[str, str]:
    """Where an operator stands: the path and the class of its innermost module that has a name, if any is known."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return "", ""
    path, kind = stack[-1]
    kind = kind if isinstance(kind, str) else kind.__name__
    return path.removeprefix("L__self__").lstrip("."), kind.rsplit(".", 1)[-1]
