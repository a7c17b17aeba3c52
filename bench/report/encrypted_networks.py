"""Rows of the case `encrypted-networks`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class EncryptedNetworkRow:
    """A network with its weights in the clear, encrypted, or encrypted under a key of two owners.

    Attributes:
        network: The name of the network.
        weights: "plain" or "encrypted".
        owners: How many parties hold the key.
        poly_modulus_degree: The ring's degree N.
        coeff_modulus_bits: The bits of the primes, the special one last.
        ms: Median milliseconds of one evaluation, processor time of its one thread.
        units: `ms` in units of one CKKS rotation by SEAL, by the same clock in the same run.
        ratio: `ms` over that with plain weights.
        n_images: The number of images, evaluated one by one; the first is not timed.
        accuracy: The share of them whose decrypted answer is right.
        largest_error: The largest difference of a logit from the plain network's.
        ciphertexts: The number of encrypted operands.
        network_bytes: The bytes of the encrypted network for one client; None where weights are plain.
        threshold: The bits of statistical distance up to which an opened answer tells logits alone; 0 for one owner.
        opening_ms: Median milliseconds by which an answer takes longer to open than that of one owner: the evaluator's
            voucher, the model owner's part, and the data owner's decryption less the other; None for one owner.
    """

    network: str
    weights: str
    owners: int
    poly_modulus_degree: int
    coeff_modulus_bits: tuple[int, ...]
    ms: float
    units: float
    ratio: float
    n_images: int
    accuracy: float
    largest_error: float
    ciphertexts: int
    network_bytes: int | None
    threshold: int
    opening_ms: float | None


def show(console: Console, rows: Sequence[EncryptedNetworkRow]) -> None:
    """Print one line for each row, within 80 columns."""
    title = "Encrypted networks, one image, processor time of one thread"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("network", "weights"):
        table.add_column(heading, no_wrap=True)
    for heading in ("owners", "N", "log q", "ms", "ratio", "error", "MB", "opening"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.network,
            row.weights,
            str(row.owners),
            str(row.poly_modulus_degree),
            str(sum(row.coeff_modulus_bits)),
            f"{row.ms:.1f}",
            f"{row.ratio:.2f}",
            f"{row.largest_error:.2g}",
            "" if row.network_bytes is None else f"{row.network_bytes / 1e6:.1f}",
            "" if row.opening_ms is None else f"+{row.opening_ms:.1f} ms",
        )
    console.print(table)
