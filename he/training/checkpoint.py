"""What a trainer of a head needs to go on, on disk: the gradients of all steps, bound to their run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from he.formats import stored
from he.formats.stored import StoredError
from he.training.plan import HeadPlan

KIND = "gradients of a head"
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
    arrays = run_arrays(path, KIND, run)
    if not 0 < len(arrays) <= plan.descent.steps:
        raise StoredError(f"{path} must hold 1 to {plan.descent.steps} steps, got {len(arrays)}; store it again")
    made = zip(plan.scales, range(len(arrays)), strict=False)
    return [_gradient(path, arrays.get(f"{step}"), plan, scales.level - 1) for scales, step in made]


def run_arrays(path: str | os.PathLike[str], kind: str, run: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return the arrays of a file of this kind and run.

    Raises:
        StoredError: The file is damaged or foreign, or belongs to another run; the message says what differs.
        OSError: It cannot be read.
    """
    content, arrays = stored.read(path, kind, "begin the run again in another file")
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
