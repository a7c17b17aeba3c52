"""Kernels that are compiled once for all processes, beside a driver that only notes what it is given to load."""

import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda

from intnn.machine.cuda.assembly import commit, dp4a, mma, wait_for
from intnn.machine.cuda.kept import description
from intnn.ops.cuda import gemm, warpgroups
from tests.ptx import needs_compiler

ROOT = Path(__file__).parents[4]
DRIVER = """
import importlib.metadata, logging, os, sys
from types import SimpleNamespace
from numba.cuda import dispatcher
from numba.cuda.cudadrv import devices
from numba.cuda.cudadrv.driver import CudaAPIError

logging.basicConfig(format="%(message)s")
if other := os.environ.get("OTHER_COMPILER"):
    installed = importlib.metadata.version
    importlib.metadata.version = lambda name: "1.2.3" if name == other else installed(name)
refused = [] if os.environ.get("DRIVER_REFUSES") else None
loaded = []

def create_module_image(code, *_):
    if refused == []:
        refused.append(code)
        raise RuntimeError("CUDA_ERROR_NO_BINARY_FOR_GPU")
    if failure := os.environ.get("DRIVER_FAILS"):
        raise CudaAPIError(2, f"Call to cuLibraryLoadData results in {failure}")
    loaded.append(bytes(code.code))
    module = SimpleNamespace(initialized=True)
    return SimpleNamespace(get_function=lambda name: SimpleNamespace(module=module))

gpu = SimpleNamespace(compute_capability=(int(os.environ.get("GPU", 9)), 0), id=0)
context = SimpleNamespace(device=gpu, create_module_image=create_module_image)
dispatcher.get_current_device = lambda: gpu
devices.get_context = lambda *_: context
"""
TOOLS = """
from numba import cuda

@cuda.jit(device=True)
def changed(x):
    return x + 1
"""
KERNELS = """
import json
from numba import cuda, int32
from intnn.machine.cuda.assembly import dp4a
from intnn.machine.cuda.launch import compiled
from tools import changed

def adding(number, times):
    def kernel(x):
        x[0] = times(changed(x[0] + number), x[0], x[0])
    return kernel

if __name__ == "__main__":
    kernels = [compiled(adding(3, dp4a("s8", "s8"))), compiled(adding(4, dp4a("s8", "s8"))),
               compiled(adding(3, dp4a("u8", "s8"))), compiled(adding(3, dp4a("s8", "s8")), 64)]
    for kernel in kernels:
        kernel.compile((int32[::1],))
    print(json.dumps([sum(sum(k.stats.cache_misses.values()) for k in kernels), [code.hex() for code in loaded]]))
"""  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A folder with a module of kernels, and one of what they call."""
    tmp_path.joinpath("kernels.py").write_text(KERNELS)
    tmp_path.joinpath("tools.py").write_text(TOOLS)
    return tmp_path


def run(folder, **environment):
    """How many kernels a process had to compile, the machine code that the driver loaded, and what was said."""
    result = process(folder, **environment)
    assert result.returncode == 0, result.stderr
    return *json.loads(result.stdout), result.stderr


def process(folder, **environment):
    """A process that has the driver load kernels, when it has ended."""
    inherited = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}
    program = f"{DRIVER}\nimport runpy\nrunpy.run_module('kernels', {{'loaded': loaded}}, '__main__')"
    return subprocess.run(
        [sys.executable, "-c", program], cwd="/", capture_output=True, text=True, check=False,
        env={**inherited, "NUMBA_CACHE_DIR": str(folder / "kept"), **environment},
    )  # fmt: skip


@needs_compiler
class TestProcesses:
    def test_the_second_process_compiles_nothing(self, folder):
        compiled, code, said = run(folder)
        assert (compiled, len(set(code))) == (4, 4)
        assert said.count("compiling kernels for this GPU, once for all runs") == 1
        assert run(folder) == (0, code, "")

    def test_other_gpus_have_kernels_of_their_own(self, folder):
        first, second = run(folder)[1], run(folder, GPU="8")[1]
        assert not set(first) & set(second)
        assert run(folder) == (0, first, "")
        assert run(folder, GPU="8") == (0, second, "")

    def test_what_a_kernel_calls_has_changed(self, folder):
        before = run(folder)[1]
        folder.joinpath("tools.py").write_text(TOOLS.replace("x + 1", "x + 2"))
        compiled, code, _ = run(folder)
        assert compiled == 4
        assert not set(code) & set(before)

    def test_what_the_driver_refuses_is_compiled_anew(self, folder):
        code = run(folder)[1]
        compiled, again, _ = run(folder, DRIVER_REFUSES="the first")
        assert compiled >= 1
        assert again == code
        assert run(folder) == (0, code, "")

    @pytest.mark.parametrize("name", ["CUDA_ERROR_OUT_OF_MEMORY", "CUDA_ERROR_UNKNOWN"])
    def test_what_the_gpu_itself_fails_with_is_said_and_what_is_kept_stays(self, folder, name):
        code = run(folder)[1]
        failed = process(folder, DRIVER_FAILS=name)
        assert name in failed.stderr
        assert "compiling kernels" not in failed.stderr
        assert run(folder) == (0, code, "")

    @pytest.mark.parametrize("name", ["llvmlite", "nvidia-nvjitlink-cu12"])
    def test_what_another_compiler_made_is_compiled_anew(self, folder, name):
        code = run(folder)[1]
        assert run(folder, OTHER_COMPILER=name)[0] == 4
        assert run(folder, OTHER_COMPILER=name) == (0, code, "")
        assert run(folder) == (0, code, "")

    def test_what_is_damaged_is_compiled_anew(self, folder):
        code = run(folder)[1]
        for path in folder.joinpath("kept").rglob("*.nbc"):
            path.write_bytes(path.read_bytes()[:-9])
        compiled, again, _ = run(folder)
        assert compiled >= 1
        assert again == code

    def test_data_of_another_kernel_is_not_loaded(self, folder):
        """As where two processes wrote at once, and chose one name for two kernels."""
        code = run(folder)[1]
        first, second, *_ = sorted(folder.joinpath("kept").rglob("*.nbc"))
        one, two = first.read_bytes(), second.read_bytes()
        first.write_bytes(two)
        second.write_bytes(one)
        assert run(folder)[:2] == (2, code)
        assert run(folder) == (0, code, "")

    def test_what_was_written_after_the_process_began_is_kept_for_nobody(self, folder):
        """It may be another code than that which runs, and that is what would be kept for it."""
        code = run(folder)[1]
        tools = folder / "tools.py"
        later = tools.stat().st_mtime + 3600
        os.utime(tools, (later, later))
        assert run(folder) == (4, code, "compiling kernels for this GPU\n")


def test_descriptions_tell_apart_what_is_different():
    def around(held):
        def kernel():
            return held

        return kernel

    def usual(number):
        def kernel(x=number):
            return x

        return kernel

    def named(number):
        def kernel(*, x=number):
            return x

        return kernel

    size, place = namedtuple("pair", "rows columns"), namedtuple("pair", "columns rows")
    held = [
        lambda x: x + 1, lambda x: x + 2, usual(1), usual(2), named(1), named(2), size(1, 2), place(1, 2), (1, 2),
        0, 1, True, None, "1", (), (1,), ((1,),), around, run, cuda.jit(device=True)(around(2)),
        dp4a("s8", "s8"), dp4a("u8", "s8"), mma("s8", "s8"), commit, wait_for(0), wait_for(1),
        gemm.tensor_kernel(gemm.Tile(), "s8", "s8", True), gemm.tensor_kernel(gemm.Tile(), "s8", "s8", False),
        warpgroups.warpgroup_kernel(warpgroups.GroupTile(), "s8", "s8", True),
    ]  # fmt: skip
    assert len({description(around(value)) for value in held}) == len(held)
    with pytest.raises(TypeError, match=r"that holds 0\.5 cannot be told"):
        description(around(0.5))
