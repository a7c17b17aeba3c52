"""What the toolkit writes and computes, pinned: `python -m tests.vectors.generate` writes the vectors anew.

A change of structure changes none of them. A change that means to says so, and commits the new ones.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import tenseal.sealapi as sealapi

from bench.cases import table
from bench.cases.options import TableOptions
from bench.harness.case import Silent
from he import Circuit, Policy, compile_approximate, compile_exact, prepare
from he.formats.messages import Kind, open_message
from he.formats.seal_bridge import create_context
from he.parties import cipher, keys
from he.parties import client as parties
from he.parties.client import Client
from he.parties.interfaces import interface_bytes
from he.testing import inputs, square_graph, table_network
from he.training.recipes import DIGITS, MNIST, MNIST_LARGE
from he.training.refreshed.network import NetworkDescent, SquareNetwork
from intnn import Convolution, IntClassifier, IntDomain, IntNetwork
from intnn.training.examples import Changes
from intnn.training.plan import plan
from intnn.training.run import train
from intnn.training.schedule import Schedule
from intnn.training.step import Descent, Variables
from plaintext_models.zoo import shipped
from tests.he.parties.exchange import in_order
from tests.vectors.models import models

FOLDER = Path(__file__).parent
SEED = list(range(2, 10))  # of SEAL's generator: keys and ciphertexts are the same every time, and secrets are accepted
SALT = bytes(range(32))  # of the commitments
SCHEDULE = Schedule(2, 16, Fraction(1, 20), Descent(3, 9), 11, Changes(1, True))
MEASURED = (
    "_s",
    "_ms",
    "seconds_per_image",
    "units",
    "rss_bytes",
    "threads",
    "key_bytes",
)  # how fields end that no run repeats (keys are compressed)


def sha256(parts: Iterable[bytes]) -> str:
    """Of all parts, one after the other."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def array_digest(*arrays: np.ndarray) -> str:
    """Of shapes and little-endian bytes."""
    return sha256(repr(a.shape).encode() + np.ascontiguousarray(a, a.dtype.newbyteorder("<")).tobytes() for a in arrays)


def circuits() -> dict[str, Circuit]:
    """Both schemes in both packings, on small insecure rings."""
    return {
        "bfv-latency": compile_exact(table_network(), images=4, security="insecure", salt=SALT),
        "bfv-throughput": compile_exact(table_network(), packing="throughput", security="insecure", salt=SALT),
        "ckks-latency": compile_approximate(square_graph(), images=4, security="insecure", salt=SALT),
        "ckks-throughput": compile_approximate(square_graph(), packing="throughput", security="insecure", salt=SALT),
    }


def seeded_context(parameters: Any) -> Any:
    """SEAL's context with a generator that always begins alike. For these vectors alone: nothing of it is secret."""
    fields = create_context(parameters).key_context_data().parms()
    fields.set_random_generator(sealapi.Blake2xbPRNGFactory(SEED))
    return sealapi.SEALContext(fields, True, sealapi.SEC_LEVEL_TYPE.NONE)


def travelling() -> dict[str, Any]:
    """Keys, requests and answers as they travel, and what the answers say."""
    result = {}
    for name, circuit in circuits().items():
        network = table_network() if circuit.parameters.scheme == "bfv" else square_graph()
        with (
            patch.object(keys, "create_context", seeded_context),
            patch.object(parties, "secret_order", in_order),
            patch.object(cipher, "token_bytes", bytes),
        ):
            client = Client(interface_bytes(circuit.interface), policy=Policy(security="insecure"))
            request = client.encrypt(inputs(network, 4, seed=3))
        sent = client.evaluation_keys
        answer = prepare(circuit).session(client.evaluation_keys).evaluate(request)
        logits = client.decrypt(answer)
        result[name] = {
            "interface": sha256([interface_bytes(circuit.interface)]),
            "evaluation_keys": sha256([sent.data]),
            "request": [sha256([p]) for p in open_message(Kind.REQUEST, request)[1]],
            "answer": [sha256([p]) for p in open_message(Kind.RESPONSE, answer)[1]],
            "logits": logits.tolist() if circuit.parameters.scheme == "bfv" else np.round(logits, 3).tolist(),
        }
    return result


def explained() -> dict[str, Any]:
    """What the compiler says of every shipped network, for one image."""
    result = {}
    for name in shipped.names():
        model = shipped.load(name)
        circuit = compile_exact(model) if isinstance(model, IntNetwork) else compile_approximate(model)
        result[name] = circuit.explain().splitlines()
    return result


def stored() -> dict[str, Any]:
    """Networks as they are written, in either format."""
    with tempfile.TemporaryDirectory() as folder:
        result = {}
        for name, network in {"IntNetwork": table_network(), "Graph": square_graph()}.items():
            for suffix in ("npz", "json"):
                path = Path(folder) / f"{name}.{suffix}"
                network.save(path)
                result[path.name] = sha256([path.read_bytes()])
        for name in shipped.names():
            shipped.load(name).save(path := Path(folder) / f"{name}.npz")
            result[path.name] = sha256([path.read_bytes()])
        return result


def trained() -> dict[str, Any]:
    """Weights after two epochs in integers, and the checkpoint that they leave."""
    rng = np.random.default_rng(5)
    x, labels = rng.integers(0, 16, (96, 6, 6, 1)), rng.integers(0, 4, 96)
    layout = plan((Convolution(4, 3, pool=2), 12), (1, 6, 6), IntDomain(0, 15), 4, 8)
    result: dict[str, Any] = {}
    for backend in ("numpy", "numba"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "checkpoint.npz"
            state = train(layout, x, labels, SCHEDULE, path, backend=backend)
            result[backend] = {"state": _digest(state), "checkpoint": sha256([path.read_bytes()])}
    model = IntClassifier((16,), epochs=3, input_domain=(0, 15), random_state=2).fit(x.reshape(96, 36), labels)
    result["classifier"] = array_digest(model.decision_function(x.reshape(96, 36)))
    return result


def _digest(state: list[Variables]) -> str:
    return array_digest(*(a for p in state for a in (p.weights, p.bias, p.weight_velocity, p.bias_velocity)))


def features() -> dict[str, Any]:
    """Public features, filters and network weights, which all owners must have alike."""
    result: dict[str, Any] = {}
    images = np.random.default_rng(3).integers(0, 256, (8, 1, 28, 28)) / 255
    for recipe in (DIGITS, MNIST, MNIST_LARGE):
        maps = recipe.features
        made = maps.of(images[:, :, : maps.height, : maps.width])
        result[f"{maps.height}x{maps.width}, {maps.filters} filters"] = array_digest(*maps.filter_weights(), made)
    start = SquareNetwork.initial(33, 10, NetworkDescent(16, 1, 0.1, 0.1))
    result["weights at the start"] = array_digest(start.first, start.second)
    return result


def rows() -> list[dict[str, Any]]:
    """The table's rows of three images, without what a stopwatch says."""
    jobs = [job for job in table.jobs(TableOptions(images=3)) if isinstance(job, table.InferenceJob)]
    quick = [job for job in jobs if job.network in ("digits-table-mlp", "digits-square-cnn")]
    return [untimed(asdict(row)) for job in quick for row in table.measure(job, Silent())]


def untimed(row: dict[str, Any]) -> dict[str, Any]:
    """A row's fields that every run repeats, as JSON has them."""
    kept = {name: value for name, value in row.items() if not name.endswith(MEASURED)}
    kept["largest_logit_error"] = row["largest_logit_error"] and row["largest_logit_error"] < 0.2  # encryption's noise
    return json.loads(json.dumps(kept))


SECTIONS = {
    "rows": rows,
    "travelling": travelling,
    "explained": explained,
    "stored": stored,
    "trained": trained,
    "features": features,
    "models": models,
}


def main() -> None:
    """Write every section's file."""
    for name, compute in SECTIONS.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(compute(), indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
