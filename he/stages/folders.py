"""Folders that appear whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StageError(ValueError):
    """A stage was run out of order or twice, or its folder holds what belongs to another model or key."""


@contextmanager
def new_folder(path: Path, *, replace: bool = False, private: bool = False) -> Iterator[Path]:
    """Give a folder to write into, which becomes `path` at the end; after an error nothing of it is left.

    Args:
        path: the folder; the one that it stands in is made if there is none.
        replace: whether a folder that is there already is replaced, at the end.
        private: whether nobody but its owner may enter it.

    Raises:
        StageError: if the folder is there, and is not to be replaced.
        OSError: if it cannot be written.
    """
    _require_new(path, replace)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft, old = (path.with_name(f".{path.name}.{secrets.token_hex(4)}.{end}") for end in ("tmp", "old"))
    draft.mkdir(mode=0o700 if private else 0o777)
    try:
        yield draft
        if path.exists():
            _require_new(path, replace)  # another process may have made it
            path.rename(old)
        draft.rename(path)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)  # the new one could not take its place
        for left in (draft, old):
            shutil.rmtree(left, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a folder that a stage has made, if it is there."""
    if path.exists():
        shutil.rmtree(path)


def read_message(path: Path, most: int) -> bytes:
    """Return the bytes of a message that another party wrote, cut where it is longer than it may be, to be refused.

    Raises:
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        return file.read(most + 1)


def require_made(path: Path, stage: str) -> Path:
    """Return a file or folder that a stage has made.

    Raises:
        StageError: if there is none.
    """
    if not path.exists():
        raise StageError(f"there must be {path}, which the stage `{stage}` makes: run that first")
    return path


def _require_new(path: Path, replace: bool) -> None:
    if path.exists() and not replace:
        raise StageError(f"{path} must not be there: this stage has been run; remove it, or use another folder")
