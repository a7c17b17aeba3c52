"""Trainings that were stopped go on to the same bits; files that are damaged or another's are refused."""

import pytest
import torch

from plaintext_models.data import datasets
from plaintext_models.data.augment import RandomAffine
from plaintext_models.determinism import deterministic
from plaintext_models.nets.mlp import mlp
from plaintext_models.training.loop import augmented, train

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
