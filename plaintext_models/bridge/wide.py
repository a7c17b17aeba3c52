"""Copies of modules in float64, which holds all narrower floats exactly."""

from collections import OrderedDict
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


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
        made[id(value)] = copy = type(value).__new__(type(value))
        vars(copy).update({key: _copied(held, made) for key, held in vars(value).items()} | {"training": False})
    elif isinstance(value, Tensor):
        copy = value.detach().to("cpu", torch.float64 if value.is_floating_point() else value.dtype, copy=True)
        made[id(value)] = copy = nn.Parameter(copy, requires_grad=False) if isinstance(value, nn.Parameter) else copy
    elif type(value) in (list, tuple):
        copy = type(value)(_copied(held, made) for held in value)
    elif type(value) in (dict, OrderedDict):
        copy = type(value)((key, _copied(held, made)) for key, held in value.items())
    else:
        copy = value
    return copy
