"""Rows of what is trained on ciphertexts with refreshes, measured on real encryption of a few digits."""

import dataclasses
import io
from types import MappingProxyType, SimpleNamespace

import pytest
from rich.console import Console

from bench.cases import heads, refreshed, table
from bench.cases.options import TableOptions
from bench.cases.refreshed import jobs, measure
from bench.harness.case import Silent
from bench.report import fhe
from bench.report.table import WIDTH, show
from bench.report.trained import HEADINGS
from he.training.features import RandomFeatures
from he.training.head import Descent
from he.training.recipes import DIGITS, Recipe
from he.training.refreshed.logistic import LogisticDescent
from he.training.refreshed.network import NetworkDescent
from he.training.refreshed.recipes import DIGITS as NETWORK
from he.training.refreshed.recipes import DIGITS_LOGISTIC, NetworkRecipe
from plaintext_models.data import datasets


@pytest.fixture(scope="module")
def rows():
    """A small network, and a small head, on few digits, so that it takes seconds."""
    patch = pytest.MonkeyPatch()
    network = NetworkRecipe(4, 100, 0.05, NetworkDescent(2, 2, 0.5, 0.1))
    head = Recipe(RandomFeatures(8, 8, 2, 3, 3), 100, 0.05, Descent(2, 2.5)), LogisticDescent(2, 1.0)

    def load(name, data):
        whole = datasets.load(name, data)
        return dataclasses.replace(whole, train_images=whole.train_images[:300], train_labels=whole.train_labels[:300])

    patch.setattr(refreshed, "datasets", SimpleNamespace(load=load))
    patch.setattr(refreshed, "NETWORKS", MappingProxyType({"digits": network}))
    patch.setattr(refreshed, "HEADS", MappingProxyType({"digits": head}))
    measured = [measure(job, Silent()) for job in jobs("digits")]
    patch.undo()
    return measured


@pytest.fixture(params=[0, 1], ids=["network", "head"])
def row(rows, request):
    return rows[request.param]


def test_the_parts_are_the_whole(row):
    parts = row.prepare_s, row.keygen_s, row.encrypt_s, row.read_s, row.train_s, row.refresh_s
    assert row.encrypted_seconds == pytest.approx(sum(parts))
    assert min(*parts, row.plain_seconds) > 0
    assert 0 < row.trainer_cpu_seconds < row.cpu_seconds


def test_every_step_was_made_and_is_the_twins(row):
    assert (row.steps, row.refreshes, row.extrapolated) == (2, 2, False)
    assert (row.n_train, row.n_test) == (300, 360)
    assert len(row.largest_errors) == 2
    assert 0 < max(row.largest_errors) < row.largest_weight / 1000
    assert row.accuracy_plain == pytest.approx(row.accuracy_encrypted, abs=(row.prediction_mismatches + 1e-9) / 360)


def test_sizes_levels_and_bytes_are_those_of_what_is_trained(rows):
    network, head = rows
    assert (network.network, network.levels, head.network, head.levels) == ("4-2-10", 6, "8-10", 5)
    for row, ciphertexts, bits in ((network, 5 + 5, 274), (head, 9 + 5, 236)):
        assert (row.security_bits, row.poly_modulus_degree) == (128, 16384)
        assert ciphertexts * 16384 * bits // 8 < row.sample_bytes < ciphertexts * 16384 * (bits + 7) // 8
        assert 2 * 16384 * 46 // 8 < row.worn_bytes < 2 * 16384 * 47 // 8
        assert 16384 * bits // 8 < row.fresh_bytes < 16384 * (bits + 7) // 8


def test_rows_are_printed_and_say_what_is_trained(rows):
    for row in rows:
        assert all(len(cell) <= width for cell, (_, width) in zip(fhe.cells(row)[1:], HEADINGS, strict=True))
    console = Console(width=WIDTH, record=True, file=io.StringIO())
    show(console, rows)
    printed = " ".join(console.export_text().split())
    for words in (
        "digits network, 4-2-10",
        "both layers from public random weights",
        "levels of a step: 6; refreshes: 2",
        "digits logistic head, 8-10",
        "a linear head by logistic regression",
        "levels of a step: 5; refreshes: 2",
    ):
        assert words in printed


def test_the_table_has_them_by_a_flag_alone():
    head, *others, _ = table.jobs(TableOptions(dataset="digits", row=(heads.ROW,), network=True))
    assert others == [*jobs("digits")]
    assert [job.recipe for job in others] == [NETWORK, (DIGITS, DIGITS_LOGISTIC)]
    assert [job.title for job in others] == ["digits network", "digits logistic head"]
    assert table.jobs(TableOptions(dataset="digits", row=(heads.ROW,))) == (head,)
    assert jobs("mnist") == ()
