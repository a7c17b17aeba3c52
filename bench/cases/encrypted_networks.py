"""Encrypted networks beside the same networks in the clear: one image, on one thread, taking turns."""

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
from he import Circuit, Client, ModelOwner, compile_approximate, compile_exact, connect, interface_bytes
from he.compiler.compile import Weights
from intnn import Graph, IntNetwork
from plaintext_models.data import datasets
from plaintext_models.zoo import shipped

__all__ = ["EncryptedNetworkJob", "jobs", "measure", "show"]


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
    """The rows of a network: its weights in the clear, and encrypted."""
    network = shipped.load(job.network)
    dataset = datasets.load(shipped.record(job.network).dataset, job.data)
    images, labels = dataset.test_images[: job.images], dataset.test_labels[: job.images]
    circuits: dict[Weights, Circuit] = {weights: _compiled(network, weights) for weights in get_args(Weights)}
    report("connecting")
    sides = {weights: connect(circuit, threads=1) for weights, circuit in circuits.items()}
    unit = seal_rotate_ms(clock=time.thread_time)
    seconds: dict[Weights, list[float]] = {weights: [] for weights in sides}
    logits: dict[Weights, list[np.ndarray]] = {weights: [] for weights in sides}
    report("taking turns")
    for i in range(len(images)):
        for weights, (client, session) in sides.items():
            request = client.encrypt(client.prepare(images[i : i + 1]))
            elapsed, answer = timed(lambda s=session, r=request: s.evaluate(r), time.thread_time)  # type: ignore[misc]
            if i:  # the first one compiles
                seconds[weights].append(elapsed)
            logits[weights].append(client.decrypt(answer))
    plain = network.logits(next(iter(sides.values()))[0].prepare(images))
    base = statistics.median(seconds["plain"])
    for weights, circuit in circuits.items():
        found, median = np.concatenate(logits[weights]), statistics.median(seconds[weights])
        yield EncryptedNetworkRow(
            network=job.network,
            weights=weights,
            poly_modulus_degree=circuit.parameters.poly_modulus_degree,
            coeff_modulus_bits=circuit.parameters.coeff_modulus_bits,
            ms=1000 * median,
            units=1000 * median / unit,
            ratio=median / base,
            n_images=len(images),
            accuracy=float(np.mean(found.argmax(axis=1) == labels)),
            largest_error=float(np.abs(found - plain).max()),
            ciphertexts=len(circuit.program.encrypted),
            network_bytes=_issued_bytes(circuit) if weights == "encrypted" else None,
        )


def _compiled(network: IntNetwork | Graph, weights: Weights) -> Circuit:
    if isinstance(network, IntNetwork):
        return compile_exact(network, weights=weights)
    return compile_approximate(network, weights=weights)


def _issued_bytes(circuit: Circuit) -> int:
    """The bytes that a model's owner sends to the evaluator for one client."""
    client = Client(interface_bytes(circuit.interface))
    return len(ModelOwner(circuit, [client.public_key.id]).issue(client.public_key).to_bytes())
