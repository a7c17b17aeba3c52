"""Rows of training with functional encryption, measured on real encryption of a few digits."""

import dataclasses
import os
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import pytest

from bench.cases import functional, functional_parties
from bench.cases.functional import FunctionalJob, jobs, measure
from bench.cases.functional_parties import Seconds, Steps
from bench.cases.functional_runs import FAITHFUL, PROJECTIONS, FaithfulRun, ProjectionRun
from bench.cases.functional_unfinished import Taken
from bench.harness.case import Silent
from bench.report import trained
from bench.tables.trained import TrainedRow
from intnn.training.schedule import Epoch
from plaintext_models.data import datasets
from plaintext_models.data.datasets import Dataset

FEW = 8 * 32  # images that are trained on


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of seconds: few images, and few passes over them."""

    def load(name: str, data: object) -> Dataset:
        whole = datasets.load(name, data)
        part = slice(0, PROJECTIONS["digits"].public + FEW)
        return dataclasses.replace(whole, train_images=whole.train_images[part], train_labels=whole.train_labels[part])

    monkeypatch.setattr(functional, "datasets", SimpleNamespace(load=load))
    run = FaithfulRun(16, 64, 64, 32, 2, Fraction(1, 20), watched=4, ddh_steps=1)
    monkeypatch.setattr(functional, "FAITHFUL", MappingProxyType({"digits": run}))
    monkeypatch.setattr(
        functional, "PROJECTIONS", {"digits": ProjectionRun(16, PROJECTIONS["digits"].public, 16, 0.05, attacked=5)}
    )


def run(protocol: str, scheme: str) -> TrainedRow:
    return measure(FunctionalJob(protocol, scheme, "digits", None, 3), Silent())


def require_whole(row: TrainedRow) -> None:
    parts = row.setup_s + row.encrypt_s + row.keys_s + row.decrypt_s + row.train_s
    assert row.encrypted_seconds == pytest.approx(parts)
    assert min(row.setup_s, row.encrypt_s, row.keys_s, row.decrypt_s, row.train_s, row.plain_seconds) > 0
    assert row.ciphertext_bytes > 0 < row.key_bytes
    assert row.seed == 3
    assert row.measured
    assert all(len(cell) <= width for cell, (_, width) in zip(trained.cells(row)[1:], trained.HEADINGS, strict=True))


def test_the_projection_of_a_few_digits() -> None:
    row = run("projection", "rlwe")
    require_whole(row)
    assert row.bit_identical
    assert not row.extrapolated
    assert row.n_train == FEW
    assert row.keys_issued == row.rank_issued == row.rank_budget == 16
    assert row.accuracy_encrypted > 0.6
    assert row.n_attacked == 5
    assert row.share_rebuilt < 1
    assert 0.3 < row.accuracy_public_only < 0.95
    assert "128" in row.explanation
    assert "of 5 training images" in row.reveals


@pytest.mark.parametrize("scheme", ["rlwe", "pads"])
def test_every_image_of_faithful_training_is_revealed_by_one_gradient(scheme: str) -> None:
    row = run("faithful", scheme)
    require_whole(row)
    assert row.bit_identical
    assert not row.extrapolated
    batches = (PROJECTIONS["digits"].public + FEW) // 32
    assert row.steps == row.measured_steps == 2 * batches
    assert row.keys_issued == row.steps * 128  # 64 of weights and 64 of errors
    assert 0 < row.plain_step_s < row.encrypted_step_s < row.encrypted_seconds
    assert row.accuracy_encrypted == row.accuracy_plain
    assert row.share_rebuilt == 1
    assert row.n_attacked == 4 * 32
    assert row.psnr_db is None
    assert row.judge_accuracy >= row.judge_accuracy_originals  # of the best attack
    assert row.reveals == "reveals every training image after update 1 of its batch"


def test_what_is_too_slow_is_extrapolated_and_says_so() -> None:
    row = run("faithful", "ddh")
    require_whole(row)
    assert row.extrapolated
    assert row.bit_identical  # the steps that were made
    assert (row.measured_steps, row.steps) == (1, 2 * ((PROJECTIONS["digits"].public + FEW) // 32))
    assert row.accuracy_encrypted is None
    assert row.encrypted_step_s is None  # there is one epoch
    assert trained.result(row) == "extrapolated"
    assert row.keys_issued == row.steps * 128  # 64 of weights and 64 of errors
    assert 0.05 < row.cpu_seconds / row.encrypted_seconds < 2  # extrapolated both: of one step alone it would be 0.01


def test_the_runs_of_the_table() -> None:
    found = jobs("digits", None, 0)
    assert {job.title for job in found} == {"projection, rlwe", "faithful, rlwe", "faithful, pads", "faithful, ddh"}
    assert set(FAITHFUL) == set(PROJECTIONS) == {"digits", "mnist"}


def test_seconds_of_a_run_that_is_so_many_times_as_long() -> None:
    seconds = Seconds(setup=1.0, encrypt=2.0, keys=3.0, decrypt=4.0).within(15.0)
    assert seconds.train == 5.0
    assert seconds.times(2, 10) == Seconds(2.0, 4.0, 30.0, 40.0, 50.0)
    assert seconds.all == 15.0


def test_a_step_takes_what_it_takes_in_the_fastest_epoch_behind_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = iter([7.0, 10.0, 20.0, 22.0])
    monkeypatch.setattr(functional_parties, "process_time", lambda: next(ends))
    steps = Steps()
    assert steps.seconds(32) is None
    for number in range(4):
        steps(Epoch(number + 1, 0, 320))
    assert steps.seconds(32) == pytest.approx(2.0 / 10)  # of 3, 10 and 2 seconds for 10 steps


class Stopping(Silent):
    """A user who is impatient at a step."""

    def __init__(self, step: int) -> None:
        self.what = f"step {step} of "

    def __call__(self, what: str, share: float | None = None) -> None:
        if what.startswith(self.what):
            raise KeyboardInterrupt


@pytest.mark.parametrize("damage", [None, "older", "damaged", "missing"])
def test_a_run_that_is_stopped_goes_on(tmp_path: Path, damage: str | None) -> None:
    job = FunctionalJob("faithful", "pads", "digits", None, 3, tmp_path)
    batches = (PROJECTIONS["digits"].public + FEW) // 32
    with pytest.raises(KeyboardInterrupt):
        measure(job, Stopping(batches + 2))
    checkpoint = job.unfinished.checkpoint
    beside = checkpoint.with_suffix(".taken.json")
    first = job.unfinished.taken()
    assert first.epochs == 1
    assert first.keys == 128 * batches
    match damage:
        case "older":
            os.utime(beside, (1, 1))
        case "damaged":
            beside.write_text("{}")
        case "missing":
            beside.unlink()
    row = measure(job, Silent())
    require_whole(row)
    assert row.bit_identical
    assert row.resumed_after == (1 if damage is None else 0)
    assert row.keys_issued == 2 * 128 * batches
    assert row.cpu_seconds > (first.cpu_seconds if damage is None else 0)
    assert ("an earlier process made 1 of the epochs" in "".join(trained.details(row))) == (damage is None)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_kept_unless_asked() -> None:
    assert FunctionalJob("faithful", "pads", "digits", None, 3).unfinished.taken() == Taken()
