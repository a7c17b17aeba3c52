"""Encrypted networks, with a key of one owner and of two, beside the same in the clear: one image, taking turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from bench.cases.options import EncryptedNetworkOptions
from bench.harness.case import Reporter
from bench.harness.timing import timed
from bench.harness.yardstick import seal_rotate_ms
from bench.report.encrypted_networks import EncryptedNetworkRow, show
from he import Circuit, Interface, compile_approximate, compile_exact, connect
from he.compiler.compile import Weights
from he.parties.encrypted_network import operand_forms
from he.parties.threshold.together import Together
from intnn import Graph, IntNetwork
from plaintext_models.data import datasets
from plaintext_models.zoo import shipped

__all__ = ["EncryptedNetworkJob", "jobs", "measure", "show"]

EXACT_BITS = 40  # of statistical distance, for networks of integers
APPROXIMATE_BITS = 6  # for float networks, whose scales leave room for few


@dataclass(frozen=True)
class EncryptedNetworkJob:
    """A shipped network, with its weights in the clear and encrypted.

    Attributes:
        network: The name of the network.
        data: The folder of its data set; None for where it is found by itself.
        images: The number of images that are evaluated one by one.
    """

    network: str
    data: Path | None
    images: int

    @property
    def title(self) -> str:
        """The network."""
        return self.network


def jobs(options: EncryptedNetworkOptions) -> tuple[EncryptedNetworkJob, ...]:
    """A job for each network.

    Raises:
        ValueError: The data of a network is missing, or has fewer images.
    """
    for name in options.network:
        available = len(datasets.load(shipped.record(name).dataset, options.data).test_images)
        if options.images > available:
            raise ValueError(f"`--images` must be at most {available} for {name}, got {options.images}")
    return tuple(EncryptedNetworkJob(name, options.data, options.images) for name in options.network)


def measure(job: EncryptedNetworkJob, report: Reporter) -> Iterator[EncryptedNetworkRow]:
    """The rows of a network: its weights in the clear, encrypted, and encrypted under a key of two owners."""
    network = shipped.load(job.network)
    dataset = datasets.load(shipped.record(job.network).dataset, job.data)
    images, labels = dataset.test_images[: job.images], dataset.test_labels[: job.images]
    report("connecting")
    sides = [_Side(_compiled(network, weights)) for weights in get_args(Weights)]
    exact = isinstance(network, IntNetwork)
    sides.append(_Side(_compiled(network, "encrypted", EXACT_BITS if exact else APPROXIMATE_BITS)))
    unit = seal_rotate_ms(clock=time.thread_time)
    report("taking turns")
    for i in range(len(images)):
        for side in sides:
            side.ask(images[i : i + 1], counts=i > 0)  # the first one compiles
    plain = network.logits(sides[0].client.prepare(images))
    base, opened = statistics.median(sides[0].seconds), statistics.median(sides[1].opening)
    for side in sides:
        found, median, interface = np.concatenate(side.logits), statistics.median(side.seconds), side.client.interface
        assert isinstance(interface, Interface)
        longer = statistics.median(side.opening) - opened
        yield EncryptedNetworkRow(
            network=job.network,
            weights="encrypted" if interface.encrypted else "plain",
            owners=interface.parameters.owners,
            poly_modulus_degree=interface.parameters.poly_modulus_degree,
            coeff_modulus_bits=interface.parameters.coeff_modulus_bits,
            ms=1000 * median,
            units=1000 * median / unit,
            ratio=median / base,
            n_images=len(images),
            accuracy=float(np.mean(found.argmax(axis=1) == labels)),
            largest_error=float(np.abs(found - plain).max()),
            ciphertexts=len(side.circuit.program.encrypted),
            network_bytes=sum(form.bytes for form in operand_forms(side.circuit)) if interface.encrypted else None,
            threshold=interface.threshold,
            opening_ms=1000 * longer if interface.threshold else None,
        )


class _Side:
    """The parties of a circuit, with what they have measured: seconds of one thread."""

    def __init__(self, circuit: Circuit) -> None:
        self.circuit, self.together = circuit, None
        if circuit.interface.threshold:
            self.together = Together.of(circuit, threads=1)
            self.client, self.session = self.together.client, self.together.session
        else:
            self.client, self.session = connect(circuit, threads=1)
        self.seconds: list[float] = []
        self.opening: list[float] = []
        self.logits: list[np.ndarray] = []

    def ask(self, images: np.ndarray, *, counts: bool) -> None:
        """Evaluate and open one batch."""
        request = self.client.encrypt(self.client.prepare(images))
        elapsed, answer = timed(lambda: self.session.evaluate(request), time.thread_time)
        opening, logits = timed(lambda: self._opened(answer), time.thread_time)
        self.logits.append(logits)
        if counts:
            self.seconds.append(elapsed)
            self.opening.append(opening)

    def _opened(self, answer: bytes) -> np.ndarray:
        return self.client.decrypt(answer, part=self.together.open(answer) if self.together else None)


def _compiled(network: IntNetwork | Graph, weights: Weights, threshold: int | None = None) -> Circuit:
    if isinstance(network, IntNetwork):
        return compile_exact(network, weights=weights, threshold=threshold)
    return compile_approximate(network, weights=weights, threshold=threshold)
