"""Trained models on disk, found again only if nothing that decides about them has changed.

The name of a file holds the SHA-256 of everything that determines its content: all fields of the recipe, the training
images and labels, the source of every module that trains, the version of torch, and the processor's instruction set,
which decides how sums are rounded.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

import intnn
import plaintext_models
from intnn.storage.document import write_atomically
from plaintext_models.data.datasets import Dataset
from plaintext_models.zoo.make import Report, make, untrained
from plaintext_models.zoo.recipe import Recipe

#: Folders and files whose source decides what a training gives.
ROOMS = ("data", "nets", "stochastic", "training", "attacks", "determinism.py", "zoo/recipe.py", "zoo/make.py")
VALUES = ("values",)  # of intnn: domains and rounding, which layers of integers train with


def code_digest(rooms: Sequence[str] = ROOMS) -> str:
    """The SHA-256 of the source in some rooms, of torch's version and of the processor's instruction set."""
    digest = hashlib.sha256()
    for package, places in ((plaintext_models, rooms), (intnn, VALUES)):
        root = Path(str(package.__file__)).parent
        for room in places:
            place = root / room
            for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
                content = path.read_bytes()
                digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    digest.update(f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()}".encode())
    return digest.hexdigest()


def data_digest(dataset: Dataset) -> str:
    """The SHA-256 of the training part: shapes, classes, and the little-endian bytes of images and labels."""
    digest = hashlib.sha256(repr((dataset.input_shape, dataset.classes, len(dataset.train_labels))).encode())
    for values in (dataset.train_images, dataset.train_labels):
        digest.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def key(recipe: Recipe, dataset: Dataset) -> str:
    """The SHA-256 of everything that determines the trained model, in hexadecimal."""
    parts = {"recipe": recipe.canonical(), "data": data_digest(dataset), "code": code_digest()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def trained(recipe: Recipe, dataset: Dataset, *, folder: Path | None = None, report: Report | None = None) -> nn.Module:
    """The model of a recipe: from the cache if exactly this one is there, else trained and put there.

    Args:
        recipe: What to make.
        dataset: What to train it on.
        folder: Where trained models are kept; None trains anew and keeps nothing.
        report: Told what goes on.

    Returns:
        The module, in evaluation mode.

    Raises:
        ValueError: The file in the cache is damaged. The message names it; delete it to train anew.
    """
    train = functools.partial(make, recipe, dataset, report=report)
    if folder is None:
        return train()
    path = folder / f"{recipe.dataset}-{recipe.network}-{key(recipe, dataset)}.pt"
    if path.is_file():
        return _read(path, untrained(recipe, dataset))
    return _write(path, train)


def _read(path: Path, module: nn.Module) -> nn.Module:
    """Fill the module with the state that a file holds."""
    digest, _, state = path.read_bytes().partition(b"\n")
    if digest != hashlib.sha256(state).hexdigest().encode():
        raise ValueError(f"{path} must hold the state of a trained model, got a damaged file; delete it to train anew")
    module.load_state_dict(torch.load(io.BytesIO(state), weights_only=True))
    return module.eval()


def _write(path: Path, train: Callable[[], nn.Module]) -> nn.Module:
    """Train, and store the state after its own SHA-256, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)  # before the work: a folder that cannot be made refuses it
    module, state = train(), io.BytesIO()
    torch.save(module.state_dict(), state)
    write_atomically(path, hashlib.sha256(state.getvalue()).hexdigest().encode() + b"\n" + state.getvalue())
    return module
