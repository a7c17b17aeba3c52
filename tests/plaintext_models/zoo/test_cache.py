"""The cache: a model is found again only if recipe, data and code are those that made it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import plaintext_models
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.data.augment import RandomAffine
from plaintext_models.data.datasets import Dataset
from plaintext_models.zoo import cache
from plaintext_models.zoo.cache import code_digest, data_digest, key, trained
from plaintext_models.zoo.recipe import Hardening, Recipe

RECIPE = Recipe(
    "To be found again.", "digits", "mlp", {"hidden": (8,)}, epochs=1, learning_rate=5e-3, batch_size=32, seed=1
)


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    images, labels = rng.random((64, 1, 4, 4), np.float32), rng.integers(0, 3, 64)
    return Dataset("digits", (1, 4, 4), 3, images, labels, images[:4].copy(), labels[:4].copy())


@pytest.fixture
def makings(monkeypatch):
    """The recipes that were trained."""
    seen, make = [], cache.make

    def counted(recipe, dataset, **options):
        seen.append(recipe)
        return make(recipe, dataset, **options)

    monkeypatch.setattr(cache, "make", counted)
    return seen


def same(a, b):
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


def test_the_same_is_found_again(tmp_path, data, makings):
    first, second = (trained(RECIPE, data, folder=tmp_path / "new") for _ in range(2))
    assert makings == [RECIPE]
    assert same(first, second)
    assert not second.training
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_without_a_folder_it_is_trained_anew(data, makings):
    assert same(trained(RECIPE, data), trained(RECIPE, data))
    assert len(makings) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 2},
        {"learning_rate": 4e-3},
        {"batch_size": 16},
        {"weight_decay": 0.1},
        {"gradient_limit": None},
        {"unit_variance": True},
        {"augment": RandomAffine(5, 0, 0, 0)},
        {"augment": RandomAffine(5, 0, 0, 0.5)},
        {"hardening": Hardening(Ball("linf", 0.1), 2)},
        {"hardening": Hardening(Ball("l2", 0.1), 2)},
        {"hardening": Hardening(Ball("linf", 0.1), 2, ramp=0)},
        {"hardening": Hardening(Ball("linf", 0.1), 3)},
        {"hardening": Hardening(Ball("linf", 0.1), 2, ramp=0.25)},
        {"seed": 2},
        {"options": {"hidden": (9,)}},
        {"options": {"hidden": (8,), "activation": "tanh"}},
        {"network": "pooled_cnn", "options": {}},
        {"dataset": "mnist"},
        {"purpose": "Another."},
        {"kind": "shipped"},
    ],
)
def test_another_recipe_has_another_key(data, change):
    assert key(replace(RECIPE, **change), data) != key(RECIPE, data)


def test_a_changed_recipe_is_trained_anew(tmp_path, data, makings):
    first = trained(RECIPE, data, folder=tmp_path)
    second = trained(replace(RECIPE, learning_rate=4e-3), data, folder=tmp_path)
    assert len(makings) == 2
    assert not same(first, second)


@pytest.mark.parametrize("part", ["train_images", "train_labels"])
def test_one_changed_byte_of_the_data_trains_anew(tmp_path, data, makings, part):
    trained(RECIPE, data, folder=tmp_path)
    values = getattr(data, part).copy()
    content = values.view(np.uint8).reshape(-1)
    content[0] = content[0] ^ 1 if part == "train_images" else (content[0] + 1) % 3
    changed = replace(data, **{part: values})
    assert data_digest(changed) != data_digest(data)
    trained(RECIPE, changed, folder=tmp_path)
    assert len(makings) == 2


def test_other_code_trains_anew(tmp_path, data, makings, monkeypatch):
    trained(RECIPE, data, folder=tmp_path)
    monkeypatch.setattr(cache, "code_digest", lambda: "another")
    trained(RECIPE, data, folder=tmp_path)
    assert len(makings) == 2


def test_the_code_digest_sees_every_room_and_torch(tmp_path, monkeypatch):
    package = tmp_path / "package"
    for room in cache.ROOMS:
        place = package / room
        if room.endswith(".py"):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("a = 1\n")
        else:
            (place / "inner").mkdir(parents=True)
            (place / "inner" / "deep.py").write_text("a = 1\n")
    monkeypatch.setattr(plaintext_models, "__file__", str(package / "__init__.py"))
    before = code_digest()
    assert code_digest() == before
    for room in cache.ROOMS:
        path = package / room if room.endswith(".py") else package / room / "inner" / "deep.py"
        path.write_text("a = 2\n")
        assert code_digest() != before, room
        path.write_text("a = 1\n")
    assert code_digest() == before
    (package / "nets" / "new.py").write_text("")
    assert code_digest() != before
    (package / "nets" / "new.py").unlink()
    monkeypatch.setattr(torch, "__version__", "0.0")
    assert code_digest() != before


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:-9] + bytes([b[-9] ^ 1]) + b[-8:]])
def test_a_damaged_file_is_refused(tmp_path, data, makings, damage):
    trained(RECIPE, data, folder=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{path.name} must hold .* damaged file; delete it to train anew"):
        trained(RECIPE, data, folder=tmp_path)
    path.unlink()
    trained(RECIPE, data, folder=tmp_path)
    assert len(makings) == 2


def test_an_interrupted_training_leaves_no_file(tmp_path, data, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "make", interrupt)
    with pytest.raises(KeyboardInterrupt):
        trained(RECIPE, data, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_write_leaves_no_file(tmp_path, data, monkeypatch):
    def fails(*_, **__):
        raise OSError("no space")

    monkeypatch.setattr("os.replace", fails)
    monkeypatch.setattr("pathlib.Path.replace", fails)
    with pytest.raises(OSError, match="no space"):
        trained(RECIPE, data, folder=tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".pt"]


def test_says_what_goes_on(tmp_path, data):
    told = []
    trained(RECIPE, data, folder=tmp_path, report=told.append)
    trained(RECIPE, data, folder=tmp_path, report=told.append)
    assert len(told) == 1
    assert told[0].startswith("epoch 1 of 1: loss ")
