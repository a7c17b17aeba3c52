"""What is chosen by its price."""

from dataclasses import replace

import numpy as np
import pytest

from he.compiler.exact import exact_lowering
from he.compiler.search import search
from intnn import Dense, IntDomain, IntNetwork, Lut, LutActivation


def network(points, table, seed=0):
    """A dense layer that reaches every point of the domain of a table, and another dense layer."""
    rng, half = np.random.default_rng(seed), points // 2
    domain = IntDomain(-half, half)
    first = np.zeros((16, half), np.int64) + rng.choice([-1, 1], (16, half))
    layers = (
        Dense(first, np.zeros(16, np.int64)),
        LutActivation(Lut(domain, table(np.arange(-half, half + 1), rng))),
        Dense(rng.integers(-8, 9, (4, 16)), np.zeros(4, np.int64)),
    )
    return IntNetwork((half,), IntDomain(0, 1), layers)


def steps(x, rng):
    return rng.integers(0, 16, len(x))


def even(x, rng):
    return np.abs(x) * 15 // np.abs(x).max()


@pytest.mark.unwatched
@pytest.mark.parametrize(
    ("points", "table", "tables"), [(121, steps, "hidden"), (57, even, "told"), (241, even, "told")]
)
def test_no_other_tree_of_a_table_is_cheaper(points, table, tables):
    lowering = exact_lowering(network(points, table), "128", tables)
    count, _ = lowering.options
    assert count > 1
    chosen = search(lowering, 1, "latency", "128", None)
    each = [
        search(replace(lowering.choose([i, 0]), options=()), 1, "latency", "128", None).cost().total
        for i in range(count)
    ]
    assert chosen.cost().total == min(each)


def test_a_tree_that_needs_a_larger_ring_is_not_taken():
    """Of a table of 241 even values the tree of the fewest products is too deep for 2^14."""
    lowering = exact_lowering(network(241, even), "128", "told")
    first = search(replace(lowering, options=()), 1, "latency", "128", None)
    chosen = search(lowering, 1, "latency", "128", None)
    assert first.program.counts["Multiply"] < chosen.program.counts["Multiply"]
    assert first.parameters.poly_modulus_degree > chosen.parameters.poly_modulus_degree
    assert chosen.cost().total < first.cost().total


def test_the_tree_of_a_hidden_table_tells_nothing_of_it():
    programs = []
    for seed in (0, 1):
        lowering = exact_lowering(network(121, steps, seed), "128")
        programs.append(search(lowering, 1, "latency", "128", None).program)
    kinds = [[type(operation) for operation in program.operations] for program in programs]
    assert kinds[0] == kinds[1]
