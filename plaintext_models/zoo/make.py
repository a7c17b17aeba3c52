"""From a recipe to a trained module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from plaintext_models.data.datasets import Dataset
from plaintext_models.determinism import deterministic
from plaintext_models.nets.builders import build
from plaintext_models.nets.initialise import unit_variance
from plaintext_models.proofs.certified import certified
from plaintext_models.training.adversarial import attacked, mixed
from plaintext_models.training.loop import BatchHook, EpochRecord, LossHook, augmented, cross_entropy, minimise
from plaintext_models.zoo.recipe import Recipe

SCALED_ON = 512  # images by which the initial weights are scaled, where the recipe says so

Report = Callable[[str], None]
HookOf = Callable[[nn.Module], BatchHook]  # gives what changes the batches that a module is trained on
Watch = Callable[[nn.Module, int], None]  # is shown a module after every epoch, and told its number, from 1
LossOf = Callable[[nn.Module], LossHook]  # gives a module's loss, which may look at more of it than its outputs


def untrained(recipe: Recipe, dataset: Dataset) -> nn.Module:
    """The network of a recipe with its initial weights, in evaluation mode."""
    with deterministic(recipe.seed):
        module = build(recipe.network, dataset.input_shape, dataset.classes, **recipe.options)
        if recipe.unit_variance:
            if not isinstance(module, nn.Sequential):
                raise TypeError(f"`unit_variance` needs a chain of float layers, got {recipe.network}")
            unit_variance(module, torch.from_numpy(dataset.train_images[:SCALED_ON]))
    return module.eval()


def make(
    recipe: Recipe,
    dataset: Dataset,
    *,
    progress: bool = False,
    report: Report | None = None,
    batch: HookOf | None = None,
    loss: LossOf | None = None,
    answers: Tensor | None = None,
    checkpoint: Path | None = None,
    watch: Watch | None = None,
) -> nn.Module:
    """Build and train the network of a recipe.

    Args:
        recipe: What to make.
        dataset: Its training part is used, its test part is not looked at.
        progress: Whether to show a bar.
        report: Told how every epoch ended.
        batch: What changes the images of every batch beside what the recipe says, and after it; nothing if None.
        loss: What is minimised; the cross-entropy if None. A recipe with proofs has a loss of its own.
        answers: What the module should say, [n, ...], where that is not the labels of the training images.
        checkpoint: A file that holds the training after every epoch: where it is there, the training goes on from it.
            What it is compared with, and what not, `minimise` says.
        watch: Shown the module after every epoch, in evaluation mode.

    Returns:
        The module, in evaluation mode.

    Raises:
        ValueError: The recipe does not suit the data.
        FloatingPointError: The loss is no longer finite.
    """
    module = untrained(recipe, dataset)
    hooks: list[BatchHook] = []
    minimised = cross_entropy if loss is None else loss(module)
    if recipe.proofs is not None:
        minimised = certified(module, recipe.proofs)
    if recipe.augment is not None:
        hooks.append(augmented(recipe.augment))
    if (hardening := recipe.hardening) is not None:
        rest = {name: getattr(hardening, name) for name in ("steps", "ramp", "random_start", "begin")}
        hooks.append(attacked(module, hardening.ball, **rest))
        if hardening.clean:
            minimised = mixed(module, minimised, hardening.clean)
    if batch is not None:
        hooks.append(batch(module))

    def ended(epoch: int, record: EpochRecord) -> None:
        if report is not None:
            report(f"epoch {epoch} of {recipe.epochs}: loss {record.loss:.3f}")
        if watch is not None:
            watch(module.eval(), epoch)
            module.train()

    minimise(
        module,
        torch.from_numpy(dataset.train_images),
        torch.from_numpy(dataset.train_labels) if answers is None else answers,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        seed=recipe.seed,
        weight_decay=recipe.weight_decay,
        gradient_limit=recipe.gradient_limit,
        batch=hooks,
        loss=minimised,
        after_epoch=ended,
        checkpoint=checkpoint,
        progress=progress,
    )
    return module
