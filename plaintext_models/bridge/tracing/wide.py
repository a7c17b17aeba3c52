"""Modules in float64, which holds all narrower floats exactly: copies of them, and how they are called."""

import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

T = TypeVar("T")


@contextlib.contextmanager
def in_float64() -> Iterator[None]:
    """Where a module says float32, or leaves the type of floats open, it gets float64."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Widened():
            yield
    finally:
        torch.set_default_dtype(default)


class _Widened(TorchFunctionMode):
    """Calls of torch's functions with float64 in place of float32."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = widened(args, kwargs or {})
        return (torch.Tensor.double if func is torch.Tensor.float else func)(*args, **kwargs)


def widened(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with float64 in place of float32."""
    wider = {torch.float32: torch.float64}

    def one(value: Any) -> Any:
        return wider.get(value, value) if isinstance(value, torch.dtype) else value

    return tuple(map(one, args)), {key: one(value) for key, value in kwargs.items()}


def wide(value: T) -> T:
    """A copy in evaluation mode whose floats are float64 and lie on the CPU, without gradients; the original stays.

    Modules are copied with all that they hold, tensors outside parameters and buffers as well, and what is shared stays
    shared. `copy.deepcopy` refuses what a module has computed, and parametrised modules.
    """
    return _copied(value, {})


def _copied(value: Any, made: dict[int, Any]) -> Any:
    if id(value) in made:
        return made[id(value)]
    if isinstance(value, nn.Module):
        module = made[id(value)] = object.__new__(type(value))  # fx makes another class otherwise
        vars(module).update({key: _copied(held, made) for key, held in vars(value).items()} | {"training": False})
        return module
    if isinstance(value, Tensor):
        dtype = torch.float64 if value.is_floating_point() else value.dtype
        tensor = value.detach().to("cpu", dtype, copy=True)
        is_parameter = isinstance(value, nn.Parameter)
        made[id(value)] = tensor = nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor
        return tensor
    if type(value) in (list, tuple):
        return type(value)(_copied(held, made) for held in value)
    if type(value) in (dict, OrderedDict):
        return type(value)((key, _copied(held, made)) for key, held in value.items())
    return value
