"""Random changes of training images: bounded, and drawn from the generator alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.data.augment import MirroredCrop, RandomAffine


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


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(0, 3), st.sampled_from([1, 3]))
def test_a_mirrored_crop_is_one_of_the_possible_and_follows_its_generator(seed, shift, channels):
    images = torch.rand(6, channels, 5, 4)
    first, second = (MirroredCrop(shift)(images, torch.Generator().manual_seed(seed)) for _ in range(2))
    assert torch.equal(first, second)
    for image, moved in zip(images.numpy(), first.numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (shift, shift), (shift, shift)))
        windows = [
            padded[:, row : row + 5, column : column + 4]
            for row in range(2 * shift + 1)
            for column in range(2 * shift + 1)
        ]
        assert any((moved == form).all() for window in windows for form in (window, window[:, :, ::-1]))


def test_mirrored_crops_draw_every_shift_and_either_side():
    images = torch.arange(1.0, 10).reshape(1, 1, 3, 3).repeat(600, 1, 1, 1)
    moved = MirroredCrop(1)(images, torch.Generator().manual_seed(0))
    assert len(moved.flatten(1).unique(dim=0)) == 2 * 9


def test_mirrored_crops_refuse():
    with pytest.raises(ValueError, match="`shift` must lie in"):
        MirroredCrop(-1)
