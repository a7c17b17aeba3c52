"""Functions compiled by Numba and kept on disk for as long as nothing that decides their instructions changes.

Numba looks at a function's own file before it takes the function from its cache. What the function calls, and what
emits its instructions, may stand in other files (https://github.com/numba/numba/issues/1833): a kernel of yesterday
would compute with today's tables. Here the cache looks at all files that the function's file imports, directly or not.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba import types
from numba.core import config, event
from numba.core.compiler_lock import global_compiler_lock

_wanted: list[Callable[[], None]] = []  # what modules have asked for and nobody has needed yet
_NOTES = {"he": "; `python -m he warm` does it beforehand"}

STATEMENT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?import[ \t]*(\([^)]*\)|[^\n]*)", re.MULTILINE)
NAME = re.compile(r"(?<!\bas )(?<![\w.])(?!as\b)[\w.*]+")  # every word but "as" and what follows it


def compiled(function: Callable[..., Any], nogil: bool = True) -> Any:
    """`numba.njit` with a cache on disk that is renewed when a file changes on which the function depends.

    Such a function may take the address of an array only if its caller holds the array: Numba frees an array of the
    function's own after its last mention, which may be where its address is taken.

    Args:
        function: A function of numbers and arrays.
        nogil: Whether other threads may run meanwhile.
    """
    result = numba.njit(cache=True, nogil=nogil, no_cfunc_wrapper=True)(function)
    if not config.DISABLE_JIT:
        renewed(result, Path(function.__code__.co_filename))
        compile_or_load = result.compile

        def after_others(arguments: Any) -> Any:
            with global_compiler_lock:  # Numba's own, which it holds whenever it compiles: one lock has one order
                while _wanted:
                    ready = _wanted.pop()  # before it is done: it may compile functions itself
                    try:
                        ready()
                    except BaseException:
                        _wanted.append(ready)
                        raise
            return compile_or_load(tuple(map(types.unliteral, arguments)))  # not anew for every number in a call

        result.compile = after_others
    return result


def before_any_kernel(ready: Callable[[], None]) -> None:
    """Have something done before the next `compiled` function is compiled or taken from the disk, whichever it is."""
    _wanted.append(ready)


def renewed(function: Any, path: Path) -> None:
    """Let Numba's cache of a function from this file look at all files on which it depends."""
    index = function._cache._cache_file  # not public, and pinned; there is a test that it still works
    index._source_stamp = index._source_stamp, digest(path)


class _Announcement(event.Listener):
    """Says once for a package that its kernels are being compiled: it takes a while, and nothing else would say so."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def on_start(self, event: Any) -> None:
        name = event.data["dispatcher"].py_func.__module__
        package = name.split(".")[0]
        ours = package in ("intnn", "he") and not name.startswith(
            f"{__package__}."
        )  # this room's own are a moment's work
        if ours and package not in self._said:
            self._said.add(package)
            note = _NOTES.get(package, "")
            logging.getLogger(package).warning("compiling kernels for this processor, once for all runs%s", note)

    def on_end(self, event: Any) -> None:
        """Nothing to say."""


event.register("numba:compile", _Announcement())


@cache
def digest(path: Path) -> str:
    """SHA-256 over a Python file and all files that it depends on, with their names."""
    result = hashlib.sha256()
    for source in sorted(sources(path)):
        content = source.read_bytes()
        result.update(f"{module(source)} {len(content)}\n".encode() + content)
    return result.hexdigest()


def sources(path: Path) -> set[Path]:
    """A Python file and all that it imports, directly or not, as far as the files lie beside its package or ours.

    Installed libraries do not count, nor does a package's ``__init__`` that only leads to one of its modules.
    """
    found, new = set[Path](), {path}
    while new:
        found |= new
        new = {imported for source in new for imported in imports(source)} - found
    return found


@cache
def imports(path: Path) -> frozenset[Path]:
    """The files that one Python file imports, in whatever line."""
    folders = dict.fromkeys((root(path), root(Path(__file__))))
    places = (find(name, folder) for name in names(path) for folder in folders)
    return frozenset(place for place in places if place is not None)


def names(path: Path) -> Iterator[str]:
    """The dotted names of everything that a file imports: of modules, and of what may be one.

    A pattern finds the statements, since to parse all kernels would take a tenth of the time in which they are
    imported; a test holds that it finds what the parser finds. A name too many, from a comment, does no harm. Relative
    imports, which these packages do not use, are not followed.
    """
    for package, what in STATEMENT.findall(path.read_text("utf-8")):
        for name in NAME.findall(what):
            yield f"{package}.{name}" if package else name


@cache
def find(name: str, folder: Path) -> Path | None:
    """The file below ``folder`` of the module ``name``, or of the module that defines ``name``, if there is one."""
    for end in (name, name.rpartition(".")[0]):
        place = folder.joinpath(*end.split("."))
        for candidate in (place.with_suffix(".py"), place / "__init__.py"):
            if end and candidate.is_file():
                return candidate
    return None


def module(path: Path) -> str:
    """The dotted name of a file's module."""
    return ".".join(path.relative_to(root(path)).with_suffix("").parts)


@cache
def root(path: Path) -> Path:
    """The folder that a file's module is imported from: the one above its outermost package."""
    folder = path.parent
    while (folder / "__init__.py").exists():
        folder = folder.parent
    return folder
