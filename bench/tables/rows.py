"""One row of the table, as a value and as JSON."""

from __future__ import annotations

from dataclasses import dataclass

#: The rows of the thesis's Table 3.1, in its order, with their titles.
TITLES = {
    "inference": "inference on encrypted data",
    "training-functional": "training with functional encryption",
    "training-fhe": "training with fully homomorphic encryption",
}


@dataclass(frozen=True)
class Row:
    """One line: what was measured in this run, or, with `measured` false, that nothing was.

    Seconds are medians. `encrypted_seconds_per_image` is the time from one image to its decrypted logits: `encrypt_s` +
    `evaluate_s` + `decrypt_s` of a request with a single image. The fields that begin with `batch` are of requests with
    `batch_images` images each, packed for throughput, the images repeated to fill them; accuracies and mismatches are
    over the `n_images` different ones. Fields that do not apply are None.

    Attributes:
        evaluate_units: `evaluate_s` in units of `seal_rotate_ms`.
        seal_evaluate_s: the same circuit and request on the reference engine, SEAL's own evaluator, on one thread.
        exact_mismatches: images with a logit that differs from the plain network's in any bit; None for CKKS.
        prediction_mismatches: images that are classified otherwise than by the plain network.
        accuracy_plain_test_split: of the plain network on the whole held-out split of `n_test_split` images.
        peak_rss_bytes: of the process up to the end of this row.
        explanation: what the compiler chose and why, for the single-image circuit.
    """

    row: str
    path: str | None = None
    dataset: str | None = None
    network: str | None = None
    n_images: int = 0
    plain_seconds_per_image: float | None = None
    encrypted_seconds_per_image: float | None = None
    encrypt_s: float | None = None
    evaluate_s: float | None = None
    decrypt_s: float | None = None
    keygen_s: float | None = None
    accuracy_plain: float | None = None
    accuracy_encrypted: float | None = None
    exact_mismatches: int | None = None
    prediction_mismatches: int | None = None
    largest_logit_error: float | None = None
    accuracy_plain_test_split: float | None = None
    n_test_split: int | None = None
    security_bits: int | None = None
    poly_modulus_degree: int | None = None
    coeff_modulus_bits: tuple[int, ...] | None = None
    ciphertext_bytes_in: int | None = None
    ciphertext_bytes_out: int | None = None
    evaluation_key_bytes: int | None = None
    engine: str | None = None
    threads: int | None = None
    peak_rss_bytes: int | None = None
    seal_rotate_ms: float | None = None
    evaluate_units: float | None = None
    seal_evaluate_s: float | None = None
    batch_images: int | None = None
    batch_seconds_per_image: float | None = None
    batch_evaluate_s: float | None = None
    seed: int | None = None
    measured: bool = True
    source: str = "measured in this run"
    explanation: str = ""
