"""Rows of networks that are trained on ciphertexts, measured on real encryption of a few digits."""

import dataclasses
import io
from types import MappingProxyType, SimpleNamespace

import pytest
from rich.console import Console

from bench.cases import encrypted_networks, heads, table
from bench.cases.encrypted_networks import jobs, measure
from bench.cases.options import TableOptions
from bench.harness.case import Silent
from bench.report import encrypted_networks as report
from bench.report.table import WIDTH, show
from bench.report.trained import HEADINGS
from he.training.network import NetworkDescent
from he.training.network_recipes import DIGITS, NetworkRecipe
from plaintext_models.data import datasets


@pytest.fixture(scope="module")
def row():
    """A small network and few digits, so that it takes seconds."""
    patch = pytest.MonkeyPatch()
    recipe = NetworkRecipe(4, 100, 0.05, NetworkDescent(2, 2, 0.5, 0.1))

    def load(name, data):
        whole = datasets.load(name, data)
        return dataclasses.replace(whole, train_images=whole.train_images[:300], train_labels=whole.train_labels[:300])

    patch.setattr(encrypted_networks, "datasets", SimpleNamespace(load=load))
    patch.setattr(encrypted_networks, "RECIPES", MappingProxyType({"digits": recipe}))
    (job,) = jobs("digits")
    measured = measure(job, Silent())
    patch.undo()
    return measured


def test_the_parts_are_the_whole(row):
    parts = row.prepare_s, row.keygen_s, row.encrypt_s, row.read_s, row.train_s, row.refresh_s
    assert row.encrypted_seconds == pytest.approx(sum(parts))
    assert min(*parts, row.plain_seconds) > 0
    assert 0 < row.trainer_cpu_seconds < row.cpu_seconds


def test_every_step_was_made_and_is_the_twins(row):
    assert (row.steps, row.levels, row.refreshes, row.extrapolated) == (2, 6, 2, False)
    assert (row.n_train, row.n_test, row.network) == (300, 360, "4-2-10")
    assert len(row.largest_errors) == 2
    assert 0 < max(row.largest_errors) < row.largest_weight / 1000
    assert row.accuracy_plain == pytest.approx(row.accuracy_encrypted, abs=(row.prediction_mismatches + 1e-9) / 360)


def test_security_and_bytes_are_counted(row):
    assert (row.security_bits, row.poly_modulus_degree) == (128, 16384)
    assert row.sample_bytes > (5 + 5) * 16384 * 274 // 8
    assert 2 * 16384 * 46 // 8 < row.worn_bytes < row.fresh_bytes
    assert 16384 * 274 // 8 < row.fresh_bytes < 16384 * 280 // 8


def test_the_row_is_printed_and_says_what_is_trained(row):
    assert all(len(cell) <= width for cell, (_, width) in zip(report.cells(row)[1:], HEADINGS, strict=True))
    console = Console(width=WIDTH, record=True, file=io.StringIO())
    show(console, [row])
    printed = " ".join(console.export_text().split())
    for words in ("digits network", "both layers from public random weights", "levels of a step: 6", "refreshes: 2"):
        assert words in printed


def test_the_table_has_it_by_its_flag_alone():
    head, *others = table.jobs(TableOptions(dataset="digits", row=(heads.ROW,), network=True))
    assert others == [*jobs("digits")]
    assert others[0].recipe == DIGITS
    assert table.jobs(TableOptions(dataset="digits", row=(heads.ROW,))) == (head,)
    assert jobs("mnist") == ()
