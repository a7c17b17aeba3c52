"""A stretched contrast: what it leaves to an adversary, and that nothing of that is hidden from attacks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from plaintext_models.attacks.ball.pgd import pgd
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.bridge.export import to_graph
from plaintext_models.defences.stretching import behind, stretched
from plaintext_models.nets.builders import build
from plaintext_models.nets.layers import Stretch
from plaintext_models.zoo.registry import RECIPES


@given(st.floats(0.01, 0.49), st.floats(-1, 1))
def test_what_moves_by_the_radius_at_most_stays_black_or_white(radius, way):
    layer = Stretch(radius, 1 - radius)
    grey = torch.tensor([0.0, 1.0], dtype=torch.float64)
    moved = (grey + way * radius).clamp(0, 1)
    # a float64 beside an edge may be one rounding inside
    assert torch.allclose(layer(moved), grey, rtol=0, atol=1e-14)


def test_values_and_both_gradients():
    layer = Stretch(0.3, 0.7)
    x = torch.tensor([0.0, 0.29, 0.3, 0.5, 0.6, 0.7, 1.0], dtype=torch.float64, requires_grad=True)
    right = torch.tensor([0, 0, 0, 0.5, 0.75, 1, 1], dtype=torch.float64)
    for gradient, slopes in (("straight", [2.5] * 7), ("exact", [0, 0, 0, 2.5, 2.5, 0, 0])):
        layer.gradient = gradient
        values = layer(x)
        assert torch.allclose(values, right, rtol=0, atol=1e-12)  # roundings of float64
        (slope,) = torch.autograd.grad(values.sum(), x)
        assert torch.allclose(slope, torch.tensor(slopes, dtype=torch.float64), rtol=1e-12)


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.5), (-0.1, 0.5), (0.5, 1.1), (0.7, 0.3)])
def test_an_empty_range_is_refused(low, high):
    with pytest.raises(ValueError, match="`low` and `high` must grow within"):
        Stretch(low, high)


def test_attacks_see_behind_the_edge_of_the_range_where_exact_gradients_do_not():
    """Grey enough to be moved into the range, and black to the network: the exact gradient is 0."""
    network = nn.Sequential(Stretch(0.3, 0.7), nn.Flatten(), nn.Linear(4, 2, bias=False))
    with torch.no_grad():
        network[2].weight.copy_(torch.tensor([[-1.0] * 4, [1.0] * 4]))
    defended = stretched(network.eval())
    images, goal, ball = torch.full((3, 1, 2, 2), 0.2), Goal(torch.zeros(3, dtype=torch.int64)), Ball("linf", 0.3)
    (exact,) = defended.surrogates
    found = pgd(defended.target, images, goal, ball, random_start=False)
    blind = pgd(exact, images, goal, ball, random_start=False)
    assert found.success.all()
    assert not blind.success.any()
    assert torch.equal(exact.logits(images), defended.target.logits(images))
    assert network[0].gradient == "straight"  # as before


def test_a_network_without_it_has_no_surrogate():
    assert not stretched(build("mlp", (1, 8, 8), 10, hidden=(4,)).eval()).surrogates


def test_the_recipe_of_a_stretched_network():
    plain, hardened = RECIPES["digits-mlp"], RECIPES["digits-pgd-mlp"]
    assert behind(plain, 0.2).network == "stretched_mlp"
    assert behind(plain, 0.2).options == {"hidden": (64, 32), "stretch": (0.2, 0.8)}
    assert behind(plain, 0.2).hardening.ball == Ball("linf", 0.2)
    assert behind(hardened, 0.2).hardening is hardened.hardening


@pytest.mark.parametrize("name", ["mnist-stretched-cnn", "digits-table-mlp"])
def test_nothing_is_stretched_that_is_so_already_or_reads_integers(name):
    with pytest.raises(ValueError, match=f"in front of mlp, .*, got {RECIPES[name].network}$"):
        behind(RECIPES[name], 0.3)


def test_it_is_a_scaling_and_an_activation_of_the_exported_network():
    module = build("stretched_strided_cnn", (1, 8, 8), 10, stretch=(0.3, 0.7), channels=(2, 3), hidden=5).eval()
    images = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        answers = module(images).argmax(1)
    assert (to_graph(module, (1, 8, 8), "stretched").predict(images.numpy()) == answers.numpy()).all()
