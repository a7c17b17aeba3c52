"""What a fresh process waits for: imports, the first encrypted answer, and compilation. Each has its own processes."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.cases.options import TimesOptions
from bench.cases.scripts import Script, scripts
from bench.harness.case import Reporter
from bench.report.times import TimesRow, show

__all__ = ["TimesJob", "jobs", "measure", "show"]

#: Added to a program to learn which files its process has read.
FILES = """
import sys
from pathlib import Path
specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
names = {name for spec in specs if spec for name in (spec.origin, spec.cached) if name}
maps = Path("/proc/self/maps")
if maps.exists():
    names |= {line.split(maxsplit=5)[5] for line in maps.read_text().splitlines() if line.count("/")}
print("\\n".join(name for name in names if Path(name).is_file()))
"""
CACHE_VARIABLE = "NUMBA_CACHE_DIR"  # where compiled kernels are kept, instead of beside their sources
COLD = "cold files: they are dropped from the file cache before each process, but for those that other processes use"
NO_KERNELS = "no kernels: an empty folder for compiled kernels, as on a machine that runs this for the first time"


@dataclass(frozen=True)
class TimesJob:
    """One program, in some fresh processes.

    Attributes:
        script: The program.
        processes: The number of processes.
    """

    script: Script
    processes: int

    @property
    def title(self) -> str:
        """What is timed."""
        return self.script.what


def jobs(options: TimesOptions) -> tuple[TimesJob, ...]:
    """One job for each program of the groups that are asked for."""
    return tuple(
        TimesJob(script, 1 if script.once else options.processes)
        for script in scripts()
        if not options.what or script.group in options.what
    )


def measure(job: TimesJob, report: Reporter) -> Iterator[TimesRow]:
    """The median time over the processes, after one that does not count where there are several.

    Raises:
        ValueError: A process failed; the message has the last line that it wrote.
    """
    script, seconds = job.script, []
    with TemporaryDirectory() as folder:
        if script.before:
            report("what it needs")
            _run(script.before, folder)
        files = _files(script, folder) if script.cold else []
        if not script.cold and not script.once:
            _run(script.program, folder, script.fresh)
        for i in range(job.processes):
            report(f"process {i + 1} of {job.processes}", i / job.processes)
            _drop(files)
            seconds.append(float(_run(script.program, folder, script.fresh).split()[-1]))
    note = COLD if script.cold else NO_KERNELS if script.fresh else ""
    median = statistics.median(seconds)
    yield TimesRow(
        group=script.group,
        what=script.what,
        seconds=median,
        least=min(seconds),
        most=max(seconds),
        limit=script.limit,
        processes=job.processes,
        note=note,
    )


def _run(program: str, folder: str, fresh: bool = False) -> str:
    """What a program prints, in a process of its own, which finds the folder's name in its first argument."""
    # As for a user: modules are compiled to bytecode once, and kept.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with TemporaryDirectory() as kernels:
        if fresh:
            environment[CACHE_VARIABLE] = kernels
        command = [sys.executable, "-c", program, folder]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)  # noqa: S603 - our own program
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise ValueError(f"a fresh process failed: {last}")
    return done.stdout


def _files(script: Script, folder: str) -> list[Path]:
    """The files that a program's process reads."""
    return [Path(line) for line in _run(script.program + FILES, folder).splitlines()[1:]]


def _drop(files: list[Path]) -> None:
    """Ask the system to drop files from its cache; what another process has mapped stays."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in files:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
