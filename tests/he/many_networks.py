"""Many random networks under real encryption: ``python -m tests.he.many_networks COUNT [--seed N]``.

No answer may be further from the network's own than the bound that its circuit states, and none may be refused. Rings
are small, so they are insecure; bounds are as tight there as anywhere.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time

import numpy as np

from he import RangeError, compile_approximate, simulate_guards
from he.parties.connect import connect
from he.ring.params import ParameterError
from intnn import Activation, Conv2d, Dense, Flatten, Graph
from intnn.layers.nodes import Node

IMAGES = 2
PROCESSES = 2


def network(rng: np.random.Generator) -> Graph:
    """A network of one to four linear layers: random, of low rank, of equal weights, or with a convolution."""
    image = rng.random() < 0.2
    shape: tuple[int, ...] = (1, 6, 6) if image else (int(rng.integers(1, 24)),)
    nodes: list[Node] = []
    if image:
        nodes += [Conv2d(rng.normal(size=(2, 1, 3, 3)) / 3, rng.normal(size=2) / 4, stride=2), Flatten()]
        nodes.append(_activation(rng))
    width = 8 if image else shape[0]
    for outputs in (*rng.integers(1, 24, rng.integers(0, 3)), int(rng.integers(1, 11))):
        if nodes and isinstance(nodes[-1], Dense):
            nodes.append(_activation(rng))
        nodes.append(Dense(_weight(rng, int(outputs), width), rng.normal(size=outputs) * rng.choice([0, 0.2])))
        width = int(outputs)
    return Graph(shape, tuple(nodes))


def _weight(rng: np.random.Generator, outputs: int, inputs: int) -> np.ndarray:
    kind = rng.choice(["normal", "low rank", "equal", "sparse"])
    if kind == "equal":
        return np.full((outputs, inputs), rng.choice([-1, 1]) / inputs)
    if kind == "low rank":
        return rng.normal(size=(outputs, 1)) @ rng.normal(size=(1, inputs)) / np.sqrt(inputs)
    weight = rng.normal(size=(outputs, inputs)) / np.sqrt(inputs)
    if kind == "sparse":
        weight[rng.random(weight.shape) < 0.7] = 0.0
        weight[:, int(rng.integers(inputs))] = 1.0
    return weight


def _activation(rng: np.random.Generator) -> Activation:
    if rng.random() < 0.7:
        return Activation("square")
    return Activation("polynomial", tuple(rng.normal(size=rng.integers(2, 10)) / 2))


def share_of_bound(seed: int) -> tuple[int, float | None, str]:
    """Return the largest error of a network's answers as a share of its bound; None and why, if there is no answer.

    The ranges of half of the networks are calibrated.
    """
    rng = np.random.default_rng(seed)
    graph, packing = network(rng), rng.choice(["latency", "throughput"])
    samples = rng.random((16, *graph.input_shape)) * rng.choice([0.2, 1.0])
    ranges = {"samples": samples, "ranges": "calibrated", "margin": 1.25} if rng.random() < 0.5 else {}
    try:
        circuit = compile_approximate(graph, images=IMAGES, packing=packing, security="insecure", **ranges)
    except ParameterError as refusal:
        return seed, None, f"not compiled: {refusal}"
    client, session = connect(circuit)
    images = rng.choice([rng.random((IMAGES, *graph.input_shape)), rng.integers(0, 2, (IMAGES, *graph.input_shape))])
    try:
        answers = client.decrypt(session.evaluate(client.encrypt(images.astype(np.float64))))
    except RangeError:
        outside = bool((simulate_guards(circuit, images.astype(np.float64)) > 0.8).any())
        return (seed, None, "outside of its range") if outside else (seed, float("inf"), "refused in its range")
    except ValueError as refusal:
        return seed, float("inf"), f"refused: {refusal}"
    return seed, float(np.abs(answers - graph.logits(images)).max() / circuit.output_bound), packing


def main() -> int:
    """Try the networks in several processes; return 1 if one is beyond its bound or refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="how many networks")
    parser.add_argument("--seed", type=int, default=0, help="the first network's seed; the others follow it")
    arguments = parser.parse_args()
    started, worst, beyond, tried, omitted = time.perf_counter(), 0.0, 0, 0, 0
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        seeds = range(arguments.seed, arguments.seed + arguments.count)
        for seed, share, what in pool.imap_unordered(share_of_bound, seeds, chunksize=8):
            if share is None:
                omitted += 1
                continue
            tried, worst = tried + 1, max(worst, share)
            if share > 1:
                beyond += 1
                print(f"seed {seed}: {share:.2f} times the bound; {what}", flush=True)
            if tried % 100 == 0:
                each = (time.perf_counter() - started) / tried
                print(f"{tried} networks, the worst at {worst:.3f} of its bound, {each:.2f} s each", flush=True)
    print(
        f"{tried} networks, {omitted} more fit no ring, or left their range: {beyond} beyond the bound, "
        f"the worst at {worst:.3f} of it"
    )
    return int(beyond > 0)


if __name__ == "__main__":
    sys.exit(main())
