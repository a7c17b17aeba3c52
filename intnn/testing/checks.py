"""Ready checks of layers, backends and networks: each returns if a property holds, and else raises AssertionError.

The message names the layer or the backend, the first element that is wrong, and both values.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from intnn.layers.nodes import Conv2d, Dense, IntPolynomial, Join, LutActivation, Node, Requantise, Scale
from intnn.network.edges import INPUT
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.ops import BACKENDS, Operations, numpy_, reference
from intnn.ops import backend as operations_of
from intnn.quantisation.calibrate import calibrate
from intnn.quantisation.quantise import QuantConfig, quantise
from intnn.values.arrays import INT64, Array, IntArray, batched
from intnn.values.domain import IntDomain

Backend = str | Operations


def backends_agree(network: IntNetwork, x: ArrayLike, backends: Sequence[Backend] = tuple(BACKENDS)) -> None:
    """Hold that backends give the bits of plain Python integers, behind every layer and as the network's logits.

    Every operation is given an array of its own that it may not write to.

    Args:
        network: Any integer network.
        x: Integers [batch, *input_shape] of its input domain, at least one row.
        backends: At least one name, or anything that has the six operations of `intnn.ops.Operations`. All shipped
            ones by default.

    Raises:
        AssertionError: A backend gives another value, shape or number of rows, fails, or writes to its input.
        ValueError: There is no row or no backend.
    """
    batch = batched(network.input_domain.require(x, "x"), network.input_shape, "x")
    expected = {INPUT: batch}
    for i, (layer, read) in enumerate(zip(network.layers, network.sources, strict=True)):
        expected[i] = _applied(layer, [expected[number] for number in read], reference)
    for name, ops in _operations(backends):
        for i, (layer, bound) in enumerate(zip(network.layers, network.bounds, strict=True)):
            values = [expected[number] for number in network.sources[i]]
            if not isinstance(layer, LutActivation | Requantise):  # these read int64, whatever their bound
                values = [value.astype(ops.arithmetic(bound)) for value in values]
            where = f"backend {name}, layer {i}, {layer}"
            _require_equal(_evaluated(layer, values, ops, where), expected[i], where)
    for backend in backends:
        if isinstance(backend, str):
            logits = expected[len(network.layers) - 1].reshape(len(batch), -1)
            _require_equal(network.logits(batch, backend), logits, f"backend {backend}, logits")


def layer_keeps_its_promises(layer: Node, x: Array, backends: Sequence[Backend] = tuple(BACKENDS)) -> None:
    """Hold what every layer promises to the network that it stands in.

    Its output has the shape that ``output_shape`` states; integers become integers and floats floats; every row is
    evaluated by itself, beside whatever others; the input stays as it is, and may be read-only; and all backends give
    the same bits of the same dtype. A layer of floats is checked with ``backends=["numpy"]``.

    Args:
        layer: Any `intnn.Node`, a class of one's own included.
        x: A batch [batch, *shape] of at least one row, in the dtype that the layer reads. Besides, the layer meets
            rows of the same elements in the opposite order.
        backends: At least one name, or anything that has the six operations of `intnn.ops.Operations`.

    Raises:
        AssertionError: A promise is not kept, or the layer fails.
        ValueError: There is no row or no backend.
    """
    batched(x, x.shape[1:], "x")
    mirrored = x.reshape(len(x), -1)[:, ::-1].reshape(x.shape)
    stated = layer.output_shape(x.shape[1:])
    results: dict[str, Array] = {}
    for name, ops in _operations(backends):
        where = f"{layer} on backend {name}"
        y = results[name] = _evaluated(layer, [x], ops, where)
        if y.shape != (len(x), *stated):
            raise AssertionError(f"{layer} must give {(len(x), *stated)} as it states, got {y.shape} on backend {name}")
        if _kind(y) != _kind(x):
            raise AssertionError(f"{where}: must make {_kind(x)} of {_kind(x)}, got {y.dtype} from {x.dtype}")
        for i in range(len(x)):
            _require_equal(_evaluated(layer, [x[i : i + 1]], ops, where)[0], y[i], f"{where}, row {i} by itself")
        beside = _evaluated(layer, [np.concatenate([mirrored, x])], ops, where)[len(x) :]
        _require_equal(beside, y, f"{where}, beside other rows")
    first, *others = results
    for name in others:
        where = f"{layer} on backend {name}, which must agree with {first}"
        _require_equal(results[name], results[first], where)
        if results[name].dtype != results[first].dtype:
            raise AssertionError(f"{where}: must be {results[first].dtype}, got {results[name].dtype}")


def nothing_overflows(network: IntNetwork, x: ArrayLike) -> None:
    """Hold a network's proof against plain Python integers, which cannot overflow.

    Every value of every layer must lie in the range that the network derived for it; every sum of absolute terms must
    keep to the layer's bound, and with it every partial sum in whatever order; and the logits must be these integers.

    Args:
        network: Any integer network.
        x: Integers [batch, *input_shape] of its input domain. The worst cases lie at the domain's ends.

    Raises:
        AssertionError: A value or sum is larger than was proven, or the logits differ.
    """
    batch = network.input_domain.require(x, "x")
    known: dict[int, Array] = {INPUT: batch.astype(object)}  # Python integers from here on
    for i, (layer, interval, bound) in enumerate(zip(network.layers, network.intervals, network.bounds, strict=True)):
        where, read = f"layer {i}, {layer}", [known[number] for number in network.sources[i]]
        largest = _largest_sum(layer, read)
        if largest > bound:
            raise AssertionError(f"{where}: sums of absolute terms must be at most {bound}, got {largest}")
        values = known[i] = _exactly(layer, read)
        if not interval.contains(values):
            outside = (values < interval.lo) | (values > interval.hi)
            at = tuple(map(int, np.argwhere(outside)[0]))
            lo, hi = interval.lo[at[1:]], interval.hi[at[1:]]
            raise AssertionError(f"{where}: the value at {at} must lie in [{lo}, {hi}], got {values[at]}")
    if network.accumulator_bound > INT64.max:
        raise AssertionError(f"`accumulator_bound` must be below 2**63, got {network.accumulator_bound}")
    _require_equal(network.logits(batch), values.reshape(len(batch), -1), "logits")


def save_and_load(network: IntNetwork | Graph, folder: str | os.PathLike[str]) -> None:
    """Hold that a network comes back from .npz and .json files as it was.

    Args:
        network: An integer network or a float graph.
        folder: An existing folder for the two files, such as pytest's ``tmp_path``.

    Raises:
        AssertionError: What was read has another fingerprint, or other values derived from it.
    """
    for suffix in (".npz", ".json"):
        path = Path(folder) / f"network{suffix}"
        network.save(path)
        loaded = type(network).load(path)
        if loaded.fingerprint != network.fingerprint:
            raise AssertionError(f"{suffix}: `fingerprint` must be {network.fingerprint}, got {loaded.fingerprint}")
        for name in ("name", "metadata", "input_shape", "shapes", "bounds", "input_domain"):
            before, after = getattr(network, name, None), getattr(loaded, name, None)
            if before != after:
                raise AssertionError(f"{suffix}: `{name}` must be {before!r}, got {after!r}")


def twin_keeps_its_ranges(graph: Graph, samples: ArrayLike, config: QuantConfig | None = None) -> IntNetwork:
    """Hold that a graph's quantised twin keeps to the sizes that were asked for, for every input.

    Inputs, weights and tables must have no more values than ``config`` grants, and logits no larger magnitude; and
    `nothing_overflows` must hold for the samples and at both ends of the input domain.

    Args:
        graph: A float network.
        samples: Floats [n, *input_shape], for the calibration.
        config: The sizes to keep to; `QuantConfig()` by default.

    Returns:
        The twin.

    Raises:
        AssertionError: A size is not kept.
        ValueError: `quantise` refuses the graph.
    """
    config = config or QuantConfig()
    network = quantise(graph, calibrate(graph, samples), config)
    _require_bits(network.input_domain, config.input_bits, "the input domain")
    weights = (1 << config.weight_bits - 1) - 1
    for i, layer in enumerate(network.layers):
        if isinstance(layer, Dense | Conv2d):
            _require_within(_hull(layer.weight), IntDomain(-weights, weights), f"layer {i}, {layer}: weights")
        elif isinstance(layer, LutActivation):
            if layer.lut.domain.size > config.table_points:
                raise AssertionError(f"layer {i}, {layer}: must have at most {config.table_points} points")
            _require_bits(layer.lut.range, config.activation_bits, f"layer {i}, {layer}: values")
    if any(isinstance(layer, Dense | Conv2d) for layer in network.layers[_last_table(network) :]):
        logits = IntDomain(-config.logit_bound, config.logit_bound)
        _require_within(network.ranges[-1], logits, "logits")
    ends = np.array([network.input_domain.lo, network.input_domain.hi])
    batch = np.broadcast_to(ends.reshape(-1, *[1] * len(network.input_shape)), (2, *network.input_shape))
    nothing_overflows(network, np.concatenate([batch, network.quantise_input(samples)]))
    return network


def _operations(backends: Sequence[Backend]) -> list[tuple[str, Operations]]:
    """The name and the operations of every backend.

    Raises:
        ValueError: There is none.
    """
    if not backends:
        raise ValueError('`backends` must hold at least one backend such as "numpy", got none')
    return [
        (backend, operations_of(backend))
        if isinstance(backend, str)
        else (getattr(backend, "__name__", type(backend).__name__), backend)
        for backend in backends
    ]


def _applied(layer: Node | Join, values: Sequence[Array], ops: Operations) -> Array:
    return layer.join(values) if isinstance(layer, Join) else layer.apply(values[0], ops)


def _evaluated(layer: Node | Join, values: Sequence[Array], ops: Operations, where: str) -> Array:
    """A layer on read-only copies of values; an AssertionError if it fails or changes a copy all the same."""
    copies = [value.copy() for value in values]
    for copy in copies:
        copy.setflags(write=False)  # a layer that lifts the lock is found below
    try:
        y = np.asarray(_applied(layer, copies, ops))
    except Exception as error:
        raise AssertionError(f"{where}: must evaluate a batch and leave it as it is, got {error!r}") from error
    for copy, value in zip(copies, values, strict=True):
        _require_equal(copy, value, f"the input of {where}")
    return y


def _kind(values: Array) -> str:
    return {"i": "integers", "u": "integers", "f": "floats"}.get(values.dtype.kind, f"values of {values.dtype}")


def _exactly(layer: Node | Join, read: Sequence[Array]) -> Array:
    """A layer on arrays of Python integers."""
    values = read[0]
    if isinstance(layer, Join):
        return layer.join(read)
    if isinstance(layer, LutActivation):
        return layer.apply(values.astype(np.int64), reference).astype(object)
    if isinstance(layer, Requantise):
        return reference.requantise(
            values, layer.multiplier, layer.shift, layer.domain.lo, layer.domain.hi
        ).astype(object)  # fmt: skip
    return layer.apply(values, numpy_)  # numpy's operations compute in the dtype of their input


def _largest_sum(layer: Node | Join, read: Sequence[Array]) -> int:
    """The largest sum of absolute terms in evaluating a layer, with the values themselves as sums of one term."""
    values = read[0]
    reach = np.abs(values)
    if isinstance(layer, Dense):
        reach = numpy_.dense(reach, np.abs(layer.weight.astype(object)), np.abs(layer.bias.astype(object)))
    elif isinstance(layer, Conv2d):
        weight, bias = np.abs(layer.weight.astype(object)), np.abs(layer.bias.astype(object))
        reach = layer.convolve(reach, weight, bias, numpy_)
    elif isinstance(layer, Scale):
        reach = Scale.scaled(reach, np.abs(layer.weight.astype(object)), np.abs(layer.bias.astype(object)))
    elif isinstance(layer, IntPolynomial):
        reach = np.asarray(sum(abs(c) * reach**k for k, c in enumerate(layer.coefficients)))
    elif isinstance(layer, Requantise):
        factors = np.abs(layer.multiplier.astype(object)).reshape(-1, *[1] * (values.ndim - 2))
        reach = reach * factors + (1 << layer.shift >> 1)
    else:
        magnitudes = [np.abs(value) for value in read]
        reach = np.abs(_exactly(layer, magnitudes)) if not isinstance(layer, LutActivation) else reach
    return int(reach.max())


def _last_table(network: IntNetwork) -> int:
    """The index behind the last table; 0 without tables."""
    return max((i + 1 for i, layer in enumerate(network.layers) if isinstance(layer, LutActivation)), default=0)


def _hull(values: IntArray) -> IntDomain:
    return IntDomain(int(values.min()), int(values.max()))


def _require_bits(values: IntDomain, bits: int, what: str) -> None:
    """Raise AssertionError unless values are unsigned or signed integers of so many bits; signed ones are symmetric."""
    unsigned, top = IntDomain(0, (1 << bits) - 1), max((1 << bits - 1) - 1, 1)
    _require_within(values, unsigned if values.lo >= 0 else IntDomain(-top, top), what)


def _require_within(values: IntDomain, allowed: IntDomain, what: str) -> None:
    if not allowed.issuperset(values):
        raise AssertionError(f"{what} must lie in {allowed}, got {values}")


def _require_equal(actual: Any, expected: Array, what: str) -> None:
    """Raise AssertionError with the first difference, if there is one."""
    values = np.asarray(actual)
    if values.shape != expected.shape:
        raise AssertionError(f"{what}: must have shape {expected.shape}, got {values.shape}")
    different = np.argwhere(values != expected)
    if len(different):
        at = tuple(map(int, different[0]))
        raise AssertionError(f"{what}: must be {expected[at]} at {at}, got {values[at]}")
