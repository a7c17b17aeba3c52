"""Value objects come back from pickle and copy as their constructor makes them, and other things not at all."""

import copy
import dataclasses
import importlib
import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn import Dense, IntClassifier, IntNetwork, Lut
from intnn.quantisation.quantise import QuantConfig
from intnn.testing import float_graphs, int_inputs, int_networks
from intnn.training.cpu.compiled import CompiledStep
from intnn.training.plan import Convolution, plan
from intnn.training.step import Descent, initialise
from intnn.values.domain import IntDomain, Interval
from intnn.values.value_object import Unstorable, ValueObject

ROOT = Path(__file__).parents[3]
WAYS = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "old pickle": lambda x: pickle.loads(pickle.dumps(x, 0)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
ways = pytest.mark.parametrize("again", WAYS.values(), ids=WAYS)


def arrays(value):
    """Every array that a value object holds, however deep."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from arrays(part)
    elif isinstance(value, ValueObject):
        for part in vars(value).values():
            yield from arrays(part)


def assert_read_only(value) -> None:
    for array in arrays(value):
        with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
            array[...] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)
        while isinstance(array, np.ndarray):
            array = array.base
        assert isinstance(array, bytes)  # nor is there a writeable array behind it


@given(st.sampled_from(sorted(WAYS)), st.data())
def test_a_network_comes_back_as_it_was_proved(way, data):
    network = data.draw(int_networks())
    x = data.draw(int_inputs(network))
    stored = pickle.dumps(network)
    logits = network.logits(x, "numba")
    assert pickle.dumps(network) == stored  # the bytes say nothing of the processor that it ran on
    again = WAYS[way](network)
    assert set(vars(again)) == {field.name for field in dataclasses.fields(IntNetwork)}
    assert (again.fingerprint, again.bounds, again.ranges) == (network.fingerprint, network.bounds, network.ranges)
    assert_read_only(again)
    for backend in ("numpy", "numba"):
        assert np.array_equal(again.logits(x, backend), logits)


@given(st.sampled_from(sorted(WAYS)), float_graphs())
def test_a_graph_comes_back(way, graph):
    again = WAYS[way](graph)
    assert again.fingerprint == graph.fingerprint
    assert_read_only(again)


@ways
def test_what_is_stored_is_proved_again(again):
    table = Lut(IntDomain(0, 1), [3, 4])
    object.__setattr__(table, "table", np.arange(5))
    with pytest.raises(ValueError, match="`table` must have shape"):
        again(table)


@ways
def test_values_around_a_network_come_back(again):
    interval = again(Interval(np.array([0, 1]), np.array([2, 3])))
    assert_read_only(interval)
    assert interval.hull == IntDomain(0, 3)
    assert again(QuantConfig(input_bits=3)) == QuantConfig(input_bits=3)
    layout = plan((Convolution(2, 3), 5), (1, 6, 6), IntDomain(0, 15), 3)
    assert again(layout) == layout
    rng = np.random.default_rng(0)
    model = IntClassifier((4,), scaling="minmax", epochs=2).fit(x := rng.random((40, 3)), rng.integers(0, 3, 40))
    model.predict(x)
    kept = again(model)
    assert np.array_equal(kept.decision_function(x), model.decision_function(x))


def dataclasses_of(package: str):
    for path in sorted((ROOT / package).rglob("*.py")):
        if "cuda" in path.parts:
            continue  # needs a GPU's libraries
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and dataclasses.is_dataclass(value) and value.__module__ == name:
                yield value


def byte_network() -> IntNetwork:
    rng = np.random.default_rng(0)
    return IntNetwork((4,), IntDomain(0, 255), (Dense(rng.integers(-9, 9, (3, 4)), rng.integers(-9, 9, 3)),))


@cache
def prepared():
    compiled, layout = byte_network().compiled, plan((), (4,), IntDomain(0, 15), 2)
    return {
        "instructions": compiled.instructions,
        "call": compiled.bind(np.zeros((1, 4), np.uint8), np.zeros((1, 3), np.int64)),
        "step": CompiledStep(layout, initialise(layout, 0), 2, Descent()),
    }


def test_every_dataclass_that_checks_itself_is_made_anew():
    checking = [kind for kind in dataclasses_of("intnn") if hasattr(kind, "__post_init__")]
    assert len(checking) > 10
    assert [kind for kind in checking if not issubclass(kind, ValueObject)] == []


@pytest.mark.parametrize("refusal", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("name", ["instructions", "call", "step"])
def test_what_is_made_for_one_processor_stays_there(name, refusal):
    assert isinstance(prepared()[name], Unstorable)
    with pytest.raises(TypeError, match=r"objects cannot be pickled or copied; (store|bind)"):
        refusal(prepared()[name])


@ways
def test_a_compiled_network_is_packed_anew(again):
    network, x = byte_network(), np.random.default_rng(0).integers(0, 256, (3, 4))
    compiled = again(network.compiled)
    assert compiled.instructions.words.ctypes.data % 64 == 0
    assert np.array_equal(compiled.logits(x), network.logits(x))


def test_a_state_that_is_set_leaves_nothing_of_the_one_before():
    network, other = byte_network(), IntNetwork((1,), IntDomain(0, 1), (Dense([[5]], [6]),))
    assert network.compiled is not None
    network.__setstate__(other.__getstate__())
    assert network.logits([[1]], "numba").tolist() == [[11]]


def test_a_pickle_of_an_earlier_version_is_proved_as_well():
    network = byte_network()
    again = IntNetwork.__new__(IntNetwork)
    # Such pickles hold every attribute, as it was on the processor that wrote them.
    again.__setstate__({**vars(network), "bounds": (0,), "compiled": "code for another processor"})
    assert again.bounds == network.bounds
    assert again.compiled is not None
    assert np.array_equal(again.logits([[1, 2, 3, 4]], "numba"), network.logits([[1, 2, 3, 4]]))
