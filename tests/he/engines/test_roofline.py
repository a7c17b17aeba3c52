"""What launches need at least, against counts by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from he.engines.cuda.roofline import Gpu, needed, needed_on_arrival, needs
from he.engines.cuda.tape import Kernel, Plan, Step, Tape
from he.formats.compact import Form
from he.kernels.cuda.columns import NONE


def sums(count, terms):
    """So many sums of other rows each: products with factors of their own."""
    table = [(terms * i, terms * (i + 1), 2 * i, 2 * i + 1, 0) for i in range(count)]
    rows = 2 * count + np.arange(2 * count * terms).reshape(-1, 2)
    named = np.concatenate([rows, np.arange(count * terms)[:, None]], axis=1)
    return Step(Kernel.PRODUCTS, np.array(table), named, np.empty(0))


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1024, 8192]))
def test_every_distinct_row_is_moved_once(count, terms, N):
    launches, moved, instructions = needed(sums(count, terms), N)
    rows = 2 * count + 2 * count * terms + count * terms  # written, read, and factors
    assert (launches, moved) == (1, 8 * N * rows + 8 * count * (5 + 3 * terms))
    assert instructions == N * count * ((3 * 3 + 2 * 6) * terms + 2 * 51)


def test_transforms_of_more_than_a_block_go_to_memory_twice():
    table = np.array([(0, 2, 0, NONE, NONE, 0), (1, 3, 0, NONE, NONE, 0)])
    step = Step(Kernel.FORWARD, table, np.empty((0, 1)), np.empty(0))
    roots, tables = 2, 8 * table.size
    assert needed(step, 1024) == (1, 8 * 1024 * (4 + roots) + tables, 2 * 1024 * (17 * 5 + 21))
    assert needed(step, 8192) == (2, 8 * 8192 * (4 + 4 + roots) + 2 * tables, int(2 * 8192 * (17 * 6.5 + 21)))


def test_inputs_that_come_are_read_as_bytes_and_written_as_residues():
    N, count, bits = 1024, 3, 50
    prime = ((1 << bits) - 27,)
    found = {name: rest for name, *rest in needed_on_arrival(Form(prime, N, True, 1.0, True), count)}
    drawn, nodes, buffers = count * N, count * N // 8, count * N // 512
    assert found == {
        "unpack": [1, drawn * bits // 8 + 8 * drawn + 8 * 4, 17 * drawn],
        "roots": [1, 64 * count + 64 * buffers, 2 * 2124 * buffers],
        "expand": [1, 64 * buffers + 8 * drawn + nodes, 2124 * nodes + (21 + 5) * drawn],
        "redraw": [1, nodes, 2 * nodes],
    }
    ((name, *rest),) = needed_on_arrival(Form(prime, N, True, 1.0, False), count)
    assert (name, rest) == ("unpack", [1, 2 * drawn * bits // 8 + 16 * drawn + 8 * 8, 17 * 2 * drawn])


def test_a_launch_takes_the_longer_of_its_times():
    tape = Tape()
    x = tape.new(2, 1)
    tape.inputs = [x]
    tape.outputs = [tape.new(2, 1)]
    for source, out in zip(x[:, 0], tape.outputs[0][:, 0], strict=True):
        tape.write_sums(Kernel.COMBINE, [([(source, 1)], (0, out, 0, 0))])
    slow, fast = Gpu("of slow memory", 1.0, 1e12), Gpu("of fast memory", 1e12, 1.0)
    (found,) = needs(Plan.of(tape), 64, (slow, fast))
    assert found.longer == (found.bytes, found.instructions)
    assert (found.launches, found.instructions) == (1, 2 * 64 * (3 + 6 + 51 + 5))
