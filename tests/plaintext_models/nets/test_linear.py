"""Networks on which linearity is explained: logistic regression, maxout, radial basis functions, ensembles."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from plaintext_models.attacks.ball.ascend import ascend
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.nets.dbm import Dbm
from plaintext_models.nets.ensemble import Ensemble
from plaintext_models.nets.logistic import Logistic
from plaintext_models.nets.maxout import Maxout, maxout
from plaintext_models.nets.mlp import mlp
from plaintext_models.nets.rbf import Rbf, likelihood

SEEDS = st.integers(0, 2**31)


def logistic(seed, size=12):
    torch.manual_seed(seed)
    return Logistic((1, 1, size)).double().eval(), torch.randn(6, 1, 1, size, dtype=torch.float64)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(0, 1), st.sampled_from([0, 1]))
def test_the_closed_form_is_the_loss_where_one_step_leads(seed, radius, label):
    module, images = logistic(seed)
    labels = torch.full((6,), label)
    moved = ascend(
        Target(module, bounds=(-20, 20)),
        images,
        Goal(labels),
        Ball("linf", radius),
        steps=1,
        generator=torch.Generator(),
        random_start=False,
    )
    found = functional.cross_entropy(module(moved), labels, reduction="none")
    assert torch.allclose(module.worst_case(images, labels, radius), found)
    anywhere = images + radius * (2 * torch.rand_like(images) - 1)
    assert bool((functional.cross_entropy(module(anywhere), labels, reduction="none") <= found + 1e-12).all())


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(0, 1), st.integers(1, 300))
def test_the_activation_grows_by_radius_times_mean_weight_times_size(seed, radius, size):
    module, images = logistic(seed, size)
    weight = module.map.weight
    moved = images + radius * weight.sign().reshape(1, 1, 1, -1)
    growth = radius * float(weight.detach().abs().mean()) * size
    assert torch.allclose(module.activation(moved) - module.activation(images), torch.full((6,), growth).double())


def test_a_unit_is_the_largest_of_its_maps():
    layer, inputs = Maxout(4, 3, 2), torch.randn(5, 4)
    sums = inputs @ layer.maps.weight.T + layer.maps.bias
    for unit in range(3):
        assert torch.allclose(layer(inputs)[:, unit], torch.maximum(sums[:, 2 * unit], sums[:, 2 * unit + 1]))
    network = maxout((1, 28, 28), 10)
    assert sum(parameter.numel() for parameter in network.parameters()) == 785 * 1200 + 241 * 1200 + 2410


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(0, 3))
def test_the_likelihood_is_that_of_a_negative_semidefinite_form(seed, rank):
    torch.manual_seed(seed)
    module, images = Rbf((1, 2, 3), 4, rank=rank).double(), torch.randn(5, 1, 2, 3, dtype=torch.float64)
    exponents, logits = module.exponents(images), module(images)
    for label in range(4):
        ways = module.ways[label]
        beta = -torch.diag(module.scales[label] ** 2) - ways.T @ ways
        assert torch.linalg.eigvalsh(beta.detach()).max().item() <= 1e-12
        offset = images.flatten(1) - module.centres[label]
        form = torch.stack([one @ beta @ one for one in offset])
        assert torch.allclose(exponents[:, label], form)
        assert torch.allclose(torch.sigmoid(logits[:, label]), form.exp(), atol=1e-5)  # at 1 cut off by 1e-6


def test_it_is_sure_of_nothing_far_away_and_finite_at_a_centre():
    module = Rbf((1, 2, 3), 4)
    assert torch.sigmoid(module(torch.full((1, 1, 2, 3), 100.0))).max().item() < 1e-6
    there = module.centres.detach()[:1].reshape(1, 1, 2, 3).requires_grad_()
    logits = module(there)
    assert torch.sigmoid(logits[0, 0]).item() > 0.999
    likelihood(logits, torch.tensor([1])).backward()
    assert bool(there.grad.isfinite().all())


def test_its_loss_takes_every_class_by_itself():
    logits, labels = torch.randn(3, 4), torch.tensor([0, 3, 1])
    expected = [
        sum(-math.log(torch.sigmoid(z if c == label else -z).item()) for c, z in enumerate(row))
        for row, label in zip(logits, labels.tolist(), strict=True)
    ]
    assert likelihood(logits, labels).item() == pytest.approx(sum(expected) / 3, rel=1e-5)


def test_inference_is_exact_where_weights_are_small():
    torch.manual_seed(3)
    machine, pixels = Dbm((1, 1, 2), 3, hidden=(2, 2), rounds=30).double(), torch.tensor([[1.0, 0.0]]).double()
    for parts, size in ((machine.weights, 0.05), (machine.biases, 1.0)):
        for part in parts:
            part.data = size * torch.randn_like(part)
    a, b, c = machine.weights
    _, first, second, top = machine.biases
    masses = torch.zeros(3).double()
    for h, g in itertools.product(itertools.product((0.0, 1.0), repeat=2), repeat=2):
        one, other = torch.tensor(h).double(), torch.tensor(g).double()
        energies = pixels[0] @ a @ one + one @ b @ other + other @ c + first @ one + second @ other + top
        masses += energies.exp()
    # mean field is wrong by products of two weights, here 0.0025, in log-odds
    assert torch.allclose(machine(pixels.reshape(1, 1, 1, 2)).softmax(1), masses / masses.sum(), atol=1e-3)


def test_what_is_predicted_is_what_is_missing():
    machine, images = Dbm((1, 2, 2), 3, hidden=(4, 4)), torch.rand(5, 1, 2, 2)
    known = torch.rand(5, 4) < 0.5
    none, classes = torch.zeros(5, 1, dtype=torch.bool), torch.zeros(5, 3)
    other = torch.where(known, images.flatten(1), torch.rand(5, 4))
    one, two = (machine.infer(pixels, known, classes, none) for pixels in (images.flatten(1), other))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert torch.equal(machine(images), machine.infer(images.flatten(1), known | True, classes + 7, none)[1])
    machine.multi_prediction(images, torch.arange(5) % 3, torch.Generator().manual_seed(0)).backward()
    assert all(part.grad is not None and part.grad.any() for part in machine.parameters())


def test_an_ensemble_answers_the_mean_of_its_probabilities():
    members, images = [mlp((1, 2, 2), 3, (4,)) for _ in range(3)], torch.rand(5, 1, 2, 2)
    expected = sum(member(images).softmax(1) for member in members) / 3
    assert torch.allclose(Ensemble(members)(images).exp(), expected, atol=1e-6)
