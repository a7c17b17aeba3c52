"""Kernels of a training step as they are compiled, on a machine that executes PTX, with the extremes of every type."""

from contextlib import nullcontext

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from bench.cases.gpu_checks import SMALL, checks
from intnn.machine.cuda.launch import bound, run, shared_out
from intnn.training import generator
from intnn.training.cuda import kernels, step
from intnn.training.ops import reference
from tests.ptx import needs_compiler
from tests.ptx_machine import in_place_of_a_gpu

pytestmark = needs_compiler
LEAST, MOST = -(1 << 31), (1 << 31) - 1
EXTREMES = np.array([LEAST, LEAST + 1, -65536, -129, -1, 0, 1, 127, 32768, MOST - 1, MOST], np.int32)
CHECKS = dict(checks(SMALL, (None,), "numpy"))


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(step, "free_bytes", lambda: 1 << 40)
    monkeypatch.setattr(step, "gpu_in_use", nullcontext)
    return in_place_of_a_gpu(monkeypatch)


def extremes(rng, *shape):
    """Integers of 32 bits of all sizes, and the largest."""
    values = rng.integers(LEAST, MOST + 1, shape) >> rng.integers(0, 32, shape)
    return np.where(rng.random(shape) < 0.3, rng.choice(EXTREMES, shape), values).astype(np.int32)


def placed(machine, values):
    """A matrix whose rows are filled up with what may not be used."""
    rows = np.full((len(values), -(-values.shape[1] // 16) * 16), 0x5A, values.dtype)
    rows[:, : values.shape[1]] = values
    return machine.to_device(rows.ravel())


def found(array, rows, columns):
    return array.copy_to_host().reshape(rows, -1)[:, :columns]


def test_steps_are_those_of_the_definition(machine):
    assert CHECKS["training steps, convolutional"]()
    assert set(kernels.KERNELS) < machine.launched


@pytest.mark.parametrize("shape", [(1, 1), (20, 21)])
@pytest.mark.parametrize("shift", [-1 << 40, -64, -1, 0, 30, 31, 63, 64, 65, 1 << 33])
def test_gradients_are_rescaled_by_any_shift(machine, shape, shift):
    rng, momentum, decay, limit, fraction = np.random.default_rng(1), 3, 30, MOST, 24
    gradient, velocity, master = (extremes(rng, *shape) for _ in range(3))
    there = [placed(machine, x) for x in (gradient, velocity, master, np.zeros(shape, np.int8))]
    exponent, largest, rate = (machine.to_device(np.array(x)) for x in ([7], [5], [127, shift - 9]))
    rules = (8, 2), (momentum, decay, MOST, limit, fraction)
    run([shared_out(kernels.update_kernel, there[0].size, *there, exponent, largest, rate, *rules, *shape)])
    change = reference.gradient_step(gradient, 8, 127, max(shift, -99))  # beyond, all is saturated
    v, w = velocity.astype(np.int64), master.astype(np.int64)
    v = reference.saturate(v - (v >> momentum) + change, -MOST, MOST)
    w = reference.saturate(w - (w >> decay) - v, -limit, limit)
    expected = v, w, reference.rescale(w, fraction).astype(np.int8)
    assert all(np.array_equal(found(x, *shape), y) for x, y in zip(there[1:], expected, strict=True))
    assert largest[0] == 0


@pytest.mark.parametrize(
    ("rows", "columns", "peak"), [(1, 1, 0), (1, 1, LEAST), (20, 21, 127), (20, 21, 128), (601, 17, LEAST)]
)
def test_errors_are_quantised_on_the_finest_scale_that_holds_the_largest(machine, rows, columns, peak):
    rng, shape, key = np.random.default_rng(2), (rows, columns), generator.key(1 << 63, 2, 3)
    d = np.clip(extremes(rng, *shape).astype(np.int64), -abs(peak), abs(peak))
    d.flat[-1] = peak
    d, slopes = np.minimum(d, MOST).astype(np.int32), rng.integers(-128, 128, shape).astype(np.int8)
    there, slope, y = (placed(machine, x) for x in (d, slopes, np.zeros(shape, np.int8)))
    largest, keys, above, own = (machine.to_device(np.array(x)) for x in ([0], key, [17], [0]))
    sums = machine.to_device(np.full(columns, 3, np.int32))
    finding = shared_out(kernels.largest_kernel, there.size, there, largest, *shape)
    given = there, largest, keys, slope, above, 4, own, y, sums, *shape, (rows, 1, 1)
    run([finding, shared_out(kernels.quantise_errors_kernel, y.size, *given)])
    expected, shift = reference.quantise_errors(d, key)
    expected = reference.saturate(reference.rescale(expected * slopes, 6), -127, 127)
    assert np.array_equal(found(y, *shape), expected)
    assert (largest[0], own[0], sums.any()) == (abs(peak), 17 + 4 - shift, False)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (kernels.SLICE, 16), (3 * kernels.SLICE + 1, 21)])
@pytest.mark.parametrize("value", [-128, 127])
def test_columns_are_added_up_by_threads_that_meet(machine, rows, columns, value):
    x, sums = placed(machine, np.full((rows, columns), value, np.int8)), machine.to_device(np.zeros(columns, np.int32))
    run([shared_out(kernels.column_sums_kernel, x.size, x, sums, rows, columns)])
    assert sums.tolist() == [rows * value] * columns


@pytest.mark.parametrize("shape", [(1, 1), (9, 21)])
@pytest.mark.parametrize("shift", [-40, 0, 1, 31, 62])
def test_sums_are_activated(machine, shape, shift):
    rng, lo = np.random.default_rng(3), -512
    sums = extremes(rng, *shape)
    tables = rng.integers(-128, 128, (2, 1024)).astype(np.int8)
    there, *made = (placed(machine, x) for x in (sums, *np.zeros((2, *shape), np.int8)))
    given = there, *map(machine.to_device, tables), shift, lo, *made, *shape
    run([shared_out(kernels.activate_kernel, there.size, *given)])
    z = reference.saturate(reference.rescale(sums, max(shift, -31)), lo, lo + 1023)  # beyond, all is saturated
    for table, y in zip(tables, made, strict=True):
        assert np.array_equal(found(y, *shape), table[z - lo])
        assert not y.reshape(shape[0], -1)[:, shape[1] :].any()


@pytest.mark.parametrize(("rows", "classes", "shift"), [(1, 1, 0), (33, 10, 0), (300, 17, 24), (5, 3, -31)])
def test_errors_of_logits(machine, rows, classes, shift):
    rng = np.random.default_rng(4)
    logits, labels = extremes(rng, rows, classes), rng.integers(0, classes, rows)
    table = np.array([1 << 15, 20000, 900, 7, 0])
    there, d = placed(machine, logits), placed(machine, np.zeros((rows, classes), np.int32))
    given = there, machine.to_device(labels), machine.to_device(table), shift, d, rows, classes
    run([shared_out(kernels.softmax_errors_kernel, rows, *given)])
    expected = reference.softmax_errors(reference.rescale(logits, shift), labels, table)
    assert np.array_equal(found(d, rows, classes), expected)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(("image", "size"), [((1, 1, 1, 16), 1), ((2, 5, 7, 32), 2), ((3, 8, 9, 16), 3)])
def test_bytes_are_averaged(machine, dtype, image, size):
    info, rng = np.iinfo(dtype), np.random.default_rng(5)
    x, (count, rows, cols, width) = rng.choice([info.min, info.max], image, p=(0.9, 0.1)).astype(dtype), image
    x[0] = info.min
    y = machine.device_array((count, rows // size, cols // size, width), dtype)
    given = machine.to_device(x.ravel()), y.reshape(-1), 4, y.size, width, (rows, cols, size)
    run([shared_out(kernels.pool_kernel, y.size, *given)])
    assert np.array_equal(y, reference.rescale(reference.sum_pool(x, size), 4))


@pytest.mark.parametrize(
    ("image", "window"),
    [
        ((1, 1, 1, 16), (1, 1, 1, 0)),
        ((2, 5, 7, 16), (3, 2, 1, 1)),
        ((3, 8, 6, 32), (2, 3, 2, 1)),
        ((37, 1, 1, 48), (1, 1, 1, 0)),
    ],
)
def test_patches_are_taken_and_folded_back(machine, image, window):
    rng, (count, height, width, pixel), (down, across, stride, padding) = np.random.default_rng(6), image, window
    x = rng.choice([-128, -1, 0, 127], image).astype(np.int8)
    seen = reference.patches(x, (down, across), stride, padding)
    rows, cols, taps = seen.shape[1:]
    positions, there = count * rows * cols, machine.to_device(x.ravel())
    y = machine.device_array(taps * (-(-positions // 16) * 16), np.int8)
    grid = -(-positions // 32), -(-taps // 32)
    given = there, y, positions, pixel, (height, width, rows * cols, cols), window
    patches = extremes(rng, positions, taps) >> 5  # of which at most 6 meet: sums are less than 2**31
    d = machine.device_array(x.size, np.int32)
    folded = machine.to_device(patches.ravel()), d, pixel, d.size, (height, width, rows, cols), window
    run([bound(kernels.patches_kernel, grid, kernels.LANES, *given), shared_out(kernels.fold_kernel, d.size, *folded)])
    assert np.array_equal(found(y, taps, positions), seen.reshape(positions, taps).T)
    assert not y.reshape(taps, -1)[:, positions:].any()
    expected = reference.fold(patches.reshape(seen.shape), image, (down, across), stride, padding)
    assert np.array_equal(d.reshape(image), expected)
