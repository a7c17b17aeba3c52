"""Table 3.1: the same network in the clear and on encrypted data, by row."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.cases import exact, functional, heads, refreshed
from bench.cases.exact import ExactJob
from bench.cases.functional import FunctionalJob
from bench.cases.heads import HeadJob
from bench.cases.options import ALL_PATHS, TableOptions
from bench.cases.refreshed import RefreshedJob
from bench.harness.case import Reporter
from bench.harness.timing import median_seconds, peak_rss_bytes, timed
from bench.harness.yardstick import seal_rotate_ms
from bench.report.table import draw, show
from bench.tables.exact import ExactRow
from bench.tables.heads import HeadRow
from bench.tables.networks import NETWORKS
from bench.tables.refreshed import RefreshedRow
from bench.tables.rows import TITLES, Row
from bench.tables.trained import TrainedRow
from he import Circuit, Client, Session, compile_approximate, compile_exact, interface_bytes, prepare
from he.compiler.search import PackingName
from intnn import Graph, IntNetwork
from plaintext_models.data import datasets
from plaintext_models.zoo import shipped

__all__ = ["InferenceJob", "draw", "jobs", "measure", "show"]

SINGLE_REQUESTS = 5  # single-image requests whose median is the latency
PLAIN_REPEATS = 100
MOST_IMAGES = {"digits": 360, "mnist": 256}  # encrypted, where no number is asked for


@dataclass(frozen=True)
class InferenceJob:
    """One network to measure, in the clear and encrypted.

    Attributes:
        path: "exact" or "ckks".
        network: The name of a shipped network.
        dataset: The name of the data set that the images come from.
        data: The folder of that data set; None for where it is found by itself.
        picked: Indices into the held-out split, in the order in which the images are evaluated.
        seed: What `picked` was drawn with.
    """

    path: str
    network: str
    dataset: str
    data: Path | None
    picked: tuple[int, ...]
    seed: int

    @property
    def title(self) -> str:
        """The network."""
        return self.network


TableJob = InferenceJob | FunctionalJob | HeadJob | RefreshedJob | ExactJob


def jobs(options: TableOptions) -> tuple[TableJob, ...]:
    """The rows that are asked for, in the order of the table; all if none is.

    The networks of the first are those of the paths that are asked for, on images drawn from the held-out split.

    Raises:
        ValueError: The number of images is not between 1 and the size of the split, or the data is missing.
    """
    dataset = datasets.load(options.dataset, options.data)
    available = len(dataset.test_images)
    count = min(available, MOST_IMAGES.get(dataset.name, 256)) if options.images is None else options.images
    if not 1 <= count <= available:
        raise ValueError(f"`--images` must lie in [1, {available}] for {dataset.name}, got {count}")
    picked = tuple(np.random.default_rng(options.seed).permutation(available)[:count].tolist())
    paths = tuple(NETWORKS) if options.path == ALL_PATHS else (options.path,)
    by_row: dict[str, tuple[TableJob, ...]] = {
        "inference": tuple(
            InferenceJob(path, f"{dataset.name}-{kind}", dataset.name, options.data, picked, options.seed)
            for path in paths
            for kind in NETWORKS[path]
        ),
        functional.ROW: functional.jobs(dataset.name, options.data, options.seed, options.keep),
        heads.ROW: (
            *heads.jobs(dataset.name, options.data),
            *(refreshed.jobs(dataset.name) if options.network else ()),
            *(exact.jobs(dataset.name, options.data, options.whole) if options.network else ()),
        ),
    }
    rows = [row for row in TITLES if not options.row or row in options.row]
    return tuple(job for row in rows for job in by_row[row])


def measure(job: TableJob, report: Reporter) -> Iterator[Row | TrainedRow | HeadRow | RefreshedRow | ExactRow]:
    """The one row of a job."""
    match job:
        case FunctionalJob():
            yield functional.measure(job, report)
        case HeadJob():
            yield heads.measure(job, report)
        case ExactJob():
            yield exact.measure(job, report)
        case RefreshedJob():
            yield refreshed.measure(job, report)
        case InferenceJob():
            yield _inference(job, report)


def _inference(job: InferenceJob, report: Reporter) -> Row:
    """Evaluate the job's network in the clear and encrypted, one image at a time and in full batches."""
    report("plain", 0.0)
    model = shipped.load(job.network)
    dataset, picked = datasets.load(job.dataset, job.data), np.array(job.picked)
    images, labels = _as_input(model, dataset.test_images), dataset.test_labels
    chosen, truth = images[picked], labels[picked]
    plain_logits = model.logits(chosen)
    plain_seconds = median_seconds(lambda: model.predict(chosen[:1]), PLAIN_REPEATS)
    rotations = [seal_rotate_ms()]

    report("compiling for one image", 0.05)
    circuit = _compile(model)
    report("making keys", 0.1)
    single, client_bytes = _Pair.open(circuit)
    trials = []
    for i in range(min(SINGLE_REQUESTS, len(chosen))):
        report(f"image {i + 1} alone", 0.15 + 0.04 * i)
        trials.append(single.ask(chosen[i : i + 1]))
    encrypt_s, evaluate_s, decrypt_s = (statistics.median(getattr(t, f) for t in trials) for f in _SECONDS)
    report("the same by SEAL", 0.32)
    seal_evaluate_s, seal_logits = single.ask_seal(chosen[:1])
    rotations.append(seal_rotate_ms())  # on both sides of what it is the yardstick of
    rotate_ms = statistics.mean(rotations)

    report("compiling for a full batch", 0.35)
    session, _ = _Pair.open(_compile(model, packing="throughput"))
    step, answers = session.circuit.interface.images, list[_Answer]()
    for start in range(0, len(chosen), step):
        report(f"batches of {step} images", 0.5 + 0.5 * start / len(chosen))
        answers.append(session.ask(np.resize(chosen[start:], (step, *chosen.shape[1:]))))  # repeated to fill the slots
    logits = np.concatenate([a.logits for a in answers])[: len(chosen)]

    # Of every image, by whichever evaluation of it is furthest off.
    errors = np.abs(logits - plain_logits).max(axis=1)
    for alone in (np.concatenate([t.logits for t in trials]), seal_logits):
        n = len(alone)
        errors[:n] = np.maximum(errors[:n], np.abs(alone - plain_logits[:n]).max(axis=1))
    predictions = logits.argmax(axis=1)
    parameters = circuit.parameters
    return Row(
        row="inference",
        path=job.path,
        dataset=job.dataset,
        network=job.network,
        n_images=len(chosen),
        plain_seconds_per_image=plain_seconds,
        encrypted_seconds_per_image=encrypt_s + evaluate_s + decrypt_s,
        encrypt_s=encrypt_s,
        evaluate_s=evaluate_s,
        decrypt_s=decrypt_s,
        keygen_s=single.keygen_s,
        prepare_s=single.prepare_s,
        accuracy_plain=float((plain_logits.argmax(axis=1) == truth).mean()),
        accuracy_encrypted=float((predictions == truth).mean()),
        exact_mismatches=int((errors > 0).sum()) if job.path == "exact" else None,
        prediction_mismatches=int((predictions != plain_logits.argmax(axis=1)).sum()),
        largest_logit_error=float(errors.max()),
        accuracy_plain_test_split=float((model.predict(images) == labels).mean()),
        n_test_split=len(images),
        security_bits=parameters.security_bits,
        poly_modulus_degree=parameters.poly_modulus_degree,
        coeff_modulus_bits=parameters.coeff_modulus_bits,
        ciphertext_bytes_in=trials[0].request_bytes,
        ciphertext_bytes_out=trials[0].response_bytes,
        evaluation_key_bytes=client_bytes,
        engine=single.session.evaluator.name,
        threads=single.session.evaluator.threads,
        peak_rss_bytes=peak_rss_bytes(),
        seal_rotate_ms=rotate_ms,
        evaluate_units=1000 * evaluate_s / rotate_ms,
        seal_evaluate_s=seal_evaluate_s,
        batch_images=step,
        batch_seconds_per_image=statistics.median(a.seconds / step for a in answers),
        batch_evaluate_s=statistics.median(a.evaluate_s for a in answers),
        seed=job.seed,
        explanation=circuit.explain(),
    )


_SECONDS = ("encrypt_s", "evaluate_s", "decrypt_s")


@dataclass(frozen=True, eq=False)
class _Answer:
    logits: np.ndarray
    encrypt_s: float
    evaluate_s: float
    decrypt_s: float
    request_bytes: int
    response_bytes: int

    @property
    def seconds(self) -> float:
        return self.encrypt_s + self.evaluate_s + self.decrypt_s


@dataclass(frozen=True, eq=False)
class _Pair:
    """A client and a session that have exchanged keys, and what making both took."""

    circuit: Circuit
    client: Client
    session: Session
    keygen_s: float
    prepare_s: float

    @staticmethod
    def open(circuit: Circuit) -> tuple[_Pair, int]:
        """The session, and the bytes of its evaluation keys."""
        prepare_s, prepared = timed(lambda: prepare(circuit))
        keygen_s, client = timed(lambda: Client(interface_bytes(circuit.interface)))
        keys = client.evaluation_keys.to_bytes()
        return _Pair(circuit, client, prepared.session(keys), keygen_s, prepare_s), len(keys)

    def ask(self, images: np.ndarray) -> _Answer:
        encrypt_s, request = timed(lambda: self.client.encrypt(images))
        evaluate_s, response = timed(lambda: self.session.evaluate(request))
        decrypt_s, logits = timed(lambda: self.client.decrypt(response, request))
        return _Answer(logits, encrypt_s, evaluate_s, decrypt_s, len(request), len(response))

    def ask_seal(self, images: np.ndarray) -> tuple[float, np.ndarray]:
        """Seconds that SEAL's own evaluator takes for a request, the second time, and its logits."""
        usual = self.circuit.with_usual_keys()
        own = usual.interface.digest == self.circuit.interface.digest
        client = self.client if own else Client(interface_bytes(usual.interface))
        session = prepare(usual, "seal").session(client.evaluation_keys)
        session.evaluate(client.encrypt(images))
        request = client.encrypt(images)
        seconds, response = timed(lambda: session.evaluate(request))
        return seconds, client.decrypt(response, request)


def _compile(model: IntNetwork | Graph, packing: PackingName = "latency") -> Circuit:
    if isinstance(model, IntNetwork):
        return compile_exact(model, packing=packing)
    return compile_approximate(model, packing=packing)


def _as_input(model: IntNetwork | Graph, images: np.ndarray) -> np.ndarray:
    return model.quantise_input(images) if isinstance(model, IntNetwork) else images.astype(np.float64)
