"""Two small networks that know the digits and defend themselves by nothing."""

import pytest
import torch
from torch import Tensor, nn

from plaintext_models.data.datasets import Dataset
from plaintext_models.determinism import deterministic
from plaintext_models.nets.mlp import mlp
from plaintext_models.training.loop import train


def _trained(digits: Dataset, seed: int) -> nn.Module:
    with deterministic(seed):
        module = mlp(digits.input_shape, digits.classes, [64])
    train(module, digits, epochs=8, batch_size=64, learning_rate=5e-3, seed=seed, progress=False)
    return module


@pytest.fixture(scope="session")
def net(digits: Dataset) -> nn.Module:
    return _trained(digits, 0)


@pytest.fixture(scope="session")
def rival(digits: Dataset) -> nn.Module:
    return _trained(digits, 1)


@pytest.fixture(scope="session")
def seen(digits: Dataset) -> tuple[Tensor, Tensor]:
    """Images and labels of the training part."""
    return torch.from_numpy(digits.train_images[:400]), torch.from_numpy(digits.train_labels[:400])
