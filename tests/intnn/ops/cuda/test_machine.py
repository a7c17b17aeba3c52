"""Kernels of networks as they are compiled, on a machine that executes PTX, with the extremes of every type."""

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda

from bench.cases.gpu_checks import OF_FEW, SMALL, checks
from intnn.device import network, placements
from intnn.device.steps import windows
from intnn.device.values import Value
from intnn.machine.cuda import launch
from intnn.machine.cuda.device import Device
from intnn.machine.cuda.launch import run, shared_out
from intnn.ops import reference
from intnn.ops.cuda import layers, product
from intnn.ops.cuda.gemm import Tile, word_of
from intnn.ops.cuda.lookup import lookup
from intnn.ops.cuda.product import Window
from tests.ptx import needs_compiler
from tests.ptx_machine import Machine, in_place_of_a_gpu

pytestmark = needs_compiler
LARGEST, LAST = (1 << 31) - 1, (1 << 63) - 1
WORDS = st.integers(-LARGEST - 1, LARGEST) | st.sampled_from([-LARGEST - 1, -LARGEST, -1, 0, 1, LARGEST])
LOWEST = st.integers(-(1 << 61), 1 << 61) | st.integers(-300, 300)
WITHOUT_TENSOR_CORES = Device("a GPU", (7, 0), 80, (13, 0), (13, 4))
CHECKS = dict(checks(SMALL, (Tile(1, 1, 1, stages=2),), "numpy"))
SIZES = (1, 7), (33, 21)  # one row, and rows that fill neither a block nor their width


@pytest.fixture
def memory(monkeypatch):
    return in_place_of_a_gpu(monkeypatch)


@pytest.mark.parametrize(
    "name", ["dense, mma.sync, 16 x 64, 2 stages", "conv2d and table, mma.sync, 16 x 32, 2 stages", "lookup"]
)
@pytest.mark.usefixtures("memory")
def test_operations_are_those_of_the_definition(name):
    assert CHECKS[name]()


def test_a_network_of_every_kernel(memory, monkeypatch):
    monkeypatch.setattr(network, "free_bytes", lambda: 1 << 40)
    monkeypatch.setattr(network, "gpu_in_use", nullcontext)
    for module in (network, placements, product):
        monkeypatch.setattr(module, "device", lambda: WITHOUT_TENSOR_CORES)
    monkeypatch.setattr(placements, "place_in_use", lambda: (0, 0))
    assert CHECKS["network"]()
    others = {layers.copy_kernel, layers.outside_kernel}  # for inputs that are on a GPU already; they are tried below
    assert set(layers.KERNELS) - memory.launched == others


@pytest.mark.parametrize("tile", [None, Tile(1, 1, 1, stages=2)])
@pytest.mark.parametrize("x", [-128, 127])
@pytest.mark.usefixtures("memory")
def test_the_largest_products(tile, x):
    """Sums of 32 bits are filled to the last one."""
    columns, shape, edge = OF_FEW[0], (17, 131), -(1 << 31) if x > 0 else (1 << 31) - 1
    bias = np.full(columns, edge - 131 * x * -128, np.int32)
    found = product.dense(np.full(shape, x, np.int8), np.full((columns, 131), -128, np.int8), bias, tile=tile)
    assert (found == edge).all()


@pytest.mark.parametrize("size", [1, 3, 256, 4099])
@pytest.mark.parametrize(("x", "table"), [(np.int8, np.uint8), (np.uint8, np.int8)])
@pytest.mark.usefixtures("memory")
def test_bytes_are_looked_up(size, x, table):
    info, rng = np.iinfo(x), np.random.default_rng(size)
    points = rng.integers(0, 256, 256).astype(np.uint8).view(table)
    values = np.resize(rng.permutation(np.arange(info.min, info.max + 1)), size).astype(x)
    assert np.array_equal(lookup(values, points, info.min), points[values.astype(np.int64) - info.min])


def rows_of(memory, values):
    """A matrix with rows that are filled up, on the device."""
    rows = np.zeros((len(values), -(-values.shape[1] // 16) * 16), values.dtype)
    rows[:, : values.shape[1]] = values
    return memory.to_device(rows.ravel())


def extremes(rng, dtype, shape):
    info = np.iinfo(dtype)
    edges = [info.min, info.min + 1, -1, 0, 1, info.max - 1, info.max]
    return rng.choice(np.array(edges, dtype), shape)


def found(y, rows, columns):
    return y.copy_to_host().reshape(rows, -1)[:, :columns].tolist()


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("shift", [0, 1, 31, 62])
@pytest.mark.parametrize(("kind", "factor"), [(np.int32, (1 << 30) - 1), (np.int64, 0)])
def test_the_largest_numbers_are_requantised(memory, shape, shift, kind, factor):
    rng = np.random.default_rng(1)
    x = extremes(rng, kind, shape) >> (0 if factor else 1)  # halves are added
    factors = rng.choice([-factor, factor, 1], shape[1]) if factor else np.array([1])
    y = rows_of(memory, np.zeros(shape, np.int8))
    given = rows_of(memory, x), memory.to_device(factors), y, (shift, -128, 127), -(-shape[1] // 16) * 16, shape[1]
    run([shared_out(layers.rescale_kernel, y.size, *given)])
    assert found(y, *shape) == reference.requantise(x, factors, shift, -128, 127).tolist()


def elementwise(memory, kernel, x, kind, *arguments):
    """What a kernel makes of every element."""
    y, width = rows_of(memory, np.zeros(x.shape, kind)), -(-x.shape[1] // 16) * 16
    arrays = [memory.to_device(a) for a in arguments if isinstance(a, np.ndarray)]
    numbers = [a for a in arguments if isinstance(a, int)]
    run([shared_out(kernel, y.size, rows_of(memory, x), *arrays, y, *numbers, width, x.shape[1])])
    return found(y, *x.shape)


@pytest.mark.parametrize("shape", SIZES)
def test_scaled_numbers_fill_64_bits(memory, shape):
    rng = np.random.default_rng(2)
    x, weight = extremes(rng, np.int32, shape), rng.choice([-(1 << 31), (1 << 31) - 1], shape[1])
    bias = np.where(weight < 0, LAST - (1 << 62), -LAST - 1 + (1 << 62))
    expected = x.astype(object) * weight.astype(object) + bias
    assert elementwise(memory, layers.scale_kernel, x, np.int64, weight, bias) == expected.tolist()


@pytest.mark.parametrize("shape", SIZES)
def test_polynomials_fill_64_bits(memory, shape):
    x = np.random.default_rng(3).integers(-9, 10, shape)
    x[0, 0] = 9
    coefficients = np.array([LAST - 4 * 10**12 * 9**5, 0, 0, 0, 0, 4 * 10**12])
    expected = [[sum(c * v**k for k, c in enumerate(coefficients.tolist())) for v in row] for row in x.tolist()]
    assert max(map(max, expected)) == LAST
    assert elementwise(memory, layers.polynomial_kernel, x.astype(np.int32), np.int64, coefficients) == expected


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("lo", [-(1 << 62), (1 << 62) - 19])
def test_tables_of_far_numbers(memory, shape, lo):
    rng = np.random.default_rng(4)
    places, table = rng.integers(0, 19, shape), rng.integers(0, 256, 19).astype(np.uint8)
    assert elementwise(memory, layers.table_kernel, places + lo, np.uint8, table, lo) == table[places].tolist()


@pytest.mark.parametrize("size", [1, 777])
@pytest.mark.parametrize(
    ("source", "target"), [(np.int8, np.int64), (np.uint8, np.int32), (np.int64, np.int8), (np.int32, np.uint8)]
)
def test_integers_are_copied_to_other_types(memory, size, source, target):
    least = max(np.iinfo(kind).min for kind in (source, target))
    most = min(np.iinfo(kind).max for kind in (source, target))
    x = np.resize([least, most, 0, 1], size).astype(source)
    y = memory.device_array(size, target)
    run([shared_out(layers.copy_kernel, size, memory.to_device(x), y)])
    assert np.array_equal(y, x)


@pytest.mark.parametrize("size", [1, 777])
@pytest.mark.parametrize(("lo", "hi"), [(-LAST - 1, LAST), (-LAST, LAST), (-LAST - 1, LAST - 1)])
def test_what_lies_outside_is_found(memory, size, lo, hi):
    for value in (-LAST - 1, 0, LAST):
        said = memory.to_device(np.zeros(1, np.int32))
        run([shared_out(layers.outside_kernel, size, memory.to_device(np.full(size, value)), lo, hi, said)])
        assert said[0] == (not lo <= value <= hi)


def words_kernel(sums, multiplier, table, words, requantise):
    """Four sums become a word."""
    i = cuda.grid(1)
    four = sums[4 * i], sums[4 * i + 1], sums[4 * i + 2], sums[4 * i + 3]
    words[i] = word_of(four, multiplier, table, 4 * i, requantise)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=32, max_size=32), st.integers(0, 62), LOWEST, st.integers(1, 256))
def test_sums_are_requantised_saturated_and_looked_up(pairs, shift, lo, points):
    machine, hi = Machine(1 << 12), lo + points - 1
    table = np.random.default_rng(points).integers(0, 256, points).astype(np.uint8)
    placed = [machine.to_device(x) for x in (*np.array(pairs, np.int32).T, table, np.zeros(8, np.int32))]
    machine.launch(words_kernel, (2,), 4, (*placed, (shift, lo, hi)))
    values = (min(max((total * factor + (1 << shift >> 1)) >> shift, lo), hi) for total, factor in pairs)
    assert placed[-1].copy_to_host().view(np.uint8).tolist() == [table[value - lo] for value in values]


@settings(max_examples=30)
@given(st.data())
def test_windows_are_laid_out(data):
    def drawn(least, most, count=2):
        return data.draw(st.tuples(*[st.integers(least, most)] * count))

    inputs, channels = drawn(1, 3)
    image, size, stride, gaps, borders = drawn(3, 7), drawn(1, 3), drawn(1, 3), drawn(1, 2), drawn(0, 2, 4)
    window = Window(size, stride, borders, gaps)
    height, width = window.outputs(image)
    if min(height, width) < 1:
        return
    dtype = np.dtype(data.draw(st.sampled_from([np.int8, np.uint8])))
    y = Value.rows((channels * size[0] * size[1], height, width), dtype)
    x = np.random.default_rng(0).integers(-128, 128, (inputs, channels, *image)).astype(dtype)
    machine = Machine(1 << 14)
    source, out = machine.to_device(x.ravel()), machine.to_device(np.full(inputs * y.size, 77, dtype))
    taps, bind = windows(channels, image, y, window)
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(launch, "made_ready", lambda *given: lambda _stream: machine.launch(*made_plain(*given)))
        launch.run(bind([source], out, [machine.to_device(taps)], inputs))
    top, bottom, left, right = borders
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    expected = np.zeros((inputs, height, width, y.width), dtype)
    for down in range(height):
        for side in range(width):
            rows = slice(down * stride[0], down * stride[0] + (size[0] - 1) * gaps[0] + 1, gaps[0])
            columns = slice(side * stride[1], side * stride[1] + (size[1] - 1) * gaps[1] + 1, gaps[1])
            expected[:, down, side, : y.layout[0]] = padded[:, :, rows, columns].reshape(inputs, -1)
    assert np.array_equal(out.copy_to_host().reshape(expected.shape), expected)


def made_plain(kernel, grid, threads, arguments, _shared):
    assert kernel.py_func is layers.windows_kernel
    return kernel.py_func, grid, threads, arguments
