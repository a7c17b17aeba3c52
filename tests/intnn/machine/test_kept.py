"""Compiled functions where they cannot be kept, cannot be loaded, or lie where nothing may be written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core import config

from intnn.machine.kept import folders, writeable_folder

ROOT = Path(__file__).parents[3]
KERNEL = """
import logging
logging.basicConfig(format="%(message)s")
from intnn.machine.jit import compiled

@compiled
def kernel(x):
    return x + 1

@compiled
def other(x):
    return x + 2

if __name__ == "__main__":
    print(kernel(1), other(1), sum(len(f.stats.cache_misses) for f in (kernel, other)))
"""
is_root = os.name == "posix" and os.geteuid() == 0
CAPABILITIES = "-dac_override,-dac_read_search"
BOUND = ["setpriv", f"--bounding-set={CAPABILITIES}", f"--inh-caps={CAPABILITIES}", "--"] if is_root else []
# That is root, bound by what files permit.
may_be_bound = pytest.mark.skipif(
    os.name != "posix" or (is_root and shutil.which("setpriv") is None), reason="everything may be written here"
)


@pytest.fixture
def folder(tmp_path):
    """A folder with a module of two kernels."""
    tmp_path.joinpath("kernels.py").write_text(KERNEL)
    return tmp_path


def run(folder: Path, *, before: str = "", bound: bool = False, **environment: str) -> tuple[int, str]:
    """How many kernels a process had to compile, and what it said; their results are right."""
    inherited = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}
    program = f"{before}\nimport runpy\nrunpy.run_module('kernels', run_name='__main__')"
    result = subprocess.run(
        [*(BOUND if bound else ()), sys.executable, "-c", program],
        cwd="/", env={**inherited, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    *results, compiled = map(int, result.stdout.split())
    assert results == [2, 3]
    return compiled, result.stderr


def test_without_a_folder_kernels_are_compiled_for_one_process(folder):
    folder.joinpath("file").touch()
    for _ in range(2):
        compiled, said = run(folder, NUMBA_CACHE_DIR=str(folder / "file" / "below"))
        assert compiled == 2
        assert said.count("cannot be kept") == 1
        assert "NUMBA_CACHE_DIR" in said


@may_be_bound
def test_a_user_without_a_home_runs_what_another_installed(folder):
    folder.chmod(0o555)
    compiled, said = run(folder, bound=True, HOME=str(folder / "home"))
    assert compiled == 2
    assert said.count("cannot be kept") == 1
    folder.chmod(0o755)
    run(folder)  # its owner may write: beside the module
    (beside := folder / "__pycache__").chmod(0o555)
    assert list(beside.glob("*.nbi"))
    assert run(folder, bound=True, HOME=str(folder / "home")) == (0, "")  # what may only be read is used
    for path in beside.glob("*.nbi"):
        path.write_bytes(path.read_bytes()[:-9])
    folder.chmod(0o555)
    compiled, said = run(folder, bound=True, HOME=str(folder / "home"))  # and what is damaged besides is not
    assert (compiled, said.count("cannot be kept")) == (2, 1)


@may_be_bound
@pytest.mark.parametrize("variable", ["NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME"])
def test_a_folder_that_may_not_be_searched_is_no_folder(folder, variable):
    (private := folder / "private").mkdir()
    private.chmod(0)
    folder.chmod(0o555)
    compiled, said = run(folder, bound=True, **{variable: str(private / "below")})
    private.chmod(0o755)
    folder.chmod(0o755)
    assert (compiled, said.count("cannot be kept")) == (2, 1)


def test_a_name_that_is_too_long_is_no_folder(folder, monkeypatch):
    compiled, said = run(folder, NUMBA_CACHE_DIR=str(folder / ("n" * 300)))
    assert (compiled, said.count("cannot be kept")) == (2, 1)
    monkeypatch.setattr(config, "CACHE_DIR", str(folder / ("n" * 300)))
    assert writeable_folder(folder / "kernels.py") is None


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: bytes(len(b))])
def test_a_damaged_file_is_compiled_anew(folder, damage):
    places = {"NUMBA_CACHE_DIR": str(folder / "kept")}
    run(folder, **places)
    index, data = (min(folder.joinpath("kept").rglob(f"{name}*")) for name in ("*kernel-*.nbi", "*other-*.nbc"))
    for path in (index, data):
        path.write_bytes(damage(path.read_bytes()))
    assert run(folder, **places)[0] == 2
    assert run(folder, **places) == (0, "")


def test_a_kept_kernel_is_loaded_without_what_the_compiler_reads(folder):
    """Numba's implementations of Python's and numpy's functions: they take longer to load than many kernels."""
    places = {"NUMBA_CACHE_DIR": str(folder / "kept")}
    then = (
        "import atexit, sys; atexit.register(lambda: print('numba.cpython.randomimpl' in sys.modules, file=sys.stderr))"
    )
    compiled, said = run(folder, before=then, **places)
    assert (compiled, said.splitlines()[-1]) == (2, "True")
    assert run(folder, before=then, **places) == (0, "False\n")


def test_what_is_not_kept_is_compiled_behind_what_is(folder):
    places = {"NUMBA_CACHE_DIR": str(folder / "kept")}
    run(folder, **places)
    for path in folder.joinpath("kept").rglob("*other-*"):
        path.unlink()
    assert run(folder, **places)[0] == 1


def test_a_full_disk_ends_no_call(folder):
    places = {"NUMBA_CACHE_DIR": str(folder / "kept")}
    full = "import resource, sys\nsys.dont_write_bytecode = True\nresource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))"
    compiled, said = run(folder, before=full, **places)
    assert compiled == 2
    assert said.count("cannot be kept") == 1
    assert run(folder, **places)[0] == 2
    assert run(folder, before=full, **places) == (0, "")


def test_a_home_that_nobody_has_is_no_folder(folder, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "~/cache")  # as a user's home is spelled who has none
    assert folders(folder / "kernels.py") == [folder / "__pycache__"]
    assert writeable_folder(folder / "kernels.py") == folder / "__pycache__"


def test_data_of_other_arguments_is_not_loaded(folder):
    """As where two processes wrote at once, and chose one name for the forms of two kinds of arguments."""
    folder.joinpath("kernels.py").write_text(KERNEL.replace("other(1)", "int(kernel(2.5) - 0.5)"))
    assert run(folder)[0] == 2
    first, second = sorted(folder.joinpath("__pycache__").glob("*.nbc"))
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    run(folder)
