"""Trained models on disk, found again only if nothing that decides about them has changed.

The name of a file holds the SHA-256 of everything that determines its content: all fields of the recipe, the training
images and labels, the source of every module that trains, the version of torch, and the processor's instruction set,
which decides how sums are rounded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

import intnn
import plaintext_models
from plaintext_models.data.datasets import Dataset
from plaintext_models.training.checkpoint import read_state, write_state
from plaintext_models.zoo.make import Report, make, untrained
from plaintext_models.zoo.recipe import Recipe

#: Folders and files whose source decides what a training gives.
ROOMS = (
    "data",
    "nets",
    "stochastic",
    "training",
    "proofs",
    "attacks",
    "determinism.py",
    "zoo/recipe.py",
    "zoo/make.py",
)
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

    A training that was stopped goes on where its last epoch ended, to the same bits.

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
    if folder is None:
        return make(recipe, dataset, report=report)
    path = folder / f"{recipe.dataset}-{recipe.network}-{key(recipe, dataset)}.pt"
    if path.is_file():
        module = untrained(recipe, dataset)
        module.load_state_dict(read_state(path))
        return module.eval()
    path.parent.mkdir(parents=True, exist_ok=True)  # before the work: a folder that cannot be made refuses it
    unfinished = path.with_suffix(".part")
    module = make(recipe, dataset, report=report, checkpoint=unfinished)
    write_state(path, module.state_dict())
    unfinished.unlink()
    return module
