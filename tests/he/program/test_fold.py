"""A folded program, read by groups, is the program: its noise, its scales, its price."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.compiler.approximate import approximate_lowering
from he.compiler.exact import exact_lowering
from he.compiler.norms import normalised
from he.compiler.place_ckks import Precision, depths, place, rescalings
from he.compiler.stages import to_stages
from he.compiler.throughput import feature_layers, feature_packing, lower_features
from he.program.algebra import run
from he.program.fold import fold
from he.program.recorder import Recorder
from he.readers.cost import cost
from he.readers.dependence import DependenceAlgebra
from he.readers.noise_bfv import BfvNoiseAlgebra
from he.readers.noise_ckks import CkksErrorAlgebra
from he.ring.params import PLAIN_MODULUS, ParameterError, Parameters
from he.testing import polynomial_graphs, table_networks
from intnn import IntNetwork

BFV = Parameters("bfv", 1024, (50,) * 9, PLAIN_MODULUS, security="insecure")


def program_of(network):
    """The network's features as a program, or nothing where the compiler refuses it."""
    try:
        if isinstance(network, IntNetwork):
            lowering = exact_lowering(network, "insecure")
        else:
            lowering = approximate_lowering(network, (0.0, 1.0), 1.0, "insecure")
        layers = feature_layers(lowering.stages, lowering.encode)
    except ParameterError:
        return None
    return lower_features(
        lowering.scheme, layers, feature_packing(lowering.scheme, 1024, layers), lowering.activate
    ).program


@settings(max_examples=40)
@given(st.integers(0, 2).flatmap(lambda tables: table_networks(tables, max_points=9)))
def test_the_noise_of_the_noisiest_output_is_that_of_the_program(network):
    if (program := program_of(network)) is None:
        return
    folded = fold(program)
    whole = run(program, BfvNoiseAlgebra(BFV))
    groups = folded.read(folded.folded, BfvNoiseAlgebra(BFV))
    assert max(v.largest for v in groups) == pytest.approx(max(v.largest for v in whole), rel=1e-12)
    assert len(folded.folded.operations) <= len(program.operations)


@settings(max_examples=40)
@given(polynomial_graphs())
def test_placing_the_folded_program_is_placing_the_program(graph):
    if (program := program_of(graph)) is None:
        return
    folded = fold(program)
    assert depths(folded.folded) == depths(program)
    plain, products = depths(program)
    precision = Precision(30, (30,) * plain, (30,) * (products + 1), early=False)
    assert rescalings(folded.folded, precision, 40) == rescalings(program, precision, 40)
    drops = rescalings(program, precision, 40).sizes
    chain = (50, 50, *reversed(drops), 50)
    parameters = Parameters("ckks", 1024, chain, scale_bits=30, security="insecure")
    small, whole = (place(p, precision, parameters, 2) for p in (folded.folded, program))
    _, norms, _ = normalised(to_stages(graph.input_shape, graph.nodes), 0.0, 1.0)
    few, many = (set(run(p, CkksErrorAlgebra(parameters, p, norms, 1.0))) for p in (small, whole))
    assert few == many
    assert len(few) == 1
    assert sum(int(v.found.sum()) for v in folded.read(small, DependenceAlgebra(small))) == sum(
        int(v.found.sum()) for v in run(whole, DependenceAlgebra(whole))
    )
    price = cost(small, parameters, weights=folded.weights(small)).total
    assert price == pytest.approx(cost(whole, parameters).total, rel=1e-12)


def test_a_hundred_units_become_a_few_groups():
    network = table_network_of(100)
    program = program_of(network)
    folded = fold(program)
    assert not folded.is_trivial
    assert len(folded.folded.operations) * 20 < len(program.operations)


def table_network_of(hidden):
    from intnn import Dense, IntDomain, Lut, LutActivation

    rng = np.random.default_rng(0)
    lut = Lut.from_callable(lambda x: abs(x) % 5, IntDomain(-8, 8))
    first = Dense(rng.integers(-1, 2, (hidden, 8)), np.zeros(hidden, np.int64))
    last = Dense(rng.integers(-3, 4, (3, hidden)), np.zeros(3, np.int64))
    return IntNetwork((8,), IntDomain(0, 1), (first, LutActivation(lut), last))


def test_packed_programs_are_left_as_they_are():
    recorder = Recorder()
    x = recorder.input(0)
    program = recorder.program(512, [recorder.relinearise(recorder.multiply(x, x))])
    folded = fold(program)
    assert folded.is_trivial
    assert folded.folded is program
    assert folded.weights(program) == [1, 1, 1]


def test_a_square_is_folded_apart_from_a_product():
    recorder = Recorder()
    x, y = recorder.input(0), recorder.input(1)
    products = [recorder.relinearise(recorder.multiply(a, b)) for a, b in ((x, x), (x, y), (y, y), (y, x))]
    folded = fold(recorder.program(1, products))
    # Inputs, squares, products and, of either, the relinearised.
    assert len(folded.folded.operations) == 5
