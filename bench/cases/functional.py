"""The table's second row: training with functional encryption, what it costs, and what attacks find in it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.cases.functional_parties import Kept, Measured, Parties, Seconds, parties_at_work
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
from he.functional.parties.books import Exposure
from he.functional.protocols import faithful, projection
from he.functional.protocols.projection import Projection
from he.functional.schemes import scheme
from intnn import IntClassifier, IntDomain
from intnn.training.export import to_network
from intnn.training.schedule import Schedule
from intnn.training.step import Variables
from intnn.values.arrays import Array, IntArray
from plaintext_models.data import datasets
from plaintext_models.data.datasets import Dataset, Images

ROW = "training-functional"
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
    with parties_at_work() as parties:
        if job.protocol == "projection":
            return _projection(job, PROJECTIONS[job.dataset], dataset, parties, report)
        return _faithful(job, FAITHFUL[job.dataset], dataset, parties, report)


def _projection(
    job: FunctionalJob, run: ProjectionRun, dataset: Dataset, parties: Parties, report: Reporter
) -> TrainedRow:
    inputs = IntDomain(0, run.levels)
    images, labels = _vectors(dataset.train_images, inputs), dataset.train_labels
    public, private, own = images[: run.public], images[run.public :], labels[run.public :]
    tests = _vectors(dataset.test_images, inputs)
    proposed = projection.classifier_for(len(private)).set_params(random_state=job.seed)
    whole = run.in_clear(proposed)

    def train(x: IntArray, labels: Array, epochs: int, parties: Parties) -> tuple[Projection, Kept, IntClassifier]:
        fitted = projection.fit_projection(public, run.rank)
        report("encrypting", 0.2)
        products = Kept(parties.encrypted(Instance(job.scheme, x.shape[1], inputs), x, run.rank, "projection"))
        report("training", 0.4)
        return fitted, products, projection.train(fitted, products, labels, _again(proposed, epochs))

    report("compiling", 0.0)
    few = slice(0, 4 * proposed.batch_size)
    _again(whole, epochs=1).fit(private[few], own[few])
    with parties_at_work() as others:
        train(private[few], own[few], 1, others)

    report("in the clear", 0.05)
    plain_s, plain = timed(lambda: whole.fit(private, own))
    start = time.process_time()
    total_s, (fitted, products, trained) = timed(lambda: train(private, own, proposed.epochs, parties))
    cpu_s = time.process_time() - start
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
        parties.seconds.within(total_s),
        parties.exposure(),
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
        explanation=scheme(job.scheme).explain(products.instance),
    )


def _faithful(job: FunctionalJob, run: FaithfulRun, dataset: Dataset, parties: Parties, report: Reporter) -> TrainedRow:
    images, labels = _vectors(dataset.train_images, run.inputs), dataset.train_labels
    tests = _vectors(dataset.test_images, run.inputs)
    plan, schedule, size = run.plan(), run.schedule(job.seed), run.batch_size
    all_batches = len(images) // size
    slow = job.scheme == "ddh"  # whose steps take seconds: one pass over some batches is measured
    batches, epochs = (run.ddh_steps, 1) if slow else (all_batches, schedule.epochs)
    once = replace(schedule, epochs=1)

    def progress(done: int, steps: int) -> None:
        report(f"step {done} of {steps}", 0.2 + 0.75 * done / steps)

    def train(batches: int, schedule: Schedule, parties: Parties) -> tuple[Watch, Measured, list[Variables]]:
        vectors = faithful.batch_vectors(images[: batches * size], size)
        report("encrypting", 0.02)
        of = Instance(job.scheme, run.features, run.inputs)
        forward, gradients = parties.encrypted(of, vectors.forward, run.features, "forward"), []
        for b, columns in enumerate(vectors.gradients):
            report(f"encrypting batch {b + 1} of {batches}", 0.02 + 0.18 * b / batches)
            of, samples = Instance(job.scheme, size, run.inputs), range(b * size, (b + 1) * size)
            gradients.append(parties.encrypted(of, columns, size, "gradient", samples))
        watch = Watch(forward, gradients.__getitem__, run.inputs, updates=min(run.watched, batches))
        own = labels[: batches * size]
        return watch, forward, faithful.train(plan, schedule, own, watch.forward, watch.gradient, progress=progress)

    if not slow:  # that one has nothing to compile
        report("compiling", 0.0)
        faithful.train_in_clear(plan, once, labels[:size], images[:size])
        with parties_at_work() as others:
            train(1, once, others)

    report("in the clear", 0.01)
    plain_s, plain = timed(lambda: faithful.train_in_clear(plan, schedule, labels, images))
    start = time.process_time()
    done = replace(schedule, epochs=epochs)
    total_s, (watch, forward, state) = timed(lambda: train(batches, done, parties))
    cpu_s = time.process_time() - start
    exposure = parties.exposure()
    measured = slice(0, batches * size)
    twin = faithful.train_in_clear(plan, done, labels[measured], images[measured]) if slow else plain

    report("attacking", 0.95)
    shown = slice(0, len(watch.sights) * size)
    truth = Truth(images[shown], labels[shown], judge(images[shown.stop :], labels[shown.stop :], run.inputs))
    again = None if scheme(job.scheme).keys_are_scoped else lambda y: forward.products(y, 0, shown.stop)
    scores = [float((to_network(plan, s).predict(tests) == dataset.test_labels).mean()) for s in (plain, state)]
    return _row(
        job,
        parties,
        parties.seconds.within(total_s).times(all_batches / batches, all_batches * run.epochs / (batches * epochs)),
        exposure,
        revealed_by_training(watch.sights, truth, again),
        network=run.shape,
        epochs=run.epochs,
        steps=all_batches * run.epochs,
        measured_steps=batches * epochs,
        n_train=all_batches * size,
        n_test=len(tests),
        plain_seconds=plain_s,
        accuracy_plain=scores[0],
        accuracy_encrypted=None if slow else scores[1],
        bit_identical=_same(state, twin),
        cpu_seconds=cpu_s,
        explanation=scheme(job.scheme).explain(forward.instance),
    )


def _row(
    job: FunctionalJob,
    parties: Parties,
    seconds: Seconds,
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


def _vectors(images: Images, inputs: IntDomain) -> IntArray:
    """Images in [0, 1] as integers, [n, features]."""
    return np.rint(images * inputs.hi).astype(np.int64).reshape(len(images), -1)


def _again(classifier: IntClassifier, epochs: int | None = None) -> IntClassifier:
    """The same, not fitted; with another number of passes if one is given."""
    return IntClassifier(**classifier.get_params()).set_params(epochs=epochs or classifier.epochs)


def _same(ours: list[Variables], others: list[Variables]) -> bool:
    """Whether all variables of a network are equal."""
    pairs = zip(ours, others, strict=True)
    return all(np.array_equal(vars(one)[name], vars(other)[name]) for one, other in pairs for name in vars(one))
