"""A row of the table that trains a network exactly on ciphertexts, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExactRow:
    """A network of integers, of which some steps were made on encrypted samples, beside its clear twin.

    Seconds are wall-clock times, of all parties one after the other.

    Attributes:
        row: The kind of line, a key of `bench.tables.rows.TITLES`.
        dataset: The name of the data set.
        network: The widths of its layers.
        trains: What is trained, in words.
        steps: The steps of the whole training.
        measured_steps: The steps that were made on ciphertexts.
        refreshes: How often the owner decrypts and encrypts again in the whole training.
        extrapolated: Whether there are more steps than were made.
        bit_identical: Whether the variables behind every step that was made are those of the twin, to the bit.
        n_train: The number of training images, all of them encrypted.
        n_test: The number of held-out images that the accuracy is of.
        plain_seconds: The twin's whole training in the clear: whitening, rounding and steps.
        encrypted_seconds: The whole training: keys, samples, and as many steps as it has, each like the mean of those
            that were made.
        prepare_s: The owner's time for whitening and rounding.
        keygen_s: The owner's time to make keys.
        encrypt_s: The owner's time to encrypt the samples.
        read_s: The trainer's time to read keys and samples.
        ask_s: The owner's time to encrypt the weights, for a step.
        answer_s: The trainer's time for a step.
        update_s: The owner's time to decrypt gradients and update, for a step.
        accuracy_plain: The accuracy of the twin on the held-out images, after all steps.
        moduli_bits: The bits of the plaintext moduli.
        gradient_bits: The bits of the largest gradient that there could be.
        budget_bits: The noise budget that is proved to be left.
        security_bits: The security of the parameters.
        poly_modulus_degree: The ring's degree N.
        coeff_modulus_bits: The bits of the primes, the special one last.
        sample_bytes: The size of all encrypted samples.
        step_bytes: What crosses in a step, both ways.
        evaluation_key_bytes: The size of the evaluation keys.
        cpu_seconds: Processor time of all threads, for what was made.
        step_cpu_seconds: Processor time of all threads, for a step.
        threads: The threads of the trainer.
        peak_rss_bytes: The largest resident memory of the process up to the end of this row: of all parties together.
        measured: True.
        source: Where the figures are from.
        explanation: The parameters.
    """

    row: str
    dataset: str
    network: str
    trains: str
    steps: int
    measured_steps: int
    refreshes: int
    extrapolated: bool
    bit_identical: bool
    n_train: int
    n_test: int
    plain_seconds: float
    encrypted_seconds: float
    prepare_s: float
    keygen_s: float
    encrypt_s: float
    read_s: float
    ask_s: float
    answer_s: float
    update_s: float
    accuracy_plain: float
    moduli_bits: tuple[int, ...]
    gradient_bits: int
    budget_bits: float
    security_bits: int
    poly_modulus_degree: int
    coeff_modulus_bits: tuple[int, ...]
    sample_bytes: int
    step_bytes: int
    evaluation_key_bytes: int
    cpu_seconds: float
    step_cpu_seconds: float
    threads: int
    peak_rss_bytes: int | None
    measured: bool = True
    source: str = "measured in this run"
    explanation: str = ""

    @property
    def name(self) -> str:
        """The row in a few words."""
        return f"{self.dataset} network, exact"
