"""What stands in front of networks, beside other libraries and closed forms."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import fft, ndimage
from torch.nn import functional

from plaintext_models.attacks.core.derived import in_front
from plaintext_models.attacks.core.target import Target
from plaintext_models.defences.foveation import Foveation, Region
from plaintext_models.defences.jpeg import Compression, Jpeg, LowPass, cosines
from plaintext_models.defences.resizing import Resizing
from plaintext_models.defences.squeezing import BitDepth, Median, Squeezing
from plaintext_models.defences.threshold import thresholded


def smooth_images(seed, channels=1, height=24, width=20):
    """Byte images [height, width, channels] as cameras make them: noise without its highest frequencies."""
    noise = np.random.default_rng(seed).random((height, width, channels))
    smooth = ndimage.gaussian_filter(noise, (2, 2, 0))
    return np.rint(255 * (smooth - smooth.min()) / (smooth.max() - smooth.min())).astype(np.uint8)


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 95, 100])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_that_of_the_usual_library(quality, channels):
    picture = pytest.importorskip("PIL.Image")
    pixels = smooth_images(quality, channels)
    file = io.BytesIO()
    image = picture.fromarray(pixels.squeeze(2) if channels == 1 else pixels)
    image.save(file, "JPEG", quality=quality, subsampling=0)
    theirs = np.atleast_3d(np.asarray(picture.open(file))).astype(float)
    batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    ours = (Jpeg(quality)(batch)[0].permute(1, 2, 0) * 255).round().double().numpy()
    # their transform is of integers, so that ties fall otherwise
    assert float(np.sqrt(np.square(ours - theirs).mean())) < 1


def test_jpeg_lets_gradients_pass_straight_through():
    images = (0.2 + 0.6 * torch.rand(2, 1, 11, 9, generator=torch.Generator().manual_seed(0))).requires_grad_()
    weights = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((Jpeg(90)(images) * weights).sum(), images)
    # without its roundings it is the identity, but that pixels at the edge are repeated to fill the blocks, and cut off
    assert torch.allclose(gradient, weights, atol=1e-4)


def test_jpeg_refuses():
    with pytest.raises(ValueError, match="`quality` must lie in"):
        Jpeg(0)
    with pytest.raises(ValueError, match="must have 1 or 3 channels, got 2"):
        Jpeg(50)(torch.rand(1, 2, 8, 8))


@given(st.integers(1, 32))
def test_cosines_are_an_orthonormal_transform(count):
    waves = cosines(count)
    assert torch.allclose(waves @ waves.T, torch.eye(count), atol=1e-5)
    values = np.random.default_rng(count).random(count)
    assert waves.double().numpy() @ values == pytest.approx(fft.dct(values, norm="ortho"), abs=1e-5)


def test_a_low_pass_keeps_the_lowest_frequencies():
    images = 0.3 + 0.4 * torch.rand(2, 1, 12, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(LowPass(1.0)(images), images, atol=1e-6)
    assert torch.allclose(LowPass(0.01)(images), images.mean((2, 3), keepdim=True).expand_as(images), atol=1e-6)
    half = fft.dctn(LowPass(0.5)(images).numpy(), axes=(2, 3), norm="ortho")
    whole = fft.dctn(images.numpy(), axes=(2, 3), norm="ortho")
    assert half[..., :6, :4] == pytest.approx(whole[..., :6, :4], abs=1e-5)
    assert half[..., 6:, :] == pytest.approx(0, abs=1e-5)
    assert half[..., :, 4:] == pytest.approx(0, abs=1e-5)
    with pytest.raises(ValueError, match="`share`"):
        LowPass(0)


@given(st.integers(1, 8), st.integers(0, 255))
def test_bits_are_the_nearest_of_their_levels(bits, byte):
    value = torch.tensor([byte / 255])
    steps = 2**bits - 1
    squeezed = float(BitDepth(bits)(value))
    assert squeezed * steps == pytest.approx(round(squeezed * steps), abs=1e-4)
    assert abs(squeezed - byte / 255) <= 0.5 / steps + 1e-6


@pytest.mark.parametrize("side", [1, 3, 5])
def test_medians_are_scipys(side):
    images = torch.rand(3, 2, 7, 6, generator=torch.Generator().manual_seed(side))
    expected = ndimage.median_filter(images.numpy(), size=(1, 1, side, side), mode="nearest")
    assert (Median(side)(images).numpy() == expected).all()


def test_a_resized_image_keeps_its_content_within_the_frame():
    images = torch.ones(200, 1, 20, 20)
    moved = Resizing(0.5, torch.Generator().manual_seed(0))(images)
    assert moved.min() >= 0
    assert moved.max() <= 1 + 1e-6
    area = moved.sum((1, 2, 3)) / 400
    assert area.min() > 0.2
    assert area.max() < 1.01
    assert area.mean() == pytest.approx(7 / 12, abs=0.05)  # the mean square of what is uniform from 1/2 to 1
    assert torch.allclose(Resizing(1.0, torch.Generator().manual_seed(0))(images), images)
    columns = moved.sum((1, 2)) > 0
    assert columns[:, 0].any()
    assert not columns[:, 0].all()


def test_a_front_sees_the_unit_interval_whatever_the_bounds():
    seen = []

    def front(images):
        seen.append((float(images.min()), float(images.max())))
        return images

    images = torch.tensor([-1.0, 0.0, 1.0, 3.0]).reshape(1, 1, 2, 2)
    target = Target(lambda x: x.flatten(1), bounds=(-1.0, 3.0))
    assert torch.equal(in_front(target, front).logits(images), images.flatten(1))
    assert seen == [(0.0, 1.0)]
    assert in_front(target, front, stochastic=True).stochastic
    assert not in_front(target, front).stochastic
    assert in_front(target, front).bounds == target.bounds


@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.floats(0, 1))
def test_a_threshold_turns_away_no_more_than_its_share(scores, share):
    clean = torch.tensor(scores, dtype=torch.float32)[:, None]
    detector = thresholded(lambda images: images[:, 0], clean, share)
    turned_away = (detector(clean) > 0).double().mean()
    assert turned_away <= share
    lower = detector.threshold - 1
    assert (clean[:, 0] > lower).sum() >= int(share * len(scores))


def test_squeezing_compares_answers():
    target = Target(lambda x: 4 * torch.cat([x.flatten(1)[:, :1], 1 - x.flatten(1)[:, :1]], 1))
    squeezing = Squeezing((BitDepth(1), BitDepth(8)))
    images = torch.tensor([0.0, 0.49, 0.51, 1.0]).reshape(4, 1, 1, 1)
    answers = target.logits(images).softmax(1)
    expected = (answers - target.logits(images.round()).softmax(1)).abs().sum(1)
    assert squeezing.score(target, images) == pytest.approx(expected, abs=1e-6)
    assert torch.equal(squeezing.wrap(target).logits(images), target.logits(images.round()))


def test_a_compression_stands_in_front():
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    target = Target(lambda x: x.flatten(1))
    assert torch.equal(Compression(LowPass(0.5)).wrap(target).logits(images), LowPass(0.5)(images).flatten(1))


def test_a_region_is_what_a_window_shows():
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(Region(1.0)(images), images, atol=1e-6)
    for place, rows, columns in (((-1, -1), 0, 0), ((1, -1), 0, 4), ((-1, 1), 4, 0), ((0, 0), 2, 2)):
        crop = images[:, :, rows : rows + 4, columns : columns + 4]
        expected = functional.interpolate(crop, size=8, mode="bilinear")
        # inside, where neither looks beyond the crop
        assert torch.allclose(Region(0.5, place)(images)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-5)
    with pytest.raises(ValueError, match="`share`"):
        Region(0)


def test_foveation_averages_regions_and_sees_them_disagree():
    target = Target(lambda x: x.flatten(1)[:, :2] * 5)
    images = torch.rand(3, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    foveation = Foveation(0.5)
    answers = torch.stack([region.logits(images) for region in foveation.regions(target)])
    assert torch.equal(foveation.wrap(target).logits(images), answers.mean(0))
    assert not torch.equal(answers[1], answers[2])
    apart = (answers.softmax(2) - target.logits(images).softmax(1)).abs().sum(2)
    assert torch.equal(foveation.disagreement(target, images), apart.amax(0))
