"""Trainings that were stopped go on to the same bits; files that are damaged or another's are refused."""

import pytest
import torch
from torch import nn

from plaintext_models.data import datasets
from plaintext_models.data.augment import RandomAffine
from plaintext_models.determinism import deterministic
from plaintext_models.nets.mlp import mlp
from plaintext_models.training.checkpoint import write_state
from plaintext_models.training.loop import augmented, cross_entropy, minimise, train

SETTINGS = {"batch_size": 64, "learning_rate": 5e-3, "seed": 3, "progress": False}


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def fresh(width=8):
    with deterministic(0):
        return mlp((1, 8, 8), 10, (width,))


def run(module, digits, checkpoint=None, stop=None, epochs=4):
    def after(epoch, _):
        if epoch == stop:
            raise KeyboardInterrupt

    moved = [augmented(RandomAffine(8, 0.08, 0.08, 1))]
    return train(module, digits, **SETTINGS, epochs=epochs, batch=moved, after_epoch=after, checkpoint=checkpoint)


def test_a_training_that_was_stopped_goes_on_to_the_same_bits(digits, tmp_path):
    whole, resumed, path = fresh(), fresh(), tmp_path / "training.part"
    expected = run(whole, digits)
    for stop in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            run(resumed, digits, path, stop)
    history = run(resumed, digits, path)
    assert history == expected
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    again = fresh()
    assert run(again, digits, path) == expected  # nothing is left to do
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_damaged_and_foreign_files_are_refused(digits, tmp_path):
    path = tmp_path / "training.part"
    with pytest.raises(KeyboardInterrupt):
        run(fresh(), digits, path, 1)
    with pytest.raises(ValueError, match="must belong to this training"):
        run(fresh(9), digits, path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="got a damaged file; delete it"):
        run(fresh(), digits, path)


DATA = {"inputs": torch.linspace(-1, 1, 128).view(32, 4), "targets": torch.arange(32) % 3}
NUMBERS = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-2, "seed": 3, "progress": False}


def linear(seed=0):
    with deterministic(seed):
        return nn.Linear(4, 3)


def stopped(path):
    def after(epoch, _):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minimise(linear(), **DATA, **NUMBERS, after_epoch=after, checkpoint=path)


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 4},
        {"epochs": 1},
        {"epochs": 6},
        {"batch_size": 16},
        {"learning_rate": 0.1},
        {"weight_decay": 0.3},
        {"gradient_limit": None},
        {"inputs": DATA["inputs"].flip(0)},
        {"targets": DATA["targets"].flip(0)},
        {"module": linear(1)},
    ],
)
def test_trainings_of_the_same_network_with_other_arguments_are_refused(tmp_path, changed):
    stopped(path := tmp_path / "training.part")
    with pytest.raises(ValueError, match="must belong to this training"):
        minimise(**{"module": linear(), **DATA, **NUMBERS, **changed}, checkpoint=path)


def test_a_model_is_no_training(tmp_path):
    write_state(path := tmp_path / "model.pt", linear().state_dict())
    with pytest.raises(ValueError, match="must belong to this training"):
        minimise(linear(), **DATA, **NUMBERS, checkpoint=path)


def test_a_loss_that_is_lost_after_going_on_gives_back_the_last_good_epoch(tmp_path):
    def lost(outputs, batch):
        return cross_entropy(outputs, batch) * (float("nan") if batch.step >= 9 else 1)

    def result(checkpoint):
        module = linear()
        with pytest.raises(FloatingPointError):
            minimise(module, **DATA, **NUMBERS, loss=lost, checkpoint=checkpoint)
        return module.weight

    stopped(path := tmp_path / "training.part")
    assert torch.equal(result(path), result(None))
    assert not torch.equal(result(path), linear().weight)
