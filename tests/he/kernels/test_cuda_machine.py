"""The CUDA kernels on residues, and on ciphertexts that come, as they are compiled, with the sizes of a GPU."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda

from he.kernels.cuda import matrices, rows
from he.kernels.cuda.arrivals import MARKS, REDRAW_THREADS
from he.kernels.cuda.columns import MAX_PRODUCTS, TILES
from he.kernels.cuda.sums import CHUNK
from he.kernels.cuda.words import address_of
from intnn.machine.cuda.launch import run
from tests.he.kernels import cuda_arrivals_simulation as arrivals
from tests.he.kernels import cuda_residues
from tests.he.kernels.cuda_residues import PRIMES, N, R, device, named, numbers, table
from tests.ptx import needs_compiler
from tests.ptx_machine import in_place_of_a_gpu

pytestmark = needs_compiler
J = 3
P = PRIMES[J]  # the largest
FULL = 2 * CHUNK + 1  # products, which have to be carried on the way


@pytest.fixture(autouse=True)
def machine():
    device.cache_clear()
    with pytest.MonkeyPatch.context() as patches:
        yield in_place_of_a_gpu(patches)
    device.cache_clear()


CHECKS = (*cuda_residues.CHECKS, *arrivals.CHECKS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_is_compiled_computes_what_is_meant(check):
    check()


def largest(free):
    """A row of p - 1, and others that are not written."""
    return cuda_residues.memory(np.full((1, N), P - 1, np.uint64), free=free)


def hold(memory, *products):
    """Hold that rows are sums of so many products of p - 1 with p - 1, divided by 2**52."""
    for row, count in zip(memory.copy_to_host()[1:], products, strict=True):
        assert (row == count * (P - 1) ** 2 * pow(R, -1, P) % P).all()


@pytest.mark.parametrize(("tile", "terms"), [(TILES[0], CHUNK + 1), (TILES[0], MAX_PRODUCTS), (TILES[1], FULL)])
def test_a_combination_of_the_largest(tile, terms):
    memory = largest(tile)
    line = [0, terms, J, *(x for t in range(tile) for x in (1 + t, 0, 0))]
    run(rows.combine(device(), memory, memory, table(line), numbers(*[(0, *[P - 1] * tile)] * terms)))
    hold(memory, *[terms] * tile)


def test_products_of_the_largest():
    terms, memory = FULL, largest(2)
    run(rows.products(device(), memory, largest(0), table((0, terms, 1, 2, J)), named(*[(0, 0, 0)] * terms)))
    hold(memory, terms, terms)


@pytest.mark.parametrize("terms", [CHUNK, CHUNK + 1, MAX_PRODUCTS // 2])
def test_tensor_sums_of_the_largest(terms):
    memory = largest(3)
    run(rows.tensor_sums(device(), memory, table((0, terms, 1, 2, 3, J)), named(*[(0, 0, 0, 0)] * terms)))
    hold(memory, terms, 2 * terms, terms)


@pytest.mark.parametrize("terms", [CHUNK + 1, MAX_PRODUCTS // 2])
def test_matrix_products_of_the_largest(terms):
    memory, lines = largest(3), matrices.lines(1, 0, 1)
    lines[:, 3] = 1
    left, right = (cuda.to_device(np.full(shape, address_of(memory))) for shape in ((1, terms, 2, 1), (terms, 1, 2, 1)))
    line, prime = cuda.to_device(lines), cuda.to_device(np.array([J]))
    matrices.products(device(), left, right, memory, line, prime)(0)
    hold(memory, terms, 2 * terms, terms)


def test_words_are_drawn_again_that_threads_look_for_twice():
    names, primes, N = arrivals.random_seeds(3, 1), (arrivals.REFUSING[30],) * 3, 4096
    assert len(primes) * N > REDRAW_THREADS * MARKS
    assert np.array_equal(arrivals.expanded(names, primes, N), arrivals.by_the_processor(names, primes, N))
