"""A row of the table that trains a head on ciphertexts, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HeadRow:
    """One head trained on encrypted samples, beside its clear twin.

    Seconds are wall-clock times of the whole run, of all parties one after the other.

    Attributes:
        row: The kind of line, a key of `bench.tables.rows.TITLES`.
        dataset: The name of the data set.
        features: The number of features, without the column of ones.
        trains: What is trained, in words.
        steps: The steps of the run, all of them made.
        levels: The levels that they take.
        refreshes: How often the owner decrypts and encrypts again on the way.
        extrapolated: False: what stands here was run to its end.
        n_train: The number of training images, all of them encrypted.
        n_test: The number of held-out images that accuracies are of.
        plain_seconds: The twin in the clear: features, whitening and steps.
        encrypted_seconds: The whole run: the parts below.
        prepare_s: The owner's time for features and whitening in the clear, and for looking at the bound.
        keygen_s: The owner's time to make keys.
        encrypt_s: The owner's time to encrypt.
        read_s: The trainer's time to read keys and blocks, with what they take from one process to the other.
        train_s: The trainer's time for the steps.
        decrypt_s: The owner's time to decrypt the head.
        accuracy_plain: The accuracy of the twin on the held-out images.
        accuracy_encrypted: The accuracy of the head that was trained on ciphertexts.
        accuracy_converged: The accuracy of the best plain head on the same features: least squares to the end, with
            the ridge that reads a held-out fifth of the training images best.
        prediction_mismatches: The number of held-out images that are classified otherwise than by the twin.
        largest_error: The largest difference of a weight from the twin's.
        error_bound: What bounds it, known before anything is encrypted.
        largest_weight: The twin's largest weight.
        security_bits: The security of the parameters.
        poly_modulus_degree: The ring's degree N.
        coeff_modulus_bits: The bits of the primes, the special one last.
        sample_bytes: The size of all blocks of encrypted samples.
        head_bytes: The size of the encrypted head.
        evaluation_key_bytes: The size of the evaluation keys.
        cpu_seconds: Processor time of the encrypted run, of all threads.
        trainer_cpu_seconds: The trainer's part of it.
        threads: The threads of the trainer.
        trainer_peak_rss_bytes: The largest resident memory of the trainer, in a process of its own.
        seal_rotate_ms: SEAL's rotation of this run, the yardstick of what takes processor time.
        measured: True.
        source: Where the figures are from.
        explanation: The parameters.
    """

    row: str
    dataset: str
    features: int
    trains: str
    steps: int
    levels: int
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
    train_s: float
    decrypt_s: float
    accuracy_plain: float
    accuracy_encrypted: float
    accuracy_converged: float
    prediction_mismatches: int
    largest_error: float
    error_bound: float
    largest_weight: float
    security_bits: int
    poly_modulus_degree: int
    coeff_modulus_bits: tuple[int, ...]
    sample_bytes: int
    head_bytes: int
    evaluation_key_bytes: int
    cpu_seconds: float
    trainer_cpu_seconds: float
    threads: int
    trainer_peak_rss_bytes: int | None
    seal_rotate_ms: float
    measured: bool = True
    source: str = "measured in this run"
    explanation: str = ""

    @property
    def name(self) -> str:
        """The row in a few words."""
        return f"{self.dataset}, head on {self.features} features"
