"""Rows of the case `encrypted-networks`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class EncryptedNetworkRow:
    """A network with its weights in the clear, or encrypted.

    Attributes:
        network: The name of the network.
        weights: "plain" or "encrypted".
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
    """

    network: str
    weights: str
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


def show(console: Console, rows: Sequence[EncryptedNetworkRow]) -> None:
    """Print one line for each row, within 80 columns."""
    title = "Encrypted networks, one image, processor time of one thread"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("network", "weights"):
        table.add_column(heading, no_wrap=True)
    for heading in ("N", "log q", "ms", "units", "ratio", "error", "MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.network,
            row.weights,
            str(row.poly_modulus_degree),
            str(sum(row.coeff_modulus_bits)),
            f"{row.ms:.1f}",
            f"{row.units:.1f}",
            f"{row.ratio:.2f}",
            f"{row.largest_error:.2g}",
            "" if row.network_bytes is None else f"{row.network_bytes / 1e6:.1f}",
        )
    console.print(table)
