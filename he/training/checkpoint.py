"""What a trainer needs to go on, on disk: ciphertexts, written whole or not at all, and bound to their run.

Of a head, the gradients of all steps; where an owner refreshes weights, its messages with these, now and before the
last step.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from he.formats import stored
from he.formats.messages import Kind, MessageError
from he.formats.stored import StoredError
from he.training.plan import HeadPlan
from he.training.refresh import PackedWeights
from he.training.refreshed import RefreshedPlan

KIND = "gradients of a head"
WEIGHTS_KIND = "refreshed weights"
Gradient = list[np.ndarray]  # packed


def save(path: str | os.PathLike[str], run: Mapping[str, str], gradients: Sequence[Gradient]) -> None:
    """Write the gradients of all steps so far.

    Args:
        path: The file.
        run: What names the run: its plan, whitening, keys and samples.
        gradients: The gradients, step by step.

    Raises:
        OSError: The file cannot be written; one that was there stays as it was.
    """
    stored.write(path, KIND, {"run": dict(run)}, {f"{step}": np.stack(g) for step, g in enumerate(gradients)})


def load(path: str | os.PathLike[str], run: Mapping[str, str], plan: HeadPlan) -> list[Gradient]:
    """Read what `save` wrote for the same run.

    Raises:
        StoredError: The file is damaged or foreign, or belongs to another run; the message says what differs.
        OSError: It cannot be read.
    """
    arrays = _arrays(path, KIND, run)
    if not 0 < len(arrays) <= plan.descent.steps:
        raise StoredError(f"{path} must hold 1 to {plan.descent.steps} steps, got {len(arrays)}; store it again")
    made = zip(plan.scales, range(len(arrays)), strict=False)
    return [_gradient(path, arrays.get(f"{step}"), plan, scales.level - 1) for scales, step in made]


def save_weights(path: str | os.PathLike[str], run: Mapping[str, str], weights: Sequence[PackedWeights]) -> None:
    """Write the last two fresh weights, the older ones first.

    Raises:
        OSError: The file cannot be written; one that was there stays as it was.
    """
    arrays = {f"{i}": np.frombuffer(one.to_bytes(), np.uint8) for i, one in enumerate(weights)}
    stored.write(path, WEIGHTS_KIND, {"run": dict(run)}, arrays)


def load_weights(path: str | os.PathLike[str], run: Mapping[str, str], plan: RefreshedPlan) -> list[PackedWeights]:
    """Read what `save_weights` wrote for the same run.

    Raises:
        StoredError: The file is damaged or foreign, or belongs to another run; the message says what differs.
        OSError: It cannot be read.
    """
    arrays = _arrays(path, WEIGHTS_KIND, run)
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


def _arrays(path: str | os.PathLike[str], kind: str, run: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return the arrays of a file of this kind and run."""
    content, arrays = stored.read(path, kind)
    saved = content.get("run")
    for name, digest in run.items():
        if not isinstance(saved, dict) or saved.get(name) != digest:
            raise StoredError(f"{path} belongs to a run with other {name}; name a new file")
    return arrays


def _gradient(path: str | os.PathLike[str], array: np.ndarray | None, plan: HeadPlan, level: int) -> Gradient:
    shape, primes = (plan.packed, 2, level, plan.degree), np.array(plan.parameters.primes[:level])
    if array is None or array.shape != shape or array.dtype != np.uint64:
        raise StoredError(f"{path} must hold gradients uint64 {list(shape)}; store it again")
    if not (array < primes.astype(np.uint64)[:, None]).all():
        raise StoredError(f"{path} must hold residues below their primes; store it again")
    return list(array.copy())
