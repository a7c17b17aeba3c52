"""Kernels on disk, for the next process: to compile one takes about a second, and a circuit has dozens.

They are kept as the processor's functions are (`intnn.machine.kept`). A function that returns kernels returns another
one for other arguments. Numba tells these apart by pickling what they hold, and where that is an instruction, it finds
other bytes in every process, and nothing that was kept. Here they are told apart by `description`.
"""

import logging
from collections.abc import Hashable
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FunctionType
from typing import Any

from numba.cuda.dispatcher import CUDACacheImpl, CUDADispatcher
from numba.cuda.extending import _Intrinsic

from intnn.machine.cuda.device import is_of_the_gpu
from intnn.machine.kept import Anywhere, KeptFunction, writeable_folder
from intnn.machine.sources import ChangedError, digest_of_running

# What makes machine code of a function; names of CUDA 12 and 13.
_COMPILERS = (
    "numba-cuda", "numba", "llvmlite", "cuda-core", "nvidia-nvvm", "nvidia-nvjitlink", "nvidia-cuda-nvcc-cu12",
    "nvidia-nvjitlink-cu12",
)  # fmt: skip


class _Form(CUDACacheImpl):
    _locator_classes = [Anywhere]  # noqa: RUF012 - Numba's

    def rebuild(self, context: Any, data: Any) -> Any:
        """A kernel, loaded on the GPU in use: here, since what its driver refuses is compiled anew."""
        kernel = super().rebuild(context, data)
        kernel.bind()
        return kernel


class KeptKernel(KeptFunction):
    """The compiled forms of one kernel, for every compute capability that it has been compiled for.

    Args:
        kernel: What `numba.cuda.jit` returns.

    Raises:
        ChangedError: Its files were written after this process began: what runs is not what they say.
        TypeError: It holds what has no `description`.
    """

    _impl_class = _Form

    def __init__(self, kernel: Any):
        made = description(kernel.py_func), sorted(kernel.targetoptions.items()), _compilers()
        self._identity = sha256(repr(made).encode()).hexdigest()  # an index has dozens, and is read for each
        super().__init__(kernel.py_func)

    def load_overload(self, signature: Any, context: Any) -> Any:
        """The compiled form from the first folder that has it, or None, which is announced: compilation follows.

        What the GPU itself fails with is raised, and what is kept stays.
        """
        found = super().load_overload(signature, context)
        if found is None:
            kept = writeable_folder(Path(self._py_func.__code__.co_filename)) is not None
            _announce(_package(self._py_func), kept)
        return found

    def _is_of_file(self, error: Exception) -> bool:
        """What the GPU itself lacks, or that it was lost, says nothing of what was to be loaded there."""
        return not is_of_the_gpu(error)

    def _prepare(self, context: Any) -> None:
        """Do nothing: kernels call nothing of the host's."""

    def _index_key(self, signature: Any, codegen: Any) -> Hashable:
        return signature, codegen.magic_tuple(), self._identity


def keep(kernel: Any) -> None:
    """Have a kernel kept on disk, and taken from there, unless what its files say may not be what runs.

    Args:
        kernel: What `numba.cuda.jit` returns.

    Raises:
        TypeError: As `KeptKernel`.
    """
    try:
        kernel._cache = KeptKernel(kernel)
    except ChangedError:
        _announce(_package(kernel.py_func), False)


def description(value: Any) -> Hashable:
    """What a kernel is made of, the same in every process: its place in a file, and what it holds, down to the last.

    Args:
        value: The kernel, or what it holds: an integer, a text, None, a function, an instruction, or a tuple of such.

    Raises:
        ChangedError: A file of a function was written after this process began.
        TypeError: It is none of these.
    """
    match value:
        case None | bool() | int() | str():
            return type(value).__name__, value
        case tuple():
            return type(value).__qualname__, getattr(value, "_fields", ()), *map(description, value)
        case FunctionType():
            code = value.__code__
            held = tuple(cell.cell_contents for cell in value.__closure__ or ())
            usual = value.__defaults__, tuple(sorted((value.__kwdefaults__ or {}).items()))
            place = digest_of_running(Path(code.co_filename)), code.co_qualname, code.co_firstlineno
            return *place, code.co_linetable, description((held, usual))  # lines and columns: some share a line
        case CUDADispatcher():
            return description(value.py_func)
        case _Intrinsic():
            return description(value._defn)
    raise TypeError(f"a kernel that holds {value!r} cannot be told from others")


@cache
def _compilers() -> tuple[tuple[str, str | None], ...]:
    """The versions of what makes machine code, None for what is not installed as a package."""

    def installed(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return tuple((name, installed(name)) for name in _COMPILERS)


def _package(function: FunctionType) -> str:
    return function.__module__.split(".")[0]


@cache  # once is enough
def _announce(package: str, kept: bool) -> None:
    logging.getLogger(package).warning("compiling kernels for this GPU%s", ", once for all runs" if kept else "")
