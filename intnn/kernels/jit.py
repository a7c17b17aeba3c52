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
    """`numba.njit` with a cache on disk that looks at all files beside the function's, and at those beside this one.

    Such a function may take the address of an array only if its caller holds the array: Numba frees one of the
    function's own after its last mention, which may be where its address is taken.

    Args:
        function: Of numbers and arrays.
        nogil: Whether other threads may go on meanwhile.
    """
    result = numba.njit(cache=True, nogil=nogil)(function)
    if not config.DISABLE_JIT:
        folders = {Path(function.__code__.co_filename).parent, Path(__file__).parent}
        index = result._cache._cache_file  # not public, and pinned; there is a test that it still works
        index._source_stamp = index._source_stamp, *map(_digest, sorted(folders))
    return result


@cache
def _digest(folder: Path) -> str:
    """Of all Python files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
