"""Tensors of what callers and models give: the one place that reads arrays and sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from intnn.values.arrays import array

FLOATS = (torch.float32, torch.float64)  # types of images and logits that attacks compute in
WIDEST = {"g": np.float64, "G": np.complex128}  # of what is wider, torch has none


@torch.inference_mode(False)
def tensor(values: Any, name: str) -> Tensor:
    """Values as a dense tensor without a graph: a tensor, an array of any layout, or nested sequences of numbers.

    Arrays and sequences are copied. Python's floats become float32, whatever torch's default is. What comes out can
    be saved for a gradient, whatever mode the caller is in.

    Raises:
        TypeError: They are nothing of the kind, or a tensor that is sparse or nested.
        ValueError: Rows have unequal lengths.
    """
    if isinstance(values, Tensor):
        values = dense(values, name).detach()
        return values.clone() if values.is_inference() else values
    checked = array(values, name)
    if checked.dtype.kind not in "biufc":
        what = f"{type(values).__name__} of {checked.dtype}"
        raise TypeError(f"`{name}` must be a tensor, an array or nested lists of numbers, got {what}")
    dtype = WIDEST.get(checked.dtype.char, checked.dtype.newbyteorder("="))
    result = torch.from_numpy(np.array(checked, dtype, order="C"))
    return result.float() if result.dtype == torch.float64 and not hasattr(_first(values), "dtype") else result


def dense(values: Tensor, name: str) -> Tensor:
    """Return a tensor if it is neither sparse nor nested; else a TypeError."""
    if values.layout != torch.strided or values.is_nested:
        what = "a nested one" if values.is_nested else str(values.layout)
        raise TypeError(f"`{name}` must be a dense tensor, got {what}; call its to_dense, or pad it")
    return values


@torch.inference_mode(False)
def class_labels(labels: Any, name: str) -> Tensor:
    """Classes as an int64 tensor of its own, of a tensor, an array or a sequence of integers of any type.

    Raises:
        TypeError: They are not integers; bools do not count as such.
        ValueError: One does not fit int64, or rows have unequal lengths.
    """
    given = tensor(labels, name)
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise TypeError(f"`{name}` must be integers, got {given.dtype}")
    result = given.to(torch.int64, copy=True)
    if given.dtype == torch.uint64 and bool((result < 0).any()):
        raise ValueError(f"`{name}` must fit int64, got values from 2**63 on")
    return result


def _first(values: Any) -> Any:
    """The first number of nested sequences."""
    while isinstance(values, (list, tuple)) and values:
        values = values[0]
    return values
