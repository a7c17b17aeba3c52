"""The variables of a network of squares on disk, bound to the plan that they are trained by."""

from __future__ import annotations

import hashlib
import os

from intnn.storage.document import Document, FormatError, read, write
from intnn.training.squares.plan import SquarePlan
from intnn.training.squares.step import NAMES, SquareState, require_state

KIND = "SquareState"


def save(path: str | os.PathLike[str], plan: SquarePlan, state: SquareState, steps: int) -> None:
    """Write the variables behind so many steps, whole or not at all.

    Raises:
        ValueError: The suffix is neither .npz nor .json, or the variables are not the plan's.
        OSError: It cannot be written; an earlier file stays as it was.
    """
    require_state(plan, state)
    write(Document(KIND, {"plan": _digest(plan), "steps": steps}, {n: getattr(state, n) for n in NAMES}), path)


def load(path: str | os.PathLike[str], plan: SquarePlan) -> tuple[SquareState, int]:
    """Read variables and the number of steps behind them.

    Raises:
        FormatError: The file is corrupt, or belongs to another plan.
        OSError: It cannot be read.
    """
    document = read(path, KIND)
    steps = document.content.get("steps")
    if document.content.get("plan") != _digest(plan):
        raise FormatError("plan", f"must be that of this run; {path} belongs to another: name a new file")
    if type(steps) is not int or steps < 0 or set(document.arrays) != set(NAMES):
        raise FormatError("steps", f"must be a number, beside {', '.join(NAMES)}; store the variables again")
    try:
        state = SquareState(**document.arrays)
        require_state(plan, state)
    except (TypeError, ValueError) as error:
        raise FormatError("first", f"must be variables of the plan: {error}") from error
    return state, steps


def _digest(plan: SquarePlan) -> str:
    """Hash what `repr` says of the plan: the names of its fields are part of the format."""
    return hashlib.sha256(repr(plan).encode()).hexdigest()
