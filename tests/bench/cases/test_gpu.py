from dataclasses import asdict, replace

import pytest
from typer.testing import CliRunner

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda

from bench.__main__ import app
from bench.cases import gpu
from bench.harness.output import add_lines
from bench.harness.rows import Envelope, read


@pytest.mark.skipif(cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_nothing_is_recorded(tmp_path):
    record = tmp_path / "gpu.jsonl"
    result = CliRunner().invoke(app, ["gpu", "--record", str(record)])
    assert result.exit_code == 2
    assert "no CUDA GPU" in result.output
    assert not record.exists()


@pytest.mark.skipif(not cuda.is_available(), reason="no CUDA GPU")
def test_equality_on_the_gpu():
    assert [name for name, equal in gpu.equality() if not equal] == []


def test_records_are_appended(tmp_path):
    record = tmp_path / "gpu.jsonl"
    rows = [
        gpu.GpuRow("a product", 2.0, 1000.0, "cuBLAS", 1.0, 0.5, 2, 2),
        gpu.GpuRow("a lookup", 3.0, None, *[None] * 3, 2, 2),
    ]
    where = {"device": "a GPU", "compute_capability": "9.0"}
    about = "gpu", 1, "0.1", None, "2026-01-01T00:00:00+00:00", where, 2
    envelopes = [Envelope(*about, asdict(row)) for row in (*rows, replace(rows[0], checks=1, checks_equal=1))]
    add_lines(record, envelopes[:2])
    before = record.read_bytes()
    add_lines(record, envelopes[2:])
    assert record.read_bytes().startswith(before)
    lines = read(record)
    assert [(line.row["work"], line.row["ours_us"], line.row["checks_equal"]) for line in lines] == [
        ("a product", 2.0, 2), ("a lookup", 3.0, 2), ("a product", 2.0, 1)
    ]  # fmt: skip
    assert {line.machine["device"] for line in lines} == {"a GPU"}
