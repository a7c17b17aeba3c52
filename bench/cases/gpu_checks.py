"""Is every CUDA kernel bit-equal to its definition? The same checks run in Numba's simulator and on a GPU."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from intnn import (
    Add,
    Conv2d,
    Dense,
    Flatten,
    IntDomain,
    IntNetwork,
    IntPolynomial,
    Lut,
    LutActivation,
    Requantise,
    Scale,
    SumPool2d,
    ops,
)
from intnn.ops.cuda.gemm import Tile
from intnn.ops.cuda.lookup import lookup
from intnn.ops.cuda.product import AnyTile, Epilogue, conv2d, dense
from intnn.ops.cuda.warpgroups import GroupTile
from intnn.training.cuda.step import DeviceStep
from intnn.training.examples import offset_of
from intnn.training.ops import numpy_
from intnn.training.plan import Convolution, Plan, plan
from intnn.training.step import Descent, Rate, initialise, step
from intnn.values.arrays import IntArray


@dataclass(frozen=True)
class Sizes:
    """The sizes of what is multiplied. None should be a multiple of a tile's, so that every edge is met."""

    rows: int
    inner: int
    columns: int
    images: int
    channels: int
    side: int


SMALL = Sizes(rows=20, inner=133, columns=21, images=2, channels=5, side=4)
OF_FEW = 61, 30  # columns of products for which a tile is made narrower
LARGE = Sizes(rows=1037, inner=2077, columns=523, images=9, channels=37, side=29)


def checks(sizes: Sizes, tiles: Sequence[AnyTile], backend: str) -> Iterator[tuple[str, Callable[[], bool]]]:
    """The checks with their names; products are compared with those of ``backend``.

    Training is checked with the last tile.
    """
    for tile in tiles:
        if isinstance(tile, GroupTile):  # which multiplies matrices alone, and has blocks go from part to part
            unit = _unit(tile)
            deep = replace(sizes, inner=4 * sizes.inner)  # more slices than stages
            yield f"dense, {unit}", lambda tile=tile, deep=deep: _dense(deep, tile, backend)  # type: ignore[misc]
            many = replace(sizes, rows=16 * sizes.rows, inner=sizes.inner // 4, columns=4 * sizes.columns)
            yield f"dense and table, {unit}", lambda tile=tile, many=many: _table(many, tile, backend)  # type: ignore[misc]
            yield f"edges, {unit}", lambda tile=tile: _edges(tile, backend)  # type: ignore[misc]
            yield f"saturated, {unit}", lambda tile=tile: _saturated(tile, backend)  # type: ignore[misc]
            continue
        forms = {"dp4a": sizes}
        if tile is not None:
            forms = {_unit(tile.fitted(n)): replace(sizes, columns=n) for n in (sizes.columns, *OF_FEW)}
        for unit, form in forms.items():
            yield f"dense, {unit}", lambda form=form, tile=tile: _dense(form, tile, backend)  # type: ignore[misc]
            yield f"conv2d and table, {unit}", lambda form=form, tile=tile: _conv2d(form, tile, backend)  # type: ignore[misc]
        kind = "dp4a" if tile is None else _unit(tile)
        yield f"saturated, {kind}", lambda tile=tile: _saturated(tile, backend)  # type: ignore[misc]
    for kind, (network, batch) in trainings(sizes).items():
        name = f"training steps, {kind}"
        yield name, lambda network=network, batch=batch: _training(network, batch, tiles[-1])  # type: ignore[misc]
    yield "lookup", lambda: _lookup(sizes)
    yield "network", lambda: _network(sizes)
    yield "network, batches of many sizes", lambda: _batches(sizes)


def trainings(sizes: Sizes) -> dict[str, tuple[Plan, int]]:
    """The networks of which steps are compared, by their kinds, and the examples of a batch: as many as they allow."""
    shape = sizes.channels // 2, sizes.side + 2, sizes.side + 1
    convolutions = Convolution(sizes.channels, 3, 1, 1, pool=2), Convolution(4, 2, 2, 1)
    networks = {
        "dense": plan((sizes.columns,), (sizes.inner // 4,), IntDomain(0, 255), 10),
        "convolutional": plan(convolutions, shape, IntDomain(-128, 127), 10),
    }
    return {kind: (network, min(sizes.rows // 4, network.largest_batch)) for kind, network in networks.items()}


def _unit(tile: Tile | GroupTile) -> str:
    return f"{tile.unit}, {tile.rows} x {tile.columns}, {tile.stages} stages"


def _dense(sizes: Sizes, tile: AnyTile, backend: str) -> bool:
    rng = np.random.default_rng(1)
    x, w = _full(rng, np.int8, sizes.rows, sizes.inner), _full(rng, np.int8, sizes.columns, sizes.inner)
    b = rng.integers(-(2**20), 2**20, sizes.columns).astype(np.int32)
    return np.array_equal(dense(x, w, b, tile=tile), _product(backend, "dense", x, w, b))


def _edges(tile: GroupTile, backend: str) -> bool:
    """Compare results at, and one beyond, a block's edges, and matrices smaller than what is copied at once."""
    rows, columns = (1, tile.rows, tile.rows + 1), (tile.columns + 1, 1, tile.columns)
    made = [replace(SMALL, rows=m, inner=k, columns=n) for m, k, n in zip(rows, (1, 128, 129), columns, strict=True)]
    return all(kind(sizes, tile, backend) for sizes in made for kind in (_dense, _table))


def _conv2d(sizes: Sizes, tile: AnyTile, backend: str) -> bool:
    rng = np.random.default_rng(2)
    x = _full(rng, np.uint8, sizes.images, sizes.channels, sizes.side, sizes.side + 1)
    w = _full(rng, np.int8, sizes.columns, sizes.channels, 3, 2)
    b, epilogue = rng.integers(-9999, 9999, sizes.columns).astype(np.int32), _epilogue(rng, sizes.columns)
    expected = _finished(backend, _product(backend, "conv2d", x, w, b, 2, 1), epilogue)
    return np.array_equal(conv2d(x, w, b, 2, 1, epilogue, tile), expected)


def _table(sizes: Sizes, tile: AnyTile, backend: str) -> bool:
    rng = np.random.default_rng(2)
    x, w = _full(rng, np.uint8, sizes.rows, sizes.inner), _full(rng, np.int8, sizes.columns, sizes.inner)
    b, epilogue = rng.integers(-9999, 9999, sizes.columns).astype(np.int32), _epilogue(rng, sizes.columns)
    return np.array_equal(
        dense(x, w, b, epilogue, tile), _finished(backend, _product(backend, "dense", x, w, b), epilogue)
    )


def _saturated(tile: AnyTile, backend: str) -> bool:
    """Compare what becomes of the largest sums by the largest factors, with every word of 64 bits in between."""
    rng, largest = np.random.default_rng(3), (1 << 31) - 1
    equal = []
    for shift, lo in product((0, 1, 31, 32, 62), (-(1 << 40), -100, 0, 1 << 40)):
        x, w = _full(rng, np.int8, 7, 70), _full(rng, np.int8, 5, 70)
        b = np.array([-(1 << 30), -1, 0, 1, 1 << 30], np.int32)
        factors = rng.permutation([-largest, -1, 1, 1 << 16, largest])
        epilogue = Epilogue(factors, shift, lo, lo + 200, _full(rng, np.uint8, 201))
        found = dense(x, w, b, epilogue, tile)
        equal.append(np.array_equal(found, _finished(backend, _product(backend, "dense", x, w, b), epilogue)))
    return all(equal)


def _epilogue(rng: np.random.Generator, columns: int) -> Epilogue:
    return Epilogue(rng.integers(1, 1 << 20, columns), 28, -99, 101, _full(rng, np.int8, 201))


def _finished(backend: str, sums: np.ndarray, epilogue: Epilogue) -> np.ndarray:
    """What becomes of sums."""
    evaluator = ops.backend(backend)
    values = evaluator.requantise(sums, epilogue.multiplier, epilogue.shift, epilogue.lo, epilogue.hi)
    return evaluator.lookup(values, epilogue.table.astype(np.int64), epilogue.lo)


def _training(network: Plan, batch: int, tile: AnyTile) -> bool:
    """Compare every variable and all logits after two steps, of which the second has a velocity."""
    rng, first = np.random.default_rng(3), network.blocks[0]
    state, descent = initialise(network, seed=7), Descent(momentum_shift=3, decay_shift=12)
    stepper, equal = DeviceStep(network, state, batch, descent, tile), []
    for number in range(2):
        x = rng.integers(first.inputs.lo, first.inputs.hi + 1, stepper.inputs.shape)
        stepper.inputs[...] = x + offset_of(first.inputs)
        labels, rate = rng.integers(0, network.classes, batch), Rate(mantissa=100, shift=9 + number)
        logits = stepper.step(labels, rate, (5, number))
        equal.append(np.array_equal(logits, step(network, state, x, labels, rate, descent, (5, number), numpy_)))
    return all(equal) and all(
        np.array_equal(getattr(ours, name), getattr(expected, name))
        for ours, expected in zip(stepper.state(), state, strict=True)
        for name in ("weights", "bias", "weight_velocity", "bias_velocity")
    )


def _lookup(sizes: Sizes) -> bool:
    rng = np.random.default_rng(4)
    x = rng.integers(-100, 28, (sizes.rows, sizes.inner)).astype(np.int8)
    table = _full(rng, np.uint8, 128)
    return np.array_equal(lookup(x, table, -100), table[x.astype(np.int64) + 100])


def _network(sizes: Sizes) -> bool:
    network = network_of_every_kernel(sizes)
    x = np.random.default_rng(7).integers(0, 256, (sizes.images, *network.input_shape))
    return np.array_equal(network.logits(x, "cuda"), network.logits(x))


def _batches(sizes: Sizes) -> bool:
    """Compare the logits of many batches, for which buffers grow, and are given back.

    What describes them to the GPU's copying unit comes and goes with them, often at the address of an older one.
    """
    rng, byte, width, between = np.random.default_rng(8), IntDomain(-128, 127), sizes.inner // 4, 5
    table = LutActivation(Lut(byte, rng.integers(-128, 128, byte.size)))
    first, second = (rng.integers(-9, 10, (sizes.columns, inputs)) for inputs in (width, sizes.columns))
    zeros = np.zeros(sizes.columns, int)
    layers = Dense(first, zeros), Requantise(np.array([3]), 10, byte), table, Dense(second, zeros)
    network = IntNetwork((width,), IntDomain(0, 255), layers)
    x = rng.integers(0, 256, (sizes.rows, width))
    expected, equal = network.logits(x), True
    for number in range(sizes.rows // 10):
        if number % between == 0:
            network.on_device.release()
        count = sizes.rows * (number % between + 1) // between - int(rng.integers(sizes.rows // 10))
        start = int(rng.integers(sizes.rows - count + 1))
        for _ in range(2):  # the second time as a graph
            found = network.logits(x[start : start + count], "cuda")
            equal = equal and np.array_equal(found, expected[start : start + count])
    return equal


def network_of_every_kernel(sizes: Sizes) -> IntNetwork:
    """A network with every kind of kernel: products of bytes, wider sums, tables, a scaling, a polynomial, a join."""
    rng, bytes_, wide = np.random.default_rng(6), IntDomain(-128, 127), IntDomain(-2000, 2000)
    channels, side = sizes.channels, sizes.side
    table = LutActivation(Lut(bytes_, rng.integers(-128, 128, 256)))

    def weights(*shape: int) -> IntArray:
        return rng.integers(-9, 10, shape)

    def rescaled(multiplier: int, shift: int) -> Requantise:
        return Requantise(np.array([multiplier]), shift, bytes_)

    bias, one, many = weights(channels), weights(channels, 1, 3, 2), weights(channels, 1, 2, 2)
    layers = (
        Conv2d(one, bias, (1, 2), (1, 1, 0, 2), (1, 2)), rescaled(5, 6), table,
        Conv2d(many, bias, padding=(1, 0, 1, 0), groups=channels), rescaled(9, 7),
        Add(), SumPool2d(2, padding=1), Scale(weights(channels), bias),
        Requantise(np.array([3]), 3, wide), LutActivation(Lut(wide, rng.integers(-128, 128, wide.size))), Flatten(),
        IntPolynomial((1, -2, 1)), rescaled(1, 8),
    )  # fmt: skip
    inputs = ((-1,), (0,), (1,), (2,), (3,), (2, 4), (5,), (6,), (7,), (8,), (9,), (10,), (11,))
    body = IntNetwork((1, side, side), IntDomain(0, 255), layers, inputs=inputs)
    head = Dense(weights(10, *body.output_shape), weights(10))
    return IntNetwork((1, side, side), IntDomain(0, 255), (*layers, head), inputs=(*inputs, (12,)))


def _full(rng: np.random.Generator, dtype: type[np.integer], *shape: int) -> np.ndarray:
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape).astype(dtype)


def _product(backend: str, name: str, x: np.ndarray, w: np.ndarray, b: np.ndarray, *arguments: int) -> np.ndarray:
    evaluator = ops.backend(backend)
    bound = int(np.prod(w.shape[1:])) * 255 * 128 + 2**21
    sums = getattr(evaluator, name)(
        x.astype(evaluator.arithmetic(bound)), w.astype(np.int64), b.astype(np.int64), *arguments
    )
    return sums.astype(np.int64)
