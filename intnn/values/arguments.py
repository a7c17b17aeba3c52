"""Arguments that are no numbers: of the type that is due, or refused by their names."""

import os
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def instance(value: Any, kind: type[T], name: str, remedy: str) -> T:
    """Return ``value`` if it is of the type that is due.

    Raises:
        TypeError: It is not; the message names the argument, and ends with the remedy.
    """
    if not isinstance(value, kind):
        raise TypeError(f"`{name}` must be of type {kind.__name__}, got {type(value).__name__}; {remedy}")
    return value


def file_path(path: Any) -> Path:
    """Return the path of a file.

    Raises:
        TypeError: It is neither a string nor a Path.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"`path` must be a string or a Path, got {type(path).__name__}; give the name of a file")
    return Path(path)
