"""Smaller data sets hold what they should, and refuse what is not there."""

import numpy as np
import pytest

from plaintext_models.data.errors import DatasetError
from plaintext_models.data.subsets import first, only


def test_some_classes_become_the_first(digits):
    found = only(digits, (7, 3))
    assert found.classes == 2
    for images, labels, given, told in (
        (found.train_images, found.train_labels, digits.train_images, digits.train_labels),
        (found.test_images, found.test_labels, digits.test_images, digits.test_labels),
    ):
        assert np.array_equal(images[labels == 0], given[told == 7])
        assert np.array_equal(images[labels == 1], given[told == 3])


def test_the_first_images_train(digits):
    found = first(digits, 100)
    assert np.array_equal(found.train_images, digits.train_images[:100])
    assert np.array_equal(found.test_labels, digits.test_labels)
    assert first(digits, 10**6) is digits


def test_refuses(digits):
    for classes in ((), (3, 3), (3, 10)):
        with pytest.raises(DatasetError, match="`classes` must be some of the 10 of digits"):
            only(digits, classes)
    with pytest.raises(DatasetError, match="`count` must be from 1, got 0"):
        first(digits, 0)
