"""An outline rescales where its program does, whatever the scales."""

import numpy as np
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from he import ParameterError
from he.compiler.approximate import approximate_lowering
from he.compiler.latency import choose_packing, lower
from he.compiler.outline import outline
from he.compiler.place_ckks import LEAST_DROP_BITS, Precision, depths, longest_path, rescalings
from he.compiler.throughput import feature_layers, feature_packing, lower_features
from he.program.recorder import Recorder
from he.ring.scheme import Scheme
from he.testing import polynomial_graphs
from intnn import Activation, Dense, Graph

BITS = st.integers(20, 50)


def programs(graph):
    """The graph as a program in either packing."""
    lowering = approximate_lowering(graph, (0.0, 1.0), 1.0, "insecure")
    packing = choose_packing(Scheme.CKKS, 2048, 1, lowering.stages)
    yield lower(lowering.stages, packing, lowering.encode, lowering.activate).program
    layers = feature_layers(lowering.stages, lowering.encode)
    yield lower_features(Scheme.CKKS, layers, feature_packing(Scheme.CKKS, 2048, layers), lowering.activate).program


def assert_alike(program, data):
    small = outline(program)
    assert depths(small) == depths(program)
    assert longest_path(small) == longest_path(program)
    plain, products = depths(program)
    for early in (True, False):
        precision = Precision(
            data.draw(BITS),
            tuple(data.draw(st.lists(BITS, min_size=plain, max_size=plain))),
            tuple(data.draw(st.lists(BITS, min_size=products + 1, max_size=products + 1))),
            early,
        )
        largest = data.draw(st.integers(28, 50))
        try:
            expected = rescalings(program, precision, largest)
        except ValueError:  # values of different scales meet: the compiler's own precisions make none
            continue
        assert rescalings(small, precision, largest) == expected
        for other in range(expected.least, largest):
            assert rescalings(small, precision, other) == expected
        if expected.least > LEAST_DROP_BITS:
            assert rescalings(small, precision, expected.least - 1)[:2] != expected[:2]


@settings(max_examples=60)
@given(polynomial_graphs(), st.data())
def test_an_outline_rescales_where_its_program_does(graph, data):
    try:
        both = list(programs(graph))
    except ParameterError:
        reject()
    for program in both:
        assert_alike(program, data)


@settings(max_examples=60)
@given(st.sampled_from(["before", "after", "shifted", "square"]), st.data())
def test_a_value_may_be_read_before_and_after_it_is_rescaled(kind, data):
    recorder = Recorder()
    x = recorder.input(0)
    half = recorder.plaintext(np.full(8, 0.5))
    y = recorder.plain_dot([x, x], [half, half])
    before = recorder.rotate(y, 1)  # of the value as it was made
    square = recorder.relinearise(recorder.multiply(y, y))
    after = recorder.rotate(y, 1)  # of the value as it was multiplied
    shifted = recorder.rotate(before, 1)
    read = {"before": before, "after": after, "shifted": shifted, "square": square}[kind]
    output = recorder.relinearise(recorder.multiply(read, read))
    assert_alike(recorder.program(8, [output]), data)


def test_a_layer_of_a_thousand_taps_is_outlined_by_a_few_operations():
    first, last = Dense(np.ones((4, 1000)), np.zeros(4)), Dense(np.ones((2, 4)), np.zeros(2))
    graph = Graph((1000,), (first, Activation("square"), last))
    _, program = programs(graph)
    assert len(outline(program).operations) < 20 < 1000 < len(program.operations)
