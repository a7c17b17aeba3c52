"""What the CUDA kernels on residues compile to. This needs NVIDIA's compiler, but no GPU."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import float64, int32, int64, uint64

from he.kernels.cuda import matrices, rows, transform
from he.kernels.cuda.columns import TILES
from he.kernels.cuda.tables import _longer, device_tables, with_quotients
from he.kernels.tables.chain import chain
from he.ring.primes import ntt_primes
from intnn.machine.cuda.kept import description
from tests.ptx import AMPERE, BLACKWELL, FLOATS, HOPPER, needs_compiler, ptx, resources

ROWS, CUBE, LINES = uint64[:, ::1], uint64[:, :, ::1], int64[:, ::1]
COUNTS = range(1, transform.PASS_STAGES + 1)
SUM = (ROWS,) * 5

#: Every kernel with the types of its arguments, and the most registers that it may take of the 65536 of a processor.
KERNELS = {
    **{f"forward pass, {n}": (transform.forward_pass(n, 9), (ROWS, ROWS, ROWS, CUBE, ROWS), 64) for n in COUNTS},
    **{f"inverse pass, {n}": (transform.inverse_pass(n, 9), (ROWS, ROWS, ROWS, CUBE), 64) for n in COUNTS},
    **{
        f"forward blocks, {n}": (transform.forward_blocks(n), (ROWS, ROWS, ROWS, int64, ROWS, CUBE, ROWS), 64)
        for n in transform.STEPS
    },
    **{
        f"inverse blocks, {n}": (transform.inverse_blocks(n), (ROWS, ROWS, ROWS, ROWS, CUBE), 64)
        for n in transform.STEPS
    },
    "combine": (rows.combination(TILES[0]), SUM, 64),
    "combine, tile": (rows.combination(TILES[1]), SUM, 168),
    "products": (rows.products_kernel, SUM, 96),
    "switch": (rows.switch_kernel, (ROWS, ROWS, int32[:, ::1], ROWS, ROWS, ROWS), 96),
    "extend": (rows.extend_kernel, (ROWS, ROWS, ROWS, float64[::1], ROWS), 64),
    "tensor": (rows.tensor_kernel, (ROWS,) * 3, 64),
    "tensor sums": (rows.tensor_sums_kernel, (ROWS,) * 4, 64),
    "square parts": (rows.square_parts_kernel, (ROWS,) * 4, 64),
    "raise": (matrices.raise_kernel, (CUBE, ROWS), 40),
    "matrix products": (
        matrices.matrix_kernel,
        (int64[:, :, :, ::1], int64[:, :, :, ::1], ROWS, LINES, int64[::1], ROWS),
        128,
    ),
}


def test_kernels_are_told_apart_where_they_are_kept():
    assert len({description(kernel) for kernel, _, _ in KERNELS.values()}) == len(KERNELS)


# Numba takes most of a test's time, before it is for one capability or another: a kernel has one test, in one process.
@needs_compiler
@pytest.mark.parametrize("name", KERNELS)
def test_products_of_64_bits_in_integers_and_registers(name):
    kernel, signature, most = KERNELS[name]
    code = ptx(kernel, signature)
    assert ".extern" not in code  # an instruction that the compiler took for a function
    assert "mad.wide.u32" in code or re.search("pass|blocks|raise", name)  # sums of products
    # Fractions are rounded after the product and after the sum, as on the CPU.
    assert not re.search(r"\bfma\b", code)
    if name != "extend":
        assert not FLOATS.search(code)
    bits = re.search(r"blocks, (\d+)", name)
    held = 8 * transform.held(int(bits[1])) if bits else 8192 if re.search(r"pass, [456]", name) else 0
    for capability in (AMPERE, HOPPER, BLACKWELL):
        found = resources(ptx(kernel, signature, capability), capability)
        assert found.registers <= most
        assert found.spilled == found.stack == 0
        assert found.shared <= held
    passed = re.fullmatch(r"\w+ pass, (\d)", name)
    if passed:
        assert code.count("mul.hi.u32") >= 2 * butterflies(int(passed[1]))  # all stages are unrolled


def butterflies(count):
    """Those of a thread in a first pass of so many stages."""
    stages = {1: 1, 2: 4, 3: 12}
    return stages[min(count, 3)] + (8 >> max(count - 3, 0)) * stages.get(count - 3, 0)


@pytest.mark.parametrize("N", [1024, 2048, 8192, 32768, 65536])
def test_two_passes_are_enough(N):
    stages = [*transform.passes(N)]
    assert len(stages) <= 1
    assert sum(stages) + transform.block_bits(N) == N.bit_length() - 1


@pytest.mark.parametrize("count", COUNTS)
def test_a_pass_has_columns_enough_to_read_whole_lines(count):
    threads, columns = transform.pass_shape(count)
    residues = threads << min(count, transform.STEP)
    assert residues == columns << count
    assert 8 * columns >= 128  # bytes of neighbouring words
    assert columns <= 2048 >> 1  # the least ring with a first pass has so many


@pytest.mark.parametrize("bits", transform.STEPS)
def test_words_at_once_lie_in_different_banks(bits, monkeypatch):
    names = "place", "place_of", "group_of"
    place, place_of, group_of = functions = [getattr(transform, name).py_func for name in names]
    for name, function in zip(names, functions, strict=True):  # which call each other
        monkeypatch.setattr(transform, name, function)
    threads, size = 1 << (bits - transform.FEW), transform.RESIDUES
    for number, stages in enumerate(stages for stages in transform.STEPS[bits] if stages):
        done, words = sum(transform.STEPS[bits][:number]), []
        for i in range(size):
            group, further = i >> stages, (i & ((1 << stages) - 1)) << (bits - done - stages)
            firsts = [group_of(t + group * threads, bits, done, stages)[1] for t in range(threads)]
            words.append([first + further for first in firsts])
            assert [place_of(t, i, bits, done, stages) for t in range(threads)] == [place(word) for word in words[-1]]
        assert sorted(np.concatenate(words)) == [*range(1 << bits)]  # every step takes every word once
        for at_once in np.array(words).reshape(-1, 16):  # a half-warp's
            assert len(set(place(at_once) % 16)) == 16
    for t in range(0, 1 << bits, 16):  # neighbours, as they come from rows and go there
        assert len(set(place(t + np.arange(16)) % 16)) == 16
    assert place((1 << bits) - 1) < transform.held(bits)


@given(st.integers(1, 50), st.data())
def test_quotients_of_64_bits(bits, data):
    """What is made of quotients of 52 bits is what division makes."""
    p = data.draw(st.integers(2, (1 << bits) + 1).filter(lambda p: p < 1 << 50))
    values = data.draw(st.lists(st.integers(0, p - 1), min_size=1, max_size=5))
    found = _longer(np.array(values), np.array([(w << 52) // p for w in values]), p)
    assert np.array_equal(found, with_quotients([(w, p) for w in values]))
    assert [int(q) for q in found[:, 1]] == [(w << 64) // p for w in values]


def test_rings_beyond_two_passes_are_refused():
    with pytest.raises(ValueError, match="`N` must be at most 65536, got 131072"):
        [*transform.passes(1 << 17)]


def test_a_ring_smaller_than_a_block_is_refused():
    with pytest.raises(ValueError, match=r"`chain\.N` must be at least 1024, got 512"):
        device_tables(chain(512, ntt_primes((30,), 512)))
