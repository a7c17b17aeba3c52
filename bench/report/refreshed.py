"""Rows that train on ciphertexts with refreshes, for people."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report.units import duration, size
from bench.tables.refreshed import RefreshedRow


def details(row: RefreshedRow) -> Iterator[str]:
    """Everything else that a reader must know of a row, line by line."""
    yield f"trained is {row.trains}"
    yield (
        f"steps: {row.steps}, all made, on {row.n_train} encrypted images; levels of a step: {row.levels}; refreshes: "
        f"{row.refreshes}; accuracies are of {row.n_test} held-out images"
    )
    yield (
        f"{row.prediction_mismatches} images are classified otherwise than by the clear twin; weights are off by at "
        f"most {row.largest_errors[0]:.1e} after the first step, {max(row.largest_errors):.1e} in the run, of "
        f"{row.largest_weight:.2g}"
    )
    yield (
        f"owner: whitening in the clear {duration(row.prepare_s)}, keys {duration(row.keygen_s)}, encryption "
        f"{duration(row.encrypt_s)}, refreshes {duration(row.refresh_s)}; trainer: reading {duration(row.read_s)}, "
        f"steps {duration(row.train_s)}; {duration(row.cpu_seconds)} of processor time, "
        f"{duration(row.trainer_cpu_seconds)} of it the trainer's, threads: {row.threads}; one SEAL rotation takes "
        f"{row.seal_rotate_ms:.2f} ms"
    )
    yield (
        f"bytes to the trainer: samples {size(row.sample_bytes)}, evaluation keys {size(row.evaluation_key_bytes)}, "
        f"weights of a step {size(row.fresh_bytes)}; bytes back, a step: {size(row.worn_bytes)}; peak memory of all "
        f"parties {size(row.peak_rss_bytes)}"
    )
    yield row.explanation
