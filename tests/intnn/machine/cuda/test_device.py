"""What is said where there is no GPU, and where one fails, with drivers that are made up."""

import logging
import sys
import threading
import warnings
from subprocess import run
from types import SimpleNamespace

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from intnn.machine.cuda import device as asked
from intnn.machine.cuda.device import (
    Device,
    DeviceError,
    DeviceMemoryError,
    NoDeviceError,
    device,
    free_bytes,
    reported,
)


class CudaDriverError(Exception):
    """What numba-cuda calls what its driver raises, and cuda.core's `CUDAError` likewise."""


class FakeDriver:
    """A driver that says what it is told to say."""

    def __init__(self, error=None, version=(13, 0), devices=1, failure=None):
        self.initialization_error, self._version, self._devices, self._failure = error, version, devices, failure

    @property
    def is_available(self):
        return self.initialization_error is None

    def get_version(self):
        return self._version

    def get_device_count(self):
        if self._failure:
            raise CudaDriverError(self._failure)
        return self._devices


@pytest.fixture
def pretend(monkeypatch):
    """A machine with this driver, compiler and GPU."""

    def machine(driver, toolkit=(13, 4), capability=(9, 0)):
        gpu = SimpleNamespace(name=b"a GPU", compute_capability=capability, MULTIPROCESSOR_COUNT=132)
        monkeypatch.setattr(asked, "_driver", lambda: driver)
        monkeypatch.setattr(asked, "_toolkit", lambda: toolkit)
        monkeypatch.setattr(asked, "_gpu", lambda: gpu)
        monkeypatch.setattr(asked, "is_simulated", lambda: False)

    return machine


def test_a_gpu_is_described(pretend):
    pretend(FakeDriver(version=(13, 0)))  # older than the compiler within one major version: CUDA allows that
    assert device() == Device("a GPU", (9, 0), 132, (13, 0), (13, 4))


@pytest.mark.parametrize(
    ("driver", "more", "message"),
    [
        (FakeDriver("\nCUDA driver library cannot be found.\n"), {}, r"no NVIDIA driver \(libcuda\); install"),
        (FakeDriver("Call to cuInit results in CUDA_ERROR_NO_DEVICE (100)"), {}, "sees no GPU; see `nvidia-smi`"),
        (FakeDriver(devices=0), {}, "sees no GPU; see `nvidia-smi` and CUDA_VISIBLE_DEVICES"),
        (FakeDriver("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)"), {}, "does not start: CUDA_ERROR_SYSTEM_DRIVER_MIS"),
        (FakeDriver(version=(12, 4)), {}, r"supports CUDA 12\.4, .* CUDA 13\.4; update the driver, or .*\[cu12\]"),
        (
            FakeDriver(failure="CUDA initialized before forking"),
            {},
            "may have been forked from one that had used the GPU",
        ),
        (FakeDriver(failure="CUDA_ERROR_DEVICE_UNAVAILABLE"), {}, "another process holds the GPU alone"),
        (FakeDriver(), {"capability": (6, 0)}, r"a GPU has compute capability 6\.0, and the kernels need 6\.1"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(pretend, driver, more, message):
    pretend(driver, **more)
    with pytest.raises(NoDeviceError, match=message):
        device()


def test_the_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(asked.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(NoDeviceError, match=r"numba-cuda is not installed; pip install '.*\[cuda\]'"):
        device()


@pytest.mark.parametrize("name", ["nvJitLinkError", "nvvmError", "LinkerError", "NvrtcError"])
def test_errors_of_compilers_and_linkers_are_errors_of_the_device(name):
    with pytest.raises(DeviceError, match="evaluating: ERROR_PTX_COMPILE"), reported("evaluating"):
        raise type(name, (RuntimeError,), {})("ERROR_PTX_COMPILE")


def test_an_array_is_asked_where_it_lies(monkeypatch):
    from numba.cuda.cudadrv import driver

    class Asked:
        def cuPointerGetAttribute(self, attribute, pointer):  # noqa: N802
            assert attribute is driver.binding.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
            assert int(pointer) == 1 << 40
            return 3

    monkeypatch.setattr(driver, "driver", Asked())
    monkeypatch.setattr(asked, "is_simulated", lambda: False)
    assert asked.gpu_of(SimpleNamespace(__cuda_array_interface__={"data": (1 << 40, False)})) == 3


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ("Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY", DeviceMemoryError, "too little free memory"),
        ("CUDA_ERROR_DEVICE_UNAVAILABLE", DeviceError, "another process holds the GPU alone"),
        ("CUDA_ERROR_LAUNCH_FAILED", DeviceError, "the GPU was lost, and with it what was there"),
        ("CUDA_ERROR_UNKNOWN", DeviceError, "start a new process, since a broken context stays broken"),
        ("CUDA_ERROR_NO_BINARY_FOR_GPU", DeviceError, "made for another architecture"),
        ("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", DeviceError, "a compiler newer than the driver"),
        ("CUDA initialized before forking", DeviceError, "may have been forked from one that had used the GPU"),
        ("CUDA_ERROR_INVALID_VALUE", DeviceError, "evaluating: CUDA_ERROR_INVALID_VALUE"),
    ],
)
def test_errors_of_the_driver_say_what_to_do(error, kind, message):
    with pytest.raises(DeviceError, match=message) as caught, reported("evaluating"):
        raise CudaDriverError(error)
    assert type(caught.value) is kind
    assert isinstance(caught.value.__cause__, CudaDriverError)


def test_two_threads_that_use_the_gpu_leave_the_filters_of_warnings_alone():
    before, first, second = warnings.filters, reported("evaluating"), reported("evaluating")
    first.__enter__()
    second.__enter__()  # in another thread, while the first one is there
    assert warnings.filters is before
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert warnings.filters is before


def test_other_errors_pass_as_they_are():
    with pytest.raises(ZeroDivisionError), reported("evaluating"):
        raise ZeroDivisionError


def test_memory_that_nobody_holds_any_more_is_free(monkeypatch):
    from numba import cuda

    free = [16]
    driver = Contexts()
    context = context_of(monkeypatch, get_memory_info=lambda: SimpleNamespace(free=sum(free)))
    monkeypatch.setattr(cuda, "current_context", lambda: context)
    monkeypatch.setattr(asked, "_driver", lambda: driver)
    waiting = context.memory_manager.deallocations
    waiting.add_item(free.append, 1600)  # what a session held that has ended
    assert free_bytes() == 1616 - 1616 // 16


class Contexts:
    """A driver that frees memory of a context where that is current to a thread."""

    def __init__(self):
        self.freed, self._current, self.lost = [], threading.local(), False

    @property
    def stack(self):
        return self._current.__dict__.setdefault("stack", [])

    def cuCtxPushCurrent(self, handle):  # noqa: N802
        if self.lost:
            raise CudaDriverError("Call to cuCtxPushCurrent results in CUDA_ERROR_DEINITIALIZED")
        self.stack.append(handle)

    def cuCtxPopCurrent(self):  # noqa: N802
        return self.stack.pop()

    def free(self, number):
        if self.stack[-1:] != ["the context"]:
            raise CudaDriverError("Call to cuMemFree results in CUDA_ERROR_INVALID_CONTEXT")
        self.freed.append(number)


def context_of(monkeypatch, **more):
    """A context as Numba's, with its own queues of what is to be freed."""
    from numba.cuda.cudadrv import driver
    from numba.cuda.cudadrv.driver import _PendingDeallocs

    monkeypatch.setattr(driver, "_logger", logging.getLogger("driver"), raising=False)  # there is none without a GPU
    manager, device = SimpleNamespace(deallocations=_PendingDeallocs(1 << 30)), SimpleNamespace(id=0)
    queues = {"memory_manager": manager, "deallocations": _PendingDeallocs()}
    return SimpleNamespace(handle="the context", device=device, **queues, **more)


@pytest.fixture
def context(monkeypatch):
    """The context in use, and its driver."""
    from numba import cuda

    driver = Contexts()
    made = context_of(monkeypatch)
    monkeypatch.setattr(cuda, "current_context", lambda: made)
    monkeypatch.setattr(asked, "_driver", lambda: driver)
    return made, driver


def dropped(pending, driver, numbers):
    """What goes wrong in a thread that drops what so many queues are to free, and has no context current."""
    wrong = []

    def drop():
        for number in numbers:
            try:
                pending.add_item(driver.free, number)
            except CudaDriverError as error:
                wrong.append(error)
        assert not driver.stack

    thread = threading.Thread(target=drop)
    thread.start()
    thread.join()
    return wrong


@pytest.mark.parametrize("ask", [asked.number, asked.give_back, asked.gpu_in_use])
def test_what_any_thread_drops_is_freed(monkeypatch, context, ask):
    from numba import cuda

    made, driver = context
    monkeypatch.setattr(cuda, "gpus", [None])
    for _ in range(2):  # to have asked twice changes nothing
        ask()
    for pending in (made.deallocations, made.memory_manager.deallocations):
        driver.freed.clear()
        assert not dropped(pending, driver, range(100))
        pending.clear()
        assert driver.freed == [*range(100)]


def test_what_cannot_be_freed_is_not_forgotten(context):
    made, driver = context
    asked.number()
    pending, driver.lost = made.memory_manager.deallocations, True
    assert dropped(pending, driver, range(20))
    driver.lost = False
    pending.clear()
    assert driver.freed == [*range(20)]


def test_nothing_is_freed_while_that_is_deferred(context):
    made, driver = context
    asked.number()
    pending = made.memory_manager.deallocations
    with pending.disable():
        assert not dropped(pending, driver, range(20))
        assert not driver.freed
    pending.clear()
    assert len(driver.freed) == 20


def test_a_manager_of_memory_that_frees_at_once_is_left_alone(context):
    made, _ = context
    made.memory_manager = SimpleNamespace()
    assert asked.number() == 0


def test_asking_for_the_words_loads_no_compiler():
    code = "import sys, intnn.machine.cuda.device; print('numba' in sys.modules)"
    assert run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
