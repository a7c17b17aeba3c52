"""Sound engines keep their promises; every other engine here breaks one, and is found out."""

import numpy as np
import pytest

from he import compile_approximate, compile_exact
from he.engines.rns.engine import RnsEngine
from he.engines.seal.engine import SealEngine
from he.formats.compact import Form
from he.testing import engine_keeps_its_promises, promises, square_graph, table_network

NETWORK = table_network()
CIRCUIT = compile_exact(NETWORK, images=2, security="insecure")
GRAPH = square_graph()
APPROXIMATE = compile_approximate(GRAPH, images=2, security="insecure")


class Wrapped:
    """An engine around the fast one, whose evaluations, arrays and keys can be tampered with."""

    name = "wrapped"

    def prepare(self, circuit, threads=None):
        return self.wrapped(RnsEngine().prepare(circuit, threads))

    def restore(self, circuit, arrays):
        return self.wrapped(RnsEngine().restore(circuit, arrays))

    def wrapped(self, prepared):
        bind, arrays, prepared.name = prepared.bind, prepared.arrays, self.name
        prepared.bind = lambda *keys: self.bound(bind, keys)
        prepared.arrays = lambda: self.stored(arrays())
        return prepared

    def bound(self, bind, keys):
        evaluator = bind(*keys)
        evaluator.evaluate = self.tampered(evaluator.evaluate)
        return evaluator

    def tampered(self, evaluate):
        return evaluate

    def stored(self, arrays):
        return arrays


class Derived(SealEngine):
    name = "derived"


@pytest.mark.parametrize("engine", [RnsEngine(), SealEngine(), Wrapped(), Derived()], ids=lambda engine: engine.name)
@pytest.mark.parametrize(
    ("network", "circuit"), [(NETWORK, CIRCUIT), (GRAPH, APPROXIMATE)], ids=["exact", "approximate"]
)
def test_sound_engines_pass(engine, network, circuit):
    engine_keeps_its_promises(engine, circuit, network)


def test_a_linear_circuit_without_keys_passes():
    linear = type(NETWORK)(NETWORK.input_shape, NETWORK.input_domain, NETWORK.layers[:1])
    circuit = compile_exact(linear, images=3, security="insecure", packing="throughput")
    engine_keeps_its_promises(RnsEngine(), circuit, linear)
    engine_keeps_its_promises(SealEngine(), circuit, linear)


class Stuck(Wrapped):
    """Answers everything with its first answer."""

    def tampered(self, evaluate):
        first = []

        def answer(inputs):
            first.append(evaluate(inputs))
            return first[0]

        return answer


class Tired(Wrapped):
    """Is wrong from the third call of a session on."""

    def tampered(self, evaluate):
        answers = []

        def answer(inputs):
            answers.append(evaluate(inputs))
            return answers[-1 if len(answers) < 3 else 0]

        return answer


class Restless(Wrapped):
    """Answers every other request by SEAL: the same request has two answers, both of them right."""

    def bound(self, bind, keys):
        evaluator = bind(*keys)
        ours, theirs, count = evaluator.evaluate, SealEngine().prepare(CIRCUIT).bind(*keys).evaluate, []

        def answer(inputs):
            count.append(0)
            return (ours, theirs)[len(count) % 2](inputs)

        evaluator.evaluate = answer
        return evaluator


class Crashing(Wrapped):
    """Fails at the second request."""

    def tampered(self, evaluate):
        count = []

        def answer(inputs):
            count.append(0)
            if len(count) == 2:
                raise RuntimeError("crash")
            return evaluate(inputs)

        return answer


class Careless(Wrapped):
    """Gives its last answer for certain inputs that it cannot read, or raises what it is told to."""

    def __init__(self, does_trust, error=None):
        self.does_trust, self.error = does_trust, error

    def tampered(self, evaluate):
        answers = []

        def answer(inputs):
            try:
                answers.append(evaluate(inputs))
            except ValueError:
                if not self.does_trust(inputs):
                    raise
                if self.error:
                    raise self.error from None
            return answers[-1]

        return answer


PARTS, LENGTH = len(CIRCUIT.program.inputs), Form.fresh(CIRCUIT.parameters).bytes


def damaged(inputs):
    return len(inputs) == PARTS and all(inputs)


class Keyless(Wrapped):
    """Takes the last keys that it was given where there are none, or fails."""

    last = None

    def __init__(self, does_fail):
        self.does_fail = does_fail

    def bound(self, bind, keys):
        if not keys[0]:
            if self.does_fail:
                raise KeyError("no key")
            keys = self.last
        evaluator = super().bound(bind, keys)
        self.last = keys
        return evaluator


class Open(Wrapped):
    """Has no door: prepares a circuit that it knows in place of one that it refuses."""

    def prepare(self, circuit, threads=None):
        try:
            return super().prepare(circuit, threads)
        except ValueError:
            return super().prepare(CIRCUIT, threads)


class OpenAtTheBack(Wrapped):
    """The same, with circuits that are restored."""

    def restore(self, circuit, arrays):
        try:
            return super().restore(circuit, arrays)
        except ValueError:
            return super().prepare(CIRCUIT)


class Crumbling(Wrapped):
    """Cannot restore."""

    def restore(self, circuit, arrays):
        raise RuntimeError("lost")


class Confused(Wrapped):
    """Restores weights that are not those of the circuit."""

    def restore(self, circuit, arrays):
        zeros = {name: np.zeros_like(array) for name, array in arrays.items()}
        return super().restore(circuit, {**zeros, "layout": arrays["layout"]})


class Indifferent(Wrapped):
    """Stores arrays, and restores without a look at them."""

    def restore(self, circuit, arrays):
        return self.prepare(circuit)


class Illegible(Wrapped):
    """Stores arrays of a type that files do not hold, and does not need them."""

    def stored(self, arrays):
        return {"weights": np.array([None])}

    def restore(self, circuit, arrays):
        return self.prepare(circuit)


class Rubbish(Wrapped):
    """Stores what are no arrays, and does not need them."""

    def stored(self, arrays):
        return {"weights": "rubbish"}

    def restore(self, circuit, arrays):
        return self.prepare(circuit)


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (Stuck(), r"logit \(\d, \d\) must be|different requests must have different answers|DecryptionError"),
        (Tired(), r"logit \(\d, \d\) must be|different requests must have different answers|DecryptionError"),
        (Restless(), "the same request must have the same bytes"),
        (Crashing(), r"the circuit must be prepared and evaluated, got RuntimeError\('crash'\)"),
        (Careless(lambda inputs: not inputs), "no inputs must be refused, got"),
        (Careless(lambda inputs: len(inputs) > PARTS), "too many inputs must be refused, got"),
        (Careless(lambda inputs: inputs and not any(inputs)), "empty inputs must be refused, got"),
        (Careless(lambda inputs: inputs and not any(inputs), KeyError()), r"empty inputs must .*, got KeyError\(\)"),
        (Careless(damaged), "foreign bytes must be refused, got"),
        (Careless(lambda inputs: damaged(inputs) and inputs[0] != b"foreign"), "cut short must be refused, got"),
        (Careless(lambda inputs: damaged(inputs) and len(inputs[0]) > LENGTH + 1), "without a seed must be refused"),
        (Keyless(False), "no keys must be refused, got"),
        (Keyless(True), r"no keys must be refused with a ValueError, got KeyError\('no key'\)"),
        (Open(), "inputs in the clear must be refused, got"),
        (OpenAtTheBack(), "no stored arrays must be refused, got"),
        (Crumbling(), r"must be stored and restored, got RuntimeError\('lost'\)"),
        (Confused(), "must be stored and restored, and give the same answers"),
        (Indifferent(), "no stored arrays must be refused, got"),
        (Illegible(), "must be stored and restored, got StoredError"),
        (Rubbish(), "must be stored and restored, got AttributeError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Wrapped) else None,
)
def test_faulty_engines_are_found_out(engine, message):
    with pytest.raises(AssertionError, match=f"engine wrapped: .*({message})"):
        engine_keeps_its_promises(engine, CIRCUIT, NETWORK)


class Nameless(Wrapped):
    """Stores its circuits under the name of another engine."""

    def wrapped(self, prepared):
        prepared.name = "rns"
        return prepared


def test_an_engine_that_stores_under_another_name_is_found_out():
    with pytest.raises(AssertionError, match="must be stored and restored, got StoredError"):
        engine_keeps_its_promises(Nameless(), CIRCUIT, NETWORK)


@pytest.mark.parametrize("wrong", ["in the clear", "more primes than there are", "not been placed"])
@pytest.mark.parametrize(
    ("network", "circuit"), [(NETWORK, CIRCUIT), (GRAPH, APPROXIMATE)], ids=["exact", "approximate"]
)
def test_every_part_of_the_door_is_tried(monkeypatch, network, circuit, wrong):
    """An engine that lets one wrong circuit pass, and refuses the others, is found out by that one."""
    every = promises._wrong_circuits
    monkeypatch.setattr(promises, "_wrong_circuits", lambda c: {k: v for k, v in every(c).items() if wrong in k})

    class OpenToOne(Wrapped):
        def prepare(self, given, threads=None):
            try:
                return super().prepare(given, threads)
            except ValueError:
                return super().prepare(circuit, threads)

    with pytest.raises(AssertionError, match=f"{wrong}.* must be refused, got"):
        engine_keeps_its_promises(OpenToOne(), circuit, network)
