"""`adapt`: a float network, fine-tuned into a form that runs on ciphertexts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from intnn.approximation.approximate import approximate
from intnn.convert.model import graph_of
from intnn.layers.nodes import Activation
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.values.arrays import batched, integer, real, reals
from plaintext_models.adaptation.distil import agreement, distil, outputs
from plaintext_models.adaptation.squares import SquareNetwork, require_equal_integers
from plaintext_models.adaptation.tables import table_network
from plaintext_models.adaptation.trainable import Trainable
from plaintext_models.bridge.export import to_network
from plaintext_models.bridge.from_torch import from_torch
from plaintext_models.determinism import deterministic
from plaintext_models.training.qat.table_network import TableNetwork

Form = Literal["polynomial", "squares", "tables"]
Student = Trainable | SquareNetwork | TableNetwork
FORMS: tuple[Form, ...] = get_args(Form)

HELD_OUT = 5  # one sample of so many is not trained on,
MOST_HELD_OUT = 5000  # but no more than tell agreements to a quarter of a point
LEAST_SAMPLES = 10
FIT = 5000  # samples by which the start is fitted; more hardly change it
CYCLES = (2, 4, 8, 16, 32)  # epochs
BATCH = 128
LEARNING_RATES = {"polynomial": 1e-3, "squares": 5e-4, "tables": 2e-3}
BITS, MORE_BITS = 13, 8  # of an integer network's outputs: 13 for each doubling by a square, and 8: 34, 60, 112, ...
INPUT_BITS = {"polynomial": 1, "squares": 2, "tables": 1}
SMALLEST_IMAGE = 16  # pixels of a side, from which a pixel more or less changes nothing that people see
EQUAL = 16  # samples on which an integer network is compared with its module


@dataclass(frozen=True)
class Adapted:
    """A network in a form that runs on ciphertexts, and how it was made.

    Attributes:
        network: A `Graph` of polynomials, or an `IntNetwork`.
        agreement_before: How far the start agreed with the float network on samples that were held out: the fraction of
            the same classes, from 0 to 1, or for a single output the explained share of its variance, at most 1.
        agreement_after: How far ``network`` does. It is never less: where training does not help, the start is kept.
        epochs: How many passes over the samples were made.
        seconds: How long it took, in seconds.
    """

    network: Graph | IntNetwork
    agreement_before: float
    agreement_after: float
    epochs: int
    seconds: float


def adapt(
    model: Any,
    samples: ArrayLike,
    form: Form = "polynomial",
    *,
    degree: int = 2,
    input_bits: int | None = None,
    max_bits: int | None = None,
    points: int = 121,
    levels: int = 16,
    even: bool = False,
    start: Graph | None = None,
    cycles: Sequence[int] = CYCLES,
    learning_rate: float | None = None,
    shifts: bool | None = None,
    seed: int = 0,
    seconds: float = 300.0,
    progress: bool = True,
) -> Adapted:
    """Fine-tune a float network into a form that runs on ciphertexts; it learns its own answers, and needs no labels.

    A fifth of the samples is held out. What is returned agrees best with the float network there: it is the start where
    training does not help, or diverges.
    Equal arguments give equal bits on one machine, unless the time runs out. Interrupted by Ctrl-C, it raises
    KeyboardInterrupt; ``model`` stays as it is in any case.

    Args:
        model: A module that `plaintext_models.bridge.from_torch` takes, or whatever `intnn.convert` makes a graph of.
        samples: Floats [n, *input_shape] as the network will see them, at least `LEAST_SAMPLES`; below some 5,000 the
            start is rarely improved.
        form: "polynomial" gives a `Graph` of polynomials, for CKKS. "squares" gives an `IntNetwork` of squares, for
            BFV with a plaintext modulus of ``max_bits`` bits or several that have as many together. "tables" gives an
            `IntNetwork` of lookup tables; it needs a chain, and samples in [0, 1].
        degree: Of the polynomials, at least 2, which is the default and costs least. A network with one activation on
            the way usually agrees a little better with 3, at some two thirds more.
        input_bits: Bits of an input of the integer forms, with its sign where there are negative ones; by default 2 for
            squares and 1 for tables.
        max_bits: Bits of the outputs of squares in the worst case, with their sign; by default 34 with one square on
            the way, 60 with two, and about twice as many with each more.
        points: Points of every table, odd.
        levels: Values of every table.
        even: Whether tables read magnitudes.
        start: A graph of polynomials, or of squares for the integer form, in place of `intnn.approximation`'s.
        cycles: Epochs of each cycle of the schedule; one after which answers held out are no nearer is the last.
        learning_rate: The peak of the schedule; by default a rate that suits the form.
        shifts: Whether the samples are images that may be moved by a pixel: by default, where they look like it and
            become polynomials; integers have no bits to spare for what moves into the border.
        seed: Determines the samples held out, their order and their shifts.
        seconds: A cycle that would probably not end within so many seconds is not begun, unless it is the first.
        progress: Whether to show a bar.

    Raises:
        TypeError: ``model`` is none of these, or has a layer that the form does not allow.
        ConversionError: ``model`` has no equal among graphs.
        ValueError: Samples are too few, of another shape, NaN or infinite; an option is out of range.
    """
    begin = time.monotonic()
    if form not in FORMS:
        raise ValueError(f"`form` must be one of {', '.join(FORMS)}, got {form!r}")
    x = _samples(samples)
    graph = _graph(model, x)
    _require_start(start, graph)
    if shifts and len(graph.input_shape) != 3:
        raise ValueError(f"`shifts` must be False for inputs that are no images, got shape {graph.input_shape}")
    if not cycles:
        raise ValueError("`cycles` must name at least one cycle, got none")
    epochs = tuple(integer(count, "cycles", 1) for count in cycles)
    bits = integer(INPUT_BITS[form] if input_bits is None else input_bits, "input_bits", 1, 16)
    with deterministic(integer(seed, "seed")):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        count = min(len(x) // HELD_OUT, MOST_HELD_OUT)
        held_out, trained = x[order[:count]], x[order[count:]]
        student: Student
        if form == "tables":
            student = table_network(graph, trained[:FIT], bits, points, levels, even)
        else:
            student = _of_polynomials(
                graph, trained[:FIT], start, degree, None if form == "polynomial" else bits, max_bits
            )
        teacher = Trainable(graph)
        expected = outputs(teacher, held_out)
        before = agreement(outputs(student, held_out), expected)
        done = distil(
            student,
            teacher,
            trained,
            held_out,
            cycles=epochs,
            batch_size=min(BATCH, len(trained)),
            learning_rate=LEARNING_RATES[form] if learning_rate is None else real(learning_rate, "learning_rate"),
            seed=seed,
            shifts=form == "polynomial" and _looks_like_images(graph) if shifts is None else shifts,
            penalty=student.escaped if isinstance(student, Trainable) else None,
            seconds=seconds,
            progress=progress,
        )
        after = agreement(outputs(student, held_out), expected)
        network = _exported(student, graph, held_out)
    return Adapted(network, before, after, sum(cycle.epochs for cycle in done), time.monotonic() - begin)


def _of_polynomials(
    graph: Graph, fit: Tensor, start: Graph | None, degree: int, bits: int | None, max_bits: int | None
) -> SquareNetwork | Trainable:
    """What is trained into a graph of polynomials or, with bits of an input, into an integer network of squares."""
    if start is None:
        start = approximate(graph, fit.double().numpy(), degree if bits is None else 2)
    start = replace(start, name=graph.name, metadata={**graph.metadata, **start.metadata})
    if bits is not None:
        return SquareNetwork(start, fit, bits, _output_bits(start) if max_bits is None else max_bits)
    student = Trainable(start)
    student.settle(fit)
    return student


def _graph(model: Any, samples: Tensor) -> Graph:
    """The float network of a model for samples of this shape."""
    graph = from_torch(model, samples[:1]) if isinstance(model, nn.Module) else graph_of(model)
    batched(samples.numpy(), graph.input_shape, "samples")
    return graph


def _samples(samples: ArrayLike) -> Tensor:
    """Samples as float32, finite and enough of them."""
    checked = reals(samples, "samples")
    if checked.ndim < 2 or len(checked) < LEAST_SAMPLES:
        raise ValueError(f"`samples` must have shape (n, ...) with n at least {LEAST_SAMPLES}, got {checked.shape}")
    if np.abs(checked).max() > np.finfo(np.float32).max:
        raise ValueError(f"`samples` must fit float32, got {np.abs(checked).max():g}; rescale them")
    return torch.from_numpy(checked.astype(np.float32))


def _require_start(start: Graph | None, graph: Graph) -> None:
    """Refuse a start that maps other shapes."""
    if start is not None and (start.input_shape, start.output_shape) != (graph.input_shape, graph.output_shape):
        wanted, got = (f"{g.input_shape} to {g.output_shape}" for g in (graph, start))
        raise ValueError(f"`start` must map {wanted} as the model does, got {got}")


def _output_bits(graph: Graph) -> int:
    """The bits that outputs of squares get by default."""
    return (BITS << _activations(graph)) + MORE_BITS


def _activations(graph: Graph) -> int:
    """The most activations on a way from the input to the output."""
    found = {-1: 0}
    for number, (node, sources) in enumerate(zip(graph.nodes, graph.sources, strict=True)):
        found[number] = max(found[source] for source in sources) + isinstance(node, Activation)
    return found[len(graph.nodes) - 1]


def _looks_like_images(graph: Graph) -> bool:
    """Whether inputs have three axes, and are of some size."""
    return len(graph.input_shape) == 3 and min(graph.input_shape[1:]) >= SMALLEST_IMAGE


def _exported(student: Trainable | SquareNetwork | TableNetwork, graph: Graph, samples: Tensor) -> Graph | IntNetwork:
    """The network that was trained, with the name and the metadata of the float one."""
    if isinstance(student, Trainable):
        return student.to_graph()
    if isinstance(student, TableNetwork):
        return to_network(student, graph.name, **graph.metadata)
    network = student.to_network()
    require_equal_integers(student, network, samples[:EQUAL])
    return network
