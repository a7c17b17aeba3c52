"""Rows of heads that are trained on ciphertexts, measured on real encryption of a few digits."""

import dataclasses
import io
from types import MappingProxyType, SimpleNamespace

import pytest
from rich.console import Console

from bench.cases import heads, table
from bench.cases.heads import jobs, measure
from bench.cases.options import TableOptions
from bench.cases.trainer_process import TrainerProcess
from bench.harness.case import Silent
from bench.report import fhe
from bench.report.table import WIDTH, show
from bench.report.trained import HEADINGS
from he.training.features import RandomFeatures
from he.training.head import Descent
from he.training.recipes import Recipe
from plaintext_models.data import datasets
from tests.he.training import made


@pytest.fixture(scope="module")
def row():
    """Few features of few digits, so that it takes seconds."""
    patch = pytest.MonkeyPatch()
    recipe = Recipe(RandomFeatures(8, 8, 2, 3, 3), 100, 0.05, Descent(2, 2.5))

    def load(name, data):
        whole = datasets.load(name, data)
        return dataclasses.replace(whole, train_images=whole.train_images[:400], train_labels=whole.train_labels[:400])

    patch.setattr(heads, "datasets", SimpleNamespace(load=load))
    patch.setattr(heads, "RECIPES", MappingProxyType({"digits": (recipe,)}))
    (job,) = jobs("digits", None)
    measured = measure(job, Silent())
    patch.undo()
    return measured


def test_the_parts_are_the_whole(row):
    parts = row.prepare_s, row.keygen_s, row.encrypt_s, row.read_s, row.train_s, row.decrypt_s
    assert row.encrypted_seconds == pytest.approx(sum(parts))
    assert min(*parts, row.plain_seconds, row.seal_rotate_ms) > 0
    assert 0 < row.trainer_cpu_seconds < row.cpu_seconds


def test_what_was_trained_is_the_twin(row):
    assert (row.steps, row.levels, row.refreshes, row.extrapolated) == (2, 3, 0, False)
    assert (row.n_train, row.n_test, row.features) == (400, 360, 8)
    assert 0 < row.largest_error <= row.error_bound < row.largest_weight / 1000
    assert row.accuracy_plain == pytest.approx(row.accuracy_encrypted, abs=(row.prediction_mismatches + 1e-9) / 360)
    assert 0.3 < row.accuracy_encrypted < 1
    assert 0.3 < row.accuracy_converged < 1


def test_security_and_bytes_are_counted(row):
    assert (row.security_bits, row.poly_modulus_degree) == (128, 8192)
    assert row.sample_bytes > (row.features + 1 + 5) * 8192 * 160 // 8
    assert 2 * 8192 * 46 // 8 < row.head_bytes < 100_000  # one ciphertext at the last level
    assert row.evaluation_key_bytes > 0


def test_the_trainer_has_a_process_of_its_own(row):
    """Whose time and memory are counted: it is no thread of this one."""
    assert 0 < row.trainer_cpu_seconds < row.cpu_seconds
    assert row.trainer_peak_rss_bytes is None or row.trainer_peak_rss_bytes > row.evaluation_key_bytes


def test_a_trainer_that_refuses_a_block_ends():
    keys = made.keys(made.plan())[1].to_bytes()
    with TrainerProcess(made.plan(), keys, 1) as trainer, pytest.raises(EOFError):
        trainer.add(b"no block")


def test_the_row_is_printed_and_says_what_is_trained(row):
    assert all(len(cell) <= width for cell, (_, width) in zip(fhe.cells(row)[1:], HEADINGS, strict=True))
    console = Console(width=WIDTH, record=True, file=io.StringIO())
    show(console, [row])
    printed = " ".join(console.export_text().split())
    for words in ("digits head 8", "least squares on fixed random features", "HETAL", "levels: 3", "refreshes: 0"):
        assert words in printed


@pytest.mark.parametrize(("dataset", "counts"), [("digits", [128]), ("mnist", [252, 576])])
def test_the_table_has_them(dataset, counts):
    assert [job.recipe.features.count for job in jobs(dataset, None)] == counts


def test_the_tables_third_row_is_theirs():
    (job,) = table.jobs(TableOptions(dataset="digits", row=(heads.ROW,)))
    assert job == jobs("digits", None)[0]
    assert job.title == "head, 128 features"
