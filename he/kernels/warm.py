"""All kernels compiled beforehand, in several processes."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from itertools import count, groupby
from pathlib import Path

from numba.core import event

from he.kernels.every import calls
from intnn.machine.kept import writeable_folder

_FIRST = "forward"  # it brings what the other kernels share, the transforms


def warm(processes: int) -> None:
    """Compile what is not on the disk yet, in several processes; say what is done on the standard error output.

    Kernels are kept beside their files, in the user's cache, or in the folder that `NUMBA_CACHE_DIR` names.

    Raises:
        PermissionError: They can be kept nowhere.
    """
    if writeable_folder(Path(__file__)) is None:
        raise PermissionError(
            "kernels must be kept in a folder that may be written to, and there is none: "
            "name one in the variable NUMBA_CACHE_DIR"
        )
    start, number, fresh = time.perf_counter(), count(1), 0
    first = _called(_FIRST)
    names = [name for name in _calls() if name != _FIRST]
    # One process for each function: two that add to its entry on the disk at once lose what one of them has added.
    functions = [[*group] for _, group in groupby(sorted(names), key=lambda name: name.split(",")[0])]

    def say(name: str, seconds: float | None) -> None:
        nonlocal fresh
        fresh += seconds is not None
        what = "on the disk already" if seconds is None else f"compiled in {seconds:.1f} s"
        print(f"[{next(number):2}/{len(names) + 1}] {name}: {what}", file=sys.stderr, flush=True)

    say(*first)
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _quiet) as pool:
        for done in as_completed([pool.submit(_all_called, function) for function in functions]):
            for name, seconds in done.result():
                say(name, seconds)
    seconds = time.perf_counter() - start
    print(f"{fresh} of {len(names) + 1} kernels compiled in {seconds:.1f} s; the others were ready", file=sys.stderr)


def _called(name: str) -> tuple[str, float | None]:
    """Call a kernel: its name, and how long its compilation took if there was any."""
    _quiet()
    start = time.perf_counter()
    with event.install_recorder("numba:compile") as compilations:
        _calls()[name]()
    return name, time.perf_counter() - start if compilations.buffer else None


def _all_called(names: list[str]) -> list[tuple[str, float | None]]:
    return [_called(name) for name in names]


@cache
def _calls() -> dict[str, Callable[[], object]]:
    return calls()


def _quiet() -> None:
    """No kernel need say that it is being compiled: that is what all this is for."""
    logging.getLogger("he").setLevel(logging.ERROR)
    logging.getLogger("intnn").setLevel(logging.ERROR)
