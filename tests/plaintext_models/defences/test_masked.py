"""Networks in place of a recipe's own: their sizes, their losses, and what an attacker is handed."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from plaintext_models.attacks.core.losses import cross_entropy
from plaintext_models.defences import masked
from plaintext_models.defences.masked import Masked, defended
from plaintext_models.defences.registry import DEFENCES
from plaintext_models.stochastic.gates import MaskedConv2d
from plaintext_models.training.loop import Batch
from plaintext_models.zoo.make import untrained
from plaintext_models.zoo.registry import RECIPES

RECIPE = RECIPES["digits-mlp"]


def network(digits, **options):
    return untrained(Masked(options).changed(RECIPE), digits)


def batch(digits):
    images, labels = torch.from_numpy(digits.train_images[:8]), torch.from_numpy(digits.train_labels[:8])
    return Batch(images, images, labels, 0, 1, torch.Generator())


@pytest.mark.parametrize(("norm", "power"), [(1, 1), (2, 2)])
def test_penalties_are_of_all_weights_and_no_biases(norm, power, digits):
    module, given = network(digits, units="relu"), batch(digits)
    logits = module(given.images)
    weights = [p for name, p in module.named_parameters() if name.endswith("weight") and p.ndim > 1]
    assert len(weights) == 4
    expected = functional.cross_entropy(logits, given.labels) + 0.01 * sum(w.abs().pow(power).sum() for w in weights)
    assert torch.allclose(Masked({}, norm, 0.01).loss(module)(logits, given), expected)
    assert torch.allclose(Masked({}, norm).loss(module)(logits, given), functional.cross_entropy(logits, given.labels))


def test_a_negative_penalty_is_refused():
    with pytest.raises(ValueError, match="`penalty`"):
        Masked({}, 1, -0.1)


@pytest.mark.parametrize(("epochs", "slopes"), [(20, 25), (40, 40)])
def test_slopes_grow_with_every_epoch_and_through_25_at_least(epochs, slopes, digits, monkeypatch):
    monkeypatch.setattr(masked, "make", lambda *_, batch, **__: batch.keywords["epochs"])
    assert Masked().train(replace(RECIPE, epochs=epochs), digits) == slopes


def test_options_go_before_sizes(digits):
    changed = Masked({"masks": "gates", "dense": 7, "gates": {"rank": 2}}).changed(RECIPE)
    assert changed.network == "masked_cnn"
    assert changed.options["dense"] == 7
    assert changed.options["gates"] == {"hidden": 64, "rank": 2}
    assert "gates" not in Masked({"units": "relu"}).changed(RECIPE).options
    assert replace(changed, network="mlp", options=RECIPE.options) == RECIPE


def test_surrogates_and_the_twin_are_the_same_network(digits):
    module, generator = network(digits, masks="gates"), torch.Generator()
    found, given = defended(module, generator), batch(digits)
    assert found.target.stochastic
    assert not found.randomness_off.stochastic
    gradients = []
    for target in (found.target, found.surrogates[0]):
        generator.manual_seed(3)
        gradients.append(target.gradient(given.images, lambda z: cross_entropy(z, given.labels)))
    (own, answers), (through, same) = gradients
    assert torch.equal(answers, same)
    assert not torch.equal(own, through)
    assert not defended(module, generator, surrogates=False).surrogates


def test_one_layer_has_one_gate(digits):
    short = replace(RECIPE, epochs=1)
    target = DEFENCES["M23-one-layer"].defend(short, digits, torch.Generator()).target
    assert sum(isinstance(part, MaskedConv2d) for part in target._model.modules()) == 1
