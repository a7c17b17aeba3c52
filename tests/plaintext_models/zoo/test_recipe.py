"""Recipes are values, the registry is data, and both can be read without torch."""

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch

from plaintext_models import zoo
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.data.datasets import Dataset
from plaintext_models.zoo.make import untrained
from plaintext_models.zoo.recipe import Hardening, Recipe
from plaintext_models.zoo.registry import RECIPES, of_kind

SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32)}


def test_a_recipe_cannot_be_changed():
    recipe = RECIPES["digits-mlp"]
    with pytest.raises(FrozenInstanceError):
        recipe.epochs = 3
    with pytest.raises(TypeError):
        recipe.options["hidden"] = (1,)


def test_options_are_copied():
    options = {"hidden": (8,)}
    recipe = Recipe("Any.", "digits", "mlp", options, epochs=1, learning_rate=1.0)
    options["hidden"] = (9,)
    assert recipe.options == {"hidden": (8,)}


def test_equal_recipes_have_one_canonical_text():
    one = Recipe("Any.", "digits", "cnn", {"channels": 2, "kernel": 3}, epochs=1, learning_rate=1.0)
    two = Recipe("Any.", "digits", "cnn", {"kernel": 3, "channels": 2}, epochs=1, learning_rate=1.0)
    assert one == two
    assert one.canonical() == two.canonical()
    assert json.loads(one.canonical())["options"] == {"channels": 2, "kernel": 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "`epochs` must lie in"),
        ({"batch_size": 0}, "`batch_size` must lie in"),
        ({"learning_rate": 0.0}, "`learning_rate` must be positive"),
        ({"weight_decay": -1.0}, "`weight_decay` not negative"),
        ({"gradient_limit": 0.0}, "`gradient_limit` must be positive or None"),
        ({"kind": "loved"}, "`kind` must be one of shipped, attacked, certified, got 'loved'"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        replace(RECIPES["digits-mlp"], **change)


def test_hardening_refuses():
    with pytest.raises(ValueError, match="`steps` must lie in"):
        Hardening(Ball("linf", 0.1), 0)
    with pytest.raises(ValueError, match="`ramp` must be from 0 to 1"):
        Hardening(Ball("linf", 0.1), 1, ramp=-0.1)
    with pytest.raises(ValueError, match="`begin` must be from 0 to 1"):
        Hardening(Ball("linf", 0.1), 1, begin=1.1)


@pytest.mark.parametrize("name", RECIPES)
def test_every_network_can_be_built(name):
    recipe = RECIPES[name]
    shape = SHAPES[recipe.dataset]
    images, labels = np.random.default_rng(0).random((4, *shape), np.float32), np.arange(4)
    module = untrained(recipe, Dataset(recipe.dataset, shape, 10, images, labels, images, labels))
    assert module(torch.zeros(2, *shape)).shape == (2, 10)
    assert recipe.purpose.endswith(".")


def test_kinds_share_the_registry():
    assert sorted(of_kind("shipped") + of_kind("attacked") + of_kind("certified")) == sorted(RECIPES)
    assert of_kind("attacked", "mnist")[:2] == ("mnist-cnn", "mnist-pgd-cnn")
    with pytest.raises(ValueError, match="`kind` must be one of shipped, attacked, certified, got 'stored'"):
        of_kind("stored")
    assert zoo.RECIPES is RECIPES


def test_the_registry_needs_no_torch():
    code = "import sys; sys.modules['torch'] = None\nfrom plaintext_models import zoo\nprint(*zoo.RECIPES)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == list(RECIPES)
