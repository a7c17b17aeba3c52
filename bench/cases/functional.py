"""The table's second row: training with functional encryption, what it costs, and what attacks find in it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.cases.functional_parties import DATA, Kept, Measured, Parties, Seconds, Steps, parties_at_work
from bench.cases.functional_runs import FAITHFUL, PROJECTIONS, RUNS, ProjectionRun, Protocol
from bench.cases.functional_unfinished import Taken, Unfinished
from bench.harness.case import Reporter
from bench.harness.machine import available_threads
from bench.harness.timing import peak_rss_bytes, timed
from bench.tables.trained import TrainedRow
from he.functional.attacks.judge import judge, public_only_accuracy
from he.functional.attacks.report import Revealed, Truth, revealed_by_products, revealed_by_training
from he.functional.attacks.seen import Seen
from he.functional.attacks.sights import Watch
from he.functional.instance import Instance, SchemeName
from he.functional.parties.books import Exposure, Opening
from he.functional.protocols import faithful, projection
from he.functional.protocols.projection import Projection
from he.functional.schemes import scheme
from intnn import IntClassifier, IntDomain
from intnn.training.export import to_network
from intnn.training.schedule import Epoch, Schedule
from intnn.training.step import Variables
from intnn.values.arrays import Array, IntArray
from plaintext_models.data import datasets
from plaintext_models.data.datasets import Dataset, Images

ROW = "training-functional"
_TOGETHER = 32  # instances that are opened at a time: public keys of lattices are some megabytes each
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
        keep: A folder where training for minutes is kept after every epoch, to go on from; None to keep nothing.
    """

    protocol: Protocol
    scheme: SchemeName
    dataset: str
    data: Path | None
    seed: int
    keep: Path | None = None

    @property
    def unfinished(self) -> Unfinished:
        """What is kept of the run."""
        name = f"{self.dataset}-{self.protocol}-{self.scheme}-{self.seed}.npz"
        return Unfinished(None if self.keep is None else self.keep / name)

    @property
    def title(self) -> str:
        """The protocol and the scheme."""
        return f"{self.protocol}, {self.scheme}"


def jobs(dataset: str, data: Path | None, seed: int, keep: Path | None = None) -> tuple[FunctionalJob, ...]:
    """The runs of the table on a data set.

    Raises:
        OSError: The folder of what is kept does not exist and cannot be made.
    """
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    return tuple(FunctionalJob(protocol, name, dataset, data, seed, keep) for protocol, name in RUNS)


def measure(job: FunctionalJob, report: Reporter) -> TrainedRow:
    """Train in the clear and on encrypted images, and attack what the trainer saw."""
    dataset = datasets.load(job.dataset, job.data)
    with parties_at_work() as parties:
        if job.protocol == "projection":
            return _projection(job, PROJECTIONS[job.dataset], dataset, parties, report)
        return _Faithful(job, dataset, report).row(parties)


def _projection(
    job: FunctionalJob, run: ProjectionRun, dataset: Dataset, parties: Parties, report: Reporter
) -> TrainedRow:
    """Train on encrypted products of images, and in the clear on the same products and on whole images."""
    inputs = IntDomain(0, run.levels)
    images, labels = _vectors(dataset.train_images, inputs), dataset.train_labels
    public, private, own = images[: run.public], images[run.public :], labels[run.public :]
    tests = _vectors(dataset.test_images, inputs)
    proposed = projection.classifier_for(len(private)).set_params(random_state=job.seed)
    whole = run.in_clear(proposed)

    def train(x: IntArray, labels: Array, epochs: int, parties: Parties) -> tuple[Projection, Kept, IntClassifier]:
        fitted = projection.fit_projection(public, run.rank)
        report("encrypting", 0.2)
        opening = Opening(Instance(job.scheme, x.shape[1], inputs), run.rank, DATA, "projection")
        products = Kept(parties.encrypted(parties.open([opening])[0], x))
        report("training", 0.4)
        return fitted, products, projection.train(fitted, products, labels, _again(proposed, epochs))

    report("compiling", 0.0)
    few = slice(0, 4 * proposed.batch_size)
    _again(whole, epochs=1).fit(private[few], own[few])
    with parties_at_work() as others:
        train(private[few], own[few], 1, others)

    report("in the clear", 0.05)
    plain_s, plain = timed(lambda: whole.fit(private, own))
    start = _Stopwatch()
    fitted, products, trained = train(private, own, proposed.epochs, parties)
    seconds, cpu_s = parties.seconds.within(start.seconds), start.cpu_seconds
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
        seconds,
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
        keys_issued=parties.keys,
        key_bytes=parties.key_bytes,
        ciphertext_bytes=parties.ciphertext_bytes,
        explanation=scheme(job.scheme).explain(products.instance),
    )


class _Faithful:
    """A run with keys for every update."""

    def __init__(self, job: FunctionalJob, dataset: Dataset, report: Reporter) -> None:
        self.job, self.dataset, self.report, self.run = job, dataset, report, FAITHFUL[job.dataset]
        self.images, self.labels = _vectors(dataset.train_images, self.run.inputs), dataset.train_labels
        self.plan, self.schedule = self.run.plan(), self.run.schedule(job.seed)

    def row(self, parties: Parties) -> TrainedRow:
        """Train on ciphertexts, for some steps where they take seconds, and in the clear to the end."""
        run, size, schedule, slow = self.run, self.run.batch_size, self.schedule, self.job.scheme == "ddh"
        all_batches = len(self.images) // size
        batches, done = all_batches, schedule
        if slow:  # its steps take seconds, and have nothing to compile: one pass over some batches is measured
            batches, done = run.ddh_steps, replace(schedule, epochs=1)
        else:
            self.report("compiling", 0.0)
            once = replace(schedule, epochs=1)
            self._in_clear(1, once, Steps())
            with parties_at_work() as others:
                self._train(1, once, others, Unfinished(None))
        self.report("in the clear", 0.01)
        plain_steps = Steps()
        plain_s, plain = timed(lambda: self._in_clear(all_batches, schedule, plain_steps))
        trained = self._train(batches, done, parties, Unfinished(None) if slow else self.job.unfinished)
        twin = self._in_clear(batches, done, Steps()) if slow else plain
        taken, exposure = trained.taken, parties.exposure()
        longer = all_batches * run.epochs / (batches * done.epochs)  # than what was measured
        seconds = taken.seconds.times(all_batches / batches, longer)

        self.report("attacking", 0.95)
        shown = len(trained.watch.sights) * size
        reader = judge(self.images[shown:], self.labels[shown:], run.inputs)
        truth = Truth(self.images[:shown], self.labels[:shown], reader)
        again = None if scheme(self.job.scheme).keys_are_scoped else lambda y: trained.forward.products(y, 0, shown)
        return _row(
            self.job,
            seconds,
            exposure,
            revealed_by_training(trained.watch.sights, truth, again),
            network=run.shape,
            epochs=run.epochs,
            steps=all_batches * run.epochs,
            measured_steps=batches * done.epochs,
            n_train=all_batches * size,
            n_test=len(self.dataset.test_images),
            plain_seconds=plain_s,
            plain_step_s=plain_steps.seconds(size),
            encrypted_step_s=trained.steps.seconds(size),
            accuracy_plain=self._accuracy(plain),
            accuracy_encrypted=None if slow else self._accuracy(trained.state),
            bit_identical=_same(trained.state, twin),
            cpu_seconds=taken.cpu_seconds * seconds.all / taken.seconds.all,
            keys_issued=round(taken.keys * longer),
            key_bytes=round(taken.key_bytes * longer),
            ciphertext_bytes=parties.ciphertext_bytes * all_batches // batches,
            resumed_after=trained.resumed_after,
            explanation=scheme(self.job.scheme).explain(trained.forward.instance),
        )

    def _train(self, batches: int, schedule: Schedule, parties: Parties, unfinished: Unfinished) -> _Trained:
        """Encrypt some batches, and train on them, or go on with it."""
        size, inputs, start = self.run.batch_size, self.run.inputs, _Stopwatch()
        vectors = faithful.batch_vectors(self.images[: batches * size], size)
        self.report("encrypting", 0.02)
        features = self.run.features
        openings = [Opening(Instance(self.job.scheme, features, inputs), features, DATA, "forward")]
        to_encrypt, products = [vectors.forward], list[Measured]()
        if is_one := scheme(self.job.scheme).keys_are_scoped:  # instance for all batches
            of, samples = Instance(self.job.scheme, size, inputs), range(batches * size)
            openings.append(Opening(of, size, DATA, "gradient", samples, columns=features))
            to_encrypt.append(np.concatenate(vectors.gradients))
        else:
            for b in range(batches):
                of, samples = Instance(self.job.scheme, size, inputs), range(b * size, (b + 1) * size)
                openings.append(Opening(of, size, DATA, "gradient", samples))
            to_encrypt += vectors.gradients
        for first in range(0, len(openings), _TOGETHER):
            for public_key in parties.open(openings[first : first + _TOGETHER]):
                done = len(products)
                self.report(f"encrypting {done + 1} of {len(openings)}", 0.02 + 0.18 * done / len(openings))
                products.append(parties.encrypted(public_key, to_encrypt[done]))
        forward, gradients = products[0], products[1:]
        of_batch = faithful.in_batches(gradients[0], features) if is_one else gradients.__getitem__
        watch = Watch(forward, of_batch, inputs, updates=min(self.run.watched, batches))
        before, steps = unfinished.taken(), Steps()

        def taken(epochs: int) -> Taken:
            seconds = before.seconds.plus(parties.seconds.within(start.seconds))
            keys, size = before.keys + parties.keys, before.key_bytes + parties.key_bytes
            return Taken(epochs, seconds, before.cpu_seconds + start.cpu_seconds, keys, size)

        def after(epoch: Epoch) -> None:
            unfinished.keep(taken(epoch.number))
            steps(epoch)

        state = faithful.train(
            self.plan,
            schedule,
            self.labels[: batches * size],
            watch.forward,
            watch.gradient,
            path=unfinished.checkpoint,
            callback=after,
            progress=self._progress,
        )
        unfinished.forget()
        return _Trained(watch, forward, state, steps, taken(schedule.epochs), before.epochs)

    def _progress(self, step: int, steps: int) -> None:
        if step % (steps // 100 + 1) == 0:  # a line on the screen takes as long as some small steps
            self.report(f"step {step} of {steps}", 0.2 + 0.75 * step / steps)

    def _in_clear(self, batches: int, schedule: Schedule, steps: Steps) -> list[Variables]:
        part = slice(0, batches * self.run.batch_size)
        return faithful.train_in_clear(self.plan, schedule, self.labels[part], self.images[part], callback=steps)

    def _accuracy(self, state: list[Variables]) -> float:
        tests = _vectors(self.dataset.test_images, self.run.inputs)
        return float((to_network(self.plan, state).predict(tests) == self.dataset.test_labels).mean())


@dataclass(frozen=True, eq=False)
class _Trained:
    """What came of a run, and what it took, with what earlier processes took of it."""

    watch: Watch
    forward: Measured
    state: list[Variables]
    steps: Steps
    taken: Taken
    resumed_after: int


class _Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._wall

    @property
    def cpu_seconds(self) -> float:
        return time.process_time() - self._cpu


def _row(
    job: FunctionalJob,
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
