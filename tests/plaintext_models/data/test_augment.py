"""Random changes of training images: bounded, and drawn from the generator alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.data.augment import RandomAffine


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_augmentation_keeps_shape_and_range_and_follows_its_generator(seed):
    images = torch.rand(5, 1, 8, 8)
    first, second = (RandomAffine(8, 0.08, 0.08, 1)(images, torch.Generator().manual_seed(seed)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == images.shape
    assert first.min() >= 0
    assert first.max() <= 1 + 1e-6  # a bilinear mean, in float32


def test_augmentation_by_nothing_changes_nothing():
    images = torch.rand(5, 1, 8, 8)
    same = RandomAffine(0.0, 0.0, 0.0, 0.0)(images, torch.Generator())
    np.testing.assert_allclose(same, images, atol=1e-5)  # the grid's coordinates are float32


def test_augmentation_refuses():
    with pytest.raises(ValueError, match="`zoom` must be finite and not negative"):
        RandomAffine(8, -0.1, 0.08, 1)
