"""Finished runs and trainings on disk, found again only if nothing that decides about them has changed.

The name of a file begins with the SHA-256 of everything that determines its content: the fields of what is run, the
seed, the data, how hard is attacked, the source of the file that defines it and of all files that this one imports,
directly or not, the version of torch, and the processor's instruction set. A command that is stopped loses the run or
the training that it was at, and makes it again to the same bits.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import io
import json
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.papers.experiment import Arrays, Making, Measured, Run, Subject, Trained, Training, Unattacked
from intnn.machine import sources
from intnn.storage.document import write_atomically
from plaintext_models.data import datasets
from plaintext_models.data.datasets import Dataset
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.card import Effort
from plaintext_models.evaluation.judge import Share
from plaintext_models.zoo.cache import code_digest, data_digest
from plaintext_models.zoo.make import Report
from plaintext_models.zoo.recipe import plain

BY_NAME = ("defences",)  # rooms whose files a registry imports by their names, which no import statement shows
LETTERS = 16  # of a digest, in the name of a file
ARRAYS = ".arrays"  # the suffix of files of arrays


@dataclass(frozen=True, eq=False)
class Kept:
    """A finished run.

    Attributes:
        key: The SHA-256 of everything that determines it.
        measured: What it gave.
        seconds: The time of one core that it took, without trainings that were kept already.
        arrays: The file of its arrays; None where it has none.
    """

    key: str
    measured: Measured
    seconds: float
    arrays: Path | None


@functools.cache
def loaded(name: str, folder: Path | None) -> Dataset:
    """A data set, which is read once in a process.

    Raises:
        DatasetError: It is missing; the message says what to do.
    """
    return datasets.load(name, folder)


def making(dataset: Dataset, seed: int, *, keep: Path, report: Report) -> Making:
    """What trainings are given that are kept in a folder.

    Args:
        dataset: What to train on.
        seed: Determines everything random.
        keep: The folder of trainings: one is taken from there if exactly it is there, else made and put there.
        report: Told what is being done.
    """

    def trained(training: Training) -> Trained:
        key = training_key(training, dataset, seed)
        path = keep / f"trained-{key[:LETTERS]}{ARRAYS}"
        with deterministic(seed):  # so that what draws afterwards is not told whether the training was kept
            if (stored := _read_arrays(path, key)) is not None:
                return _restored(path, stored, training.build(given))
            keep.mkdir(parents=True, exist_ok=True)  # before the work: a folder that cannot be made refuses it
            made = training.fit(given)
        state = {f"state/{name}": value.numpy() for name, value in made.module.state_dict().items()}
        _write_arrays(path, key, state | {f"record/{name}": values for name, values in made.record.items()})
        return made

    given = Making(seed, dataset, trained, report)
    return given


def run_key(subject: Subject, dataset: Dataset, effort: Effort | None, images: int, seed: int) -> str:
    """The SHA-256 of everything that determines a run; see `kept`."""
    attack = None if effort is None else [plain(effort), images]
    return _digest(subject, dataset, seed, {"attack": attack, "tests": _tests(dataset)})


def training_key(training: Training, dataset: Dataset, seed: int) -> str:
    """The SHA-256 of everything that determines a training."""
    return _digest(training, dataset, seed, {})


def found(
    subject: Subject, dataset: Dataset, effort: Effort | None, images: int, seed: int, *, keep: Path
) -> Kept | None:
    """The run of a subject, if exactly this one is in the folder; see `kept`.

    Raises:
        ValueError: A file is damaged.
    """
    key = run_key(subject, dataset, effort, images, seed)
    return _read_run(_path(keep, key), key)


def kept(
    subject: Subject, dataset: Dataset, effort: Effort | None, images: int, seed: int, *, keep: Path, report: Report
) -> Kept:
    """The run of a subject: from the folder if exactly this one is there, else made and put there.

    Args:
        subject: What to measure.
        dataset: Its data set.
        effort: How hard the card's attacks try; None to attack nothing, of a subject that is `Unattacked`.
        images: How many test images are attacked.
        seed: Determines everything random.
        keep: The folder.
        report: Told what is being done.

    Raises:
        ValueError: A file is damaged, or a figure is no number.
        FloatingPointError: The loss of a training is no longer finite. Finished runs and trainings stay kept.
    """
    key = run_key(subject, dataset, effort, images, seed)
    path = _path(keep, key)
    if (stored := _read_run(path, key)) is not None:
        return stored
    keep.mkdir(parents=True, exist_ok=True)
    begin = time.process_time()
    with deterministic(seed):
        given = making(dataset, seed, keep=keep, report=report)
        if effort is not None:
            measured = subject.measure(Run(seed, dataset, given.trained, report, images, effort))
        else:
            assert isinstance(subject, Unattacked)
            measured = subject.unattacked(given)
    seconds = round(time.process_time() - begin, 3)
    for name, figure in measured.figures.items():
        if not isinstance(figure, Share) and not math.isfinite(figure):
            raise ValueError(f"`{name}` must be a finite number, got {figure}, with seed {seed}")
    beside = path.with_suffix(ARRAYS) if measured.arrays else None
    if beside is not None:
        _write_arrays(beside, key, measured.arrays)
    content = {
        "digest": key,
        "seed": seed,
        "command": " ".join(sys.argv[1:]),
        "seconds": seconds,
        "figures": {
            name: asdict(figure) if isinstance(figure, Share) else float(figure)
            for name, figure in measured.figures.items()
        },
        "arrays": sorted(measured.arrays),
    }
    content["sha256"] = _check(content)
    write_atomically(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
    return Kept(key, measured, seconds, beside)


def _digest(what: Subject | Training, dataset: Dataset, seed: int, more: Mapping[str, Any]) -> str:
    parts = {
        "what": [type(what).__module__, plain(what)],
        "seed": seed,
        "data": _trainings(dataset),
        "code": code(type(what)),
        **more,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()


def code(kind: type) -> str:
    """The SHA-256 of the source that decides what a subject or a training does, with torch and the processor."""
    rooms = [Path(str(sys.modules[data_digest.__module__].__file__)).parents[1] / room for room in BY_NAME]
    files = [Path(inspect.getfile(kind)), *(path for room in rooms for path in sorted(room.glob("*.py")))]
    digests = [code_digest(BY_NAME), *map(sources.digest, files)]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


@functools.cache
def _trainings(dataset: Dataset) -> str:
    return data_digest(dataset)


@functools.cache
def _tests(dataset: Dataset) -> str:
    return hashlib.sha256(dataset.test_images.tobytes() + dataset.test_labels.tobytes()).hexdigest()


def _path(keep: Path, key: str) -> Path:
    return keep / f"{key[:LETTERS]}.json"


def _read_run(path: Path, key: str) -> Kept | None:
    """The run of a file, if there is one and it is the key's."""
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text("utf-8"))
        if stored["digest"] != key:
            return None
        if stored.pop("sha256") != _check(stored):
            raise ValueError("its SHA-256 is another's")
        figures = {
            name: Share(**entry) if isinstance(entry, dict) else float(entry)
            for name, entry in stored["figures"].items()
        }
        beside = path.with_suffix(ARRAYS) if stored["arrays"] else None
        arrays = {} if beside is None else _read_arrays(beside, key)
        if arrays is None or sorted(arrays) != stored["arrays"]:
            raise ValueError(f"{beside} must hold the run's arrays {', '.join(stored['arrays'])}")
        return Kept(key, Measured(figures, arrays), float(stored["seconds"]), beside)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} must hold a finished run, got a damaged file; delete it to run anew") from error


def _check(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _restored(path: Path, stored: Arrays, module: torch.nn.Module) -> Trained:
    parts: dict[str, dict[str, NDArray[Any]]] = {"state": {}, "record": {}}
    for name, values in stored.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = values
    try:
        module.load_state_dict({name: torch.from_numpy(values) for name, values in parts["state"].items()})
    except RuntimeError as error:
        raise ValueError(f"{path} must hold the network of its training; delete it to train anew: {error}") from error
    return Trained(module.eval(), parts["record"])


def read_arrays(path: Path) -> tuple[str, Arrays]:
    """The digest of what a kept file belongs to, and its arrays by their names.

    A file is a line of that digest and of the SHA-256 of what follows, an .npz archive.

    Raises:
        ValueError: The file is damaged; the message names it.
        OSError: It cannot be read.
    """
    line, _, content = path.read_bytes().partition(b"\n")
    key, _, digest = line.decode("ascii", "replace").partition(" ")
    if digest != hashlib.sha256(content).hexdigest():
        raise ValueError(f"{path} must hold kept arrays, got a damaged file; delete it to run anew")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return key, {name: stored[name] for name in stored.files}


def _read_arrays(path: Path, key: str) -> Arrays | None:
    """The arrays of a file, if there is one and it is the key's."""
    if not path.is_file():
        return None
    belongs_to, arrays = read_arrays(path)
    return arrays if belongs_to == key else None


def _write_arrays(path: Path, key: str, arrays: Arrays) -> None:
    content = io.BytesIO()
    named: dict[str, Any] = dict(arrays)
    np.savez_compressed(content, **named)
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    write_atomically(path, f"{key} {digest}\n".encode() + content.getvalue())
