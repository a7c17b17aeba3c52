"""Rows that train on encrypted data, for people."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report.units import duration, percent, size, times
from bench.tables.trained import TrainedRow

HEADINGS = (("clear", 7), ("encrypted", 9), ("ratio", 8), ("accuracy, both", 14), ("result", 13))


def cells(row: TrainedRow) -> tuple[str, ...]:
    """A row's cells: its name, then one for each of `HEADINGS`."""
    return (
        f"{row.dataset} {row.protocol} {row.scheme}",
        duration(row.plain_seconds),
        duration(row.encrypted_seconds),
        times(row.encrypted_seconds / row.plain_seconds),
        f"{percent(row.accuracy_plain)} {percent(row.accuracy_encrypted)}",
        result(row),
    )


def result(row: TrainedRow) -> str:
    """What came out of a run, in at most 13 letters."""
    if row.extrapolated:
        return "extrapolated"
    return {True: "bit-identical", False: "BITS DIFFER", None: "not compared"}[row.bit_identical]


def details(row: TrainedRow) -> Iterator[str]:
    """Everything else that a reader must know of a row, line by line."""
    counted = f"{row.steps} steps, {row.epochs} epochs, {row.n_train} training images"
    if row.extrapolated:
        yield f"extrapolated from {row.measured_steps} of {counted}; nothing was trained to the end"
    else:
        yield f"{row.network}, {counted}; accuracies are of {row.n_test} held-out images"
    yield (
        f"authority: set-up {duration(row.setup_s)}, {row.keys_issued} keys {duration(row.keys_s)}; owners: encryption "
        f"{duration(row.encrypt_s)}; trainer: decryption {duration(row.decrypt_s)}, the rest {duration(row.train_s)}; "
        f"{duration(row.cpu_seconds)} of processor time, threads: {row.threads}"
    )
    if row.plain_step_s and row.encrypted_step_s:
        yield (
            f"a step alone, in processor time: {duration(row.encrypted_step_s)}, in the clear "
            f"{duration(row.plain_step_s)}: {times(row.encrypted_step_s / row.plain_step_s)} (their fastest epochs "
            "but for the first)"
        )
    if row.resumed_after:
        yield f"an earlier process made {row.resumed_after} of the epochs; what they took is added"
    yield f"bytes: ciphertexts {size(row.ciphertext_bytes)}, keys {size(row.key_bytes)}"
    yield f"independent keys: {row.rank_issued} of a budget of {row.rank_budget}"
    if row.n_attacked:
        yield row.reveals
        yield (
            f"attacks on {row.n_attacked} images: {percent(row.share_rebuilt)} rebuilt exactly"
            + ("" if row.psnr_db is None else f", at best {row.psnr_db:.1f} dB")
            + f"; a judge reads {percent(row.judge_accuracy)} of what is rebuilt, and "
            f"{percent(row.judge_accuracy_originals)} of the originals"
        )
    if row.accuracy_public_only is not None:
        yield f"accuracy of the same network trained on the public images alone: {percent(row.accuracy_public_only)}"
    yield from row.explanation.splitlines()
