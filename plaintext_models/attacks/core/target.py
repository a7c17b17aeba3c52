"""A classifier as an attack sees it: logits on images within a range, and nothing said about robustness."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from intnn.values.arrays import instance, integer, plain
from plaintext_models.attacks.core.answers import extent, logits_of, one_hot, require_classes, require_rows
from plaintext_models.attacks.core.grid import Limits, off_grid
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.tensors import FLOATS

PROBED = 8  # images on which two forwards are compared
MOST_LEVELS = 1 << 16  # that float32 tells apart; see `grid.OFF`
FARTHEST = 1e12  # of a bound from 0: float32 holds the squares of a hundred times that, and sums of many
ORACLE = "wrap it by Target.oracle instead"
NO_GRADIENT = f"the model's logits have no gradient by its images; {ORACLE}"

Bound = float | tuple[float, ...]

#: The targets whose forwards were compared since the outermost attack, card or referee began.
_known: ContextVar[set[Target] | None] = ContextVar("_known", default=None)


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
        guarded: Whether the last of its logits is a detector's score; see `evaluation.judge.guarded`.
    """

    guarded = False

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
            TypeError: `model` cannot be called, or another argument is not of its type.
            ValueError: `bounds` are not increasing or beyond 1e12, or `levels` not from 2 to 65,536, or the model is in
                training mode. The mode is looked at again with every forward; see `modules_of` for what is seen.
        """
        self._model = _callable(model, "model")
        self.bounds = _bounds(bounds)
        self.levels = None if levels is None else integer(levels, "levels", 2, MOST_LEVELS)
        self.stochastic = instance(plain(stochastic), bool, "stochastic")
        self.differentiable = instance(plain(differentiable), bool, "differentiable")
        self.require_evaluation_mode()

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
        known = partial(one_hot, _callable(answers, "answers"), integer(classes, "classes", 2))
        return cls.oracle(known, bounds=bounds, levels=levels, stochastic=stochastic)

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
        self.require_evaluation_mode()
        remedy = "cast them first if it takes others, and make its modules outside of torch.inference_mode"
        with _explained(f"the model must take images {tuple(images.shape)} of {images.dtype}, and failed", remedy):
            answers = self._model(images.clone())
        return logits_of(answers, images)

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
            raise TypeError(NO_GRADIENT)
        return leaf, logits

    def slope(self, leaf: Tensor, values: Tensor, *, again: bool = False) -> Tensor:
        """The gradient [batch, *shape] of values [batch] by the images that `traced` gave with the logits.

        Args:
            leaf: The images.
            values: One number an image, computed of the logits.
            again: Whether more gradients of the same logits will be asked for.

        Raises:
            TypeError: The values do not depend on the images by anything that can be differentiated.
            ValueError: The model fails on the way back.
            FloatingPointError: A gradient is not a number.
        """
        with _explained("the model's logits must be differentiable by its images, and failed", ORACLE):
            (gradient,) = torch.autograd.grad(values.sum(), leaf, retain_graph=again, allow_unused=True)
        if gradient is None:
            raise TypeError(NO_GRADIENT)
        wrong = torch.isnan(gradient).flatten(1).any(1)
        if wrong.any():
            raise FloatingPointError(
                f"gradients must be numbers, got NaN for {int(wrong.sum())} of {len(leaf)} images; "
                "attack another loss, or look for divisions by zero in the model"
            )
        return gradient

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
            TypeError: Where `traced` or `slope` raises it; or `loss` cannot be differentiated.
            ValueError: Where `slope` raises it; or `loss` gives something else than one number an image.
            FloatingPointError: Where `slope` raises it.
        """
        total, mean = torch.zeros_like(images, requires_grad=False), None
        for _ in range(draws):
            leaf, logits = self.traced(images)
            values = instance(loss(logits), Tensor, "loss(...)")
            if values.shape != logits.shape[:1]:
                raise ValueError(f"`loss` must give one number an image, got {tuple(values.shape)} of {len(logits)}")
            if not values.requires_grad:
                raise TypeError("`loss` must be differentiable by the logits, got values without a gradient")
            total += self.slope(leaf, values)
            mean = logits.detach() if mean is None else mean + logits.detach()
        assert mean is not None
        return total / draws, mean / draws

    def require_gradients(self) -> None:
        """Raise TypeError if the target has no gradients."""
        if not self.differentiable:
            raise TypeError("this target answers queries only; use an attack that needs no gradient, or a substitute")

    def require(self, images: Tensor, labels: Tensor | None = None) -> None:
        """Make sure that data are what an attack takes, as far as can be said without asking the model.

        Args:
            images: [batch, *shape].
            labels: [batch], where there are any.

        Raises:
            TypeError: `images` are not float32 or float64, or `labels` not integers.
            ValueError: Empty batch, lengths that differ, values outside the bounds, off the grid, or not numbers.
        """
        if images.dtype not in FLOATS or (labels is not None and labels.is_floating_point()):
            raise TypeError(
                f"`images` must be floats and `labels` integers, got {images.dtype}"
                f"{'' if labels is None else f' and {labels.dtype}'}; "
                "floats must have 32 or 64 bits, as those of images.float() do"
            )
        if images.is_meta:
            raise TypeError("`images` must have values, got a tensor on the device meta")
        if images.ndim < 2 or not images.numel() or (labels is not None and labels.shape != images.shape[:1]):
            raise ValueError(
                "`images` must be [batch, *shape] with one label each and at least one image, "
                f"got {tuple(images.shape)}{'' if labels is None else f' and {tuple(labels.shape)}'}"
            )
        low, high = limits = self.limits(images)
        if not bool(((images >= low) & (images <= high)).all()):
            raise ValueError(
                f"`images` must be numbers from {self.bounds[0]} to {self.bounds[1]}, got {extent(images)}"
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
            known.add(self)
        return logits

    def is_new(self) -> bool:
        """Whether no check has looked at the target since the attack, the card or the referee began."""
        return self not in (_known.get() or ())

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

    def require_evaluation_mode(self) -> None:
        """Raise ValueError if a module that can be seen is in training mode; see `modules_of`."""
        if any(part.training for module in modules_of(self._model) for part in module.modules()):
            raise ValueError("`model` must be in evaluation mode, got one in training mode; call model.eval() first")


def modules_of(model: Any) -> Iterator[nn.Module]:
    """The modules that a model is made of, as far as can be seen from outside.

    Seen are modules, their methods, what decorators wrap, and what `functools.partial` holds; not what is inside of
    other functions and objects.
    """
    if isinstance(model, nn.Module):
        yield model
    elif isinstance(model, Target):
        yield from modules_of(model._model)
    elif isinstance(model, MethodType):
        yield from modules_of(model.__self__)
    elif isinstance(model, partial):
        for part in (model.func, *model.args, *model.keywords.values()):
            yield from modules_of(part)
    elif isinstance(model, FunctionType):
        yield from modules_of(getattr(model, "__wrapped__", None))


@contextmanager
def fresh_look() -> Iterator[None]:
    """What was checked before does not count; within another fresh look, what was checked since that began does.

    At the end the mode of every target that was checked is looked at again.
    """
    if _known.get() is not None:
        yield
        return
    known: set[Target] = set()
    token = _known.set(known)
    try:
        yield
        for target in known:
            target.require_evaluation_mode()
    finally:
        _known.reset(token)


@contextmanager
def _explained(what: str, remedy: str) -> Iterator[None]:
    """Say in our words where torch gave up; memory that runs out is no fault of the model's."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise ValueError(f"{what}: {error}; {remedy}") from error


def _callable(model: Any, name: str) -> Any:
    if not callable(model):
        raise TypeError(f"`{name}` must be a module or a function of images, got {type(model).__name__}")
    return model


def _bounds(bounds: Any) -> tuple[Bound, Bound]:
    """The bounds as two numbers, or as two tuples of as many."""
    expected = (
        "`bounds` must be increasing, (low, high), each a finite number or one for each channel, "
        f"from {-FARTHEST:g} to {FARTHEST:g}"
    )
    try:
        low, high = (tuple(map(_bound, ends)) if np.ndim(ends) else _bound(ends) for ends in map(plain, bounds))
        lows, highs = np.broadcast_arrays(low, high)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{expected}, got {bounds}") from error
    if lows.ndim > 1 or not lows.size or not (lows < highs).all():
        raise ValueError(f"{expected}, got {bounds}")
    return (tuple(lows.tolist()), tuple(highs.tolist())) if lows.ndim else (float(lows), float(highs))


def _bound(end: Any) -> float:
    return number(end, "bounds", least=-FARTHEST, most=FARTHEST)
