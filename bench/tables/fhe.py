"""What rows of the table that train on ciphertexts have in common."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FheRow:
    """Something trained on encrypted samples, beside its clear twin.

    Seconds are wall-clock times of all parties, one after the other.

    Attributes:
        row: The kind of line, a key of `bench.tables.rows.TITLES`.
        dataset: The name of the data set.
        trains: What is trained, in words.
        steps: The steps of the whole training.
        refreshes: How often the owner decrypts and encrypts again in the whole training.
        extrapolated: Whether fewer steps were made, from which `encrypted_seconds` is extrapolated.
        n_train: The number of training images, all of them encrypted.
        n_test: The number of held-out images that accuracies are of.
        plain_seconds: The twin's whole training in the clear.
        encrypted_seconds: The whole training: the parts below, and those of the kind of row.
        prepare_s: The owner's time for what it does in the clear: features, whitening, rounding.
        keygen_s: The owner's time to make keys.
        encrypt_s: The owner's time to encrypt samples.
        read_s: The trainer's time to read keys and samples.
        accuracy_plain: The accuracy of the twin on the held-out images.
        security_bits: The security of the parameters.
        poly_modulus_degree: The ring's degree N.
        coeff_modulus_bits: The bits of the primes, the special one last.
        sample_bytes: The size of all encrypted samples.
        evaluation_key_bytes: The size of the evaluation keys.
        cpu_seconds: Processor time of all threads, for what was made.
        threads: The threads of the trainer.
        measured: True.
        source: Where the figures are from.
        explanation: The parameters.
    """

    row: str
    dataset: str
    trains: str
    steps: int
    refreshes: int
    extrapolated: bool
    n_train: int
    n_test: int
    plain_seconds: float
    encrypted_seconds: float
    prepare_s: float
    keygen_s: float
    encrypt_s: float
    read_s: float
    accuracy_plain: float
    security_bits: int
    poly_modulus_degree: int
    coeff_modulus_bits: tuple[int, ...]
    sample_bytes: int
    evaluation_key_bytes: int
    cpu_seconds: float
    threads: int
    measured: bool = True
    source: str = "measured in this run"
    explanation: str = ""
