"""One row of the table, as a value and as JSON."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from intnn.storage.document import write_atomically

#: Whose versions a file of rows states.
PACKAGES = ("numpy", "numba", "tenseal", "torch", "onnxruntime", "foolbox", "pyautoattack")

#: The rows of the thesis's Table 3.1, in its order, with their titles.
TITLES = {
    "inference": "inference on encrypted data",
    "training-functional": "training with functional encryption",
    "training-fhe": "training with fully homomorphic encryption",
}


@dataclass(frozen=True)
class Anchor:
    """Published figures: seconds in the clear and on encrypted data, with their source."""

    row: str
    name: str
    plain_seconds: float | None
    encrypted_seconds: float
    source: str


@dataclass(frozen=True)
class Row:
    """One line: what was measured in this run, or, with `measured` false, that nothing was.

    Seconds are medians. `encrypted_seconds_per_image` is the time from one image to its decrypted logits: `encrypt_s` +
    `evaluate_s` + `decrypt_s` of a request with a single image. The fields that begin with `batch` are of requests with
    `batch_images` images each, packed for throughput, the images repeated to fill them; accuracies and mismatches are
    over the `n_images` different ones. Fields that do not apply are None.

    Attributes:
        evaluate_units: `evaluate_s` in units of `seal_rotate_ms`.
        seal_evaluate_s: the same circuit and request on the reference engine, SEAL's own evaluator, on one thread.
        exact_mismatches: images with a logit that differs from the plain network's in any bit; None for CKKS.
        prediction_mismatches: images that are classified otherwise than by the plain network.
        accuracy_plain_test_split: of the plain network on the whole held-out split of `n_test_split` images.
        peak_rss_bytes: of the process up to the end of this row.
        explanation: what the compiler chose and why, for the single-image circuit.
    """

    row: str
    path: str | None = None
    dataset: str | None = None
    network: str | None = None
    n_images: int = 0
    plain_seconds_per_image: float | None = None
    encrypted_seconds_per_image: float | None = None
    encrypt_s: float | None = None
    evaluate_s: float | None = None
    decrypt_s: float | None = None
    keygen_s: float | None = None
    prepare_s: float | None = None
    accuracy_plain: float | None = None
    accuracy_encrypted: float | None = None
    exact_mismatches: int | None = None
    prediction_mismatches: int | None = None
    largest_logit_error: float | None = None
    accuracy_plain_test_split: float | None = None
    n_test_split: int | None = None
    security_bits: int | None = None
    poly_modulus_degree: int | None = None
    coeff_modulus_bits: tuple[int, ...] | None = None
    ciphertext_bytes_in: int | None = None
    ciphertext_bytes_out: int | None = None
    evaluation_key_bytes: int | None = None
    engine: str | None = None
    threads: int | None = None
    peak_rss_bytes: int | None = None
    seal_rotate_ms: float | None = None
    evaluate_units: float | None = None
    seal_evaluate_s: float | None = None
    batch_images: int | None = None
    batch_seconds_per_image: float | None = None
    batch_evaluate_s: float | None = None
    seed: int | None = None
    measured: bool = True
    source: str = "measured in this run"
    explanation: str = ""


def anchors() -> tuple[Anchor, ...]:
    """The published figures that come with the package."""
    text = files("bench").joinpath("anchors.json").read_text(encoding="utf-8")
    return tuple(Anchor(**fields) for fields in json.loads(text))


def prepare_output(path: Path) -> None:
    """Make sure, before anything is measured, that `path` can be written when it is over.

    Raises:
        ValueError: if its suffix is not one of a JSON file or a picture, or it is a folder.
        OSError: if its folder can neither be found nor made, or not be written to.
    """
    if path.suffix not in (".json", ".png", ".svg", ".pdf") or path.is_dir():
        raise ValueError(f"results are written to .json, .png, .svg or .pdf files, got {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{path.parent} cannot be written to; name another folder")


def write_json(path: Path, rows: Sequence[Any]) -> None:
    """Write dataclass rows and what they were measured on; an existing file is replaced whole or not at all."""
    machine = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES if _is_installed(name)},
    }
    content = {"rows": [asdict(row) for row in rows], "machine": machine, "command": " ".join(sys.argv[1:])}
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def _is_installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
