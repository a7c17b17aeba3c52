"""Training of autoencoders: images are to come out as they went in, or as they were before noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from plaintext_models.determinism import deterministic
from plaintext_models.nets.autoencoder import Autoencoder
from plaintext_models.training.loop import Batch, minimise

Network = TypeVar("Network", bound=nn.Module)


def autoencoder(
    images: Tensor,
    *,
    hidden: int,
    epochs: int,
    seed: int,
    contraction: float = 0.0,
    noise: float = 0.0,
    batch_size: int = 64,
    learning_rate: float = 0.03,
) -> Autoencoder:
    """Train an autoencoder of images.

    Args:
        images: Clean images, float32 [n, *shape] in [0, 1].
        hidden: The width of its narrow layer, from 1.
        epochs: How many passes over the images, from 1.
        seed: Determines its first weights and the training.
        contraction: The weight of `Autoencoder.contraction` beside the mean squared error of a pixel, from 0.
        noise: The standard deviation of normal noise on what goes in, from 0; pixels stay in [0, 1].
        batch_size: Images per step.
        learning_rate: The peak of the schedule, positive.

    Returns:
        The autoencoder, in evaluation mode.

    Raises:
        ValueError: A number is out of range.
        FloatingPointError: The loss is no longer finite.
    """
    with deterministic(seed):
        module = Autoencoder(tuple(images.shape[1:]), hidden)
    penalty = (lambda seen: contraction * module.contraction(seen).mean()) if contraction else None
    return reconstructing(
        module,
        images,
        epochs=epochs,
        seed=seed,
        penalty=penalty,
        noise=noise,
        batch_size=batch_size,
        learning_rate=learning_rate,
    )


def reconstructing(
    module: Network,
    images: Tensor,
    *,
    epochs: int,
    seed: int,
    penalty: Callable[[Tensor], Tensor] | None = None,
    noise: float = 0.0,
    batch_size: int = 64,
    learning_rate: float = 0.03,
) -> Network:
    """Train any module to give images as they are; arguments that it shares with `autoencoder` mean the same.

    Args:
        module: Maps images [batch, *shape] to the same shape.
        images: Clean images, float32 [n, *shape] in [0, 1].
        epochs: How many passes over the images, from 1.
        seed: Determines the training.
        penalty: Of images as they go in, one number, which is added to the loss; nothing if None.
        noise: The standard deviation of normal noise on what goes in, from 0.
        batch_size: Images per step.
        learning_rate: The peak of the schedule, positive.

    Returns:
        The module, in evaluation mode.

    Raises:
        ValueError: A number is out of range.
        FloatingPointError: The loss is no longer finite.
    """

    def noisy(batch: Batch) -> Tensor:
        return (batch.images + noise * torch.randn(batch.images.shape, generator=batch.generator)).clamp(0, 1)

    def loss(found: Tensor, batch: Batch) -> Tensor:
        error = functional.mse_loss(found, batch.labels)
        return error if penalty is None else error + penalty(batch.images)

    minimise(
        module,
        images,
        images,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        batch=[noisy] if noise else [],
        loss=loss,
        score=lambda found, batch: -float(functional.mse_loss(found, batch.labels)),
        progress=False,
    )
    return module.eval()
