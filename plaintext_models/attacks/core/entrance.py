"""The one door of all attacks, of the card and of the referee: what callers give is made what they are written for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from intnn.values.arrays import plain
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target, class_labels, fresh_look

P = ParamSpec("P")
R = TypeVar("R")

#: Arguments that are targets, whatever else a function calls them for.
TARGETS = ("target", "oracle", "victim", "source", "model_a", "model_b")


def entrance(function: Callable[P, R]) -> Callable[P, R]:
    """Bring the arguments of an attack into the form that it is written for.

    Arguments are known by their names. Images may be arrays or nested lists, and leave their graph outside; numbers may
    be numpy's or tensors without dimensions; labels may be integers of any type. What is to be a target, a goal or a
    ball is not guessed: a TypeError says how to make it. Gradients can be taken whatever mode the caller is in, and
    what was checked of a target before does not count.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def entered(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        given = bound.arguments
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(fresh_look())
            for name, value in given.items():
                if value is not signature.parameters[name].default:
                    given[name] = _admitted(name, plain(value))
            if isinstance(given.get("images"), Tensor):
                _require_alike(given)
            return function(*bound.args, **bound.kwargs)

    return entered


def tensor(values: Any, name: str) -> Tensor:
    """Values as a tensor without a graph: a tensor, an array, or nested sequences of numbers.

    Raises:
        TypeError: They are nothing of the kind.
        ValueError: Rows have unequal lengths.
    """
    if isinstance(values, Tensor):
        values = values.detach()
        return values.clone() if values.is_inference() else values
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"`{name}` must be a tensor [batch, *shape], got {type(values).__name__}: {error}") from error


def _admitted(name: str, value: Any) -> Any:
    """An argument as functions are written for it."""
    if name in TARGETS:
        return _kind(value, name, Target, "wrap the model: Target(model), with the bounds of its inputs")
    if name == "goal":
        return _kind(value, name, Goal, "wrap the labels: Goal(labels)")
    if name == "ball":
        return _kind(value, name, Ball, 'make one, as in Ball("linf", 0.3)')
    if name in ("images", "members"):
        return tensor(value, name)
    if name == "labels":
        return class_labels(value, name)
    return value


def _kind(value: Any, name: str, kind: type, remedy: str) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"`{name}` must be a {kind.__name__}, got {type(value).__name__}; {remedy}")
    return value


def _require_alike(given: dict[str, Any]) -> None:
    """Look at the images, bring labels to where they are, and see that there are as many radii."""
    images = given["images"]
    for name in TARGETS:
        if name in given:
            given[name].require(images, torch.zeros(len(images), dtype=torch.int64))
    if isinstance(ball := given.get("ball"), Ball):
        ball.radii(images)
    if isinstance(labels := given.get("labels"), Tensor):
        given["labels"] = labels.to(images.device)
    if isinstance(goal := given.get("goal"), Goal) and goal.labels.device != images.device:
        wanted = None if goal.targets is None else goal.targets.to(images.device)
        given["goal"] = replace(goal, labels=goal.labels.to(images.device), targets=wanted)
