"""Range guards as a client sees them: limits, copies, the first one exceeded, and what an interface says of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he import Interface, RangeError, compile_approximate, compile_exact, run_encrypted, simulate
from he.circuit.guards import RangeGuard, answers_in_range, images_outside
from he.circuit.packing import Packing, PackingError
from he.testing import square_graph, table_network
from intnn import Activation, Dense, Graph
from tests.he.parties.test_ranges import WIDE, deep

PACKING = Packing(1, 32, 4)


def slots(*by_lane):
    """The slots of guards whose values differ from lane to lane: every lane has eight copies."""
    return np.stack([np.tile(np.array(values, float), 8) for values in by_lane])


@pytest.fixture(scope="module")
def guarded():
    graph, samples = deep(3, 8, 1)
    return compile_approximate(graph, samples, input_range=WIDE, ranges="calibrated", security="insecure")


@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4), st.floats(0.25, 4))
def test_images_beyond_the_limit_are_named(values, scale):
    guard = RangeGuard(1.0, scale * 8)
    found = images_outside([guard], PACKING, slots(values) * scale, 8.0, 4)
    assert found == [lane for lane, value in enumerate(values) if not abs(value * scale / scale) <= 1 + 1e-12]


def test_the_first_guard_that_is_exceeded_counts_and_what_follows_is_not_looked_at():
    guards = [RangeGuard(1.0, 1.0)] * 2
    noise = np.random.default_rng(0).normal(size=(1, 32)) * 100  # copies that disagree
    noise[0, :4] = 0  # the first ones, which alone are shown
    assert images_outside(guards, PACKING, np.concatenate([slots([0, 3, 0, 0]), noise]), 1.0, 4) == [1]
    with pytest.raises(PackingError):
        images_outside(guards, PACKING, np.concatenate([slots([0, 0, 0, 0]), noise]), 1.0, 4)
    assert images_outside(guards, PACKING, slots([0, 0.9, 0, 0], [0, 0, 1.1, 1.2]), 1.0, 4) == [2, 3]


def test_copies_of_what_is_far_outside_may_disagree_and_others_may_not():
    """The errors of an image far outside are as large as it: its copies disagreed, and a sound answer was forged."""
    guards, disagreeing = [RangeGuard(1.0, 1.0)], slots([0, 1e6, 0, 0])
    disagreeing[0, ::3] += 7
    disagreeing[0, :4] = 0, 1e6, 0, 0
    assert images_outside(guards, PACKING, disagreeing, 1.0, 4) == [1]
    disagreeing[0, 1] = 0.5
    with pytest.raises(PackingError):
        images_outside(guards, PACKING, disagreeing, 1.0, 4)


def test_what_is_no_number_is_outside():
    assert images_outside([RangeGuard(1.0, 1.0)], PACKING, slots([0, 1e300, 0, 0]), 1.0, 4) == [1]
    with pytest.raises(PackingError):
        images_outside([RangeGuard(1.0, 1.0)], PACKING, slots([0, np.nan, 0, 0]), 1.0, 4)


@pytest.mark.parametrize("numbers", [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.0), (np.inf, 1.0), (1.0, np.nan), ("1", 1.0)])
def test_guards_are_of_positive_numbers(numbers):
    with pytest.raises(ValueError, match="a guard's `limit` and `scale` must be positive and finite"):
        RangeGuard(*numbers)


def test_an_interface_tells_of_its_guards_and_is_read_as_it_was(guarded):
    interface = guarded.interface
    assert len(interface.guards) >= 2
    assert interface.ciphertexts == interface.output.ciphertexts + len(interface.guards) == len(interface.scales)
    again = Interface.from_dict(json.loads(json.dumps(interface.to_dict())), interface.tables)
    assert again.digest == interface.digest
    assert again.guards == interface.guards
    for guard in interface.guards:  # rounded, so that they tell little of weights
        assert np.log2(guard.limit / 0.75) == round(np.log2(guard.limit / 0.75))


@pytest.mark.parametrize("written", [[[1.0]], [[1.0, 2.0, 3.0]], [1.0, 2.0], "guards", [[0.0, 1.0]], [[True, 1.0]], 3])
def test_malformed_guards_are_refused(guarded, written):
    fields = {**guarded.interface.to_dict(), "guards": written}
    with pytest.raises(ValueError, match=r"guard|list|malformed"):
        Interface.from_dict(fields, guarded.interface.tables)


def test_exact_and_private_circuits_have_none():
    guard = RangeGuard(1.0, 1.0)
    exact = compile_exact(table_network(), security="insecure").interface
    private = compile_approximate(square_graph(), circuit_privacy=6, security="insecure").interface
    for interface in (exact, private):
        assert "guards" not in interface.to_dict()  # digests are as they were
        with pytest.raises(
            ValueError, match="`guards` must be those of a CKKS circuit whose answers are not re-random"
        ):
            replace(interface, guards=(guard,))


def test_a_circuit_has_the_guards_of_its_program(guarded):
    with pytest.raises(ValueError, match=r"its outputs are .*, got|its guards are"):
        replace(guarded, interface=replace(guarded.interface, guards=guarded.interface.guards[:1]))


def test_an_error_names_its_images():
    error = RangeError([3, 5])
    assert error.images == (3, 5)
    assert "images [3, 5] of the batch left the range" in str(error)


@given(st.lists(st.lists(st.sampled_from([-1, 1, 2]), min_size=1, max_size=5), min_size=1, max_size=4))
def test_images_in_range_are_answered_by_whatever_takes_them(batches):
    """Images of 2 exceed the first guard, those of 1 the second one, which is shown where no other image exceeds it."""
    asked = []

    def answer(batch):
        asked.append(batch.tolist())
        for guard in (2, 1):
            if (batch == guard).any():
                raise RangeError(np.flatnonzero(batch == guard).tolist())
        return batch[:, None] * 10

    x = np.concatenate(batches)
    outside = np.flatnonzero(x > 0).tolist()
    split = [np.array(batch) for batch in batches]
    if not outside:
        assert (answers_in_range(split, answer) == -10).all()
        return
    with pytest.raises(RangeError) as refusal:
        answers_in_range(split, answer)
    assert refusal.value.images == tuple(outside)
    if len(outside) == len(x):
        assert refusal.value.answers is None
    else:
        assert refusal.value.answers.tolist() == [[-10]] * (len(x) - len(outside))
    assert len(asked) <= 3 * len(batches)


def test_a_lane_without_an_image_names_the_one_that_it_repeats():
    assert images_outside([RangeGuard(1.0, 1.0)], PACKING, slots([0, 0, 0, 3]), 1.0, 3) == [0]
    assert images_outside([RangeGuard(1.0, 1.0)], PACKING, slots([0, 3, 0, 3]), 1.0, 2) == [1]


def test_lanes_without_an_image_do_not_refuse_what_lies_far_from_zero():
    """They held zeros, for which guards had to be wide: nothing like the samples, where features are scaled."""
    rng = np.random.default_rng(0)
    first, last = rng.normal(size=(8, 8)), rng.normal(size=(2, 8))
    bias = -first.sum(axis=1) * 8.0  # units are small near the samples alone
    graph = Graph((8,), (Dense(first, bias), Activation("square"), Dense(last, np.zeros(2))))
    samples = 8.0 + rng.normal(size=(50, 8)) / 10
    options = {"input_range": (-16.0, 16.0), "ranges": "calibrated", "images": 4, "security": "insecure"}
    circuit = compile_approximate(graph, samples, **options)
    assert run_encrypted(circuit, samples[:3]) == pytest.approx(graph.logits(samples[:3]), abs=0.2)
    for answer in (run_encrypted, simulate):
        with pytest.raises(RangeError) as refusal:
            answer(circuit, np.stack([samples[0], np.zeros(8)]))
        assert refusal.value.images == (1,)
