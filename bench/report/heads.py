"""Rows that train heads on ciphertexts, for people."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report.units import duration, percent, size
from bench.tables.heads import HeadRow


def details(row: HeadRow) -> Iterator[str]:
    """Everything else that a reader must know of a row, line by line."""
    yield f"trained is {row.trains}"
    yield (
        f"steps: {row.steps}, all made, on {row.n_train} encrypted images; levels: {row.levels}; refreshes: "
        f"{row.refreshes}; accuracies are of {row.n_test} held-out images"
    )
    yield (
        f"least squares to the end, in the clear, on the same features: {percent(row.accuracy_converged)}; "
        f"{row.prediction_mismatches} images are classified otherwise than by the clear twin; weights are off by at "
        f"most {row.largest_error:.1e} (bound {row.error_bound:.1e}) of {row.largest_weight:.2g}"
    )
    yield (
        f"owner: features and whitening in the clear {duration(row.prepare_s)}, keys {duration(row.keygen_s)}, "
        f"encryption {duration(row.encrypt_s)}, decryption {duration(row.decrypt_s)}; trainer: reading "
        f"{duration(row.read_s)}, steps {duration(row.train_s)}; {duration(row.cpu_seconds)} of processor time, "
        f"{duration(row.trainer_cpu_seconds)} of it the trainer's, threads: {row.threads}; one SEAL rotation takes "
        f"{row.seal_rotate_ms:.2f} ms"
    )
    yield (
        f"bytes to the trainer: samples {size(row.sample_bytes)}, evaluation keys {size(row.evaluation_key_bytes)}; "
        f"bytes back: the head {size(row.head_bytes)}; peak memory of the trainer {size(row.trainer_peak_rss_bytes)}"
    )
    yield row.explanation
