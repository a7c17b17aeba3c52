"""Kernels of layers as they are compiled, on a machine that executes PTX."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda

from intnn.device.steps import windows
from intnn.device.values import Value
from intnn.machine.cuda import launch
from intnn.ops.cuda import layers
from intnn.ops.cuda.gemm import word_of
from intnn.ops.cuda.product import Window
from tests.ptx import needs_compiler
from tests.ptx_machine import Machine

pytestmark = needs_compiler
LARGEST = (1 << 31) - 1
WORDS = st.integers(-LARGEST - 1, LARGEST) | st.sampled_from([-LARGEST - 1, -LARGEST, -1, 0, 1, LARGEST])
LOWEST = st.integers(-(1 << 61), 1 << 61) | st.integers(-300, 300)


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
