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

from intnn.values.arrays import instance, plain
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.norms import reach
from plaintext_models.attacks.core.target import Target, fresh_look
from plaintext_models.attacks.core.tensors import class_labels, tensor

P = ParamSpec("P")
R = TypeVar("R")

#: Arguments that are targets, whatever else a function calls them for.
TARGETS = ("target", "oracle", "victim", "source", "model_a", "model_b")
#: Arguments that are functions.
FUNCTIONS = ("attack", "factory", "detector", "report")

FAR = 100  # times the box of the bounds: a larger ball holds nothing more, and its squares might overflow


def entrance(function: Callable[P, R]) -> Callable[P, R]:
    """Bring the arguments of an attack into the form that it is written for.

    Arguments are known by their names. Images may be arrays or nested lists, and leave their graph outside; numbers may
    be numpy's or tensors without dimensions; labels may be integers of any type. What is to be a target, a goal, a
    ball, a function or a bool is not guessed: a TypeError says how to make it. A ball far larger than the box of the
    bounds is made smaller. Gradients can be taken whatever mode the caller is in, and what was checked of a target
    before does not count.
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
                default = signature.parameters[name].default
                if value is not default:
                    given[name] = _admitted(name, plain(value))
                    if isinstance(default, bool):
                        instance(given[name], bool, name)
            if isinstance(given.get("images"), Tensor):
                _require_alike(given)
            return function(*bound.args, **bound.kwargs)

    return entered


def _admitted(name: str, value: Any) -> Any:
    """An argument as functions are written for it."""
    if name in TARGETS:
        return instance(value, Target, name, "wrap the model: Target(model), with the bounds of its inputs")
    if name == "goal":
        return instance(value, Goal, name, "wrap the labels: Goal(labels)")
    if name == "ball":
        return instance(value, Ball, name, 'make one, as in Ball("linf", 0.3)')
    if name in FUNCTIONS and not callable(value):
        raise TypeError(f"`{name}` must be a function, got {type(value).__name__}")
    if name in ("images", "members", "perturbation"):
        return tensor(value, name)
    if name == "labels":
        return class_labels(value, name)
    return value


def _require_alike(given: dict[str, Any]) -> None:
    """Look at the images, bring labels to where they are, and see that there are as many labels and radii."""
    images, goal, ball = given["images"], given.get("goal"), given.get("ball")
    for target in (given[name] for name in TARGETS if name in given):
        target.require(images, None if goal is None else goal.labels)
        if goal is not None and goal.guarded and not target.guarded:
            raise ValueError(
                "`goal` must not ask to go unnoticed where nothing looks; attack guarded(target, detector)"
            )
        if ball is not None:
            given["ball"] = ball.at_most(FAR * reach(target.limits(images), images, ball.norm))
    if ball is not None:
        ball.radii(images)
    if isinstance(labels := given.get("labels"), Tensor):
        given["labels"] = labels.to(images.device)
    if goal is not None and goal.labels.device != images.device:
        wanted = None if goal.targets is None else goal.targets.to(images.device)
        given["goal"] = replace(goal, labels=goal.labels.to(images.device), targets=wanted)
