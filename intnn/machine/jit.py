"""Functions compiled by Numba, and kept on disk by `intnn.machine.kept`."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numba
from numba import types
from numba.core import config, event
from numba.core.compiler_lock import global_compiler_lock

from intnn.machine.kept import KeptFunction, writeable_folder

_wanted: list[Callable[[], None]] = []  # what modules have asked for, and no kernel has needed yet
_NOTES = {"he": "; `python -m he warm` does it beforehand"}


def compiled(function: Callable[..., Any], nogil: bool = True) -> Any:
    """`numba.njit` with a cache on disk, which is renewed when a file changes on which the function depends.

    Such a function may take the address of an array only if its caller holds the array: Numba frees an array of the
    function's own after its last mention, which may be where its address is taken.

    Args:
        function: A function of numbers and arrays.
        nogil: Whether other threads may run meanwhile.

    Returns:
        The compiled function. Where NUMBA_DISABLE_JIT turns Numba's compiler off, a call of it is a RuntimeError:
        Python cannot run what emits instructions, and its integers do not wrap.
    """
    if config.DISABLE_JIT:
        return _refused
    result = numba.njit(nogil=nogil, no_cfunc_wrapper=True)(function)
    result._cache = KeptFunction(function)
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


def _refused(*_arguments: Any) -> NoReturn:
    raise RuntimeError(
        "the kernels need Numba's compiler, which NUMBA_DISABLE_JIT turns off; unset it, "
        'or compute by a backend without kernels, such as "numpy"'
    )


def before_any_kernel(ready: Callable[[], None]) -> None:
    """Have something done before the next `compiled` function is compiled or taken from the disk, whichever it is."""
    _wanted.append(ready)


class _Announcement(event.Listener):
    """A line in the log, once for a package, that its kernels are being compiled: it takes a while."""

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
            path = Path(event.data["dispatcher"].py_func.__code__.co_filename)
            note = ", once for all runs" + _NOTES.get(package, "") if writeable_folder(path) else ""
            logging.getLogger(package).warning("compiling kernels for this processor%s", note)

    def on_end(self, event: Any) -> None:
        """Do nothing: only the start is announced."""


event.register("numba:compile", _Announcement())
