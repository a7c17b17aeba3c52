"""What the compiler's entrances take, and what they say of what they do not take."""

import numpy as np
import pytest
import torch

from he import ParameterError, compile_approximate, compile_exact
from he.testing import square_graph, table_network
from intnn import Dense, IntClassifier, IntDomain, IntNetwork

NETWORK, GRAPH = table_network(), square_graph()
ENTRANCES = {"exact": lambda **options: compile_exact(NETWORK, **options)}
ENTRANCES["approximate"] = lambda **options: compile_approximate(GRAPH, **options)
entrances = pytest.mark.parametrize("compiled", ENTRANCES.values(), ids=ENTRANCES)


def approximate(**options):
    return compile_approximate(GRAPH, security="insecure", **options)


# ----------------------------------------------------------------------------------------------------------- options


@entrances
@pytest.mark.parametrize("images", [np.int64(3), np.uint8(3), np.array(3), 3])
def test_numbers_of_images_are_integers_of_any_kind(compiled, images):
    assert compiled(images=images, security="insecure").interface.images == 4


@entrances
@pytest.mark.parametrize(
    "images", [2.0, True, np.bool_(True), "3", [2], np.array([1, 2]), 0, -1, 10**30, np.float64(3)]
)
def test_other_numbers_of_images_are_refused(compiled, images):
    with pytest.raises((TypeError, ValueError), match="`images` must be"):
        compiled(images=images, security="insecure")


@entrances
@pytest.mark.parametrize("packing", [b"latency", None, "Latency", ["latency"], 3])
def test_other_packings_are_refused(compiled, packing):
    with pytest.raises(ValueError, match='`packing` must be "latency" or "throughput", got'):
        compiled(packing=packing, security="insecure")


@entrances
@pytest.mark.parametrize("security", [None, 128, b"128", "256", ["128"]])
def test_other_securities_are_refused(compiled, security):
    with pytest.raises(ParameterError, match='`security` must be "128", "128-2018" or "insecure", got'):
        compiled(security=security)


@entrances
@pytest.mark.parametrize("name", ["packing", "security"])
def test_an_array_of_names_is_no_name(compiled, name):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        compiled(**{"security": "insecure", name: np.array(["latency", "128"])})


@pytest.mark.parametrize("max_error", [float("inf"), float("nan"), "x", True, 0, -1.0, 1j, [0.1], 10**400])
def test_errors_that_are_no_positive_number_are_refused(max_error):
    with pytest.raises((TypeError, ValueError), match="`max_error` must be a positive number, got"):
        approximate(max_error=max_error)


@pytest.mark.parametrize("max_error", [np.float32(0.1), np.float16(0.1), np.array(0.1), np.int64(1), torch.tensor(0.1)])
def test_an_error_is_a_number_of_any_kind(max_error):
    expected = approximate(max_error=float(max_error))
    circuit = approximate(max_error=max_error)
    assert (circuit.parameters, circuit.output_bound) == (expected.parameters, expected.output_bound)
    assert type(circuit.output_bound) is float


@pytest.mark.parametrize("ends", [(np.float32(0), 1), [0, 1], np.array([0.0, 1.0]), (np.int64(0), np.float16(1))])
def test_a_range_is_two_numbers_of_any_kind(ends):
    (spec,) = approximate(input_range=ends).interface.inputs
    assert (spec.low, spec.high) == (0.0, 1.0)
    assert {type(spec.low), type(spec.high)} == {float}


NO_RANGES = [(0,), None, 3, (1, 0), (0, np.inf), (0, np.nan), (0, 1, 2), (0, 1j), (None, 1), np.array([[0, 1]]), ()]


@pytest.mark.parametrize("ends", NO_RANGES)
def test_other_ranges_are_refused(ends):
    with pytest.raises((TypeError, ValueError), match="`input_range` must be two finite numbers in order, got"):
        approximate(input_range=ends)


@pytest.mark.parametrize("ends", ["01", ("0", "1"), {0: 1, 1: 2}, {0, 1}, (False, True), (0, 10**400), b"ab"])
def test_texts_sets_and_truths_are_no_range(ends):
    with pytest.raises((TypeError, ValueError), match="`input_range` must be two finite numbers in order, got"):
        approximate(input_range=ends)


# ---------------------------------------------------------------------------------------------------------- networks


def test_the_other_entrance_is_named():
    with pytest.raises(
        TypeError, match=r"`network` must be an IntNetwork, got Graph; quantise a Graph first, or .*approx"
    ):
        compile_exact(GRAPH)
    with pytest.raises(TypeError, match=r"`graph` must be a Graph, got IntNetwork; .*compile_exact"):
        compile_approximate(NETWORK)


def test_the_network_of_a_classifier_is_named():
    for take in (compile_exact, compile_approximate):
        with pytest.raises(TypeError, match=r"got IntClassifier; .*`network_`"):
            take(IntClassifier((4,)))


def test_modules_are_to_be_exported_first():
    for take in (compile_exact, compile_approximate):
        with pytest.raises(TypeError, match=r"got Linear; .*plaintext_models\.bridge"):
            take(torch.nn.Linear(3, 3))


def test_the_network_of_a_compiled_one_is_asked_for():
    network = IntNetwork((3,), IntDomain(0, 9), (Dense([[1, 2, 3]], [0]),))
    with pytest.raises(TypeError, match=r"got CompiledNetwork; .*IntNetwork"):
        compile_exact(network.compiled)


def test_a_circuit_is_compiled_already():
    circuit = compile_exact(NETWORK, security="insecure")
    for take in (compile_exact, compile_approximate):
        with pytest.raises(TypeError, match=r"got Circuit; .*already"):
            take(circuit)


@pytest.mark.parametrize("thing", [None, "network", 3, {}])
def test_what_is_no_network_is_refused(thing):
    for take, name in ((compile_exact, "network"), (compile_approximate, "graph")):
        with pytest.raises(TypeError, match=f"`{name}` must be an? .*, got {type(thing).__name__}"):
            take(thing)
