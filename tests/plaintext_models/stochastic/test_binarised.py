"""Threshold units and binary weights: their laws, their gradients, and their means without a draw."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plaintext_models.stochastic.annealing import annealed
from plaintext_models.stochastic.binarised import Binarised, PlusMinus
from plaintext_models.stochastic.draws import draw_from, stilled
from plaintext_models.stochastic.modes import in_mode
from plaintext_models.training.loop import Batch

SAMPLES = 20_000
OFF = 5 / (2 * SAMPLES**0.5)  # five deviations of a share of so many, at most


def leaf(value, count=SAMPLES):
    return torch.full((count,), value, dtype=torch.float64, requires_grad=True)


def seeded(layer):
    draw_from(layer, torch.Generator().manual_seed(0))
    return layer


@given(st.floats(-6, 6), st.sampled_from(["hard", "soft"]), st.floats(1, 5))
def test_units_are_one_as_often_as_the_sigmoid_says(a, gradient, slope):
    layer = seeded(Binarised(gradient))
    layer.slope.fill_(slope)
    x = leaf(a)
    h = layer(x)
    p = torch.sigmoid(layer.slope.double() * x.detach())
    assert set(h.unique().tolist()) <= {0.0, 1.0}
    assert abs(h.mean().item() - p[0].item()) < OFF
    h.sum().backward()
    expected = torch.ones_like(p) if gradient == "hard" else layer.slope * p * (1 - p)
    assert torch.allclose(x.grad, expected)
    with stilled(layer):
        assert torch.equal(layer(x), p)


@given(st.floats(-3, 3))
def test_other_gradients_of_the_same_draws(a):
    layer, x = Binarised("hard"), leaf(a, 50)
    hard = seeded(layer)(x)
    seeded(layer)
    soft = in_mode(layer, "gradient", "soft", x)
    assert torch.equal(hard, soft)
    assert layer.gradient == "hard"
    soft.sum().backward()
    p = torch.sigmoid(x.detach())
    assert torch.allclose(x.grad, p * (1 - p))


def test_units_without_a_gradient_remember_what_they_said():
    layer, x = seeded(Binarised("reinforce")), leaf(0.3, 10)
    h = layer(x)
    assert not h.requires_grad
    a, off = layer.seen
    assert a is x
    assert torch.equal(off, h - torch.sigmoid(x.detach()))


@given(st.floats(-4, 4))
def test_deterministic_units_round(a):
    layer, x = Binarised(random=False), leaf(a, 3)
    for still in (False, True):
        layer.still = still
        assert torch.equal(layer(x), (torch.sigmoid(x) > 0.5).double())


@given(st.floats(-2, 2), st.booleans())
def test_weights_are_signs_or_drawn(r, random):
    layer, x = seeded(PlusMinus(random=random)), leaf(r)
    w = layer(x)
    clipped = min(1.0, max(-1.0, r))
    assert set(w.unique().tolist()) <= {-1.0, 1.0}
    assert abs(w.mean().item() - clipped) < 2 * OFF if random else (w == (1 if r >= 0 else -1)).all()
    w.sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, float(abs(r) <= 1)))
    layer.still = True
    assert torch.equal(layer(x.detach()), torch.full_like(x, clipped) if random else w.detach())


def test_slopes_grow_with_epochs_up_to_five():
    layer = Binarised(annealed=True)
    images = torch.zeros(1)
    for step, slope in ((0, 1.0), (25, 2.0), (99, 4.96), (200, 5.0)):
        batch = Batch(images, images, images, step, 200, torch.Generator())
        assert annealed(torch.nn.Sequential(layer), 200)(batch) is images
        assert layer.slope.item() == pytest.approx(slope)


def test_an_unknown_gradient_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"`gradient` must be one of hard, soft, reinforce, got 'straight'"):
        Binarised("straight")
