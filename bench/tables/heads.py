"""A row of the table that trains a head on ciphertexts, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from bench.tables.fhe import FheRow


@dataclass(frozen=True, kw_only=True)
class HeadRow(FheRow):
    """One head trained on encrypted samples, beside its clear twin.

    Attributes:
        features: The number of features, without the column of ones.
        levels: The levels that all steps take.
        train_s: The trainer's time for the steps.
        decrypt_s: The owner's time to decrypt the head.
        accuracy_encrypted: The accuracy of the head that was trained on ciphertexts.
        accuracy_converged: The accuracy of the best plain head on the same features: least squares to the end, with
            the ridge that reads a held-out fifth of the training images best.
        prediction_mismatches: The number of held-out images that are classified otherwise than by the twin.
        largest_error: The largest difference of a weight from the twin's.
        error_bound: What bounds it, known before anything is encrypted.
        largest_weight: The twin's largest weight.
        head_bytes: The size of the encrypted head.
        trainer_cpu_seconds: The trainer's part of `cpu_seconds`.
        trainer_peak_rss_bytes: The largest resident memory of the trainer, in a process of its own.
        seal_rotate_ms: SEAL's rotation of this run, the yardstick of what takes processor time.
    """

    features: int
    levels: int
    train_s: float
    decrypt_s: float
    accuracy_encrypted: float
    accuracy_converged: float
    prediction_mismatches: int
    largest_error: float
    error_bound: float
    largest_weight: float
    head_bytes: int
    trainer_cpu_seconds: float
    trainer_peak_rss_bytes: int | None
    seal_rotate_ms: float

    @property
    def title(self) -> str:
        """The row in a cell of the table."""
        return f"{self.dataset} head {self.features}"

    @property
    def name(self) -> str:
        """The row in a few words."""
        return f"{self.dataset}, head on {self.features} features"
