"""Calibrated ranges change nothing of a network, and guards prove what they say, in the clear."""

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from he import InputError, ParameterError, RangeError, compile_approximate, run_encrypted, simulate, simulate_guards
from he.compiler import activations as polynomials
from he.compiler.arrange import arranged_from
from he.compiler.norms import normalised
from he.compiler.ranges import ACCEPTED, Form, Guard, read_by
from he.compiler.samples import Samples
from he.compiler.stages import layered, to_stages
from he.testing import polynomial_graphs, square_graph
from intnn import Activation, Add, Dense, Flatten, Graph
from tests.he.compiler.test_norms import computed
from tests.he.parties.test_ranges import deep

ACTIVATIONS = [
    Activation("square"),
    Activation("polynomial", (0.1, 0.5, 0.4)),
    Activation("polynomial", (0.1, 0.5, 0.9, -0.4)),
    Activation("polynomial", (0.1, 0.5, 0.9, 0, -0.4)),
    Activation("polynomial", (0.1, 0.5, 0.9, 0, -0.4, 0.3, 0.2, -0.3, 0.2)),
]


@st.composite
def networks(draw):
    """Networks of dense layers with polynomials, and samples that stay near one point."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    widths = draw(st.lists(st.integers(1, 12), min_size=3, max_size=4))
    nodes = []
    for width, outputs in zip(widths, [*widths[1:], 3], strict=True):
        nodes += [
            Dense(rng.normal(size=(outputs, width)), rng.normal(size=outputs) / 2),
            draw(st.sampled_from(ACTIVATIONS)),
        ]
    return Graph((widths[0],), tuple(nodes[:-1])), rng.random((9, widths[0])) * draw(st.sampled_from([0.01, 0.3, 1.0]))


def calibrated(graph, samples, margin=1.5):
    stages = to_stages(graph.input_shape, graph.nodes, graph.sources)
    arranged, origins = arranged_from(stages)
    with np.errstate(over="ignore"):  # as the compiler does, which says then that no scales hold such values
        return stages, normalised(arranged, 0.0, 1.0, Samples.of(graph, samples, margin, stages, origins))


def sums(stages, guards, x):
    """What every guard is on inputs [batch, features], and how far the units of its layer go."""
    by_layer = {guard.layer: guard for guard in guards}
    found = []
    for number, (linear, functions) in enumerate(layered(stages)):
        x = np.stack([linear.times(row) + linear.bias for row in x])
        far = np.abs(x).max(axis=1)
        if guard := by_layer.get(number):
            found.append(((x**guard.power).sum(axis=1), far, guard))
        for function in functions:
            x = polynomials.values(function, x)
    return found


@settings(max_examples=60)
@given(networks(), st.floats(1.25, 4))
def test_the_network_stays_the_same(network, margin):
    graph, samples = network
    _, (stages, norms, _) = calibrated(graph, samples, margin)
    x = np.random.default_rng(0).random((5, *graph.input_shape))
    expected = graph.logits(x)
    assert computed(stages, x) == pytest.approx(expected, rel=1e-8, abs=1e-8 * (1 + np.abs(expected).max()))
    assert len(norms) == len(layered(stages))


@settings(max_examples=80)
@given(networks(), st.integers(0, 2**32 - 1))
def test_what_a_guard_accepts_is_in_its_range_and_what_it_may_be_has_room(network, seed):
    """For the corners of the inputs' range, for inputs between, and for samples."""
    graph, samples = network
    _, (stages, norms, guards) = calibrated(graph, samples)
    rng = np.random.default_rng(seed)
    shape = 40, *graph.input_shape
    x = np.concatenate([rng.integers(0, 2, shape), rng.random(shape), samples])
    kept = np.ones(len(x), bool)  # the images that kept all ranges so far
    with np.errstate(over="ignore", invalid="ignore"):  # of what has left its range long ago
        shown, outputs = sums(stages, guards, x), computed(stages, x)
    for total, far, guard in shown:
        assert 0 < guard.limit == 2.0 ** round(np.log2(guard.limit))
        assert (total[kept] <= guard.largest / 2).all()  # twice, for intervals are those of true values
        kept &= total <= guard.limit
        assert (far[kept] <= norms[guard.layer].magnitude * (1 + 1e-6)).all()
        of_samples = slice(-len(samples), None)
        assert (total[of_samples] <= ACCEPTED * guard.limit / 1.5**2 * (1 + 1e-9)).all()  # the margin of all units
        furthest = far[of_samples].max()  # that of a single one
        assert (1.5 * furthest) ** guard.power <= ACCEPTED * guard.limit * (1 + 1e-9)
    last = layered(stages)[-1][0]
    assert (np.abs(outputs[kept]) <= norms[-1].magnitude * (1 + 1e-6)).all()
    assert len(last.bias) == 3


def form_with_guard(found, weights, limit):
    """A layer behind a guard whose monic polynomial has these coefficients, and what reads it by these weights."""
    units, power = weights.shape[1], 2 * math.ceil((len(found) - 1) / 2)
    guard = Guard(0, power, limit, np.inf, units)
    form = Form((polynomials.polynomial(tuple(found)),), np.tile([[-guard.norm], [guard.norm]], (1, units)), 0.0,
                np.ones(units), np.ones(units), guard=guard)  # fmt: skip
    (following,) = to_stages((units,), (Dense(weights, np.zeros(len(weights))),), ((-1,),))
    return guard, read_by(following, [form])[1]


@settings(max_examples=60)
@given(st.integers(2, 7), st.integers(1, 9), st.integers(-6, 6), st.integers(0, 2**32 - 1))
def test_a_sum_bounds_what_the_next_layer_makes_of_any_units(degree, units, limit, seed):
    """Of units in any direction, and of those that make the most of one power, up to the largest sum."""
    rng = np.random.default_rng(seed)
    found, weights = [*rng.normal(size=degree), 1.0], rng.normal(size=(2, units))
    guard, ends = form_with_guard(found, weights, 2.0**limit)
    worst = [np.sign(w) * np.abs(w) ** (1 / (guard.power - j)) for w in weights for j in range(1, guard.power)]
    u = np.concatenate([rng.normal(size=(20, units)), np.eye(units), worst])
    u *= guard.norm / np.sum(u**guard.power, axis=1, keepdims=True) ** (1 / guard.power)
    u = np.concatenate([u, -u, u * rng.random((len(u), 1))])
    outputs = np.polynomial.polynomial.polyval(u, found) @ weights.T
    slack = 1e-9 * np.abs(ends).max()
    assert (ends[0] - slack <= outputs).all()
    assert (outputs <= ends[1] + slack).all()


@settings(max_examples=60)
@given(st.integers(2, 7), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_units_exist_that_reach_what_a_sum_bounds(degree, units, seed):
    """For a power alone, the bound is the best there is; intervals of single units would let all be as far as one."""
    weights = np.random.default_rng(seed).normal(size=(1, units))
    guard, ends = form_with_guard([0.0] * degree + [1.0], weights, 4.0)
    positive = np.abs(weights[0]) if degree % 2 else np.maximum(weights[0], 0.0)
    if guard.power == degree:
        u = np.eye(units)[positive.argmax()] * (positive.max() > 0)
    else:
        u = np.sign(weights[0]) * positive ** (1 / (guard.power - degree))
    total = np.sum(u**guard.power)
    u *= guard.norm / total ** (1 / guard.power) if total else 1.0
    assert np.sum(weights * u**degree) == pytest.approx(ends[1, 0], rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(polynomial_graphs(), st.sampled_from(["latency", "throughput"]), st.integers(0, 2**32 - 1))
def test_samples_are_accepted_and_compute_what_the_network_does(graph, packing, seed):
    """Also convolutions, polynomials of odd degree, and networks without activations."""
    x = np.random.default_rng(seed).random((5, *graph.input_shape))
    try:
        circuit = compile_approximate(graph, x, ranges="calibrated", packing=packing, security="insecure")
    except ParameterError:  # it ignores its input
        reject()
    assert simulate(circuit, x) == pytest.approx(graph.logits(x), rel=1e-9, abs=1e-9)
    shares = simulate_guards(circuit, x)
    assert shares.shape == (5, len(circuit.interface.guards))
    assert (shares <= 1 / 1.25**2 + 1e-9).all()
    assert "ranges: calibrated on 5 samples, with a margin of 1.25" in circuit.explain()


def test_a_layer_that_gains_nothing_has_no_guard():
    graph = square_graph()
    x = np.random.default_rng(0).random((50, *graph.input_shape))
    circuit = compile_approximate(graph, x, ranges="calibrated", security="insecure")
    assert circuit.interface.guards == ()
    assert "no layer gains by a guard" in circuit.explain()


@pytest.mark.unwatched
@pytest.mark.parametrize("packing", ["latency", "throughput"])
@pytest.mark.parametrize(
    "activation", [ACTIVATIONS[0], ACTIVATIONS[2], Activation("polynomial", (0.1, 0.5, 1e-7, 1e-9))]
)
def test_layers_whose_units_stay_as_they_are_are_guarded_as_well(activation, packing):
    """The last one, and one whose leading coefficient is next to nothing: they had no guard."""
    rng = np.random.default_rng(0)
    layers = (Dense(rng.normal(size=(3, 6)), np.zeros(3)), activation), (Dense(rng.normal(size=(2, 3)), np.zeros(2)),)
    x, outside = rng.random((20, 6)) / 10, np.full(6, 4.0)
    options = {"ranges": "calibrated", "input_range": (-4.0, 4.0), "packing": packing, "security": "insecure"}
    for nodes in (layers[0], layers[0] + layers[1]):
        graph = Graph((6,), nodes)
        circuit = compile_approximate(graph, x, **options)
        assert run_encrypted(circuit, x[:3]) == pytest.approx(graph.logits(x[:3]), abs=0.2)  # the bound by default
        with pytest.raises(RangeError) as refusal:
            run_encrypted(circuit, np.stack([x[0], outside, x[1]]))
        assert refusal.value.images == (1,)


@pytest.mark.parametrize("activation", ACTIVATIONS[::2])
def test_units_that_vary_with_no_input_count_in_both_packings(activation):
    """Features that are constant are no ciphertexts: what they add to a sum is known."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(6, 6)) * np.array([[1.0], [0.0]] * 3)
    nodes = (Dense(weights, np.full(6, 0.2)), activation, Dense(rng.normal(size=(3, 6)), np.zeros(3)))
    graph, x = Graph((6,), nodes), rng.random((5, 6)) / 10
    options = {"ranges": "calibrated", "security": "insecure", "input_range": (-4.0, 4.0)}
    one, many = (
        simulate_guards(compile_approximate(graph, x, packing=packing, **options), x)
        for packing in ("latency", "throughput")
    )
    assert one.shape == (5, 1)
    assert many == pytest.approx(one, rel=1e-9)


def test_branches_are_calibrated_as_well():
    rng = np.random.default_rng(1)
    nodes = [Dense(rng.normal(size=(8, 8)) / 2, np.zeros(8)) if i % 2 == 0 else Activation("square") for i in range(4)]
    graph = Graph(
        (8,),
        (
            *nodes,
            Add(),
            Dense(rng.normal(size=(8, 8)) / 4, np.zeros(8)),
            Activation("square"),
            Flatten(),
            Dense(rng.normal(size=(2, 8)), np.zeros(2)),
        ),
        inputs=((-1,), (0,), (1,), (2,), (1, 3), (4,), (5,), (6,), (7,)),
    )
    x = 0.2 * rng.random((20, 8))
    circuit = compile_approximate(graph, x, ranges="calibrated", security="insecure")
    assert simulate(circuit, x) == pytest.approx(graph.logits(x), rel=1e-9)
    assert circuit.interface.guards
    with pytest.raises(RangeError, match=r"images \[1\] of the batch left the range"):
        simulate(circuit, np.stack([x[0], np.ones(8)]))


@pytest.mark.unwatched
def test_four_squares_fit_where_they_are_calibrated():
    """The worst input of a network of four squares takes numbers that no scales hold."""
    graph, samples = deep(4)
    with pytest.raises(ParameterError, match="fits no parameter set"):
        compile_approximate(graph, input_range=(-0.5, 1.5))
    circuit = compile_approximate(graph, samples, input_range=(-0.5, 1.5), ranges="calibrated")
    assert circuit.parameters.poly_modulus_degree <= 16384


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"ranges": "guessed"}, ValueError, '`ranges` must be "proved" or "calibrated", got'),
        ({"ranges": "calibrated"}, ValueError, '`samples` must be given where `ranges` are "calibrated", and only'),
        ({"samples": np.zeros((3, 1, 4, 4))}, ValueError, "`samples` must be given where"),
        (
            {"samples": np.zeros((3, 4, 4)), "ranges": "calibrated"},
            InputError,
            r"`samples` must have shape \[samples, 1, 4",
        ),
        ({"samples": np.zeros((0, 1, 4, 4)), "ranges": "calibrated"}, InputError, "`samples` must have shape"),
        (
            {"samples": np.full((3, 1, 4, 4), 2.0), "ranges": "calibrated"},
            InputError,
            r"`samples` must lie in \[0.0, 1.0\]",
        ),
        ({"samples": np.full((3, 1, 4, 4), np.nan), "ranges": "calibrated"}, ValueError, "`samples`"),
        (
            {"samples": np.zeros((3, 1, 4, 4)), "ranges": "calibrated", "margin": 1.0},
            ValueError,
            "`margin` must be finite and",
        ),
        (
            {"samples": np.zeros((3, 1, 4, 4)), "ranges": "calibrated", "circuit_privacy": 8},
            ValueError,
            "`circuit_privacy` must be None",
        ),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        compile_approximate(square_graph(), security="insecure", **arguments)


@pytest.mark.parametrize("ranges", ["proved", "calibrated"])
@pytest.mark.parametrize("reach", [1.0, 1e20, 1e100, 1e300])
@pytest.mark.parametrize("coefficients", [(), (0.1, 0.5, 0.9, 0, 0.4), (0.3, 0, 0.5, 0.3)])
def test_values_that_no_float_holds_fit_no_parameters(coefficients, reach, ranges):
    """They met as infinities: no convergence, no number, or an overflow was reported instead."""
    activation = Activation("polynomial", coefficients) if coefficients else Activation("square")
    rng = np.random.default_rng(0)
    nodes = [layer for _ in range(5) for layer in (Dense(rng.normal(size=(4, 4)), rng.normal(size=4)), activation)]
    graph = Graph((4,), (*nodes, Dense(rng.normal(size=(2, 4)), np.zeros(2))))
    options = {"samples": rng.random((5, 4)), "ranges": ranges} if ranges == "calibrated" else {}
    with suppress(ParameterError):
        circuit = compile_approximate(graph, input_range=(-reach, reach), security="insecure", **options)
        assert reach == 1.0
        assert circuit.output_bound <= 0.2
