"""Every registered case keeps the protocol: options as data, jobs that travel, commands that load no torch."""

import dataclasses
import importlib.util
import pickle  # jobs travel to processes of our own
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases.registry import CASES
from bench.harness.case import Options, Silent
from intnn import DeviceError

ROOT = Path(__file__).parents[3]
#: An option that each case refuses, before it measures anything.
REFUSED = {
    "table": {"images": 0},
    "kernels": {"rounds": 0},
    "training": {"batch": (64, 0)},
    "accuracy": {"seeds": 0},
    "selection": {"dataset": "mnist", "data": Path("/nowhere")},
    "he": {"max_error": 0.0},
    "encrypted-networks": {"images": 1},
    "times": {"processes": 0},
    "stages": {"images": (1, 0)},
    "service": {"clients": 0},
    "attacks": {"radius": float("nan")},
    "robustness": {"radius": -1.0},
    "models": {"kind": ("gods",)},
    "paper": {"images": 10**6, "quick": True},
    "own": {"images": 10**6},
    "meeting": {"images": 361},
    "secrecy": {"model": "digits-square-cnn"},
    "gpu": {},  # without a GPU there is nothing to measure
}


def implementation(case):
    if case.name == "gpu" and importlib.util.find_spec("numba_cuda") is None:
        pytest.skip("the extra `cuda` is not installed")
    return case.implementation()


def test_names_are_the_commands():
    assert list(CASES) == [
        "table", "kernels", "training", "accuracy", "selection", "he", "encrypted-networks", "times", "stages",
        "service", "attacks", "robustness", "models", "paper", "secrecy", "meeting", "own", "gpu",
    ]  # fmt: skip
    assert set(REFUSED) == set(CASES)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
class TestCase:
    def test_options_are_data(self, case):
        assert issubclass(case.options, Options)
        options = case.options()
        for field in case.options.declared():
            assert field.option.help
            value = getattr(options, field.name)
            assert isinstance(value, tuple) if field.several else value is None or isinstance(value, field.kind)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(options, case.options.declared()[0].name, None)

    def test_its_module_keeps_the_protocol(self, case):
        module = implementation(case)
        for name in ("jobs", "measure", "show"):
            assert callable(getattr(module, name))
        if any(field.option.writes == "picture" for field in case.options.declared()):
            assert callable(module.draw)

    def test_jobs_are_frozen_and_travel(self, case):
        module = implementation(case)
        # Asking for the GPU's job needs a GPU.
        jobs = (module.GpuJob(),) if case.name == "gpu" else module.jobs(case.options())
        assert jobs
        for job in jobs:
            assert job.title
            assert pickle.loads(pickle.dumps(job)) == job
            assert len(pickle.dumps(job)) < 10_000  # names, and no arrays
            with pytest.raises(dataclasses.FrozenInstanceError):
                job.anything = 1

    def test_what_cannot_be_measured_is_refused_before(self, case, monkeypatch):
        module = implementation(case)
        if case.name == "gpu" and importlib.import_module("numba.cuda").is_available():
            pytest.skip("this machine has a GPU")
        monkeypatch.setattr(module, "measure", None)
        with pytest.raises((ValueError, DeviceError), match=r"`|no NVIDIA driver|radius|NUMBA_ENABLE_CUDASIM"):
            module.jobs(case.options(**REFUSED[case.name]))

    def test_help_lists_the_options(self, case):
        result = CliRunner(env={"COLUMNS": "140"}).invoke(app, [case.name, "--help"])
        assert result.exit_code == 0
        for field in case.options.declared():
            assert (field.option.flag or field.spelling).split("/")[0] in result.output


def test_help_of_every_command_loads_neither_torch_nor_tenseal():
    code = f"""
import sys
from typer.testing import CliRunner
from bench.__main__ import app
for name in {list(CASES)}:
    assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0, name
print(sorted({{"torch", "tenseal", "numba"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


def test_a_silent_reporter_takes_everything():
    report = Silent()
    report("what", 0.5)
    report.say("line")
    report.picture("name.png", b"")
