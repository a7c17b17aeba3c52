"""What GPU there is, and what went wrong with it: the one place that asks, and the words of its errors.

Nothing here loads Numba before it is asked: who has no GPU pays nothing.
"""

import importlib.util
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

DP4A = (6, 1)  # the compute capability from which GPUs multiply four bytes at once: what every kernel needs at least
TENSOR_CORES = (8, 0)  # from which `mma.sync` multiplies 16 x 32 by 32 x 8 bytes
MOST_BLOCKS = (1 << 31) - 1, 65535, 65535  # of a launch along its axes, on every GPU
MOST_THREADS = 1024  # of a block
EXTRA = "pip install 'encrypted-inference-toolkit[cuda]'"

# What the driver calls its errors, each with what can be done about it; others keep the driver's words.
_MEMORY = "CUDA_ERROR_OUT_OF_MEMORY"
_LOST = "the GPU was lost, and with it what was there; start a new process, since a broken context stays broken"
_FOREIGN = (
    "the GPU cannot run this machine code, which was made for another architecture or by a compiler newer than the "
    "driver; update the driver, and empty CUDA_CACHE_PATH (~/.nv/ComputeCache by default)"
)
_ADVICE: Mapping[str, str] = MappingProxyType(
    {
        _MEMORY: "the GPU has too little free memory; smaller batches need less, and `nvidia-smi` shows who holds some",
        "CUDA_ERROR_DEVICE_UNAVAILABLE": "another process holds the GPU alone; see `nvidia-smi -q -d COMPUTE`",
        "CUDA_ERROR_NOT_INITIALIZED": (
            "this process may have been forked from one that had used the GPU; start processes by "
            'multiprocessing.get_context("spawn")'
        ),
        **dict.fromkeys(
            [f"CUDA_ERROR_{name}" for name in (
                "INVALID_IMAGE", "NO_BINARY_FOR_GPU", "INVALID_PTX", "UNSUPPORTED_PTX_VERSION", "INVALID_SOURCE",
                "JIT_COMPILER_NOT_FOUND", "JIT_COMPILATION_DISABLED",
            )],
            _FOREIGN,
        ),
        **dict.fromkeys(
            [f"CUDA_ERROR_{name}" for name in (
                "DEINITIALIZED", "INVALID_CONTEXT", "ECC_UNCORRECTABLE", "NVLINK_UNCORRECTABLE", "CONTAINED",
                "ILLEGAL_ADDRESS", "LAUNCH_TIMEOUT", "CONTEXT_IS_DESTROYED", "ASSERT", "HARDWARE_STACK_ERROR",
                "ILLEGAL_INSTRUCTION", "MISALIGNED_ADDRESS", "INVALID_ADDRESS_SPACE", "INVALID_PC", "LAUNCH_FAILED",
                "EXTERNAL_DEVICE", "UNKNOWN",
            )],
            _LOST,
        ),
    }
)  # fmt: skip
_OF_CUDA = frozenset(
    {"CudaDriverError", "CudaSupportError", "CudaRuntimeError", "CUDAError", "NvvmError", "NvvmSupportError",
     "CCSupportError", "LinkerError", "nvJitLinkError", "nvvmError", "NvrtcError", "NvrtcSupportError"}
)  # fmt: skip


class DeviceError(RuntimeError):
    """A GPU failed, or cannot do what it is asked; arrays of the host are as they were before the call."""


class NoDeviceError(DeviceError):
    """There is no GPU that can be used; the message says what is missing, and how to get it."""


class DeviceMemoryError(DeviceError, MemoryError):
    """The GPU has too little free memory."""


@dataclass(frozen=True)
class Device:
    """A GPU that can be used.

    Attributes:
        name: What its maker calls it.
        capability: Its compute capability, (major, minor).
        multiprocessors: The number of its streaming multiprocessors.
        driver: The version of CUDA that the driver supports, (major, minor).
        toolkit: The version of the installed compiler, (major, minor).
    """

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    driver: tuple[int, int]
    toolkit: tuple[int, int]


def is_simulated() -> bool:
    """Whether Numba's simulator stands for a GPU; NUMBA_ENABLE_CUDASIM decides when Numba is imported."""
    from numba import config

    return bool(config.ENABLE_CUDASIM)


def device() -> Device:
    """The GPU in use, a simulated one where NUMBA_ENABLE_CUDASIM asks for it.

    Raises:
        NoDeviceError: There is none, or no driver, or the driver is older than the compiler, or the GPU is too old.
    """
    if importlib.util.find_spec("numba_cuda") is None:
        raise NoDeviceError(f"the package numba-cuda is not installed; {EXTRA}")
    if is_simulated():
        return Device("simulated", TENSOR_CORES, 1, (0, 0), (0, 0))
    try:
        with reported("starting the GPU"):
            return _described(_driver())
    except NoDeviceError:
        raise
    except DeviceError as error:
        raise NoDeviceError(str(error)) from error


def number() -> int:
    """The number of the GPU in use by this thread."""
    with reported("starting the GPU"):
        return int(getattr(_context().device, "id", 0))


def gpu_in_use() -> AbstractContextManager[None]:
    """The context, to be entered in any thread, in which the GPU is in use that this thread uses now."""
    from numba import cuda

    gpu: AbstractContextManager[None] = cuda.gpus[number()]
    return gpu


def gpu_of(array: Any) -> int:
    """The number of the GPU where an array of Numba's lies, whichever is in use; what lies on none is an error."""
    if is_simulated():
        return number()
    from numba.cuda.cudadrv.driver import binding, driver

    pointer = binding.CUdeviceptr(array.__cuda_array_interface__["data"][0])
    return int(driver.cuPointerGetAttribute(binding.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, pointer))


def place_in_use() -> tuple[int, int]:
    """The process and the number of the GPU in use by this thread, by which what was placed on it is kept.

    A forked process has nothing of what its parent placed.
    """
    return os.getpid(), number()


def give_back() -> None:
    """Give back to the driver what Numba keeps of the GPU's memory: arrays that nobody holds, up to a fifth of it."""
    if not is_simulated():
        _context().memory_manager.deallocations.clear()


def free_bytes() -> int:
    """How many bytes of the GPU's memory may be asked for now; other processes may take some of them before.

    One part in sixteen of what is free is left to the driver, and to what allocators round up.
    """
    give_back()
    free = int(min(_context().get_memory_info().free, 1 << 62))  # the simulator's are infinite
    return free - free // 16


@contextmanager
def reported(doing: str) -> Iterator[None]:
    """Turn what Numba and the driver raise into a `DeviceError` that says what to do.

    Args:
        doing: What is being done, for the message.

    Raises:
        DeviceMemoryError: The GPU has too little free memory.
        DeviceError: Anything else went wrong on it.
    """
    try:
        yield
    except Exception as error:
        if not _is_of_cuda(error):
            raise
        raise _translated(error, doing) from error


def is_of_the_gpu(error: Exception) -> bool:
    """Whether an error says that a GPU was lost, is held by others or has too little memory, whatever it was given."""
    return _is_of_cuda(error) and _ADVICE.get(_name(str(error)), _FOREIGN) is not _FOREIGN


def _name(said: str) -> str:
    """What the driver calls an error of which it says this; nothing where it is not the driver's."""
    found = re.search(r"CUDA_ERROR_[A-Z_]+", said)
    return found[0] if found else "CUDA_ERROR_NOT_INITIALIZED" if "before forking" in said else ""


def _context() -> Any:
    """Numba's context of the GPU in use by this thread; what is held there may be freed by any thread from now on.

    Numba frees memory, streams and events in the thread that drops the last of what holds them, once there are some.
    That may be one in which no context is current, as a collector's or one that leaves all use of the GPU to others:
    there the driver refuses, and Numba has forgotten them by then.
    """
    from numba import cuda

    context = cuda.current_context()
    if not is_simulated():
        for owner in (context, context.memory_manager):
            pending = getattr(owner, "deallocations", None)  # other libraries' managers of memory may have none
            if pending is not None and not isinstance(vars(pending).get("clear"), _Clear):
                pending.clear = _Clear(pending, context.handle, _driver())
    return context


class _Clear:
    """Frees what waits for it, with its context current; what the driver would not free in any case goes on waiting."""

    def __init__(self, pending: Any, handle: Any, driver: Any) -> None:
        self._clear, self._pending, self._handle, self._driver = pending.clear, pending, handle, driver

    def __call__(self) -> None:
        if self._pending.is_disabled:
            return
        self._driver.cuCtxPushCurrent(self._handle)
        try:
            with suppress(IndexError):  # of Numba's, where another thread has freed the last one
                self._clear()
        finally:
            self._driver.cuCtxPopCurrent()


def _described(driver: Any) -> Device:
    if not _is_available(driver):
        reason = " ".join(str(driver.initialization_error).split())
        if "library cannot be found" in reason:
            raise NoDeviceError("there is no NVIDIA driver (libcuda); install one from https://www.nvidia.com/drivers")
        if "CUDA_ERROR_NO_DEVICE" in reason:
            raise NoDeviceError("the NVIDIA driver sees no GPU; see `nvidia-smi` and CUDA_VISIBLE_DEVICES")
        raise NoDeviceError(f"the NVIDIA driver does not start: {reason}; see `nvidia-smi`")
    version, toolkit = tuple(driver.get_version()), _toolkit()
    if version[0] < toolkit[0]:
        raise NoDeviceError(
            f"the NVIDIA driver supports CUDA {_dotted(version)}, and the installed compiler is of CUDA "
            f"{_dotted(toolkit)}; update the driver, or install numba-cuda[cu{version[0]}]"
        )
    if not _devices(driver):
        raise NoDeviceError("the NVIDIA driver sees no GPU; see `nvidia-smi` and CUDA_VISIBLE_DEVICES")
    gpu = _gpu()
    capability = tuple(gpu.compute_capability)
    name = gpu.name.decode() if isinstance(gpu.name, bytes) else gpu.name
    if capability < DP4A:
        raise NoDeviceError(
            f"{name} has compute capability {_dotted(capability)}, and the kernels need {_dotted(DP4A)} at least"
        )
    return Device(name, capability, gpu.MULTIPROCESSOR_COUNT, version, toolkit)


def _translated(error: Exception, doing: str) -> DeviceError:
    said = " ".join(str(error).split())
    name = _name(said)
    kind = DeviceMemoryError if name == _MEMORY else DeviceError
    return kind(f"{doing}: {_ADVICE[name]} ({said})" if name in _ADVICE else f"{doing}: {said}")


def _is_of_cuda(error: Exception) -> bool:
    """Whether an error comes from CUDA's driver or its compiler; their kinds cannot be named before Numba is loaded."""
    return any(kind.__name__ in _OF_CUDA for kind in type(error).__mro__)


def _is_available(driver: Any) -> bool:
    try:
        return bool(driver.is_available)
    except ImportError:  # the first question raises what later ones answer
        return False


def _devices(driver: Any) -> int:
    """How many GPUs a driver sees; none where it does not start."""
    try:
        return int(driver.get_device_count())
    except ImportError:
        return 0


def _driver() -> Any:
    from numba.cuda.cudadrv.driver import driver

    return driver


def _gpu() -> Any:
    from numba import cuda

    return cuda.get_current_device()


def _toolkit() -> tuple[int, int]:
    from numba import cuda

    try:
        major, minor = cuda.cudadrv.runtime.get_version()
    except Exception as error:  # of several kinds, by what is missing
        raise NoDeviceError(f"there is no compiler of CUDA's ({error}); {EXTRA}") from error
    return int(major), int(minor)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
