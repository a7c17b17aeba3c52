"""Functions compiled by Numba and kept on disk for as long as no kernel changes.

Numba looks at a function's own file before it takes the function from its cache. What the function calls, or what emits
its instructions, may stand in another (https://github.com/numba/numba/issues/1833): a kernel of yesterday would compute
with today's tables.
"""

import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba import types
from numba.core import config, event
from numba.core.compiler_lock import global_compiler_lock

_wanted: list[Callable[[], None]] = []  # what modules have asked for and nobody has needed yet
_NOTES = {"he": "; `python -m he warm` does it beforehand"}


def compiled(function: Callable[..., Any], nogil: bool = True) -> Any:
    """`numba.njit` with a cache on disk that looks at all files of the function's room, and of this one.

    Such a function may take the address of an array only if its caller holds the array: Numba frees one of the
    function's own after its last mention, which may be where its address is taken.

    Args:
        function: Of numbers and arrays.
        nogil: Whether other threads may go on meanwhile.
    """
    result = numba.njit(cache=True, nogil=nogil, no_cfunc_wrapper=True)(function)
    if not config.DISABLE_JIT:
        renewed(result, Path(function.__code__.co_filename))
        compile_or_load = result.compile

        def after_others(arguments: Any) -> Any:
            with global_compiler_lock:  # Numba's own, which it holds whenever it compiles: one lock has one order
                while _wanted:
                    _wanted.pop()()
            return compile_or_load(tuple(map(types.unliteral, arguments)))  # not anew for every number in a call

        result.compile = after_others
    return result


def before_any_kernel(ready: Callable[[], None]) -> None:
    """Have something done before the next `compiled` function is compiled or taken from the disk, whichever it is."""
    _wanted.append(ready)


def renewed(function: Any, path: Path) -> None:
    """Let Numba's cache of a function from this file look at all files of its rooms."""
    index = function._cache._cache_file  # not public, and pinned; there is a test that it still works
    index._source_stamp = index._source_stamp, *map(digest, sorted(rooms(path)))


class _Announcement(event.Listener):
    """Says once for a package that its kernels are being compiled: it takes a while, and nothing else would say so."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def on_start(self, event: Any) -> None:
        package = event.data["dispatcher"].py_func.__module__.split(".")[0]
        if package in ("intnn", "he") and package not in self._said:
            self._said.add(package)
            note = _NOTES.get(package, "")
            logging.getLogger(package).warning("compiling kernels for this processor, once for all runs%s", note)

    def on_end(self, event: Any) -> None:
        """Nothing to say."""


event.register("numba:compile", _Announcement())


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
