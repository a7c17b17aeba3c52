"""What the CUDA kernels on residues compile to. This needs NVIDIA's compiler, but no GPU."""

import re

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import float64, int32, int64, uint64

from he.kernels.cuda import matrices, rows, transform
from he.kernels.cuda.columns import TILES
from he.kernels.tables.chain import chain
from he.ring.primes import ntt_primes
from tests.ptx import AMPERE, BLACKWELL, FLOATS, HOPPER, needs_compiler, ptx, resources

ROWS, CUBE, TABLE = uint64[:, ::1], uint64[:, :, ::1], int64[:, ::1]
COUNTS = range(1, transform.PASS_STAGES + 1)
SUM = (ROWS, ROWS, TABLE, TABLE, ROWS)

#: Every kernel with the types of its arguments, and the most registers that it may take of the 65536 of a processor.
KERNELS = {
    **{f"forward pass, {n}": (transform.forward_pass(n), (ROWS, TABLE, ROWS, CUBE, ROWS, int64), 64) for n in COUNTS},
    **{f"inverse pass, {n}": (transform.inverse_pass(n), (ROWS, TABLE, ROWS, CUBE, int64), 64) for n in COUNTS},
    "forward blocks": (transform.forward_blocks_kernel, (ROWS, TABLE, int64, ROWS, CUBE, ROWS), 48),
    "inverse blocks": (transform.inverse_blocks_kernel, (ROWS, TABLE, ROWS, ROWS, CUBE), 48),
    "combine": (rows.combination(TILES[0]), SUM, 64),
    "combine, tile": (rows.combination(TILES[1]), SUM, 96),
    "products": (rows.products_kernel, SUM, 64),
    "switch": (rows.switch_kernel, (ROWS, ROWS, int32[:, ::1], TABLE, TABLE, ROWS), 64),
    "extend": (rows.extend_kernel, (ROWS, TABLE, TABLE, float64[::1], ROWS), 64),
    "tensor": (rows.tensor_kernel, (ROWS, TABLE, ROWS), 64),
    "tensor sums": (rows.tensor_sums_kernel, (ROWS, TABLE, TABLE, ROWS), 64),
    "square parts": (rows.square_parts_kernel, (ROWS, TABLE, ROWS), 64),
    "raise": (matrices.raise_kernel, (CUBE, ROWS), 40),
    "matrix products": (
        matrices.matrix_kernel,
        (int64[:, :, :, ::1], int64[:, :, :, ::1], ROWS, TABLE, int64[::1], ROWS),
        96,
    ),
}


@needs_compiler
@pytest.mark.parametrize("name", KERNELS)
def test_products_of_64_bits_in_integers(name):
    kernel, signature, _ = KERNELS[name]
    code = ptx(kernel, signature)
    assert ".extern" not in code  # an instruction that the compiler took for a function
    assert "mul.hi.u64" in code
    # Fractions are rounded after the product and after the sum, as on the CPU.
    assert not re.search(r"\bfma\b", code)
    if name != "extend":
        assert not FLOATS.search(code)


@needs_compiler
@pytest.mark.parametrize(
    ("name", "capability"),
    [
        (name, capability)
        for name in KERNELS
        for capability in (AMPERE, HOPPER, BLACKWELL)
        if capability == HOPPER or not re.search("pass, [1245]", name)  # which are shorter
    ],
)
def test_residues_stay_in_registers(name, capability):
    kernel, signature, most = KERNELS[name]
    found = resources(ptx(kernel, signature, capability), capability)
    assert found.registers <= most
    assert found.spilled == found.stack == 0
    held = 8 * transform.BLOCK if re.search(r"blocks|, [456]", name) else 0
    assert found.shared <= held


@needs_compiler
@pytest.mark.parametrize("count", COUNTS)
def test_every_butterfly_is_unrolled(count):
    stages = {1: 1, 2: 4, 3: 12}
    butterflies = stages[min(count, 3)] + (8 >> max(count - 3, 0)) * stages.get(count - 3, 0)
    kernel, signature, _ = KERNELS[f"inverse pass, {count}"]
    assert ptx(kernel, signature).count("mul.hi.u64") == butterflies
    lifts = 1 << min(count, 3)
    kernel, signature, _ = KERNELS[f"forward pass, {count}"]
    assert ptx(kernel, signature).count("mul.hi.u64") == butterflies + lifts


@pytest.mark.parametrize("N", [1024, 2048, 8192, 32768, 65536])
def test_two_passes_are_enough(N):
    stages = [*transform.passes(N)]
    assert len(stages) <= 1
    assert sum(count for _, count in stages) + transform.BLOCK_BITS == N.bit_length() - 1


@pytest.mark.parametrize("count", COUNTS)
def test_a_pass_has_columns_enough_to_read_whole_lines(count):
    threads, columns = transform.pass_shape(count)
    residues = threads << min(count, transform.STEP)
    assert residues == columns << count
    assert 8 * columns >= 128  # bytes of neighbouring words
    assert columns <= 2048 >> 1  # the least ring with a first pass has so many


def test_words_at_once_lie_in_different_banks():
    place = transform.place.py_func
    assert sorted(place(np.arange(transform.BLOCK))) == [*range(transform.BLOCK)]
    for before in range(0, transform.BLOCK_BITS - 1, 2):  # what the blocks' steps read and write
        for half_warp in range(transform.BLOCK // 64):
            t = 16 * half_warp + np.arange(16)
            first = ((t >> before) << (before + 2)) + (t & ((1 << before) - 1))
            for i in range(4):
                assert len(set(place(first + (i << before)) % 16)) == 16


def test_rings_beyond_two_passes_are_refused():
    with pytest.raises(ValueError, match="`N` must be at most 65536, got 131072"):
        [*transform.passes(1 << 17)]


def test_a_ring_smaller_than_a_block_is_refused():
    with pytest.raises(ValueError, match=r"`chain\.N` must be at least 1024, got 512"):
        transform.device_tables(chain(512, ntt_primes((30,), 512)))
