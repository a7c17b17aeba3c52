"""Encrypted inference in stages, each a process of its own: what it costs, the start of the process included."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.cases.options import StagesOptions
from bench.harness.case import Reporter
from bench.harness.yardstick import seal_rotate_ms
from bench.report.stages import StageRow, show
from he import compile_family
from he.stages.client import DOWNLOAD, PUBLIC, UPLOAD
from he.stages.model import save_model
from intnn import Graph, IntNetwork
from plaintext_models.zoo import shipped

__all__ = ["StagesJob", "jobs", "measure", "show"]

#: Seconds of processor time that a stage should take at most; of `evaluate`, by the number of images.
LIMITS = {"keygen": 1.5, "decrypt": 0.3}
EVALUATE_LIMITS = {1: 1.0, 100: 1.5, 1000: 5.0, 10_000: 12.0}


@dataclass(frozen=True)
class StagesJob:
    """All stages for one number of images.

    Attributes:
        network: The name of a shipped network.
        images: The number of images.
        runs: The number of processes of each stage.
    """

    network: str
    images: int
    runs: int

    @property
    def title(self) -> str:
        """What is run."""
        return f"{self.network}, {self.images:,} image(s)"


def jobs(options: StagesOptions) -> tuple[StagesJob, ...]:
    """One job for each number of images."""
    return tuple(StagesJob(options.network, images, options.runs) for images in options.images)


def measure(job: StagesJob, report: Reporter) -> Iterator[StageRow]:
    """The median of each stage; its processes follow each other, and the stages as well.

    Raises:
        ValueError: A stage failed; the message has the last line that it wrote.
    """
    network = shipped.load(job.network)
    family = compile_family(network, (job.images,))
    (circuit,) = family.circuits
    requests = -(-job.images // circuit.interface.images)
    images = np.random.default_rng(0).random((job.images, *network.input_shape)).astype(np.float32)
    with TemporaryDirectory() as folder:
        root, model = Path(folder), Path(folder) / "model"
        save_model(model, network, family)
        np.save(root / "images.npy", images)
        _run("prepare", model.parent, "--again")  # compiles kernels, on a machine where there are none
        unit = seal_rotate_ms(clock=time.process_time)
        stages: dict[str, tuple[Path | str, list[str]]] = {
            "prepare": (model / "prepared", ["--again"]),
            "keygen": (PUBLIC, []),
            "encrypt": (UPLOAD, ["--again"]),
            "evaluate": (DOWNLOAD, ["--again"]),
            "decrypt": ("logits.npy", []),
        }
        for stage, (written, options) in stages.items():
            report(stage)
            folders = [root / "exchange" / str(i) for i in range(job.runs)]
            spent = [_run(stage, one, "--model", str(model), *options, *_input(stage, root)) for one in folders]
            size = _bytes(folders[0] / written)
            wrong = _wrong(folders, network, images, circuit.interface.tolerance) if stage == "decrypt" else None
            cpu, wall = (statistics.median(column) for column in zip(*spent, strict=True))
            limit = EVALUATE_LIMITS.get(job.images) if stage == "evaluate" else LIMITS.get(stage)
            yield StageRow(
                network=job.network,
                images=job.images,
                requests=requests,
                stage=stage,
                cpu_seconds=cpu,
                seconds=wall,
                limit=limit,
                written_bytes=size,
                unit_ms=unit,
                runs=job.runs,
                wrong=wrong,
            )


def _input(stage: str, root: Path) -> list[str]:
    return ["--input", str(root / "images.npy")] if stage == "encrypt" else []


def _run(stage: str, folder: Path, *options: str) -> tuple[float, float]:
    """Seconds of processor time, and seconds that passed, of a stage's process."""
    command = [sys.executable, "-m", "he", "stage", stage, "--dir", str(folder), *options]
    # Modules are compiled once, as an installation does it, and not for every process.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)  # noqa: S603 - our own
    assert process.stderr is not None
    with process.stderr as stream:
        said = stream.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        raise ValueError(f"the stage {stage} failed: {(said.strip() or 'no message').splitlines()[-1]}")
    return usage.ru_utime + usage.ru_stime, wall


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(one.stat().st_size for one in path.rglob("*"))


def _wrong(folders: list[Path], network: IntNetwork | Graph, images: np.ndarray, tolerance: float) -> int:
    """Images whose decrypted logits are further from the network's own than the circuit allows."""
    given = network.quantise_input(images) if isinstance(network, IntNetwork) else images
    expected = network.logits(given)
    return sum(int((abs(np.load(one / "logits.npy") - expected) > tolerance).any(axis=1).sum()) for one in folders)
