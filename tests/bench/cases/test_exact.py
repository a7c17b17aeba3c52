"""A row of a network that is trained exactly on ciphertexts, measured on real encryption of a few digits."""

import dataclasses
import io
from fractions import Fraction
from types import MappingProxyType, SimpleNamespace

import pytest
from rich.console import Console

from bench.cases import exact, heads, table
from bench.cases.exact import jobs, measure
from bench.cases.options import TableOptions
from bench.harness.case import Silent
from bench.report import exact as report
from bench.report.table import WIDTH, show
from bench.report.trained import HEADINGS
from he.training.exact.recipes import ExactRecipe
from intnn.training.squares.plan import SquarePlan
from plaintext_models.data import datasets

SQUARES = SquarePlan(1, 5, 2, 10, 3, 7, 7, 30, 20, Fraction(1, 15), Fraction(1, 10))


def measured(steps, whole=False):
    """Of a network so small that it takes seconds."""
    patch = pytest.MonkeyPatch()

    def load(name, data):
        whole = datasets.load(name, data)
        return dataclasses.replace(whole, train_images=whole.train_images[:100], train_labels=whole.train_labels[:100])

    patch.setattr(exact, "datasets", SimpleNamespace(load=load))
    recipe = ExactRecipe(100, 0.01, 1.5, SQUARES, steps)
    patch.setattr(exact, "RECIPES", MappingProxyType({"digits": (recipe,)}))
    (job,) = jobs("digits", None, whole)
    made = measure(job, Silent())
    patch.undo()
    return made


@pytest.fixture(scope="module")
def row():
    return measured(7)


def test_all_steps_are_made_if_wanted():
    made = measured(3, whole=True)
    assert (made.measured_steps, made.extrapolated, made.bit_identical) == (3, False, True)


def test_the_whole_is_extrapolated_from_the_steps_that_were_made(row):
    assert (row.steps, row.measured_steps, row.refreshes, row.extrapolated) == (7, 2, 7, True)
    once = row.prepare_s + row.keygen_s + row.encrypt_s + row.read_s
    assert row.encrypted_seconds == pytest.approx(once + 7 * (row.ask_s + row.answer_s + row.update_s))
    assert 0 < row.plain_seconds < row.encrypted_seconds
    assert 0 < 2 * row.step_cpu_seconds < row.cpu_seconds


def test_steps_are_the_twins_at_full_security(row):
    assert row.bit_identical
    assert row.security_bits == 128
    assert row.gradient_bits < sum(row.moduli_bits)
    assert (row.n_train, row.n_test, row.network) == (100, 360, "4-2-10")
    assert min(row.sample_bytes, row.step_bytes, row.evaluation_key_bytes) > 0


def test_the_row_is_printed_and_says_that_it_is_extrapolated(row):
    assert all(len(cell) <= width for cell, (_, width) in zip(report.cells(row)[1:], HEADINGS, strict=True))
    console = Console(width=WIDTH, record=True, file=io.StringIO())
    show(console, [row])
    printed = " ".join(console.export_text().split())
    for words in ("digits network, exact", "2 of 7 made", "the whole is extrapolated", "4-2-10", "to the bit"):
        assert words in printed


def test_other_results_are_called_otherwise(row):
    whole = dataclasses.replace(row, extrapolated=False)
    assert report.cells(whole)[-1] == "bit-identical"
    assert report.cells(row)[-1] == "extrapolated"
    different = dataclasses.replace(row, bit_identical=False)
    assert report.cells(different)[-1] == "BITS DIFFER"
    assert any("are NOT those of the clear twin" in line for line in report.details(different))


def test_the_tables_third_row_has_it():
    *_, job = table.jobs(TableOptions(dataset="digits", row=(heads.ROW,), network=True))
    assert job == jobs("digits", None)[0]
    assert job.recipe.squares.hidden == 16
    assert jobs("mnist", None) == ()
    *_, whole = table.jobs(TableOptions(dataset="digits", row=(heads.ROW,), network=True, whole=True))
    assert whole == dataclasses.replace(job, whole=True)
