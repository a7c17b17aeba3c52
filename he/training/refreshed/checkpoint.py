"""What a trainer needs to go on, on disk: its owner's messages with weights, now and before the last step."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from he.formats import stored
from he.formats.messages import Kind, MessageError
from he.formats.stored import StoredError
from he.training.checkpoint import run_arrays
from he.training.refreshed.messages import PackedWeights
from he.training.refreshed.plan import RefreshedPlan

KIND = "refreshed weights"


def save(path: str | os.PathLike[str], run: Mapping[str, str], weights: Sequence[PackedWeights]) -> None:
    """Write the last two fresh weights, the older ones first.

    Raises:
        OSError: The file cannot be written; one that was there stays as it was.
    """
    arrays = {f"{i}": np.frombuffer(one.to_bytes(), np.uint8) for i, one in enumerate(weights)}
    stored.write(path, KIND, {"run": dict(run)}, arrays)


def load(path: str | os.PathLike[str], run: Mapping[str, str], plan: RefreshedPlan) -> list[PackedWeights]:
    """Read what `save` wrote for the same run.

    Raises:
        StoredError: The file is damaged or foreign, or belongs to another run; the message says what differs.
        OSError: It cannot be read.
    """
    arrays = run_arrays(path, KIND, run)
    if sorted(arrays) != ["0", "1"] or any(array.dtype != np.uint8 for array in arrays.values()):
        raise StoredError(f"{path} must hold two messages of weights, got {sorted(arrays)}; store it again")
    messages = (arrays[name].tobytes() for name in ("0", "1"))
    try:
        before, now = (PackedWeights.from_bytes(Kind.FRESH_WEIGHTS, message, plan) for message in messages)
    except MessageError as error:
        raise StoredError(f"{path} must hold two messages of weights: {error}; store it again") from error
    if now.step != before.step + 1 or now.origin != before.origin:
        raise StoredError(f"{path} must hold the weights of two steps, one behind the other; store it again")
    return [before, now]
