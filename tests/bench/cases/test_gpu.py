import json

import pytest
from typer.testing import CliRunner

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda

from bench.__main__ import app
from bench.cases import gpu


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
    record = tmp_path / "records" / "gpu.jsonl"
    where = gpu.Device("a GPU", "9.0", 132, "580.1", "0.30", "2026-01-01T00:00:00+00:00")
    rows = [gpu.GpuRow("a product", 2.0, 1000.0, "cuBLAS", 1.0, 0.5), gpu.GpuRow("a lookup", 3.0)]
    gpu.append(record, where, rows, {"dense": True, "lookup": True})
    before = record.read_bytes()
    gpu.append(record, where, rows[:1], {"dense": True})
    assert record.read_bytes().startswith(before)
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [(line["work"], line["ours_us"], line["checks_equal"]) for line in lines] == [
        ("a product", 2.0, 2), ("a lookup", 3.0, 2), ("a product", 2.0, 1)
    ]  # fmt: skip
    assert {line["device"] for line in lines} == {"a GPU"}
