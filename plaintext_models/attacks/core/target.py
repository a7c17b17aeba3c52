"""A classifier as an attack sees it: logits on images within a range, and nothing said about robustness."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

PROBED = 8  # images on which two forwards are compared


class Target:
    """A classifier under attack.

    Two kinds: a torch module, which has gradients, and a function of images (`Target.oracle`), which has none, such as
    an integer network or the answers of an encrypted service.

    Attributes:
        bounds: The least and the greatest value of an input element.
        stochastic: Whether two forwards of one image may differ.
        differentiable: Whether `gradient` can be asked for.
    """

    def __init__(
        self,
        model: nn.Module | Callable[[Tensor], Tensor],
        *,
        bounds: tuple[float, float] = (0.0, 1.0),
        stochastic: bool = False,
        differentiable: bool = True,
    ) -> None:
        """Wrap a model.

        Args:
            model: Maps float32 images [batch, *shape] to logits [batch, classes], each image independently.
            bounds: The range of its inputs.
            stochastic: Declares that its forwards are random; attacks then average over draws where they offer it.
            differentiable: Whether logits can be differentiated by the images.

        Raises:
            ValueError: `bounds` are not increasing, or the model is in training mode.
        """
        if not bounds[0] < bounds[1]:
            raise ValueError(f"`bounds` must be increasing, got {bounds}")
        if isinstance(model, nn.Module) and any(module.training for module in model.modules()):
            raise ValueError("`model` must be in evaluation mode, got one in training mode; call model.eval() first")
        self._model = model
        self.bounds = (float(bounds[0]), float(bounds[1]))
        self.stochastic = stochastic
        self.differentiable = differentiable
        self._is_steady = stochastic  # whether its forwards are known to be as declared: looked at once

    @classmethod
    def oracle(
        cls,
        answers: Callable[[Tensor], Tensor],
        *,
        bounds: tuple[float, float] = (0.0, 1.0),
        stochastic: bool = False,
    ) -> Target:
        """A target without gradients: `answers` maps images [batch, *shape] to logits [batch, classes]."""
        return cls(answers, bounds=bounds, stochastic=stochastic, differentiable=False)

    def logits(self, images: Tensor) -> Tensor:
        """Logits [batch, classes], differentiable by `images` where the target is.

        Raises:
            FloatingPointError: A logit is not a number.
        """
        logits = self._model(images)
        if torch.isnan(logits).any():
            raise FloatingPointError("the model's logits must be numbers, got NaN; check its weights and its inputs")
        return logits

    def gradient(self, images: Tensor, loss: Callable[[Tensor], Tensor], draws: int = 1) -> tuple[Tensor, Tensor]:
        """Gradient of a loss by every image.

        Args:
            images: [batch, *shape], within the bounds.
            loss: Maps logits [batch, classes] to one number an image, [batch].
            draws: Forwards that are averaged (expectation over transformation: Athalye et al., arXiv:1802.00420).

        Returns:
            The gradient [batch, *shape] and the mean logits [batch, classes] over the draws.

        Raises:
            TypeError: The target has no gradients.
            FloatingPointError: A gradient is not a number.
        """
        if not self.differentiable:
            raise TypeError("this target answers queries only; use an attack that needs no gradient, or a substitute")
        leaf = images.detach().clone().requires_grad_()
        total, mean = torch.zeros_like(leaf), None
        for _ in range(draws):
            logits = self.logits(leaf)
            (gradient,) = torch.autograd.grad(loss(logits).sum(), leaf)
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

    def require(self, images: Tensor, labels: Tensor) -> None:
        """Make sure that data are what an attack takes, as far as can be said without asking the model.

        Raises:
            TypeError: `images` are not floats or `labels` not integers.
            ValueError: Empty batch, lengths that differ, values outside the bounds or not numbers.
        """
        if not images.is_floating_point() or labels.is_floating_point():
            raise TypeError(f"`images` must be floats and `labels` integers, got {images.dtype} and {labels.dtype}")
        if images.ndim < 2 or labels.shape != images.shape[:1] or not len(images):
            raise ValueError(
                "`images` must be [batch, *shape] with one label each and at least one image, "
                f"got {tuple(images.shape)} and {tuple(labels.shape)}"
            )
        low, high = self.bounds
        if not bool(((images >= low) & (images <= high)).all()):
            raise ValueError(f"`images` must be numbers from {low} to {high}, got {_extent(images)}")

    def check(self, images: Tensor, labels: Tensor, logits: Tensor | None = None) -> Tensor:
        """Make sure, before an attack begins, that model and data are what they are declared to be.

        Args:
            images: [batch, *shape].
            labels: [batch].
            logits: The logits of the images, where they are known already.

        Returns:
            Logits [batch, classes] of the clean images.

        Raises:
            TypeError: Where `require` raises it.
            ValueError: Where `require` raises it; or labels outside the classes, logits of another shape, or a model
                whose forwards differ without being declared stochastic.
        """
        self.require(images, labels)
        with torch.no_grad():
            logits = self.logits(images) if logits is None else logits
            require_classes(logits, images, labels)
            if not self._is_steady:
                probed = images[:PROBED]
                if not torch.equal(self.logits(probed), self.logits(probed)):
                    raise ValueError("two forwards of the same images differ; declare the target `stochastic=True`")
                self._is_steady = True
        return logits


def require_classes(logits: Tensor, images: Tensor, labels: Tensor) -> None:
    """Raise ValueError for logits that are not [batch, classes], or labels outside the classes."""
    if logits.ndim != 2 or len(logits) != len(images):
        raise ValueError(f"the model must return [batch, classes], got {tuple(logits.shape)}")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(f"`labels` must be from 0 to {logits.shape[1] - 1}, got {_extent(labels)}")


def _extent(values: Tensor) -> str:
    if torch.isnan(values).any():
        return "NaN"
    return f"values from {values.min().item():g} to {values.max().item():g}"
