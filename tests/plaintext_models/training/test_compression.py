"""Weights that are removed or rounded: which ones, how many, and that training leaves them so."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from plaintext_models.training.compression import Rounded, chance, curvature, layers, magnitude, prune, quantise
from plaintext_models.training.loop import minimise


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).eval()


def examples(count=6, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, 4, 4, generator=generator), torch.randint(3, (count,), generator=generator)


def weights(module):
    return torch.cat([layer.weight.detach().flatten() for layer in layers(module).values()])


@settings(deadline=None, max_examples=20)
@given(st.floats(0, 0.99), st.integers(0, 5))
def test_the_smallest_of_all_layers_are_removed(removed, seed):
    module, generator = network(seed), torch.Generator()
    before = weights(module)
    prune(module, magnitude(module, *examples(), generator), removed)
    after = weights(module)
    gone = after == 0
    assert int(gone.sum()) == round(removed * len(before))
    assert torch.equal(after[~gone], before[~gone])
    if gone.any():
        assert before[gone].abs().max() <= before[~gone].abs().min()


def test_a_share_of_everything_is_refused():
    module = network()
    with pytest.raises(ValueError, match="`removed` must be from 0, below 1"):
        prune(module, magnitude(module, *examples(), torch.Generator()), 1.0)


def test_curvature_is_the_mean_square_of_single_gradients_times_the_weights():
    module, (images, labels) = network(), examples()
    found = curvature(module, images, labels, torch.Generator())
    for name, layer in layers(module).items():
        squares = []
        for i in range(len(images)):
            module.zero_grad()
            functional.cross_entropy(module(images[i : i + 1]), labels[i : i + 1]).backward()
            squares.append(layer.weight.grad.square())
        expected = torch.stack(squares).mean(0) * layer.weight.detach().square() / 2
        torch.testing.assert_close(found[name], expected)


def test_curvature_tells_what_the_loss_does_not_need():
    """A weight behind a dead unit may be large; by its magnitude it is kept, by its curvature it goes first."""
    module, (images, labels) = network(), examples()
    with torch.no_grad():
        module[0].weight[0], module[0].weight[1], module[0].bias[1] = 1.0, -1.0, -1.0  # the second is never active
        module[3].weight[:, 4:] = 5.0
    found = curvature(module, images, labels, torch.Generator())
    assert not found["3"][:, 4:].any()
    assert (magnitude(module, images, labels, torch.Generator())["3"][:, 4:] == 5).all()
    assert found["3"][:, :4].any()


def test_chance_is_drawn_from_the_callers_generator():
    module = network()
    some, same = (chance(module, *examples(), torch.Generator().manual_seed(3)) for _ in "ab")
    other = chance(module, *examples(), torch.Generator().manual_seed(4))
    assert all(torch.equal(some[name], same[name]) for name in some)
    assert not torch.equal(some["3"], other["3"])


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 8), st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=9))
def test_rounded_weights_are_the_nearest_multiples(bits, values):
    weight = torch.tensor(values, requires_grad=True)
    rounded = Rounded(bits)(weight)
    largest, top = weight.detach().abs().max(), 2 ** (bits - 1) - 1
    multiples = (rounded.detach() / largest * top) if largest > 1e-30 else torch.zeros(len(values))
    assert (multiples - multiples.round()).abs().max() < 1e-3  # float32 of at most 127
    assert (rounded - weight).abs().max() <= largest / top / 2 + 1e-5
    rounded.sum().backward()
    assert torch.equal(weight.grad, torch.ones(len(values)))


@pytest.mark.parametrize("how", ["prune", "quantise"])
def test_training_leaves_them_so(how):
    module, (images, labels) = network(), examples(32)
    if how == "prune":
        prune(module, magnitude(module, images, labels, torch.Generator()), 0.5)
    else:
        quantise(module, 2)
    assert not any(part.training for part in module.modules())
    before = copy.deepcopy(module)
    minimise(module, images, labels, epochs=2, batch_size=8, learning_rate=0.05, seed=0, progress=False)
    assert not torch.equal(weights(module), weights(before))
    if how == "prune":
        assert torch.equal(weights(module) == 0, weights(before) == 0)
    else:
        assert all(len(layer.weight.unique()) <= 3 for layer in layers(module).values())
