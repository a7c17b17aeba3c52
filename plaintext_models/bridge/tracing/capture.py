"""From a module to a program of ATen's operators: torch's own export, of a copy in float64 and in evaluation mode."""

import contextlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from intnn.layers.nodes import Shape
from plaintext_models.bridge.plain import require_no_lookups, require_plain_modules
from plaintext_models.bridge.reading.operators import CHECKS
from plaintext_models.bridge.reading.reader import answer
from plaintext_models.bridge.tracing.quiet import quiet
from plaintext_models.bridge.tracing.wide import in_float64, wide, widened

BATCH = 3  # images that a module is traced with: what mixes them shows


@dataclass(frozen=True)
class Captured:
    """A program, and what it was made of.

    Attributes:
        program: Operators, parameters, buffers and constants.
        shape: The shape of one input.
        batch: The size of the batch that the program was made for.
        compute: The module or the program itself on float64 inputs [batch, *shape].
        is_wide: Whether the program was traced in float64.
    """

    program: ExportedProgram
    shape: Shape
    batch: int
    compute: Callable[[Tensor], Tensor]
    is_wide: bool

    def functional(self) -> "Captured":
        """The same without operators that overwrite their operands, which torch takes a while to write anew.

        Raises:
            ValueError: The program changes its buffers.
        """
        schemas = [getattr(node.target, "_schema", None) for node in self.program.graph.nodes]
        if not any(getattr(schema, "is_mutable", False) for schema in schemas):
            return self
        with quiet(), in_float64() if self.is_wide else contextlib.nullcontext():
            program = self.program.run_decompositions({})
        changed = program.graph_signature.buffers_to_mutate.values()
        if changed:
            raise ValueError(
                f"`module` must stay as it is when it computes, got one that changes {', '.join(changed)}; export it "
                "in evaluation mode, where buffers stay"
            )
        return replace(self, program=program)


def capture(module: nn.Module, example: Tensor, given: tuple[int, ...]) -> Captured:
    """Export a module, which stays as it is.

    Args:
        module: Any module that `torch.export` can trace.
        example: Inputs [batch, ...] of any batch size, float64.
        given: The shape of the example before some of its inputs were taken.

    Raises:
        TypeError: The module is none.
        ValueError: It has hooks, weights that cannot be read, or cannot be traced; or the example does not fit it.
    """
    module = getattr(module, "_orig_mod", module)  # of torch.compile
    require_plain_modules(module)
    copied = wide(module)
    inputs = example[:1].repeat(BATCH, *[1] * (example.ndim - 1))
    _require_one_output(_run(copied, inputs, given))
    try:
        with quiet(), in_float64():
            program = torch.export.export(copied, (inputs,), strict=False)
    except Exception as error:
        raise _untraceable(error) from error
    compute: Callable[[Tensor], Tensor] = partial(_called, copied)
    return Captured(program, tuple(inputs.shape[1:]), BATCH, compute, is_wide=True).functional()


def capture_program(program: ExportedProgram, example: Tensor | None) -> Captured:
    """Take a program that has been exported before, in evaluation mode.

    Raises:
        ValueError: It has several inputs or outputs, sides that are not known, or changes its buffers.
    """
    signature = program.graph_signature
    if len(signature.user_inputs) != 1 or len(signature.user_outputs) != 1:
        raise ValueError(
            "`module` must be a program from one tensor to one tensor, got "
            f"{len(signature.user_inputs)} inputs and {len(signature.user_outputs)} outputs"
        )
    (placeholder,) = (node for node in program.graph.nodes if node.name == signature.user_inputs[0])
    sides = list(placeholder.meta["val"].shape)
    free = [not isinstance(side, int) for side in sides]
    if any(free[1:]) and example is None:
        raise ValueError("`example` must be given for a program whose images may have several sizes")
    known = sides if example is None else list(example.shape)
    if len(known) != len(sides) or any(
        not f and k != s for f, k, s in zip(free[1:], known[1:], sides[1:], strict=True)
    ):
        raise ValueError(f"`example` must have the shape that the program takes, {sides}, got {known}")
    batch = BATCH if free[0] else int(sides[0])
    shape = tuple(int(side) for side in known[1:])
    return Captured(program, shape, batch, _Runner(program, batch), is_wide=False).functional()


class _Runner(fx.Interpreter):
    """A program in float64, on any number of inputs."""

    def __init__(self, program: ExportedProgram, batch: int) -> None:
        super().__init__(program.graph_module)
        self.batch, self.answer = batch, answer(program)
        held = {**program.constants, **program.state_dict}
        self.held = [None if s.target is None else wide(held[s.target]) for s in program.graph_signature.input_specs]

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Call an operator in float64, but for those that check what the program was exported with."""
        name = target._schema.name.removeprefix("aten::") if isinstance(target, torch._ops.OpOverload) else ""
        return None if name in CHECKS else super().call_function(target, *widened(args, kwargs))

    def __call__(self, inputs: Tensor) -> Tensor:
        """Evaluate inputs [n, ...], a batch at a time; what a last batch lacks repeats its first."""
        outputs = []
        for rows in inputs.split(self.batch):
            full = torch.cat([rows, rows[:1].expand(self.batch - len(rows), *rows.shape[1:])])
            output = self.run(*(full if value is None else value for value in self.held))[self.answer]
            outputs.append(output[: len(rows)])
        return torch.cat(outputs)


def _run(module: nn.Module, inputs: Tensor, given: tuple[int, ...]) -> Any:
    """The module's output, or why there is none."""
    try:
        return _called(module, inputs)
    except Exception as error:
        failure = error
    where, layer = _place(module, failure)
    if layer is not None:
        require_no_lookups(layer, where)
    try:
        _called(module, inputs.new_zeros(1, *given))
    except Exception:
        others = "; give several inputs as one, and let the module split it" * isinstance(failure, TypeError)
        raise ValueError(
            f"`module` must run on a batch like `example`, {list(inputs.shape)}, in float64 on the CPU, got "
            f"{_said(failure)}{where and f' in `{where}` ({type(layer).__name__})'}{others}"
        ) from failure
    raise ValueError(f"`example` must have a batch axis, got shape {given}; give example[None]")


def _place(module: nn.Module, failure: Exception) -> tuple[str, nn.Module | None]:
    """The name of the innermost module in which running failed, empty for the whole, and it."""
    names = {id(layer): name for name, layer in module.named_modules()}
    running = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(failure.__traceback__)]
    layer = next((one for one in reversed(running) if isinstance(one, nn.Module) and id(one) in names), None)
    return ("", None) if layer is None else (names[id(layer)], layer)


def _called(module: nn.Module, inputs: Tensor) -> Any:
    with quiet(), in_float64():
        return module(inputs)


def _said(error: Exception) -> str:
    """The first line of an error."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def _require_one_output(output: Any) -> None:
    if not isinstance(output, Tensor):
        raise ValueError(f"`module` must give one tensor, got {type(output).__name__}; wrap it to return one of them")


def _untraceable(error: Exception) -> ValueError:
    if "data-dependent" in str(error).lower() or "DataDependent" in type(error).__name__:
        return ValueError(
            "`module` must compute the same operators for every input, got control flow that depends on values, or a "
            f"number taken out of a tensor ({_said(error)}); use activations in place of `if`, and no .item()"
        )
    return ValueError(
        f"`module` must be one that torch.export can trace, got {_said(error)}; use torch's operators "
        "only, and no conversions to numpy or Python"
    )
