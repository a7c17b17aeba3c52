"""Ctrl-C in a process of its own: once or as fast as it goes, the exit code is 130 and nothing is half-written."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
#: A command whose only job waits for an interrupt, tidies up for a while, and says so when that was not cut short.
PROGRAM = """
import atexit, sys, time
from tests.bench.harness import test_command as case
from bench.harness.case import Case
from bench.harness.command import application
from bench.harness.interrupts import counted_once

def measure(job, report):
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        time.sleep(0.2)
        print("tidied up", flush=True)
    yield job

case.measure = measure
atexit.register(time.sleep, 0.2)
app = application({"count": Case("count", "Count.", case.Asked, case.__name__, extras=())}, "A test.")
with counted_once():
    app(["count", "--json", sys.argv[1]], prog_name="test")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")
@pytest.mark.parametrize("times", [1, 3, 10_000])
def test_interrupts_end_with_130_and_nothing_half_written(tmp_path, times):
    path = tmp_path / "r.json"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, path], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        for _ in range(times):
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGINT)
            time.sleep(0.002)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == "tidied up\n"
    assert err.splitlines()[-1] == "interrupted; nothing was written"
    assert list(tmp_path.iterdir()) == []
