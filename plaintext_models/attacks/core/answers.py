"""What models answer: logits and classes, as far as they can be checked without asking again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from plaintext_models.attacks.core.tensors import FLOATS, class_labels, dense, tensor

SUM_OF_PROBABILITIES = 1e-2  # off 1 by no more: a softmax in bfloat16 is


def logits_of(answers: Any, images: Tensor) -> Tensor:
    """What a model gives as logits, float32 or float64, where the images are."""
    if isinstance(answers, np.ndarray):
        answers = tensor(answers, "logits")
    if not isinstance(answers, Tensor):
        raise TypeError(
            f"the model must return one tensor of logits [batch, classes], got {type(answers).__name__}; "
            "wrap it, as in Target(lambda images: model(images)[0])"
        )
    if dense(answers, "logits").is_complex() or answers.dtype == torch.bool:
        raise TypeError(f"the model must return logits that are real numbers, got {answers.dtype}")
    if answers.dtype not in FLOATS:
        answers = answers.to(torch.float32 if answers.is_floating_point() else torch.float64)
    if not torch.isfinite(answers).all():
        raise FloatingPointError(
            f"the model's logits must be numbers, got {'NaN' if torch.isnan(answers).any() else 'infinity'}; "
            "check its weights and its inputs, and give a class that is never to be answered a logit such as -1e9"
        )
    return answers.to(images.device)


def one_hot(answers: Callable[[Tensor], Any], classes: int, images: Tensor) -> Tensor:
    """Answers that are classes as logits."""
    labels = class_labels(answers(images), "answers")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"`answers` must be a class an image, got {tuple(labels.shape)} for {len(images)} images")
    require_classes(classes, labels, "answers")
    return functional.one_hot(labels, classes).float()


def require_rows(logits: Tensor, images: Tensor) -> int:
    """The number of classes of logits; a ValueError if they are not [batch, classes], of two classes at least."""
    if logits.ndim != 2 or len(logits) != len(images):
        raise ValueError(f"the model must return [batch, classes], got {tuple(logits.shape)}")
    if logits.shape[1] < 2:
        raise ValueError("a wrong class needs 2 classes, got 1; the model must give each of them a logit")
    return logits.shape[1]


def require_classes(classes: int, labels: Tensor, name: str) -> None:
    """Raise ValueError for labels that are none of so many classes."""
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"`{name}` must be from 0 to {classes - 1}, got {extent(labels)}")


def are_probabilities(logits: Tensor) -> bool:
    """Whether rows of logits [batch, classes] look like what a softmax makes of logits, and not all like decisions."""
    sums_to_one = (logits.sum(1) - 1).abs() <= SUM_OF_PROBABILITIES
    return bool((logits >= 0).all() and sums_to_one.all() and ((logits > 0) & (logits < 1)).any())


def extent(values: Tensor) -> str:
    """From where to where values go, in words."""
    if torch.isnan(values).any():
        return "NaN"
    return f"values from {values.min().item():g} to {values.max().item():g}"
