"""The table's second row: training with functional encryption, what it costs, and what attacks find in it."""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.cases.functional_runs import FAITHFUL, PROJECTIONS, RUNS, FaithfulRun, ProjectionRun, Protocol
from bench.harness.case import Reporter
from bench.harness.machine import available_threads
from bench.harness.timing import peak_rss_bytes, timed
from bench.tables.trained import TrainedRow
from he.functional.attacks.judge import judge, public_only_accuracy
from he.functional.attacks.report import Revealed, Truth, revealed_by_products, revealed_by_training
from he.functional.attacks.seen import Seen
from he.functional.attacks.sights import Watch
from he.functional.instance import Instance, SchemeName
from he.functional.parties.authority import Authority
from he.functional.parties.books import Exposure, Role
from he.functional.parties.owner import Owner, arranged
from he.functional.parties.request import KeyRequest
from he.functional.parties.trainer import Products
from he.functional.protocols import faithful, projection
from he.functional.scheme import FunctionalKey
from he.functional.schemes import scheme
from intnn import IntClassifier, IntDomain
from intnn.training.export import to_network
from intnn.training.step import Variables
from intnn.values.arrays import IntArray
from plaintext_models.data import datasets
from plaintext_models.data.datasets import Dataset, Images

ROW = "training-functional"
DATA = "the training images"
OWNER = "their owner"
SECURITY_BITS = 128  # of all three schemes: their `explain` says by what


@dataclass(frozen=True)
class FunctionalJob:
    """One training run.

    Attributes:
        protocol: "projection" or "faithful".
        scheme: "rlwe", "pads" or "ddh"; of "ddh", a few steps are measured.
        dataset: The name of the data set.
        data: The folder of that data set; None for where it is found by itself.
        seed: The seed of weights and roundings.
    """

    protocol: Protocol
    scheme: SchemeName
    dataset: str
    data: Path | None
    seed: int

    @property
    def title(self) -> str:
        """The protocol and the scheme."""
        return f"{self.protocol}, {self.scheme}"


def jobs(dataset: str, data: Path | None, seed: int) -> tuple[FunctionalJob, ...]:
    """The runs of the table on a data set."""
    return tuple(FunctionalJob(protocol, name, dataset, data, seed) for protocol, name in RUNS)


def measure(job: FunctionalJob, report: Reporter) -> TrainedRow:
    """Train in the clear and on encrypted images, and attack what the trainer saw."""
    dataset = datasets.load(job.dataset, job.data)
    with tempfile.TemporaryDirectory() as folder, Authority(Path(folder) / "journal") as authority:
        parties = _Parties(authority)
        if job.protocol == "projection":
            return _projection(job, PROJECTIONS[job.dataset], dataset, parties, report)
        return _faithful(job, FAITHFUL[job.dataset], dataset, parties, report)


def _projection(
    job: FunctionalJob, run: ProjectionRun, dataset: Dataset, parties: _Parties, report: Reporter
) -> TrainedRow:
    inputs = IntDomain(0, run.levels)
    images, labels = _vectors(dataset.train_images, inputs), dataset.train_labels
    public, private, own = images[: run.public], images[run.public :], labels[run.public :]
    tests = _vectors(dataset.test_images, inputs)
    proposed = projection.classifier_for(len(private)).set_params(random_state=job.seed)
    report("in the clear", 0.0)
    plain_s, plain = timed(lambda: run.in_clear(proposed, job.seed).fit(private, own))

    start = time.process_time()
    fit_s, fitted = timed(lambda: projection.fit_projection(public, run.rank))
    of = Instance(job.scheme, private.shape[1], inputs)
    report("encrypting", 0.2)
    products = _Kept(parties.encrypted(of, private, run.rank, "projection"))
    report("training", 0.4)
    total_s, trained = timed(lambda: projection.train(fitted, products, own, _again(proposed)))
    cpu_s = time.process_time() - start
    seconds = replace(parties.seconds, train=fit_s + total_s - parties.seconds.asked)
    twin = _again(proposed).fit(fitted(private), own)

    report("attacking", 0.6)
    shown, hidden = slice(0, run.attacked), slice(run.attacked, None)
    truth = Truth(private[shown], own[shown], judge(private[hidden], own[hidden], inputs))
    alone = public_only_accuracy(public, labels[: run.public], tests, dataset.test_labels, inputs)
    seen = Seen(fitted.matrix, products.kept[shown], inputs)
    height, width = dataset.input_shape[1:]
    steps = proposed.epochs * (len(private) // proposed.batch_size)
    return _row(
        job,
        parties,
        seconds,
        parties.authority.exposure(DATA),
        revealed_by_products(seen, public, truth, (height, width), alone),
        network="-".join(map(str, (run.rank, *proposed.layers, dataset.classes))),
        epochs=proposed.epochs,
        steps=steps,
        measured_steps=steps,
        n_train=len(private),
        n_test=len(tests),
        plain_seconds=plain_s,
        accuracy_plain=float(plain.score(tests, dataset.test_labels)),
        accuracy_encrypted=float(trained.score(fitted(tests), dataset.test_labels)),
        bit_identical=trained.network_.fingerprint == twin.network_.fingerprint,
        cpu_seconds=cpu_s,
        explanation=scheme(job.scheme).explain(of),
    )


def _faithful(
    job: FunctionalJob, run: FaithfulRun, dataset: Dataset, parties: _Parties, report: Reporter
) -> TrainedRow:
    images, labels = _vectors(dataset.train_images, run.inputs), dataset.train_labels
    tests = _vectors(dataset.test_images, run.inputs)
    plan, schedule, size = run.plan(), run.schedule(job.seed), run.batch_size
    all_batches = len(images) // size
    report("in the clear", 0.0)
    plain_s, plain = timed(lambda: faithful.train_in_clear(plan, schedule, labels, images))

    few = job.scheme == "ddh"  # whose steps take seconds: one pass over some batches is measured
    batches, epochs = (run.ddh_steps, 1) if few else (all_batches, schedule.epochs)
    schedule = replace(schedule, epochs=epochs)
    private, own = images[: batches * size], labels[: batches * size]
    twin = faithful.train_in_clear(plan, schedule, own, private) if few else plain

    start = time.process_time()
    vectors = faithful.batch_vectors(private, size)
    of = Instance(job.scheme, run.features, run.inputs)
    report("encrypting", 0.02)
    forward = parties.encrypted(of, vectors.forward, run.features, "forward")
    gradients = []
    for b, columns in enumerate(vectors.gradients):
        report(f"encrypting batch {b + 1} of {batches}", 0.02 + 0.18 * b / batches)
        of_batch = Instance(job.scheme, size, run.inputs)
        gradients.append(parties.encrypted(of_batch, columns, size, "gradient", range(b * size, (b + 1) * size)))
    watch = Watch(forward, gradients.__getitem__, run.inputs, updates=min(run.watched, batches))

    def progress(done: int, steps: int) -> None:
        report(f"step {done} of {steps}", 0.2 + 0.75 * done / steps)

    total_s, state = timed(
        lambda: faithful.train(plan, schedule, own, watch.forward, watch.gradient, data=DATA, progress=progress)
    )
    cpu_s = time.process_time() - start
    seconds = replace(parties.seconds, train=total_s - parties.seconds.asked)
    exposure = parties.authority.exposure(DATA)

    report("attacking", 0.95)
    shown = slice(0, len(watch.sights) * size)
    truth = Truth(images[shown], labels[shown], judge(images[shown.stop :], labels[shown.stop :], run.inputs))
    again = None if scheme(job.scheme).keys_are_scoped else lambda y: forward.products(y, 0, shown.stop)
    found = revealed_by_training(watch.sights, truth, again)

    score = {name: float((to_network(plan, s).predict(tests) == dataset.test_labels).mean())
             for name, s in (("plain", plain), ("encrypted", state))}  # fmt: skip
    return _row(
        job,
        parties,
        seconds.times(all_batches / batches, all_batches * run.epochs / (batches * epochs)),
        exposure,
        found,
        network=run.shape,
        epochs=run.epochs,
        steps=all_batches * run.epochs,
        measured_steps=batches * epochs,
        n_train=all_batches * size,
        n_test=len(tests),
        plain_seconds=plain_s,
        accuracy_plain=score["plain"],
        accuracy_encrypted=None if few else score["encrypted"],
        bit_identical=_same(state, twin),
        cpu_seconds=cpu_s,
        explanation=scheme(job.scheme).explain(of),
    )


def _row(
    job: FunctionalJob,
    parties: _Parties,
    seconds: _Seconds,
    exposure: Exposure,
    found: Revealed,
    *,
    steps: int,
    measured_steps: int,
    **measured: Any,
) -> TrainedRow:
    """The row, but for what the protocols measure in ways of their own."""
    return TrainedRow(
        row=ROW,
        protocol=job.protocol,
        scheme=job.scheme,
        dataset=job.dataset,
        steps=steps,
        measured_steps=measured_steps,
        extrapolated=measured_steps < steps,
        encrypted_seconds=seconds.all,
        setup_s=seconds.setup,
        encrypt_s=seconds.encrypt,
        keys_s=seconds.keys,
        decrypt_s=seconds.decrypt,
        train_s=seconds.train,
        keys_issued=exposure.keys_issued,
        rank_issued=exposure.rank_issued,
        rank_budget=exposure.rank_budget,
        share_rebuilt=found.share_rebuilt,
        n_attacked=found.images,
        psnr_db=found.psnr_db if math.isfinite(found.psnr_db) else None,
        judge_accuracy=found.judge_accuracy,
        judge_accuracy_originals=found.judge_accuracy_originals,
        accuracy_public_only=found.public_only_accuracy,
        reveals=found.sentence,
        security_bits=SECURITY_BITS,
        ciphertext_bytes=parties.ciphertext_bytes,
        key_bytes=parties.key_bytes,
        threads=available_threads(),
        peak_rss_bytes=peak_rss_bytes(),
        seed=job.seed,
        **measured,
    )


@dataclass
class _Seconds:
    """Wall-clock seconds of the parts of a run."""

    setup: float = 0.0
    encrypt: float = 0.0
    keys: float = 0.0
    decrypt: float = 0.0
    train: float = 0.0

    @property
    def asked(self) -> float:
        """What the trainer waits for."""
        return self.keys + self.decrypt

    @property
    def all(self) -> float:
        return self.setup + self.encrypt + self.asked + self.train

    def times(self, batches: float, steps: float) -> _Seconds:
        """What a run takes that has so many times the batches, and the steps."""
        return _Seconds(
            self.setup * batches, self.encrypt * batches, self.keys * steps, self.decrypt * steps, self.train * steps
        )


class _Parties:
    """An authority, and an owner for every instance; what both and the trainer take is measured."""

    def __init__(self, authority: Authority) -> None:
        self.authority, self.seconds = authority, _Seconds()
        self.ciphertext_bytes = self.key_bytes = 0
        self._key_bytes: dict[tuple[int, ...], int] = {}

    def encrypted(self, of: Instance, x: IntArray, budget: int, role: Role, samples: range | None = None) -> _Measured:
        """Open an instance, and encrypt vectors for it."""
        setup_s, public_key = timed(lambda: self.authority.open(of, budget, DATA, role, samples))
        encrypt_s, blocks = timed(lambda: list(Owner(OWNER, public_key).encrypt(x)))
        self.seconds.setup += setup_s
        self.seconds.encrypt += encrypt_s
        self.ciphertext_bytes += sum(len(block.to_bytes()) for block in blocks)
        return _Measured(self, Products(self, public_key, arranged(blocks, [OWNER])))

    def issue(self, request: KeyRequest) -> FunctionalKey:
        """Have the authority issue a key."""
        keys_s, key = timed(lambda: self.authority.issue(request))
        self.seconds.keys += keys_s
        shape = (*request.y.shape, 0 if request.scope is None else request.scope.stop - request.scope.start)
        if shape not in self._key_bytes:  # they follow from the shape
            self._key_bytes[shape] = len(key.to_bytes())
        self.key_bytes += self._key_bytes[shape]
        return key


class _Measured:
    """A trainer's products; what they take beside the authority's part counts as decryption."""

    def __init__(self, parties: _Parties, products: Products) -> None:
        self._parties, self._products = parties, products

    def products(self, y: IntArray, start: int, stop: int) -> IntArray:
        seconds = self._parties.seconds
        before = seconds.keys
        took, result = timed(lambda: self._products.products(y, start, stop))
        seconds.decrypt += took - (seconds.keys - before)
        return result


class _Kept:
    """Products of which the first are kept, as a curious trainer would."""

    def __init__(self, products: _Measured) -> None:
        self._products = products

    def products(self, y: IntArray, start: int, stop: int) -> IntArray:
        self.kept = self._products.products(y, start, stop)
        return self.kept


def _vectors(images: Images, inputs: IntDomain) -> IntArray:
    """Images in [0, 1] as integers, [n, features]."""
    return np.rint(images * inputs.hi).astype(np.int64).reshape(len(images), -1)


def _again(classifier: IntClassifier) -> IntClassifier:
    return IntClassifier(**classifier.get_params())


def _same(ours: list[Variables], others: list[Variables]) -> bool:
    """Whether all variables of a network are equal."""
    pairs = zip(ours, others, strict=True)
    return all(np.array_equal(vars(one)[name], vars(other)[name]) for one, other in pairs for name in vars(one))
