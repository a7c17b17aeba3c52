"""Functions compiled by Numba and kept on disk for as long as no kernel changes.

Numba looks at a function's own file before it takes the function from its cache. What the function calls, or what emits
its instructions, may stand in another (https://github.com/numba/numba/issues/1833): a kernel of yesterday would compute
with today's tables.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import config


def compiled(function: Callable[..., Any], nogil: bool = True) -> Any:
    """`numba.njit` with a cache on disk that looks at all files of the function's room, and of this one.

    Such a function may take the address of an array only if its caller holds the array: Numba frees one of the
    function's own after its last mention, which may be where its address is taken.

    Args:
        function: Of numbers and arrays.
        nogil: Whether other threads may go on meanwhile.
    """
    result = numba.njit(cache=True, nogil=nogil)(function)
    if not config.DISABLE_JIT:
        index = result._cache._cache_file  # not public, and pinned; there is a test that it still works
        index._source_stamp = index._source_stamp, *map(digest, sorted(rooms(Path(function.__code__.co_filename))))
    return result


def rooms(path: Path) -> set[Path]:
    """The folders whose files decide what a function of this file does: its package's room, and this one.

    A room is a folder right below a package, with everything in it, or the file's folder outside of packages.
    """
    room = path.parent
    while (room.parent.parent / "__init__.py").exists():
        room = room.parent
    return {room, Path(__file__).parent}


@cache
def digest(folder: Path) -> str:
    """SHA-256 over all Python files in a folder and below, with their places."""
    result = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        result.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return result.hexdigest()
