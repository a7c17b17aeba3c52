"""Is every CUDA kernel bit-equal to its definition? The same checks run in Numba's simulator and on a GPU."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numba import cuda

from intnn.kernels import cuda_reference, kernels
from intnn.kernels.cuda_gemm import Tile
from intnn.kernels.cuda_lookup import lookup
from intnn.kernels.cuda_product import ALIGNED, DeviceArray, Epilogue, conv2d, dense
from intnn.kernels.cuda_training import DenseStep, narrow

FRACTION = 20


@dataclass(frozen=True)
class Sizes:
    """What is multiplied. No size should be a multiple of a tile's, so that every edge is met."""

    rows: int
    inner: int
    columns: int
    images: int
    channels: int
    side: int


SMALL = Sizes(rows=20, inner=133, columns=21, images=2, channels=5, side=4)
LARGE = Sizes(rows=1037, inner=2077, columns=523, images=9, channels=37, side=29)


def checks(sizes: Sizes, tiles: Sequence[Tile | None], backend: str) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Names and checks; ``backend`` calculates the products that are expected."""
    for tile in tiles:
        unit = "dp4a" if tile is None else f"mma.sync, {tile.rows} x {tile.columns}, {tile.stages} stages"
        yield f"dense, {unit}", lambda tile=tile: _dense(sizes, tile, backend)  # type: ignore[misc]
        yield f"conv2d and table, {unit}", lambda tile=tile: _conv2d(sizes, tile, backend)  # type: ignore[misc]
        yield f"training step, {unit}", lambda tile=tile: _training(sizes, tile, backend)  # type: ignore[misc]
    yield "lookup", lambda: _lookup(sizes)


def _dense(sizes: Sizes, tile: Tile | None, backend: str) -> bool:
    rng = np.random.default_rng(1)
    x, w = _full(rng, np.int8, sizes.rows, sizes.inner), _full(rng, np.int8, sizes.columns, sizes.inner)
    b = rng.integers(-(2**20), 2**20, sizes.columns).astype(np.int32)
    return np.array_equal(dense(x, w, b, tile=tile), _product(backend, "dense", x, w, b))


def _conv2d(sizes: Sizes, tile: Tile | None, backend: str) -> bool:
    rng = np.random.default_rng(2)
    x = _full(rng, np.uint8, sizes.images, sizes.channels, sizes.side, sizes.side + 1)
    w = _full(rng, np.int8, sizes.columns, sizes.channels, 3, 2)
    b = rng.integers(-9999, 9999, sizes.columns).astype(np.int32)
    epilogue = Epilogue(rng.integers(1, 1 << 20, sizes.columns), 28, -99, 101, _full(rng, np.int8, 201))
    sums = _product(backend, "conv2d", x, w, b, 2, 1)
    evaluator = kernels(backend)
    values = evaluator.requantise(sums, epilogue.multiplier, epilogue.shift, epilogue.lo, epilogue.hi)
    expected = evaluator.lookup(values, epilogue.table.astype(np.int64), epilogue.lo)
    return np.array_equal(conv2d(x, w, b, 2, 1, epilogue, tile), expected)


def _training(sizes: Sizes, tile: Tile | None, backend: str) -> bool:
    """Forward, backward, gradient, errors on one scale, and two updates: the second has a velocity."""
    rng = np.random.default_rng(3)
    batch, inputs, out = sizes.rows // 4, sizes.inner // 4, sizes.columns
    limit, stream = 127 << FRACTION, (0x89ABCDEF, 0xF1234567)
    master = rng.integers(-limit, limit + 1, (out, inputs)).astype(np.int32)
    velocity = np.zeros((out, inputs), np.int32)
    x, g = _full(rng, np.uint8, batch, inputs), _full(rng, np.int8, batch, out)
    w = ((master + (1 << FRACTION >> 1)) >> FRACTION).astype(np.int8)
    step = DenseStep(master, FRACTION, batch, tile)
    near_x, near_g = _to_device(x), _to_device(g)

    def zeros(n: int) -> np.ndarray:
        return np.zeros(n, np.int32)

    errors = step.backward(near_g)
    gradient = step.gradient(near_g, near_x)
    expected_errors = _product(backend, "dense", g, w.T, zeros(inputs))
    expected_gradient = _product(backend, "dense", g.T, x.T, zeros(inputs))
    pairs = [
        (step.forward(near_x), _product(backend, "dense", x, w, zeros(out))),
        (errors, expected_errors),
        (gradient, expected_gradient),
        (narrow(errors, batch, inputs, stream), cuda_reference.narrow(expected_errors, stream)),
    ]
    for _ in range(2):
        step.update(gradient, 77, 6, 3, stream)
        velocity, master, w = cuda_reference.update(expected_gradient, velocity, master, 77, 6, 3, FRACTION, stream)
    pairs += [(step.velocity, velocity), (step.master, master), (step.w, w)]
    return all(
        np.array_equal(ours.copy_to_host().reshape(len(expected), -1)[:, : expected.shape[1]], expected)
        for ours, expected in pairs
    )


def _lookup(sizes: Sizes) -> bool:
    rng = np.random.default_rng(4)
    x = rng.integers(-100, 28, (sizes.rows, sizes.inner)).astype(np.int8)
    table = _full(rng, np.uint8, 128)
    return np.array_equal(lookup(x, table, -100), table[x.astype(np.int64) + 100])


def _full(rng: np.random.Generator, dtype: type[np.integer], *shape: int) -> np.ndarray:
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape).astype(dtype)


def _product(backend: str, name: str, x: np.ndarray, w: np.ndarray, b: np.ndarray, *arguments: int) -> np.ndarray:
    evaluator = kernels(backend)
    bound = int(np.prod(w.shape[1:])) * 255 * 128 + 2**21
    sums = getattr(evaluator, name)(
        x.astype(evaluator.arithmetic(bound)), w.astype(np.int64), b.astype(np.int64), *arguments
    )
    return sums.astype(np.int64)


def _to_device(x: np.ndarray) -> DeviceArray:
    filled = np.zeros((len(x), -(-x.shape[1] // ALIGNED) * ALIGNED), x.dtype)
    filled[:, : x.shape[1]] = x
    return cuda.to_device(filled.ravel())
