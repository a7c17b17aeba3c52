"""A row of the table that trains a network exactly on ciphertexts, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from bench.tables.fhe import FheRow


@dataclass(frozen=True, kw_only=True)
class ExactRow(FheRow):
    """A network of integers, of which some steps were made on encrypted samples, beside its clear twin.

    As long as bits are identical, accuracies are, too.

    Attributes:
        network: The widths of its layers.
        measured_steps: The steps that were made on ciphertexts.
        bit_identical: Whether the variables behind every step that was made are those of the twin, to the bit.
        ask_s: The owner's time to encrypt the weights, for a step.
        answer_s: The trainer's time for a step.
        update_s: The owner's time to decrypt gradients and update, for a step.
        moduli_bits: The bits of the plaintext moduli.
        gradient_bits: The bits of the largest gradient that there could be.
        budget_bits: The noise budget that is proved to be left.
        step_bytes: What crosses in a step, both ways.
        step_cpu_seconds: Processor time of all threads, for a step.
        peak_rss_bytes: The largest resident memory of the process up to the end of this row: of all parties together.
    """

    network: str
    measured_steps: int
    bit_identical: bool
    ask_s: float
    answer_s: float
    update_s: float
    moduli_bits: tuple[int, ...]
    gradient_bits: int
    budget_bits: float
    step_bytes: int
    step_cpu_seconds: float
    peak_rss_bytes: int | None

    @property
    def title(self) -> str:
        """The row in a cell of the table."""
        return f"{self.dataset} network, exact"

    @property
    def name(self) -> str:
        """The row in a few words."""
        return self.title

    @property
    def accuracy_encrypted(self) -> float | None:
        """The accuracy of the network that was trained on ciphertexts, if it has the twin's bits."""
        return self.accuracy_plain if self.bit_identical and not self.extrapolated else None
