"""A network of one's own: what each way to evaluate it on ciphertexts keeps, takes and costs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, cast

import numpy as np

from bench.cases.options import OwnOptions
from bench.cases.own_models import MODELS, Parts
from bench.harness.case import Reporter
from bench.harness.timing import timed
from bench.report.own import OwnRow, Tried, draw, show
from he import ParameterError, RangeError, connect, prepare, simulate
from he import compile as compile_model
from he.circuit.residues import interfaces
from he.engines.engine import thread_count
from he.model.compile import meant
from he.model.compiled import Compiled
from he.model.estimate import estimate_of
from he.model.inputs import floats_of
from intnn import Graph, graph_of
from intnn.approximation.agreement import Decision, Task, agreement_of, decision_of
from intnn.approximation.measure import NAMES

__all__ = ["OwnJob", "draw", "jobs", "measure", "show"]

FITTED = 5000  # samples that networks are fitted to; more change nothing
LEAST_ADAPTED = 5000  # samples from which fine-tuning helps
TEST_SHARE = 0.2  # of the samples of a file, where no others are given
SUFFIXES = (".onnx", ".pt2", ".npz", ".json")


@dataclass(frozen=True)
class Way:
    """One way to evaluate a model.

    Attributes:
        name: What rows call it.
        exact: Whether it computes on integers.
        form: What the model is fine-tuned into before; None where it is not.
    """

    name: str
    exact: bool
    form: Literal["squares", "polynomial"] | None = None


WAYS = (
    Way("exact", exact=True),
    Way("approximate", exact=False),
    Way("exact, adapted", exact=True, form="squares"),
    Way("approximate, adapted", exact=False, form="polynomial"),
)


@dataclass(frozen=True)
class OwnJob:
    """One model.

    Attributes:
        model: A key of MODELS, or the path of a file.
        data: The folder of MNIST; None for where it is found by itself.
        files: The .npy files of samples, labels, test samples and test labels, for a model from a file.
        task: What the outputs of a model from a file are; None for what it says.
        adapts: Whether a model with many samples is fine-tuned as well.
        images: The number of test inputs that are encrypted.
        threads: The number of threads of an evaluation; None for all.
        seed: The seed of training, of fine-tuning, and of what is held out and encrypted.
        pictures: Whether pictures are drawn.
    """

    model: str
    data: Path | None
    files: tuple[Path | None, Path | None, Path | None, Path | None]
    task: Task | None
    adapts: bool
    images: int
    threads: int | None
    seed: int
    pictures: bool

    @property
    def title(self) -> str:
        """The model."""
        return Path(self.model).name


def jobs(options: OwnOptions) -> tuple[OwnJob, ...]:
    """One job for each model.

    Raises:
        ValueError: A model is neither known nor a file, there are no samples for it or they are damaged, or there is no
            data.
    """
    files = options.samples, options.labels, options.test_samples, options.test_labels
    found = []
    for model in options.model:
        is_file = model not in MODELS
        if is_file and Path(model).suffix not in SUFFIXES:
            names = ", ".join(MODELS)
            raise ValueError(f"`--model` must be a file ({', '.join(SUFFIXES)}) or one of {names}; got {model!r}")
        if is_file and not Path(model).is_file():
            raise ValueError(f"`--model` must name a file that is there, got {model}")
        if is_file and options.samples is None:
            raise ValueError(f"`--samples` must name a .npy file with inputs like those that {model} will be asked")
        if not is_file and (any(files) or options.task):
            raise ValueError(
                f"`--samples`, `--labels` and `--task` go with a model from a file; {model} has its own data"
            )
        about = cast(Task | None, options.task), options.adapt, options.images, options.threads, options.seed
        job = OwnJob(model, options.data, files, *about, pictures=options.plot_dir is not None)
        _require_images(_parts(job), options.images)
        found.append(job)
    return tuple(found)


def measure(job: OwnJob, report: Reporter) -> Iterator[OwnRow]:
    """A row for each way that the model can go."""
    parts, seconds, shape = _parts(job), None, "from a file"
    model: Any = job.model
    if job.model in MODELS:
        own = MODELS[job.model]
        report("training in floats")
        shape = own.shape
        seconds, model = timed(lambda: own.trained(parts, job.seed, report))
    graph = meant(graph_of(model, parts.train[:1]), job.task)
    if job.model not in MODELS:
        model = graph
    judge = _Judge.of(graph, parts)
    start = OwnRow(
        model=job.title,
        shape=shape,
        way="",
        measure=NAMES[judge.decision],
        n_samples=len(parts.train),
        n_test=len(parts.test),
        float_accuracy=judge.accuracy(judge.wanted),
        training_seconds=seconds,
    )
    for way in WAYS:
        if way.form is None or (job.adapts and len(parts.train) >= LEAST_ADAPTED):
            yield _row(replace(start, way=way.name), way, model, parts, judge, job, report)
    if job.pictures:
        _picture(report, f"{job.title}-floats.svg", graph)


def _row(start: OwnRow, way: Way, model: Any, parts: Parts, judge: _Judge, job: OwnJob, report: Reporter) -> OwnRow:
    """What one way reaches and costs, or why there is none."""
    samples = parts.train[np.random.default_rng(job.seed).permutation(len(parts.train))[:FITTED]]
    network, adapting = model, None
    try:
        if way.form is not None:
            from plaintext_models.adaptation.adapt import adapt  # torch, which an estimator does without

            report(f"{way.name}: fine-tuning")
            adapted = adapt(model, parts.train, way.form, seed=job.seed, progress=False)
            network, adapting = adapted.network, adapted.seconds
        compiled = compile_model(
            network, samples, exact=way.exact, progress=lambda line: report(f"{way.name}: {line[:60]}")
        )
    except (ParameterError, TypeError, ValueError, FloatingPointError) as refusal:  # as `adapt` and `he.compile` say
        return replace(start, refused=str(refusal), adapting_seconds=adapting)
    given = compiled.outputs(compiled.network.logits(compiled.prepare(parts.test)))
    row = replace(
        start,
        accuracy=judge.accuracy(given),
        agreement=judge.agreement(given),
        adapting_seconds=adapting,
        fitting_seconds=compiled.fitting_seconds,
        compiling_seconds=compiled.compiling_seconds,
        reasons=compiled.reasons,
        tried=_tried(compiled),
    )
    if job.pictures:
        _pictures(report, f"{job.title}-{way.name.replace(', ', '-')}", compiled)
    report(f"{way.name}: encrypted")
    return _encrypted(row, compiled, parts.test, job)


def _encrypted(row: OwnRow, compiled: Compiled, test: np.ndarray, job: OwnJob) -> OwnRow:
    """The row with what encrypted answers to some test inputs cost, and whether they are right."""
    circuit, threads = compiled.circuit, thread_count(job.threads)
    prepared = prepare(circuit, threads=threads)
    estimate = estimate_of(compiled, prepared, threads)
    client, session = connect(prepared, threads=threads)
    chosen = np.random.default_rng(job.seed).permutation(len(test))[: job.images]
    seconds, off, simulated_off, outside = [], 0.0, 0.0, 0
    for x in np.split(compiled.prepare(test[chosen]), job.images):
        expected = compiled.network.logits(x)
        request = client.encrypt(x)
        spent, answer = timed(lambda request=request: session.evaluate(request))  # type: ignore[misc]
        seconds.append(spent)
        try:
            off = max(off, _difference(client.decrypt(answer, request), expected))
            simulated_off = max(simulated_off, _difference(simulate(circuit, x), expected))
        except RangeError:
            outside += 1
    parameters = circuit.parameters
    is_exact = parameters.scheme.exact
    moduli = tuple(one.parameters.t for one in interfaces(circuit.interface)) if is_exact else None
    return replace(
        row,
        units=circuit.cost().total,
        parameters=str(parameters),
        poly_modulus_degree=parameters.poly_modulus_degree,
        coeff_modulus_bits=parameters.coeff_modulus_bits,
        plain_moduli=moduli,
        threads=threads,
        estimated_seconds=estimate.seconds,
        seconds=statistics.median(seconds),
        key_bytes=len(client.evaluation_keys.to_bytes()),
        request_bytes=len(request),
        answer_bytes=len(answer),
        encrypted=job.images,
        outside=outside,
        off=off,
        bound=0.0 if is_exact else circuit.output_bound,
        simulated_off=simulated_off,
    )


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max())


def _tried(compiled: Compiled) -> tuple[Tried, ...]:
    tuning = compiled.tuning
    if tuning is None:
        return ()
    return tuple(Tried(t.form, t.sizes, t.agreement, t.units, t is tuning.chosen) for t in tuning.trials)


@dataclass(frozen=True, eq=False)
class _Judge:
    """What the float model answers on the test part, and what is right.

    Attributes:
        decision: What of the outputs is the answer.
        wanted: The float model's outputs [n, outputs].
        right: Outputs that would decide rightly, or are right values, [n, outputs]; None without labels.
    """

    decision: Decision
    wanted: np.ndarray
    right: np.ndarray | None

    @classmethod
    def of(cls, graph: Graph, parts: Parts) -> _Judge:
        wanted, labels = graph.logits(parts.test), parts.test_labels
        decision = decision_of(graph.metadata, wanted.shape[1])
        if labels is None:
            return cls(decision, wanted, None)
        if decision == "values" or graph.metadata.get("multilabel"):
            if labels.size != wanted.size or labels.dtype.kind not in "biuf":
                raise ValueError(f"labels must be {wanted.shape[1]} number(s) for each input, got {labels.shape}")
            numbers = labels.astype(np.float64).reshape(wanted.shape)
            return cls(decision, wanted, numbers - 0.5 if decision == "signs" else numbers)
        classes = list(graph.metadata.get("classes") or range(max(wanted.shape[1], 2)))
        strange = [label for label in labels.ravel().tolist() if label not in classes]
        if strange or labels.shape != (len(wanted),):
            raise ValueError(
                f"labels must be one of the classes {classes} for each input, got {strange[:1] or labels.shape}"
            )
        index = np.array([classes.index(label) for label in labels.tolist()])
        return cls(decision, wanted, index[:, None] - 0.5 if decision == "signs" else np.eye(len(classes))[index])

    def accuracy(self, outputs: np.ndarray) -> float | None:
        """The share of right answers, or R squared; None without labels."""
        return None if self.right is None else agreement_of(outputs, self.right, self.decision)

    def agreement(self, outputs: np.ndarray) -> float:
        """How far outputs [n, outputs] give the answers of the float model."""
        return agreement_of(outputs, self.wanted, self.decision)


def _parts(job: OwnJob) -> Parts:
    """The data of a model: its own, or that of the files, of which some is held out where no test part is given."""
    if job.model in MODELS:
        return MODELS[job.model].parts(job.data, job.seed)
    options = ("--samples", "--labels", "--test-samples", "--test-labels")
    x, y, test, test_labels = (_read(option, path) for option, path in zip(options, job.files, strict=True))
    assert x is not None  # without samples there is no job
    try:
        x = floats_of(x, None, options[0])
        test = None if test is None else floats_of(test, x.shape[1:], options[2])
    except TypeError as error:
        raise ValueError(str(error)) from error
    for name, inputs, labels in (("--labels", x, y), ("--test-labels", test, test_labels)):
        if labels is not None and (inputs is None or labels.shape[:1] != inputs.shape[:1]):
            raise ValueError(f"`{name}` must hold a label for each of the samples, got shape {labels.shape}")
    if test is not None:
        return Parts(x, y, test, test_labels)
    order = np.random.default_rng(job.seed).permutation(len(x))
    held, rest = np.split(order, [max(1, round(TEST_SHARE * len(x)))])
    return Parts(x[rest], None if y is None else y[rest], x[held], None if y is None else y[held])


def _read(option: str, path: Path | None) -> np.ndarray | None:
    if path is None:
        return None
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"`{option}` must name a .npy file, got {path}: {error}") from error
    if not isinstance(array, np.ndarray) or not array.ndim or not array.size:
        raise ValueError(f"`{option}` must name a .npy file with one array that is not empty, got {path}")
    return array


def _require_images(parts: Parts, images: int) -> None:
    if not 1 <= images <= len(parts.test):
        raise ValueError(f"`--images` must be from 1 to {len(parts.test)}, the inputs of the test part, got {images}")


def _pictures(report: Reporter, name: str, compiled: Compiled) -> None:
    """Hand over the pictures of a network and of its circuit, and of what tuning tried."""
    _picture(report, f"{name}-network.svg", compiled.network)
    if compiled.tuning is not None:
        _picture(report, f"{name}-tuning.svg", compiled.tuning)
    _picture(report, f"{name}-circuit.svg", compiled.circuit)


def _picture(report: Reporter, name: str, drawn: Any) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        drawn.draw(path)
        report.picture(name, path.read_bytes())
