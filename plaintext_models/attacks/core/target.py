"""A classifier as an attack sees it: logits on images within a range, and nothing said about robustness."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from intnn.values.arrays import integer, plain
from plaintext_models.attacks.core.grid import Limits, off_grid
from plaintext_models.attacks.core.numbers import number

PROBED = 8  # images on which two forwards are compared
SUM_OF_PROBABILITIES = 1e-2  # off 1 by no more: a softmax in bfloat16 is
FLOATS = (torch.float32, torch.float64)  # types of images and logits that attacks compute in

Bound = float | tuple[float, ...]

#: The targets, by their `id`, whose forwards were compared since the outermost attack, card or referee began.
_known: ContextVar[set[int] | None] = ContextVar("_known", default=None)


class Target:
    """A classifier under attack.

    Three kinds: a torch module, which has gradients; a function of images (`Target.oracle`), which has none, such as an
    integer network or the answers of an encrypted service; and a function that tells the class alone
    (`Target.decisions`).

    This is the place that decides types: images are float32 or float64 and keep their type; logits are float32 or
    float64 as the model gives them, made float32 of half precision and float64 of integers; labels are int64.

    Attributes:
        bounds: The least and the greatest value of an input element: each one number, or a tuple of one a channel.
        levels: How many equally spaced values from the least to the greatest an element may have, or None for any.
        stochastic: Whether two forwards of one image may differ.
        differentiable: Whether `gradient` can be asked for.
    """

    def __init__(
        self,
        model: nn.Module | Callable[[Tensor], Tensor],
        *,
        bounds: tuple[float | Sequence[float], float | Sequence[float]] = (0.0, 1.0),
        levels: int | None = None,
        stochastic: bool = False,
        differentiable: bool = True,
    ) -> None:
        """Wrap a model.

        Args:
            model: Maps images [batch, *shape], float32 or float64, to finite logits [batch, classes], each image
                independently. It is handed a copy, which it may change.
            bounds: The range of its inputs, (low, high): each one finite number, or a sequence of one for every
                channel of images [batch, channels, ...].
            levels: 256 for images of 8 bits: clean images must lie on this grid, and adversarial ones will; None for
                images of any value.
            stochastic: Declares that its forwards are random; attacks then average over draws where they offer it.
            differentiable: Whether logits can be differentiated by the images.

        Raises:
            TypeError: `model` cannot be called, or `levels` is not an integer.
            ValueError: `bounds` are not increasing, or `levels` less than 2, or the model is in training mode. The mode
                is looked at again with every forward; that of a module inside a function cannot be seen.
        """
        if not callable(model):
            raise TypeError(f"`model` must be a module or a function of images, got {type(model).__name__}")
        self._model = model
        self.bounds = _bounds(bounds)
        self.levels = None if levels is None else integer(levels, "levels", 2)
        self.stochastic = stochastic
        self.differentiable = differentiable
        self._require_evaluation_mode()

    @classmethod
    def oracle(
        cls,
        answers: Callable[[Tensor], Tensor],
        *,
        bounds: tuple[float | Sequence[float], float | Sequence[float]] = (0.0, 1.0),
        levels: int | None = None,
        stochastic: bool = False,
    ) -> Target:
        """A target without gradients: `answers` maps images [batch, *shape] to logits [batch, classes]."""
        return cls(answers, bounds=bounds, levels=levels, stochastic=stochastic, differentiable=False)

    @classmethod
    def decisions(
        cls,
        answers: Callable[[Tensor], Tensor],
        classes: int,
        *,
        bounds: tuple[float | Sequence[float], float | Sequence[float]] = (0.0, 1.0),
        levels: int | None = None,
        stochastic: bool = False,
    ) -> Target:
        """A target that tells the class and nothing else; its logits are 1 at that class and 0 elsewhere.

        Args:
            answers: Maps images [batch, *shape] to classes [batch], integers from 0, below `classes`.
            classes: How many classes there are, from 2.
            bounds: See `Target`.
            levels: See `Target`.
            stochastic: See `Target`.

        Raises:
            TypeError: `classes` is not an integer; or, with every forward, the answers are not.
            ValueError: `classes` is less than 2; or, with every forward, an answer is no class.
        """
        integer(classes, "classes", 2)

        def one_hot(images: Tensor) -> Tensor:
            labels = class_labels(answers(images), "answers")
            if labels.shape != images.shape[:1]:
                raise ValueError(
                    f"`answers` must be a class an image, got {tuple(labels.shape)} for {len(images)} images"
                )
            require_classes(classes, labels, "answers")
            return functional.one_hot(labels, classes).float()

        return cls.oracle(one_hot, bounds=bounds, levels=levels, stochastic=stochastic)

    def limits(self, images: Tensor) -> Limits:
        """The bounds as numbers, or as tensors [channels, 1, ...] that spread over images [batch, channels, ...]."""
        if isinstance(self.bounds[0], float):
            return self.bounds
        channels = len(self.bounds[0])
        if images.ndim < 2 or images.shape[1] != channels:
            raise ValueError(f"`images` must have the {channels} channels of the bounds, got {tuple(images.shape)}")
        shape = (channels, *(1,) * (images.ndim - 2))
        low, high = (images.new_tensor(ends).reshape(shape) for ends in self.bounds)
        return low, high

    @property
    def width(self) -> float:
        """The width of the range of an element; of the channel with the widest, where they differ."""
        return float(self._widths().max())

    @property
    def narrowest(self) -> float:
        """The width of the range of the channel with the narrowest."""
        return float(self._widths().min())

    def _widths(self) -> NDArray[np.float64]:
        low, high = (np.array(ends, np.float64) for ends in self.bounds)
        return high - low

    def logits(self, images: Tensor) -> Tensor:
        """Logits [batch, classes], differentiable by `images` where the target is.

        Raises:
            TypeError: The model gives something else than one tensor of numbers.
            ValueError: The model has been put into training mode, or fails on images of this type and shape.
            FloatingPointError: A logit is not a finite number.
        """
        self._require_evaluation_mode()
        try:
            answers = self._model(images.clone())
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise ValueError(
                f"the model must take images {tuple(images.shape)} of {images.dtype}, and failed: {error}; "
                "cast them first if it takes others"
            ) from error
        return _logits(answers, images)

    @torch.enable_grad()
    def traced(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images from which gradients can be asked for, [batch, *shape], and their logits [batch, classes].

        Raises:
            TypeError: The target has no gradients, or its logits turn out to have none.
        """
        self.require_gradients()
        leaf = images.detach().requires_grad_()
        logits = self.logits(leaf)
        if not logits.requires_grad:
            raise TypeError("the model's logits have no gradient by its images; wrap it by Target.oracle instead")
        return leaf, logits

    @torch.enable_grad()
    def gradient(self, images: Tensor, loss: Callable[[Tensor], Tensor], draws: int = 1) -> tuple[Tensor, Tensor]:
        """Gradient of a loss by every image, whatever the caller's gradient mode.

        Args:
            images: [batch, *shape], within the bounds.
            loss: Maps logits [batch, classes] to one number an image, [batch].
            draws: Forwards that are averaged (expectation over transformation: Athalye et al., arXiv:1802.00420).

        Returns:
            The gradient [batch, *shape] and the mean logits [batch, classes] over the draws.

        Raises:
            TypeError: Where `traced` raises it.
            FloatingPointError: A gradient is not a number.
        """
        total, mean = torch.zeros_like(images, requires_grad=False), None
        for _ in range(draws):
            leaf, logits = self.traced(images)
            values = loss(logits)
            if values.shape != logits.shape[:1]:
                raise ValueError(f"`loss` must give one number an image, got {tuple(values.shape)} of {len(logits)}")
            (gradient,) = torch.autograd.grad(values.sum(), leaf)
            total += gradient
            mean = logits.detach() if mean is None else mean + logits.detach()
        assert mean is not None
        wrong = torch.isnan(total).flatten(1).any(1)
        if wrong.any():
            raise FloatingPointError(
                f"gradients must be numbers, got NaN for {int(wrong.sum())} of {len(images)} images; "
                "attack another loss, or look for divisions by zero in the model"
            )
        return total / draws, mean / draws

    def require_gradients(self) -> None:
        """Raise TypeError if the target has no gradients."""
        if not self.differentiable:
            raise TypeError("this target answers queries only; use an attack that needs no gradient, or a substitute")

    def require(self, images: Tensor, labels: Tensor) -> None:
        """Make sure that data are what an attack takes, as far as can be said without asking the model.

        Raises:
            TypeError: `images` are not float32 or float64, or `labels` not integers.
            ValueError: Empty batch, lengths that differ, values outside the bounds, off the grid, or not numbers.
        """
        if images.dtype not in FLOATS or labels.is_floating_point():
            raise TypeError(
                f"`images` must be floats and `labels` integers, got {images.dtype} and {labels.dtype}; "
                "floats must have 32 or 64 bits, as those of images.float() do"
            )
        if images.ndim < 2 or labels.shape != images.shape[:1] or not len(images):
            raise ValueError(
                "`images` must be [batch, *shape] with one label each and at least one image, "
                f"got {tuple(images.shape)} and {tuple(labels.shape)}"
            )
        low, high = limits = self.limits(images)
        if not bool(((images >= low) & (images <= high)).all()):
            raise ValueError(
                f"`images` must be numbers from {self.bounds[0]} to {self.bounds[1]}, got {_extent(images)}"
            )
        if self.levels is not None and (wrong := off_grid(images, limits, self.levels)).any():
            raise ValueError(
                f"`images` must lie on the grid of {self.levels} levels, "
                f"got {int(wrong.sum())} of {len(images)} off it; round them first"
            )

    def check(self, images: Tensor, labels: Tensor, logits: Tensor | None = None) -> Tensor:
        """Make sure, before an attack begins, that model and data are what they are declared to be.

        Args:
            images: [batch, *shape].
            labels: [batch].
            logits: The logits of the images, where they are known already.

        Returns:
            Logits [batch, classes] of the clean images.

        Raises:
            TypeError: Where `require` or `logits` raises it.
            ValueError: Where `require` or `logits` raises it; or labels outside the classes, logits of another shape,
                or a model whose forwards differ without being declared stochastic.
        """
        self.require(images, labels)
        with torch.no_grad():
            logits = self.logits(images) if logits is None else logits
        require_classes(require_rows(logits, images), labels, "labels")
        if self.is_new() and not self.stochastic:
            probed = images[:PROBED]
            self.require_same(probed, self.probe(probed))
        if (known := _known.get()) is not None:
            known.add(id(self))
        return logits

    def is_new(self) -> bool:
        """Whether no check has looked at the target since the attack, the card or the referee began."""
        return id(self) not in (_known.get() or ())

    @torch.no_grad()
    def probe(self, images: Tensor) -> Tensor:
        """Logits of images that are to be compared with those of a later forward."""
        return self.logits(images)

    def require_same(self, images: Tensor, before: Tensor) -> None:
        """Raise ValueError if another forward of images gives other logits than `before`."""
        if not torch.equal(self.probe(images), before):
            raise ValueError(
                "two forwards of the same images differ; declare the target `stochastic=True`, "
                "or see to it that nothing changes the model meanwhile"
            )

    def _require_evaluation_mode(self) -> None:
        if isinstance(self._model, nn.Module) and any(module.training for module in self._model.modules()):
            raise ValueError("`model` must be in evaluation mode, got one in training mode; call model.eval() first")


def class_labels(labels: Any, name: str) -> Tensor:
    """Classes as an int64 tensor, of a tensor, an array or a sequence of integers of any type.

    Raises:
        TypeError: They are not integers; bools do not count as such.
        ValueError: One does not fit int64.
    """
    if not isinstance(labels, Tensor):
        labels = torch.as_tensor(np.asarray(labels))
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"`{name}` must be integers, got {labels.dtype}")
    result = labels.to(torch.int64)
    if labels.dtype == torch.uint64 and bool((result < 0).any()):
        raise ValueError(f"`{name}` must fit int64, got values from 2**63 on")
    return result


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
        raise ValueError(f"`{name}` must be from 0 to {classes - 1}, got {_extent(labels)}")


def are_probabilities(logits: Tensor) -> bool:
    """Whether rows of logits [batch, classes] look like what a softmax makes of logits, and not all like decisions."""
    sums_to_one = (logits.sum(1) - 1).abs() <= SUM_OF_PROBABILITIES
    return bool((logits >= 0).all() and sums_to_one.all() and ((logits > 0) & (logits < 1)).any())


@contextmanager
def fresh_look() -> Iterator[None]:
    """What was checked before does not count; within another fresh look, what was checked since that began does."""
    if _known.get() is not None:
        yield
        return
    token = _known.set(set())
    try:
        yield
    finally:
        _known.reset(token)


def _bounds(bounds: Any) -> tuple[Bound, Bound]:
    """The bounds as two numbers, or as two tuples of as many."""
    expected = "`bounds` must be increasing, (low, high), each a finite number or one for each channel"
    try:
        low, high = (
            tuple(number(end, "bounds") for end in ends) if np.ndim(ends) else number(ends, "bounds")
            for ends in map(plain, bounds)
        )
        lows, highs = np.broadcast_arrays(low, high)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{expected}, got {bounds}") from error
    if lows.ndim > 1 or not lows.size or not (lows < highs).all():
        raise ValueError(f"{expected}, got {bounds}")
    return (tuple(lows.tolist()), tuple(highs.tolist())) if lows.ndim else (float(lows), float(highs))


def _logits(answers: Any, images: Tensor) -> Tensor:
    """What a model gives as logits, float32 or float64, where the images are."""
    if isinstance(answers, np.ndarray):
        answers = torch.from_numpy(answers)
    if not isinstance(answers, Tensor):
        raise TypeError(
            f"the model must return one tensor of logits [batch, classes], got {type(answers).__name__}; "
            "wrap it, as in Target(lambda images: model(images)[0])"
        )
    if answers.is_complex() or answers.dtype == torch.bool:
        raise TypeError(f"the model must return logits that are real numbers, got {answers.dtype}")
    if answers.dtype not in FLOATS:
        answers = answers.to(torch.float32 if answers.is_floating_point() else torch.float64)
    if not torch.isfinite(answers).all():
        raise FloatingPointError(
            f"the model's logits must be numbers, got {'NaN' if torch.isnan(answers).any() else 'infinity'}; "
            "check its weights and its inputs, and give a class that is never to be answered a logit such as -1e9"
        )
    return answers.to(images.device)


def _extent(values: Tensor) -> str:
    if torch.isnan(values).any():
        return "NaN"
    return f"values from {values.min().item():g} to {values.max().item():g}"
