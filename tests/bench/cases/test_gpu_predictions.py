"""The predictions of docs/gpu.md are what the code computes from circuits and kernels."""

from pathlib import Path

import pytest

from bench.cases.gpu_predictions import kernel_row, kernel_steps, tables

LINES = (Path(__file__).parents[3] / "docs/gpu.md").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def computed():
    return tables()


def test_the_document_has_the_computed_tables(computed):
    for line in computed:
        assert line in LINES


def test_floors_are_what_was_asked_for(computed):
    floors = {cells[1].strip(): cells for cells in (line.split("|") for line in computed) if len(cells) > 8}
    microseconds, an_image = 8, 10  # of an H100
    assert float(floors["mnist-square-cnn, latency"][microseconds]) < 2000
    assert float(floors["mnist-square-cnn, throughput"][an_image]) < 2


def test_by_their_floors_kernels_wait_for_memory():
    assert all("memory" in kernel_row(name, step)[3] for name, step in kernel_steps())
