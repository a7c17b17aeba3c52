"""C9, principal components in front of a network: an image is projected on those of clean images, and back.

Bhagoji et al., "Dimensionality reduction as a defense against evasion attacks" (arXiv:1704.02654). Of fewer images than
elements, the components are found through the products of images (C1), and not through those of elements.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from plaintext_models.attacks.core.derived import in_front
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.threshold import held_out
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Recipe

SHARE = 0.99  # of the variance; the report's
NOTHING = 1e-10  # of the largest variance: what rounding leaves of a component that has none


@dataclass(frozen=True, eq=False)
class Components:
    """The principal components of images.

    Attributes:
        mean: The mean image, float64 [elements].
        axes: Orthonormal rows, the one of the largest variance first, float64 [components, elements].
        variances: Along the axes, with N - 1 below the sum; float64 [components].
    """

    mean: Tensor
    axes: Tensor
    variances: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """[batch, *shape] -> the same shape, without what the components lack; elements may leave [0, 1]."""
        axes, mean = self.axes.to(images), self.mean.to(images)
        return (mean + (images.flatten(1) - mean) @ axes.T @ axes).reshape(images.shape)

    def first(self, share: float) -> Components:
        """The fewest of them that have a share of their variance, above 0 to 1."""
        number(share, "share", above=0, most=1)
        having = self.variances.cumsum(0) / self.variances.sum()
        count = min(int((having < share).sum()) + 1, len(having))
        return Components(self.mean, self.axes[:count], self.variances[:count])

    def wrap(self, target: Target) -> Target:
        """The network behind them."""
        return in_front(target, self)


def by_elements(images: Tensor) -> Components:
    """The components of images [n, *shape], from the covariance of their elements."""
    mean, centred = _centred(images)
    return _sorted(mean, *torch.linalg.eigh(centred.T @ centred / (len(images) - 1)))


def by_images(images: Tensor) -> Components:
    """The same from the products of images: for every eigenvector w of U U^T, U^T w is one of U^T U, made a unit."""
    mean, centred = _centred(images)
    variances, weights = torch.linalg.eigh(centred @ centred.T / (len(images) - 1))
    axes = centred.T @ weights
    return _sorted(mean, variances, axes / axes.norm(dim=0).clamp_min(torch.finfo(axes.dtype).tiny))


def components(images: Tensor, share: float = SHARE) -> Components:
    """The fewest principal components of images that have a share of the variance, by the shorter way.

    Args:
        images: [n, *shape], at least two that differ.
        share: Above 0 to 1.
    """
    return (by_images if len(images) < images[0].numel() else by_elements)(images).first(share)


def _centred(images: Tensor) -> tuple[Tensor, Tensor]:
    rows = images.flatten(1).double()
    return rows.mean(0), rows - rows.mean(0)


def _sorted(mean: Tensor, variances: Tensor, axes: Tensor) -> Components:
    """Those with a variance, of columns whose variances grow."""
    kept = variances > NOTHING * variances[-1]
    return Components(mean, axes[:, kept].T.flip(0), variances[kept].flip(0))


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001 - as all
    """Components in front of the network of the recipe, which is trained without the fifth that they are fitted on."""
    part = held_out(dataset)
    bare = Target(make(recipe, part))
    return Defended(components(torch.from_numpy(part.test_images)).wrap(bare), bare)
