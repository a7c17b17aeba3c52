"""Compiled functions on disk: renewed when a file changes on which they depend, and never in a call's way.

Numba looks at a function's own file before it takes the function from its cache. What the function calls, and what
emits its instructions, may stand in other files (https://github.com/numba/numba/issues/1833): a kernel of yesterday
would compute with today's tables. Here the cache looks at all files that the function's file imports, directly or not;
`intnn.machine.sources` finds them.

Numba also refuses to define a function for which it has no folder, and passes on what a full disk or a damaged file
makes of saving and loading. Here a function that cannot be loaded is compiled, and one that cannot be kept is used all
the same.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Hashable
from functools import cache
from pathlib import Path
from typing import Any

from numba.core import caching, config
from numba.core.runtime import rtsys

from intnn.machine.sources import digest


def folders(path: Path) -> list[Path]:
    """Where the functions of a Python file may be kept, the first choice first.

    That is in the folder that NUMBA_CACHE_DIR names, and nowhere else if it names one; otherwise beside the file, or
    else in the user's own cache.
    """
    if config.CACHE_DIR:
        return [Path(config.CACHE_DIR, _subfolder(path)).absolute()]
    home = Path(caching.AppDirs(appname="numba", appauthor=False).user_cache_dir)
    return [path.parent / "__pycache__", *([home / _subfolder(path)] if home.is_absolute() else [])]


def writeable_folder(path: Path) -> Path | None:
    """The first of a file's `folders` that may be written to, or made."""
    return next((folder for folder in folders(path) if _may_be_made(folder)), None)


class Anywhere(caching.InTreeCacheLocator):
    """Numba's names for a function's files, whether or not they may be written."""

    @classmethod
    def from_function(cls, function: Callable[..., Any], path: str) -> "Anywhere":
        """The names for this function of this file."""
        return cls(function, path)


class _Form(caching.CompileResultCacheImpl):
    _locator_classes = [Anywhere]  # noqa: RUF012 - Numba's


class KeptFunction(caching.FunctionCache):
    """The compiled forms of one function, in the place of Numba's own cache of it."""

    # These classes of Numba's are not public; its version is pinned, and tests hold that this still works.
    _impl_class = _Form

    def __init__(self, function: Callable[..., Any]):
        super().__init__(function)
        path = Path(function.__code__.co_filename)
        stamp = self._cache_file._source_stamp, digest(path)
        name = self._impl.filename_base
        self._files = [caching.IndexDataCacheFile(str(folder), name, stamp) for folder in folders(path)]

    def load_overload(self, signature: Any, context: Any) -> Any:
        """The compiled form from the first folder that has it, or None.

        What Numba knows of Python's and numpy's functions, which takes longer to load than many kernels, is for what is
        compiled, and Numba's compiler loads it then.
        """
        self._prepare(context)
        key = self._index_key(signature, context.codegen())
        for file in self._files:
            try:
                found = file.load(key)
                if found is None:
                    continue
                owner, data = found
                if owner == key:
                    return self._impl.rebuild(context, data)
                _disown(file, key)  # two processes wrote at once, and chose one name
            except Exception as error:  # a damaged file raises whatever its bytes happen to say
                if not self._is_of_file(error):
                    raise
                _forget(file)
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep a compiled form in the first folder that takes it."""
        if not self._impl.check_cachable(result):
            return
        key, data = self._index_key(signature, result.codegen), self._impl.reduce(result)
        problems = []
        for file in self._files:
            try:
                Path(file._cache_path).mkdir(parents=True, exist_ok=True)
                file.save(key, (key, data))
                return
            except Exception as error:  # a disk's, or that of a damaged file that may not be removed
                problems.append(repr(error))
                _forget(file)  # its index may name data that was not written
        _say_not_kept(problems[0])

    def _is_of_file(self, error: Exception) -> bool:  # noqa: ARG002
        """Whether what went wrong while a file was loaded may be the file's fault, which is forgotten then."""
        return True

    def _prepare(self, context: Any) -> None:
        """Have ready what machine code calls: Numba's runtime."""
        rtsys.initialize(context)

    def flush(self) -> None:
        """Forget what is kept."""
        for file in self._files:
            _forget(file)


def _forget(file: Any) -> None:
    """Remove an index, so that nothing is loaded by it; where that is not allowed, nothing can be saved either."""
    with contextlib.suppress(OSError):
        Path(file._index_path).unlink(missing_ok=True)


def _disown(file: Any, key: Hashable) -> None:
    """Remove one entry of an index: what is saved for it then has a name of its own."""
    owned = file._load_index()
    owned.pop(key, None)
    file._save_index(owned)


@cache  # once is enough
def _say_not_kept(problem: str) -> None:
    logging.getLogger("intnn").warning(
        "compiled kernels cannot be kept for later runs: %s; "
        "name a folder that may be written to in the variable NUMBA_CACHE_DIR",
        problem,
    )


def _subfolder(path: Path) -> str:
    return caching._CacheLocator.get_suitable_cache_subpath(str(path))


def _may_be_made(folder: Path) -> bool:
    for place in (folder, *folder.parents):
        try:
            place.stat()
        except FileNotFoundError:
            continue
        except OSError:  # below a file or a folder that may not be searched, or with a name that is too long
            return False
        break
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
