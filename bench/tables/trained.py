"""A row of the table that trains on encrypted data, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainedRow:
    """One network trained on encrypted data, beside the same training in the clear.

    Seconds are wall-clock times of the whole run, of all parties one after the other. With `extrapolated`, some steps
    were measured; seconds, keys and bytes are those of these steps times the steps of the run (set-up and ciphertexts:
    times its batches), and nothing was trained to the end.
    Fields that do not apply are None.

    Attributes:
        row: The kind of line, a key of `bench.tables.rows.TITLES`.
        protocol: "projection" (keys once, then training in the clear on what they tell) or "faithful" (keys for every
            step).
        scheme: The scheme of functional encryption: "rlwe", "ddh" or "pads".
        dataset: The name of the data set.
        network: The sizes of its layers.
        epochs: The passes over the training images.
        steps: The steps of the run.
        measured_steps: The steps that were measured; fewer than `steps` where the rest is extrapolated.
        extrapolated: Whether `encrypted_seconds` is more than was measured.
        n_train: The number of training images.
        n_test: The number of held-out images that accuracies are of.
        plain_seconds: The same training in the clear.
        encrypted_seconds: The whole run: the parts below.
        setup_s: The authority's time to draw keys.
        encrypt_s: The data owners' time to encrypt.
        keys_s: The authority's time to derive keys and to keep its ledger.
        decrypt_s: The trainer's time to decrypt inner products.
        train_s: The trainer's time for everything else.
        accuracy_plain: The accuracy of training in the clear on the whole images; for "faithful", on the same batches.
        accuracy_encrypted: The accuracy of what was trained on encrypted data.
        bit_identical: Whether training in the clear, on what the keys tell, ends with the same bits; None if it was not
            tried.
        keys_issued: The number of functional keys.
        rank_issued: The largest number of independent keys of an instance.
        rank_budget: The largest number that the authority would have issued.
        share_rebuilt: The share of the images that were attacked which the trainer rebuilds exactly.
        n_attacked: The number of those images.
        psnr_db: The peak signal-to-noise ratio of what the best attack has rebuilt; None where all of it is exact.
        judge_accuracy: The share of the rebuilt images that a classifier, trained on originals, reads rightly.
        judge_accuracy_originals: The same on the originals.
        accuracy_public_only: The accuracy of the network trained on the public images alone; None if there are none.
        reveals: What the attacks found, in a sentence that is computed from it.
        security_bits: The security of the parameters.
        ciphertext_bytes: The size of all ciphertexts.
        key_bytes: The size of all functional keys.
        cpu_seconds: Processor time of the encrypted run, of all threads.
        threads: The threads that were available.
        peak_rss_bytes: The largest resident memory of the process up to the end of this row.
        seed: The seed of weights and batches.
        plain_step_s: Processor time of a step of the same training in the clear, without what is set up before the
            first one: that of the fastest epoch behind the first. None where steps were not measured alone.
        encrypted_step_s: The same of the encrypted run, of all parties, whose stopwatches it includes.
        resumed_after: The epochs that earlier processes made, which were stopped; their seconds are added, but for
            set-up and encryption, which are made anew.
        measured: True.
        source: Where the figures are from.
        explanation: The parameters and why they are so.
    """

    row: str
    protocol: str
    scheme: str
    dataset: str
    network: str
    epochs: int
    steps: int
    measured_steps: int
    extrapolated: bool
    n_train: int
    n_test: int
    plain_seconds: float
    encrypted_seconds: float
    setup_s: float
    encrypt_s: float
    keys_s: float
    decrypt_s: float
    train_s: float
    accuracy_plain: float | None
    accuracy_encrypted: float | None
    bit_identical: bool | None
    keys_issued: int
    rank_issued: int
    rank_budget: int
    share_rebuilt: float | None
    n_attacked: int
    psnr_db: float | None
    judge_accuracy: float | None
    judge_accuracy_originals: float | None
    accuracy_public_only: float | None
    reveals: str
    security_bits: int
    ciphertext_bytes: int
    key_bytes: int
    cpu_seconds: float
    threads: int
    peak_rss_bytes: int | None
    seed: int
    plain_step_s: float | None = None
    encrypted_step_s: float | None = None
    resumed_after: int = 0
    measured: bool = True
    source: str = "measured in this run"
    explanation: str = ""

    @property
    def name(self) -> str:
        """The row in a few words."""
        return f"{self.dataset}, {self.protocol}, {self.scheme}"
