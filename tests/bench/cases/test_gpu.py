from dataclasses import asdict, replace

import pytest
from typer.testing import CliRunner

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda

from bench.__main__ import app
from bench.cases import gpu
from bench.harness.output import add_lines
from bench.harness.rows import Envelope, read
from bench.report.gpu import summary


@pytest.mark.skipif(cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_nothing_is_recorded(tmp_path):
    record = tmp_path / "gpu.jsonl"
    result = CliRunner().invoke(app, ["gpu", "--record", str(record)])
    assert result.exit_code == 0
    assert result.output.startswith("nothing was measured: there is no NVIDIA driver (libcuda); install one from")
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


def test_a_line_says_what_an_image_takes_and_where_the_time_goes():
    row = gpu.GpuRow("a batch", 2000.0, peer="CPU, 16 threads", peer_us=9000.0, ratio=4.5, floor_us=10.0, count=400)
    assert summary(row) == (
        "a batch: 2,000.0 µs, 5.00 µs each of 400; floor 10.0 µs; CPU, 16 threads: 9,000.0 µs, ratio 4.50"
    )
    parts = {"copying in": 1200.0, "kernels": 30.25}
    assert summary(replace(row, parts_us=parts)).endswith("ratio 4.50; copying in 1,200.0, kernels 30.2")


@pytest.fixture
def pretended(monkeypatch):
    """A GPU of which the checks and the figures are made up."""
    monkeypatch.setattr(gpu, "machine", lambda: {"device": "a GPU", "driver": "580.1"})
    monkeypatch.setattr(gpu, "figures", lambda: iter([gpu.GpuRow("a product", 2.0, 1000.0, "cuBLAS", 1.0, 0.5)]))
    return lambda *outcomes: monkeypatch.setattr(gpu, "equality", lambda: ((f"check {o}", o) for o in outcomes))


def test_a_command_adds_its_rows_to_the_record(tmp_path, pretended):
    pretended(True, True)
    record = tmp_path / "records" / "gpu.jsonl"
    for _ in range(2):
        result = CliRunner().invoke(app, ["gpu", "--record", str(record)])
        assert result.exit_code == 0, result.output
    first, second = read(record)
    assert first.row == second.row
    assert (first.row["checks"], first.row["checks_equal"], first.machine["device"]) == (2, 2, "a GPU")
    assert "equal in 2 of 2 checks" in result.stdout


def test_nothing_is_timed_or_recorded_where_a_kernel_differs(tmp_path, pretended):
    pretended(True, False)
    result = CliRunner().invoke(app, ["gpu", "--record", str(tmp_path / "gpu.jsonl")])
    assert result.exit_code == 2
    assert "DIFFERS  check False" in result.stderr
    assert list(tmp_path.iterdir()) == []
