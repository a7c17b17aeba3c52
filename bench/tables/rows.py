"""One row of the table, as a value."""

from __future__ import annotations

from dataclasses import dataclass

#: The rows of Table 3.1 of the thesis that the table follows (see `bench.tables.anchors`), with their titles.
TITLES = {
    "inference": "inference on encrypted data",
    "training-functional": "training with functional encryption",
    "training-fhe": "training with fully homomorphic encryption",
}


@dataclass(frozen=True)
class Row:
    """One network evaluated on encrypted images in this run.

    Seconds are medians. The fields that begin with `batch` are of requests with `batch_images` images each, packed for
    throughput; the images are repeated to fill them. Accuracies and mismatches are over the `n_images` different
    images. Fields that do not apply are None.

    Attributes:
        row: The kind of line, a key of TITLES.
        path: The evaluation under encryption: "exact" (BFV with tables) or "ckks" (square activations).
        dataset: The name of the data set.
        network: The name of the shipped network.
        n_images: The number of different images that were encrypted.
        plain_seconds_per_image: The time of the plain network for one image.
        encrypted_seconds_per_image: The time from one image to its decrypted logits, `encrypt_s + evaluate_s +
            decrypt_s`, of a request with a single image.
        encrypt_s: The client's time to encrypt one image.
        evaluate_s: The server's time for a request with one image.
        decrypt_s: The client's time to decrypt the answer.
        keygen_s: The client's time to make its keys, once.
        prepare_s: The server's time to encode the weights of the circuit, once for all clients; None where the
            server does not do that apart.
        accuracy_plain: The share of the images that the plain network classifies rightly.
        accuracy_encrypted: The share of the images whose decrypted answer is right.
        exact_mismatches: The number of images with a logit that differs from the plain network's in any bit; None for
            CKKS.
        prediction_mismatches: The number of images that are classified otherwise than by the plain network.
        largest_logit_error: The largest difference of a decrypted logit from the plain network's.
        accuracy_plain_test_split: The accuracy of the plain network on the whole held-out split.
        n_test_split: The number of images of that split.
        security_bits: The security of the parameters.
        poly_modulus_degree: The ring's degree N.
        coeff_modulus_bits: The bits of the primes, the special one last.
        ciphertext_bytes_in: The size of a request with one image.
        ciphertext_bytes_out: The size of its answer.
        evaluation_key_bytes: The size of the keys that a client sends once.
        engine: The name of the engine that evaluated.
        threads: The number of threads of the evaluation.
        peak_rss_bytes: The largest resident memory of the process up to the end of this row.
        seal_rotate_ms: Milliseconds of one CKKS rotation by SEAL (`bench.harness.yardstick`).
        evaluate_units: `evaluate_s` in units of `seal_rotate_ms`.
        seal_evaluate_s: The time of the same circuit and request on SEAL's own evaluator, on one thread.
        batch_images: The number of images of a request in a batch.
        batch_seconds_per_image: The time from a batch to its decrypted logits, for each image of it.
        batch_evaluate_s: The server's time for a batch.
        seed: The seed that the images were drawn with.
        measured: True.
        source: Where the figures are from.
        explanation: What the compiler chose and why, for the circuit of a single image.
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
    prepare_s: float | None = None
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
