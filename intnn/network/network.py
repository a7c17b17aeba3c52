"""The integer network: proven free of overflow when it is built, then only evaluated."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from intnn import ops
from intnn.layers.intervals import LIMIT, propagate
from intnn.layers.nodes import IntPolynomial, Join, LutActivation, Node, Requantise, Shape
from intnn.layers.serialise import from_document, joined, to_document
from intnn.network.edges import (
    Sources,
    chain_of,
    checked_shape,
    checked_sources,
    flow,
    is_chain,
    last_of,
    shapes_of,
    written_sources,
)
from intnn.network.graph import BATCH, checked_metadata, checked_nodes
from intnn.network.residues import Residues
from intnn.network.scale import warn_of_scale
from intnn.storage.document import Document, read, write
from intnn.values.arrays import Array, FloatArray, IntArray, batched, exactly, instance, integer, real, reals
from intnn.values.domain import IntDomain, Interval
from intnn.values.rounding import round_half_up
from intnn.values.value_object import ValueObject

if TYPE_CHECKING:
    from intnn.compiled import CompiledNetwork
    from intnn.device import DeviceNetwork, Placements


@dataclass(frozen=True, eq=False)
class IntNetwork(ValueObject):
    """Integer layers, a chain or with branches, with the worst case of every value, for every input of the domain.

    Attributes:
        input_shape: The shape of one input; images are (channels, height, width).
        input_domain: The integers that an input element may be.
        layers: At least one of Dense, Conv2d, Scale (int64 parameters), SumPool2d, Flatten, Reshape, Requantise,
            LutActivation, IntPolynomial, and the joins Add and Concatenate.
        input_scale: The integer units per float unit of the input, positive; `quantise_input` uses it.
        name: A label for people.
        metadata: Anything that JSON can hold, copied and read-only; it is saved with the network and has no meaning
            here.
        inputs: For every layer the numbers of the layers that it reads, in order; -1 is the network's input, and
            earlier layers only can be read. ``()`` stands for a chain, in which each layer reads the one before.
        sources: ``inputs``, written out for a chain as well (derived).
        shapes: The output shape of every layer (derived).
        intervals: The worst-case range of every element of every layer's output (derived).
        bounds: For every layer, the largest sum of absolute terms that evaluating it can meet (derived).

    Raises:
        TypeError: A layer is not one of the above, or has float parameters.
        ValueError: Shapes do not fit; an input can leave a table's domain; a sum can reach 2**63 and there is no
            IntPolynomial, or a table or rescaling behind it; bad metadata.
    """

    input_shape: Shape
    input_domain: IntDomain
    layers: tuple[Node | Join, ...]
    input_scale: float = 1.0
    name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sources = ()
    sources: Sources = field(init=False, repr=False)
    shapes: tuple[Shape, ...] = field(init=False, repr=False)
    intervals: tuple[Interval, ...] = field(init=False, repr=False)
    bounds: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        instance(self.input_domain, IntDomain, "input_domain")
        scale = real(self.input_scale, "input_scale")
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"`input_scale` must be positive and finite, got {scale}")
        shape = checked_shape(self.input_shape, "input_shape")
        layers = checked_nodes(self.layers, "layers")
        sources = checked_sources(self.inputs, layers)
        shapes = shapes_of(shape, layers, sources, "layers")
        intervals, bounds = _analyse(Interval.full(self.input_domain, shape), layers, sources)
        for name, value in {
            "input_shape": shape,
            "layers": layers,
            "input_scale": scale,
            "metadata": checked_metadata(self.name, self.metadata),
            "inputs": () if is_chain(sources) else sources,
            "sources": sources,
            "shapes": shapes,
            "intervals": intervals,
            "bounds": bounds,
        }.items():
            object.__setattr__(self, name, value)

    @property
    def output_shape(self) -> Shape:
        """The shape of one output."""
        return self.shapes[-1]

    @property
    def is_chain(self) -> bool:
        """Whether every layer reads the one before it."""
        return not self.inputs

    @property
    def chain(self) -> tuple[Node, ...]:
        """The layers, if they are a chain; a TypeError says so if they are not."""
        return chain_of(self.layers, self.sources, "layers")

    @property
    def ranges(self) -> tuple[IntDomain, ...]:
        """The smallest interval around every layer's output; a ValueError says so where one is beyond int64."""
        return tuple(interval.hull for interval in self.intervals)

    @property
    def accumulator_bound(self) -> int:
        """No value and no partial sum of any layer, in any order of summation, is larger in magnitude.

        It is below 2**63 but for networks with an `IntPolynomial`, where it can be any number.
        """
        return max(self.bounds)

    def logits(self, x: ArrayLike, backend: str = "numpy", threads: int = 1) -> IntArray:
        """Evaluate integers.

        Args:
            x: Integers [batch, *input_shape] inside ``input_domain``.
            backend: "reference", "numpy", "numba" or "cuda"; all give the same bits. Numba's is one compiled call where
                the ranges allow it (see `compiled`), and portable loops elsewhere; "cuda" evaluates on the GPU in use
                (see `on_device`), which may hold ``x`` already.
            threads: How many threads the compiled call uses, at least 1; the bits do not depend on it.

        Returns:
            The logits, int64 [batch, classes]; outputs of more than one axis are flattened. Where ``accumulator_bound``
            is 2**63 or more they are Python ints, in an array of objects. Where ``x`` lay on a GPU they lie there too.

        Raises:
            TypeError: ``x`` does not hold integers.
            ValueError: The shape is wrong, the batch empty, a value outside the domain, ``threads`` below 1, the
                backend unknown, or a value too large for a GPU.
            DeviceError: With "cuda", there is no GPU, or it fails; the message says what is missing.
        """
        threads = integer(threads, "threads", 1)
        if backend == ops.CUDA:
            return self._placements.logits(x)
        if backend == "numba" and self.compiled is not None:
            return self.compiled.logits(x, threads)
        evaluator = ops.backend(backend)
        residues = None if backend == "reference" else self._residues
        batch = np.ascontiguousarray(batched(self.input_domain.require(x, "x"), self.input_shape, "x"))
        dtype: Any = np.int64 if self.accumulator_bound < LIMIT else object
        result: Array = np.empty((len(batch), math.prod(self.output_shape)), dtype)

        def step(i: int, layer: Node | Join, values: list[Array]) -> Array:
            if isinstance(layer, LutActivation | Requantise):  # these read int64, whatever their bound
                return layer.apply(values[0], evaluator)
            kind = evaluator.arithmetic(self.bounds[i]) if self.bounds[i] < LIMIT else object
            values = [exactly(value, kind) for value in values]
            return layer.join(values) if isinstance(layer, Join) else layer.apply(values[0], evaluator)

        for start in range(0, len(batch), BATCH):
            rows = slice(start, start + BATCH)
            if residues is not None:
                y = residues.outputs(batch[rows])
            else:
                y = exactly(last_of(batch[rows], self.layers, self.sources, step), dtype)
            result[rows] = y.reshape(len(y), -1)
        return result

    def real_logits(self, images: ArrayLike) -> FloatArray:
        """What the float network would give, as nearly as its integer form comes to it.

        Args:
            images: Finite floats [batch, *input_shape], which `quantise_input` rounds.

        Returns:
            The logits over ``metadata["output_scale"]``, float64 [batch, classes].

        Raises:
            TypeError: ``images`` does not hold floats.
            ValueError: ``metadata`` has no "output_scale"; or ``images`` is what `quantise_input` refuses.
        """
        scale = self.metadata.get("output_scale")
        if scale is None:
            raise ValueError('`metadata` must have an "output_scale", the integer units per float unit of the logits')
        return np.asarray(self.logits(self.quantise_input(images)) / real(scale, "output_scale"), np.float64)

    def predict(self, x: ArrayLike, backend: str = "numpy", threads: int = 1) -> IntArray:
        """The class of the largest logit, int64 [batch], the lowest of equal ones; it raises what `logits` raises.

        The classes are an array of numpy on every backend.
        """
        return np.asarray(self.logits(x, backend, threads)).argmax(axis=1)

    @property
    def on_device(self) -> "DeviceNetwork":
        """The network on the GPU in use, placed there on first use; `DeviceNetwork` says what it raises."""
        return self._placements.current

    @cached_property
    def _placements(self) -> "Placements":
        from intnn.device import Placements  # Numba costs nothing where it is not asked for

        return Placements(
            self.input_shape, self.input_domain, self.layers, self.sources, self.shapes, self.intervals, self.bounds
        )

    @cached_property
    def _residues(self) -> Residues | None:
        """The evaluation modulo primes, for values beyond int64; None where plain arithmetic does, or has to do."""
        if self.accumulator_bound < LIMIT:
            return None
        residues = Residues(self.layers, self.sources, self.bounds, self.intervals[-1].magnitude)
        return residues if residues.is_possible else None

    @cached_property
    def compiled(self) -> "CompiledNetwork | None":
        """The network packed for this processor, on first use; None where the compiled kernels cannot hold it."""
        from intnn.compiled import CompiledNetwork, UnsupportedError  # Numba costs nothing where it is not asked for

        if not self.is_chain or self.accumulator_bound >= LIMIT:
            return None
        try:
            return CompiledNetwork(self.input_shape, self.input_domain, self.chain, self.intervals)
        except UnsupportedError:
            return None

    def quantise_input(self, images: ArrayLike) -> IntArray:
        """Round floats to the network's input: floor(images * input_scale + 1/2), saturated into ``input_domain``.

        Where ``metadata["scaling"]`` holds "least" and "step" of every feature, an integer stands for
        least + step * (integer - input_domain.lo) instead.

        Args:
            images: Finite floats [batch, *input_shape], in the units that the float network was trained on.

        Returns:
            The integers, int64 of the same shape.

        Raises:
            TypeError: ``images`` does not hold floats. Raw bytes, for one, must be scaled first.
            ValueError: The shape is wrong, the batch empty, a value NaN or infinite, or an `IntClassifier` has scaled
                the network's input in a way of its own.

        Warns:
            UserWarning: The images have another scale than the samples by which ``input_scale`` was chosen; see
                `intnn.network.scale`.
        """
        integers = self.round_input(images)  # which refuses what are no images
        warn_of_scale(np.asarray(images, np.float64), *self._input_range())
        return integers

    def round_input(self, images: ArrayLike) -> IntArray:
        """What `quantise_input` returns and raises, without a warning: for floats that are only compared."""
        scaling, domain = self.metadata.get("scaling"), self.input_domain
        if not isinstance(scaling, Mapping):
            self.require_one_scale()
        x = batched(reals(images, "images"), self.input_shape, "images")
        with np.errstate(over="ignore"):  # infinity saturates as well
            if isinstance(scaling, Mapping):
                least, step = (np.asarray(scaling[name], np.float64) for name in ("least", "step"))
                scaled = x / step - least / step + domain.lo
            else:
                scaled = x * self.input_scale
        inside = np.clip(scaled, domain.lo, domain.hi)  # before rounding: huge floats have no int64
        return domain.saturate(round_half_up(inside))

    def _input_range(self) -> tuple[ArrayLike, ArrayLike]:
        """The floats that the ends of ``input_domain`` stand for: of each feature, or of all."""
        scaling, domain = self.metadata.get("scaling"), self.input_domain
        if not isinstance(scaling, Mapping):
            return domain.lo / self.input_scale, domain.hi / self.input_scale
        least, step = (np.asarray(scaling[name], np.float64) for name in ("least", "step"))
        with np.errstate(over="ignore"):  # an end beyond float64 is beyond all inputs
            return least, least + step * (domain.size - 1)

    def require_one_scale(self) -> None:
        """Refuse a network whose floats are scaled feature by feature, which `input_scale` is not.

        Raises:
            ValueError: It is one.
        """
        scaling = self.metadata.get("scaling")
        if scaling is not None:
            remedy = "`quantise_input`" if isinstance(scaling, Mapping) else "the IntClassifier's `scaling_`"
            raise ValueError(
                "the network must have one scale for its input, but floats are scaled feature by feature; make "
                f"integers of them by {remedy}"
            )

    def draw(self, path: str | os.PathLike[str]) -> None:
        """Draw the layers, their shapes, worst cases and tables into an .svg, .png or .pdf file.

        Raises:
            ValueError: The suffix is another one, or there are more than 400 layers.
            ImportError: Matplotlib is not installed.
            OSError: The file cannot be written.
        """
        from intnn.export.draw import draw_network  # a library that not everybody has

        draw_network(self, path)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the network's content, in hexadecimal."""
        return self._document().fingerprint

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to ``path``, as .npz or .json by its suffix; an existing file is replaced whole or not at all.

        Raises:
            ValueError: The suffix is another one.
            FormatError: The network is larger than what `load` takes.
            OSError: The file cannot be written.
        """
        write(self._document(), path)

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write an ONNX model whose logits are identical; an existing file is replaced whole or not at all.

        It reads the integers that `logits` reads, by the name "input", and gives int64 [batch, classes] by the name
        "logits". See `intnn.export.to_onnx` for its operators.

        Raises:
            ValueError: A value can reach 2**63, or the file would have 2 GB or more.
            ImportError: The package onnx is not installed.
            OSError: The file cannot be written.
        """
        from intnn.export.to_onnx import write_onnx  # a library that not everybody has

        write_onnx(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "IntNetwork":
        """Read what `save` wrote; the analysis is repeated, not trusted.

        Raises:
            ValueError: The suffix is another one.
            FormatError: The file is corrupt or foreign; the message names the field.
            OSError: The file cannot be read.
        """

        def build(layers: tuple[Node | Join, ...], content: Mapping[str, Any]) -> IntNetwork:
            lo, hi, modulus = content["input_domain"]
            fields = {**content, "input_domain": IntDomain(lo, hi, modulus)}
            return cls(**joined(fields, layers=layers))

        return from_document(read(path, cls.__name__), build)

    def _document(self) -> Document:
        domain = self.input_domain
        content = {
            "input_shape": list(self.input_shape),
            "input_domain": [domain.lo, domain.hi, domain.modulus],
            "input_scale": self.input_scale,
            "name": self.name,
            "metadata": self.metadata,
            **written_sources(self.inputs),
        }
        return to_document(type(self).__name__, self.layers, **content)


def _analyse(
    x: Interval, layers: tuple[Node | Join, ...], sources: Sources
) -> tuple[tuple[Interval, ...], tuple[int, ...]]:
    limit = None if any(isinstance(layer, IntPolynomial) for layer in layers) else LIMIT
    bounds: list[int] = []

    def step(i: int, layer: Node | Join, read: list[Interval]) -> Interval:
        try:
            interval, bound = propagate(layer, *read, limit=limit)
        except (TypeError, ValueError) as error:
            raise type(error)(f"`layers[{i}]` {error}") from None
        bounds.append(bound)
        return interval

    return tuple(flow(x, layers, sources, step)), tuple(bounds)
