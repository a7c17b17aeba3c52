"""A row of the table that trains on ciphertexts with refreshes, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RefreshedRow:
    """One network, or one head, trained on encrypted samples with refreshes, beside its clear twin.

    Seconds are wall-clock times of the whole run, of all parties one after the other, in one process.

    Attributes:
        row: The kind of line, a key of `bench.tables.rows.TITLES`.
        dataset: The name of the data set.
        title: What is trained, in two words.
        network: The sizes of the layers.
        trains: What is trained, in words.
        steps: The steps of the run, all of them made.
        levels: The levels that a step takes.
        refreshes: How often the owner decrypts and encrypts again on the way.
        extrapolated: False: what stands here was run to its end.
        n_train: The number of training images, all of them encrypted.
        n_test: The number of held-out images that accuracies are of.
        plain_seconds: The twin in the clear: its steps.
        encrypted_seconds: The whole run: the parts below.
        prepare_s: The owner's time for samples and whitening in the clear.
        keygen_s: The owner's time to make keys.
        encrypt_s: The owner's time to encrypt.
        read_s: The trainer's time to read keys and blocks.
        train_s: The trainer's time for the steps.
        refresh_s: The owner's time for the refreshes.
        accuracy_plain: The accuracy of the twin on the held-out images.
        accuracy_encrypted: The accuracy of the network that was trained on ciphertexts.
        prediction_mismatches: The number of held-out images that are classified otherwise than by the twin.
        largest_errors: The largest difference of a weight from the twin's, after every step.
        largest_weight: The twin's largest weight.
        security_bits: The security of the parameters.
        poly_modulus_degree: The ring's degree N.
        coeff_modulus_bits: The bits of the primes, the special one last.
        sample_bytes: The size of all blocks of encrypted samples.
        fresh_bytes: The size of one message of fresh weights, to the trainer.
        worn_bytes: The size of one message of worn weights, to the owner.
        evaluation_key_bytes: The size of the evaluation keys.
        cpu_seconds: Processor time of the encrypted run, of all threads.
        trainer_cpu_seconds: The trainer's part of it.
        seal_rotate_ms: SEAL's rotation of this run, the yardstick of what takes processor time.
        threads: The threads of the trainer.
        peak_rss_bytes: The largest resident memory of the process up to the end of this row: of all parties together.
        measured: True.
        source: Where the figures are from.
        explanation: The parameters.
    """

    row: str
    dataset: str
    title: str
    network: str
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
    refresh_s: float
    accuracy_plain: float
    accuracy_encrypted: float
    prediction_mismatches: int
    largest_errors: tuple[float, ...]
    largest_weight: float
    security_bits: int
    poly_modulus_degree: int
    coeff_modulus_bits: tuple[int, ...]
    sample_bytes: int
    fresh_bytes: int
    worn_bytes: int
    evaluation_key_bytes: int
    cpu_seconds: float
    trainer_cpu_seconds: float
    seal_rotate_ms: float
    threads: int
    peak_rss_bytes: int | None
    measured: bool = True
    source: str = "measured in this run"
    explanation: str = ""

    @property
    def name(self) -> str:
        """The row in a few words."""
        return f"{self.title}, {self.network}"
