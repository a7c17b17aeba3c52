"""The defended networks of the case `meeting`, as data: each is trained in floats, and has an integer twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import remove_parametrizations

from bench.tables.meeting import DEFENDED
from intnn.quantisation.config import QuantConfig
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.adversarial import STEPS
from plaintext_models.determinism import deterministic
from plaintext_models.nets.builders import build
from plaintext_models.training.compression import layers, magnitude, prune
from plaintext_models.training.loop import minimise
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Hardening, Recipe
from plaintext_models.zoo.registry import RECIPES

PRUNED = 0.8  # of all weights, the smallest
DECAY = 0.5
COMPONENTS = 24  # of a principal component analysis
LEVELS = 2  # of a binarised neuron
POOL = 2  # the side of the squares whose means are taken
DOWNSAMPLED = nn.AvgPool2d(POOL)


@dataclass(frozen=True)
class Field:
    """What the networks for a data set have in common.

    Attributes:
        recipe: The undefended network and its training.
        certified: The name of the recipe that is trained for proofs.
        radius: Of the Linf ball, for training and attacks.
        sizes: How many integers each kind of value of a twin gets.
        noise: The standard deviation of the noise that a client adds to its images.
    """

    recipe: Recipe
    certified: str
    radius: float
    sizes: QuantConfig
    noise: float


FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        "digits": Field(
            replace(RECIPES["digits-mlp"], options={"hidden": (64,)}),
            "digits-certified-mlp",
            0.1,
            QuantConfig(input_bits=2, table_points=113),
            0.1,
        ),
        "mnist": Field(
            replace(RECIPES["mnist-cnn"], network="mlp", options={"hidden": (256,)}, epochs=10, batch_size=128),
            "mnist-certified-mlp",
            0.2,
            QuantConfig(input_bits=1, activation_bits=3, table_points=431),
            0.2,
        ),
    }
)

Build = Callable[[Field, Dataset, int], nn.Module]  # trains a network with a seed


@dataclass(frozen=True)
class Meeting:
    """A defence that can be quantised.

    Attributes:
        build: Trains its network.
        front: What the client does with an image before it is rounded; None for nothing.
        noisy: Whether the client adds noise to every image before it is rounded; then there is nothing to prove.
    """

    build: Build
    front: nn.Module | None = None
    noisy: bool = False


def _plain(field: Field, dataset: Dataset, seed: int) -> nn.Module:
    return make(replace(field.recipe, seed=seed), dataset)


def _decayed(field: Field, dataset: Dataset, seed: int) -> nn.Module:
    return make(replace(field.recipe, seed=seed, weight_decay=DECAY), dataset)


def _adversarial(field: Field, dataset: Dataset, seed: int) -> nn.Module:
    hardening = Hardening(Ball("linf", field.radius), STEPS)
    recipe = replace(field.recipe, epochs=2 * field.recipe.epochs, hardening=hardening, gradient_limit=None)
    return make(replace(recipe, seed=seed), dataset)


def _binarised(field: Field, dataset: Dataset, seed: int) -> nn.Module:
    (hidden,) = field.recipe.options["hidden"]
    options = {
        "hidden": hidden,
        "points": field.sizes.table_points,
        "input_bits": field.sizes.input_bits,
        "levels": LEVELS,
    }
    return make(replace(field.recipe, network="table_mlp", options=options, seed=seed), dataset)


def _certified(_: Field, dataset: Dataset, seed: int) -> nn.Module:
    name = FIELDS[dataset.name].certified
    return make(replace(RECIPES[name], seed=seed), dataset)


def _downsampled(field: Field, dataset: Dataset, seed: int) -> nn.Module:
    channels, height, width = dataset.input_shape
    shape = channels, height // POOL, width // POOL
    images = torch.from_numpy(dataset.train_images)
    recipe = field.recipe
    with deterministic(seed):
        module = build(recipe.network, shape, dataset.classes, **recipe.options)
    _fitted(module, recipe, DOWNSAMPLED(images), dataset, seed)
    return module


def _projected(field: Field, dataset: Dataset, seed: int) -> nn.Module:
    """Behind the first principal components; they and the first layer are one linear layer in the end."""
    images = torch.from_numpy(dataset.train_images).flatten(1).double()
    centred = images - images.mean(0)
    recipe, width = field.recipe, images.shape[1]
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -COMPONENTS:].T.float()
    with deterministic(seed):
        module = build(recipe.network, (1, 1, COMPONENTS), dataset.classes, **recipe.options)
        flatten, first, *rest = module.children()
        assert isinstance(first, nn.Linear)
        joined = nn.Linear(width, first.out_features)
    _fitted(module, recipe, images.float() @ axes.T, dataset, seed)
    with torch.no_grad():
        joined.weight.copy_(first.weight @ axes)
        joined.bias.copy_(first.bias)
    return nn.Sequential(flatten, joined, *rest).eval()


def _pruned(field: Field, dataset: Dataset, seed: int) -> nn.Module:
    """The smallest weights of a trained network are zero, and the others are trained once more."""
    module = _plain(field, dataset, seed)
    images, labels = torch.from_numpy(dataset.train_images), torch.from_numpy(dataset.train_labels)
    prune(module, magnitude(module, images, labels, torch.Generator()), PRUNED)
    _fitted(module, field.recipe, images, dataset, seed)
    for layer in layers(module).values():
        remove_parametrizations(layer, "weight")
    return module


def _fitted(module: nn.Module, recipe: Recipe, images: Tensor, dataset: Dataset, seed: int) -> None:
    minimise(
        module,
        images,
        torch.from_numpy(dataset.train_labels),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        seed=seed,
        progress=False,
    )


#: In the order of `bench.tables.meeting.DEFENDED`.
_ALL = (
    Meeting(_plain),
    Meeting(_decayed),
    Meeting(_pruned),
    Meeting(_downsampled, front=DOWNSAMPLED),
    Meeting(_projected),
    Meeting(_plain, noisy=True),
    Meeting(_binarised),
    Meeting(_adversarial),
    Meeting(_certified),
)

#: By the names of their rows.
MEETINGS: Mapping[str, Meeting] = MappingProxyType(dict(zip(DEFENDED, _ALL, strict=True)))
