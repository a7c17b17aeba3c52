"""Rows that train on encrypted data: what a reader is told of them."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from bench.report import table, trained
from bench.tables.trained import TrainedRow

ROW = TrainedRow(
    row="training-functional", protocol="faithful", scheme="pads", dataset="digits", network="64-64-10", epochs=2,
    steps=88, measured_steps=88, extrapolated=False, n_train=1437, n_test=360, plain_seconds=0.5, encrypted_seconds=2.0,
    setup_s=0.1, encrypt_s=0.2, keys_s=0.3, decrypt_s=0.4, train_s=1.0, accuracy_plain=0.95, accuracy_encrypted=0.95,
    bit_identical=True, keys_issued=1000, rank_issued=64, rank_budget=64, share_rebuilt=1.0, n_attacked=32,
    psnr_db=None, judge_accuracy=0.9, judge_accuracy_originals=0.91, accuracy_public_only=None,
    reveals="reveals every image",
    security_bits=128, ciphertext_bytes=1000, key_bytes=2000, cpu_seconds=2.0, threads=2, peak_rss_bytes=None,
    seed=0,
)  # fmt: skip


def printed(row: TrainedRow) -> str:
    page = StringIO()
    table.show(Console(file=page, width=80), [row])
    return page.getvalue()


def test_a_row_shows_both_times_their_ratio_and_both_accuracies() -> None:
    line = next(line for line in printed(ROW).splitlines() if line.startswith("digits faithful pads"))
    assert line.split() == [
        "digits",
        "faithful",
        "pads",
        "500",
        "ms",
        "2",
        "s",
        "4x",
        "95.00%",
        "95.00%",
        "bit-identical",
    ]
    assert len(line) <= 80


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "bit-identical"),
        ({"bit_identical": False}, "BITS DIFFER"),
        ({"bit_identical": None}, "not compared"),
        ({"extrapolated": True, "measured_steps": 2}, "extrapolated"),
    ],
)
def test_the_result_is_what_was_found(change: dict, words: str) -> None:
    assert trained.result(replace(ROW, **change)) == words


def test_what_is_extrapolated_says_from_how_much() -> None:
    told = list(trained.details(replace(ROW, extrapolated=True, measured_steps=2)))
    assert told[0].startswith("extrapolated from 2 of 88 steps")


def test_what_is_revealed_is_told_where_it_was_attacked() -> None:
    told = "\n".join(trained.details(replace(ROW, psnr_db=17.94, share_rebuilt=0.5)))
    assert "reveals every image" in told
    assert "50.00% rebuilt exactly, at best 17.9 dB" in told
    assert "reveals" not in "\n".join(trained.details(replace(ROW, n_attacked=0)))


def test_public_images_alone_are_told_where_there_are_any() -> None:
    assert "public images alone: 90.90%" in "\n".join(trained.details(replace(ROW, accuracy_public_only=0.909)))
    assert "public" not in "\n".join(trained.details(ROW))


def test_a_step_alone_is_told_where_it_was_measured() -> None:
    told = "\n".join(trained.details(replace(ROW, plain_step_s=10e-6, encrypted_step_s=42e-6)))
    assert "a step alone, in processor time: 42 µs, in the clear 10 µs: 4.2x" in told
    assert "a step alone" not in "\n".join(trained.details(ROW))
