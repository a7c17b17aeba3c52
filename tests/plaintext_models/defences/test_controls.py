"""Trainings that A and S compare adversarial training with: what each of them adds to a loss, or to a recipe."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from plaintext_models.data.subsets import first
from plaintext_models.defences.ensemble import EnsembleTraining
from plaintext_models.defences.lasso import Lasso
from plaintext_models.defences.places import HiddenTraining
from plaintext_models.defences.random_weights import RandomWeights
from plaintext_models.nets.mlp import mlp
from plaintext_models.stochastic.weights import DeltaRule
from plaintext_models.training.loop import Batch
from plaintext_models.zoo.make import make, untrained
from plaintext_models.zoo.registry import RECIPES

RECIPE = replace(RECIPES["digits-mlp"], epochs=1)


def batch():
    images = torch.rand(6, 1, 2, 3)
    return Batch(images, images, torch.arange(6) % 4, 0, 10, torch.Generator())


def test_the_decay_is_of_the_first_layer_alone():
    module, given = mlp((1, 2, 3), 4, (5,)), batch()
    logits = module(given.images)
    found = Lasso(0.1).loss(module)(logits, given) - functional.cross_entropy(logits, given.labels)
    assert found.item() == pytest.approx(0.1 * module[1].weight.abs().sum().item(), rel=1e-5)


def test_hidden_layers_are_counted_among_dense_ones():
    module, given, seen = mlp((1, 2, 3), 4, (5, 7)), batch(), []
    for layer in module:
        layer.register_forward_pre_hook(lambda layer, inputs: seen.append((layer, inputs[0].detach())))
    for number, layer in ((0, module[1]), (1, module[3]), (-1, module[5])):
        seen.clear()
        HiddenTraining(number, 0.2).loss(module)(torch.empty(0), given)
        met = [inputs for part, inputs in seen if part is layer]
        assert (met[1] - met[0]).abs().max().item() == pytest.approx(0.2, rel=1e-5)
    with pytest.raises(TypeError, match="a chain of layers, got Linear"):
        HiddenTraining(0, 0.1).loss(nn.Linear(2, 2))


def test_an_ensemble_is_trained_from_other_seeds(digits):
    small = first(digits, 200)
    found = EnsembleTraining(2).train(RECIPE, small)
    for member, seed in zip(found.members, (0, 1000), strict=True):
        alone = make(replace(RECIPE, seed=seed), small)
        assert all(torch.equal(a, b) for a, b in zip(member.parameters(), alone.parameters(), strict=True))


def test_the_delta_rule_decays_twice_an_epoch(digits):
    recipe = RandomWeights({"kind": "delta rule"}).changed(RECIPE, len(digits.train_images))
    rule = next(part for part in untrained(recipe, digits).modules() if isinstance(part, DeltaRule))
    steps = len(digits.train_images) // recipe.batch_size
    assert rule.period == rule.interval == steps // 2
    trained = make(recipe, digits)
    passes = [int(part.passes) for part in trained.modules() if isinstance(part, DeltaRule)]
    assert passes == [steps] * 6  # weights and biases of three layers


def test_a_network_is_shown_after_every_epoch_as_it_answers(digits):
    seen = []
    make(
        replace(RECIPE, epochs=2), first(digits, 200), watch=lambda module, epoch: seen.append((epoch, module.training))
    )
    assert seen == [(1, False), (2, False)]
