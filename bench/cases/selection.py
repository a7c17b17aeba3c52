"""How the constants of heads that are trained on ciphertexts were chosen: on parts of the training set, in the clear.

Nothing here sees a test image. Every candidate trains on what is left of the training set and is asked about what was
held out. Steps and whitening need sums over samples only, so that a candidate costs no pass over them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType

import numpy as np

from bench.cases import heads
from bench.cases.heads import HeadJob
from bench.cases.options import SelectionOptions
from bench.harness.case import Reporter
from bench.report.selection import SelectionRow, show
from he.training.features import RandomFeatures
from he.training.head import Descent, targets
from he.training.recipes import DIGITS, MNIST, MNIST_LARGE, Recipe
from he.training.whitening import Moments, Whitening
from intnn.values.arrays import FloatArray, IntArray
from plaintext_models.data import datasets

__all__ = ["jobs", "measure", "show"]

RIDGES = (0.003, 0.01, 0.03, 0.1)
BOUNDS = (1.5, 2.0, 2.5, 3.0, 4.0)
RATIOS = (4.0, 8.0, 16.0)
MARGIN = 1.1  # what a bound must be of the largest top eigenvalue


@dataclass(frozen=True)
class Grid:
    """What is tried beside a recipe.

    Attributes:
        filters: Other maps with about as many features.
        calibrations: The numbers of samples that whitenings are made from.
        folds: Into how many parts the training set is divided.
        held_out: How many of these are held out, one at a time.
        draws: How many draws of calibration samples.
    """

    filters: tuple[RandomFeatures, ...]
    calibrations: tuple[int, ...]
    folds: int
    held_out: int
    draws: int


GRIDS: Mapping[Recipe, Grid] = MappingProxyType(
    {
        DIGITS: Grid(
            (
                replace(DIGITS.features, window=2, pool=3),
                replace(DIGITS.features, window=4, pool=2),
                replace(DIGITS.features, filters=8, window=5, pool=1),
            ),
            (200, 350, 500),
            folds=5,
            held_out=5,
            draws=2,
        ),
        MNIST: Grid(
            (
                replace(MNIST.features, window=5, pool=3),
                replace(MNIST.features, filters=16, window=3, pool=3),
                replace(MNIST.features, filters=63, window=7, pool=4),
            ),
            (1000, 1500, 2000),
            folds=6,
            held_out=1,
            draws=2,
        ),
        MNIST_LARGE: Grid(
            (
                replace(MNIST_LARGE.features, filters=64, window=3, pool=4),
                replace(MNIST_LARGE.features, filters=64, window=5, pool=3),
                replace(MNIST_LARGE.features, filters=144, window=7, pool=4),
            ),
            (3000, 4000),
            folds=6,
            held_out=1,
            draws=1,
        ),
    }
)


def jobs(options: SelectionOptions) -> tuple[HeadJob, ...]:
    """One job for each recipe of the data set.

    Raises:
        ValueError: There is no data.
    """
    datasets.load(options.dataset, options.data)
    return heads.jobs(options.dataset, options.data)


def measure(job: HeadJob, report: Reporter) -> Iterator[SelectionRow]:
    """All constants with the recipe's filters, then its constants with other filters."""
    data, recipe, grid = datasets.load(job.dataset, job.data), job.recipe, GRIDS[job.recipe]
    descents = [Descent(recipe.descent.steps, bound, ratio) for bound, ratio in product(BOUNDS, RATIOS)]
    for number, filters in enumerate((recipe.features, *grid.filters)):
        report(f"{filters.filters} filters of {filters.window} x {filters.window}", number / (1 + len(grid.filters)))
        features = filters.of(data.train_images)
        if filters == recipe.features:
            constants = [*product(grid.calibrations, RIDGES)]
        else:
            constants, descents = [(recipe.calibration, recipe.ridge)], [recipe.descent]
        for calibration, ridge in constants:
            tried = replace(recipe, features=filters, calibration=calibration, ridge=ridge)
            yield from _rows(job, tried, descents, features, data.train_labels, data.classes)


def _rows(
    job: HeadJob, tried: Recipe, descents: list[Descent], features: FloatArray, labels: IntArray, classes: int
) -> Iterator[SelectionRow]:
    """A row for each of these descents, over all parts that are held out and all draws."""
    grid, fold = GRIDS[job.recipe], _folds(len(labels), GRIDS[job.recipe].folds)
    right, asked, top = np.zeros(len(descents), np.int64), 0, 0.0
    for part, draw in product(range(grid.held_out), range(grid.draws)):
        held_out = fold == part
        kept, sums = features[~held_out], _Sums.of(features[~held_out], labels[~held_out], classes)
        white = sums.whitened(tried.whitening(kept, draw))
        top = max(top, float(np.linalg.eigvalsh(white.moments)[-1]))
        samples = white.samples(features[held_out])
        for index, descent in enumerate(descents):
            right[index] += (np.argmax(samples @ white.head(descent), axis=1) == labels[held_out]).sum()
        asked += int(held_out.sum())
    for index, descent in enumerate(descents):
        yield SelectionRow(
            dataset=job.dataset,
            head=job.title,
            filters=tried.features.filters,
            window=tried.features.window,
            pool=tried.features.pool,
            features=tried.features.count,
            calibration=tried.calibration,
            ridge=tried.ridge,
            bound=descent.bound,
            ratio=descent.ratio,
            n_asked=asked,
            accuracy=float(right[index] / asked),
            top_eigenvalue=top,
            has_margin=bool(descent.bound >= MARGIN * top),
            is_recipe=replace(tried, descent=descent) == job.recipe,
        )


def _folds(samples: int, count: int) -> IntArray:
    """The part of every sample, drawn: in MNIST's files two kinds of writers take turns."""
    return np.random.default_rng(0).permutation(samples) % count


@dataclass(frozen=True, eq=False)
class _White:
    """Whitened samples, with a column of ones, as what steps need of them."""

    whitening: Whitening
    moments: FloatArray
    products: FloatArray

    def samples(self, features: FloatArray) -> FloatArray:
        """The whitening's rows of features; also of those that are out of the range for encryption."""
        white = (features - self.whitening.mean) @ self.whitening.matrix
        return np.concatenate([white, np.ones((len(white), 1))], axis=1)

    def head(self, descent: Descent) -> FloatArray:
        """What `he.training.head.fit` makes of the samples."""
        head, gradients = np.zeros_like(self.products), list[FloatArray]()
        for row in descent.weights:
            gradients.append(self.products - self.moments @ head)
            head = sum((weight * one for weight, one in zip(row, gradients, strict=True)), np.zeros_like(head))
        return head


@dataclass(frozen=True, eq=False)
class _Sums:
    """Moments of samples, and sums of their products with targets."""

    moments: Moments
    products: FloatArray
    targets: FloatArray

    @staticmethod
    def of(features: FloatArray, labels: IntArray, classes: int) -> _Sums:
        """Those of some samples."""
        y = targets(labels, classes)
        return _Sums(Moments.of(features), features.T @ y, y.sum(axis=0))

    def whitened(self, whitening: Whitening) -> _White:
        """What they are behind a whitening, and divided by the number of samples."""
        n, mean, matrix = self.moments.samples, whitening.mean, whitening.matrix
        shift = self.moments.sums / n - mean
        centred = self.moments.scatter / n + np.outer(shift, shift)
        ones = (shift @ matrix)[:, None]
        moments = np.block([[matrix.T @ centred @ matrix, ones], [ones.T, np.ones((1, 1))]])
        products = matrix.T @ (self.products - np.outer(mean, self.targets)) / n
        return _White(whitening, moments, np.vstack([products, self.targets / n]))
