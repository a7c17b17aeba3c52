from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from plaintext_models.data import datasets
from plaintext_models.data.datasets import Dataset


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Networks of a few dozen units only lose by more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return datasets.load("digits")


@pytest.fixture(scope="session")
def held_out(digits: Dataset) -> tuple[Tensor, Tensor]:
    """Images and labels of the test part."""
    return torch.from_numpy(digits.test_images[:100]), torch.from_numpy(digits.test_labels[:100])
