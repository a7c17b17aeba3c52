"""A row of the table that trains on ciphertexts with refreshes, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from bench.tables.fhe import FheRow


@dataclass(frozen=True, kw_only=True)
class RefreshedRow(FheRow):
    """One network, or one head, trained on encrypted samples with refreshes, beside its clear twin.

    Attributes:
        title: What is trained, in two words.
        network: The sizes of the layers.
        levels: The levels that a step takes.
        train_s: The trainer's time for the steps.
        refresh_s: The owner's time for the refreshes.
        accuracy_encrypted: The accuracy of the network that was trained on ciphertexts.
        prediction_mismatches: The number of held-out images that are classified otherwise than by the twin.
        largest_errors: The largest difference of a weight from the twin's, after every step.
        largest_weight: The twin's largest weight.
        fresh_bytes: The size of one message of fresh weights, to the trainer.
        worn_bytes: The size of one message of worn weights, to the owner.
        trainer_cpu_seconds: The trainer's part of `cpu_seconds`.
        seal_rotate_ms: SEAL's rotation of this run, the yardstick of what takes processor time.
        peak_rss_bytes: The largest resident memory of the process up to the end of this row: of all parties together.
    """

    title: str
    network: str
    levels: int
    train_s: float
    refresh_s: float
    accuracy_encrypted: float
    prediction_mismatches: int
    largest_errors: tuple[float, ...]
    largest_weight: float
    fresh_bytes: int
    worn_bytes: int
    trainer_cpu_seconds: float
    seal_rotate_ms: float
    peak_rss_bytes: int | None

    @property
    def name(self) -> str:
        """The row in a few words."""
        return f"{self.title}, {self.network}"
