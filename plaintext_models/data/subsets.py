"""Smaller data sets out of larger ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plaintext_models.data.datasets import Dataset, Images, Labels
from plaintext_models.data.errors import DatasetError


def only(dataset: Dataset, classes: Sequence[int]) -> Dataset:
    """The images of some classes, which become the classes 0, 1 and so on in the order given.

    Args:
        dataset: The larger one.
        classes: Which of its classes, at least one, none of them twice.

    Raises:
        DatasetError: One of them is no class of the data set, or comes twice, or there is none.
    """
    if not classes or len(set(classes)) < len(classes) or not set(classes) <= set(range(dataset.classes)):
        raise DatasetError(f"`classes` must be some of the {dataset.classes} of {dataset.name}, got {tuple(classes)}")
    numbers = np.full(dataset.classes, -1)
    numbers[list(classes)] = np.arange(len(classes))

    def chosen(images: Images, labels: Labels) -> tuple[Images, Labels]:
        kept = np.isin(labels, classes)
        return images[kept], numbers[labels[kept]]

    parts = (
        *chosen(dataset.train_images, dataset.train_labels),
        *chosen(dataset.test_images, dataset.test_labels),
    )
    name = f"{dataset.name} ({', '.join(map(str, classes))})"
    return Dataset(name, dataset.input_shape, len(classes), *parts)


def first(dataset: Dataset, count: int) -> Dataset:
    """The first training images alone, and all test images; the whole data set where it has no more.

    Args:
        dataset: The larger one.
        count: How many training images are kept, from 1.
    """
    if count < 1:
        raise DatasetError(f"`count` must be from 1, got {count}")
    if count >= len(dataset.train_images):
        return dataset
    return Dataset(
        f"{dataset.name} (first {count})",
        dataset.input_shape,
        dataset.classes,
        dataset.train_images[:count],
        dataset.train_labels[:count],
        dataset.test_images,
        dataset.test_labels,
    )
