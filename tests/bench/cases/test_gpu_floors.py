from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from bench.cases.gpu import example_network
from bench.cases.gpu_floors import floor_us, network_work, plan_floor_us, product_work, steps_floor_us
from bench.cases.gpu_predictions import RING, kernel_steps
from bench.tables.gpus import gpu
from he import compile_approximate
from he.engines.cuda.engine import CudaPrepared
from he.engines.cuda.roofline import needed, needed_on_arrival
from he.engines.rns.engine import encoder_of
from he.engines.rns.weights import Weights
from he.testing import square_graph
from intnn.ops.cuda.product import Product


def test_a_product_reads_and_writes_everything_once():
    size = 64
    work = product_work("", Product(np.zeros((size, size, 1, 1), np.int8), np.zeros(size)), 128)
    assert work.operations == 2 * 128 * size * size
    parameters = size * size + 2 * 4 * size + 12 * size // 16 + 1  # biases, multipliers, places of pieces, no table
    assert work.nbytes == 128 * size + 4 * 128 * size + parameters


def test_a_network_is_the_sum_of_its_steps():
    works = network_work(example_network(), 10)
    assert [work.what.split(" ")[0] for work in works] == ["inputs", "layers[0]", "layers[3]", "layers[7]", "outputs"]
    # One channel of 9 taps, filled up to 16 bytes, and 32 of 9 taps.
    assert works[1].operations == 2 * 10 * 14**2 * 32 * 16
    assert works[2].operations == 2 * 10 * 7**2 * 64 * 9 * 32
    assert works[0].nbytes == 10 * (28**2 + 16 * 14**2) + 9 * 12  # where nine taps are
    assert floor_us(works, gpu("H100")) == pytest.approx(
        sum(max(work.nbytes / 3.35e6, work.operations / 1978.9e6) for work in works)
    )


def test_the_floor_of_a_plan_has_what_its_inputs_take():
    circuit, h100 = compile_approximate(square_graph(), images=1, security="insecure"), gpu("H100")
    encoder, N = encoder_of(circuit), circuit.parameters.poly_modulus_degree
    plan = CudaPrepared(circuit, encoder, Weights.encoded(circuit, encoder, 1)).plan
    arriving = needed_on_arrival(plan.form, len(plan.inputs))
    expected = sum(max(moved / 3.35e6, issued / 33.5e6) for _, _, moved, issued in arriving)
    assert len(arriving) == 4
    assert plan_floor_us(plan, N, h100) == pytest.approx(expected + steps_floor_us(plan.launches, N, h100))


def test_launches_on_residues_wait_for_memory_or_for_instructions():
    steps, h100 = dict(kernel_steps()), gpu("H100")
    both = steps["forward transform"], steps["eight combinations of the same 64 rows"]
    moved, issued = zip(*(needed(step, RING)[1:] for step in both), strict=True)
    quick = replace(h100, gigabytes=100 * h100.gigabytes)  # of a memory for which nothing waits
    for step, nbytes, instructions in zip(both, moved, issued, strict=True):
        assert steps_floor_us([step], RING, h100) == pytest.approx(nbytes / 3.35e6)
        assert steps_floor_us([step], RING, quick) == pytest.approx(instructions / 33.5e6)
    assert steps_floor_us(both, RING, h100) == pytest.approx(sum(moved) / 3.35e6)
