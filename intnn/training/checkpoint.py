"""The state of a training run on disk, bound to the network, the schedule and the data of the run."""

import hashlib
import os
from typing import Any

import numpy as np

from intnn.storage.document import Document, FormatError, read, write
from intnn.training.examples import Examples
from intnn.training.plan import Plan
from intnn.training.schedule import Schedule
from intnn.training.step import Variables, initialise

KIND = "Checkpoint"
FIELDS = ("weights", "bias", "weight_velocity", "bias_velocity")


def identity(plan: Plan, data: str, schedule: Schedule) -> dict[str, str]:
    """The digests of the network, the schedule and the data: a run goes on only where all are the same.

    They hash what `repr` says of plans and schedules, so that the names of these classes and fields are part of the
    format.
    """
    return {
        "network": hashlib.sha256(repr(plan).encode() + _tables(plan)).hexdigest(),
        "schedule": hashlib.sha256(repr(schedule).encode()).hexdigest(),
        "data": data,
    }


def data_digest(examples: Examples) -> str:
    """What names a run's data in its `identity`."""
    data = hashlib.sha256(repr((examples.inputs.shape, examples.labels.shape)).encode())
    data.update(examples.inputs.tobytes())
    data.update(examples.labels.astype("<i8").tobytes())
    if examples.repeats is not None:
        data.update(examples.repeats.astype("<i8").tobytes())
    return data.hexdigest()


def save(path: str | os.PathLike[str], state: list[Variables], epochs: int, identity: dict[str, str]) -> None:
    """Write the state after so many epochs, whole or not at all.

    Raises:
        ValueError: The suffix is neither .npz nor .json.
        OSError: It cannot be written; an earlier checkpoint stays as it was.
    """
    arrays = {
        f"blocks.{i}.{name}": getattr(block, name).astype(np.int64) for i, block in enumerate(state) for name in FIELDS
    }
    write(Document(KIND, {"identity": identity, "epochs": epochs}, arrays), path)


def load(path: str | os.PathLike[str], plan: Plan, identity: dict[str, str]) -> tuple[list[Variables], int]:
    """Read a state and the number of epochs behind it.

    Raises:
        FormatError: The file is corrupt, or it belongs to another run; the message says which part differs.
    """
    document = read(path, KIND)
    saved: Any = document.content.get("identity")
    for name, digest in identity.items():
        if not isinstance(saved, dict) or saved.get(name) != digest:
            raise FormatError(
                f"identity.{name}", f"must be that of this run; {path} belongs to another: name a new file"
            )
    state = initialise(plan, 0)  # it has the shapes
    for i, block in enumerate(state):
        for name in FIELDS:
            values, target = document.arrays[f"blocks.{i}.{name}"], getattr(block, name)
            target[...] = values.reshape(target.shape)
    return state, int(document.content["epochs"])


def _tables(plan: Plan) -> bytes:
    """The content of a plan's tables, which `repr` does not show."""
    tables = [block.activation for block in plan.blocks if block.activation is not None]
    return b"".join(lut.table.tobytes() for t in tables for lut in (t.values, t.slopes))
