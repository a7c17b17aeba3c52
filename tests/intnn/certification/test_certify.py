"""Certified labels against every input of a ball."""

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import Dense, IntDomain, IntNetwork, Lut, LutActivation, certify, integer_ball
from intnn.testing import int_arrays, int_inputs, int_networks


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(0, 2))
def test_no_input_of_a_certified_ball_has_another_answer(data, steps):
    network = data.draw(int_networks(max_layers=2, dense_only=True))
    x = data.draw(int_inputs(network))
    labels = network.predict(x)
    ball = integer_ball(network, x, steps)
    for method in ("intervals", "lines"):
        certified = certify(network, ball, labels, method).certified
        for row in np.flatnonzero(certified):
            axes = [range(a, b + 1) for a, b in zip(ball.lo[row], ball.hi[row], strict=True)]
            assert (network.predict(np.array(list(product(*axes)))) == labels[row]).all()
    wrong = (labels + 1) % network.logits(x).shape[1]
    assert not certify(network, ball, wrong).certified[wrong != labels].any()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_ball_of_one_input_is_certified_just_where_the_answer_is_right(data):
    network = data.draw(int_networks(max_layers=2))
    x = data.draw(int_inputs(network))
    labels = data.draw(int_arrays((len(x),), 0, network.logits(x).shape[1] - 1))
    right = network.predict(x) == labels
    assert certify(network, integer_ball(network, x, 0), labels, "intervals").certified.tolist() == right.tolist()


def test_of_equal_logits_the_first_is_the_answer():
    equal = IntNetwork((1,), IntDomain(0, 1), (Dense(np.zeros((3, 1), int), np.zeros(3, int)),))
    ball = integer_ball(equal, np.array([[0], [0], [0]]), 1)
    assert certify(equal, ball, [0, 1, 2]).certified.tolist() == [True, False, False]


def test_a_certificate_keeps_the_labels_that_it_was_asked_for():
    network = IntNetwork((1,), IntDomain(0, 3), (Dense(np.zeros((2, 1), int), np.array([0, 5])),))
    labels = np.array([1])
    certificate = certify(network, integer_ball(network, np.array([[1]]), 1), labels)
    labels[0] = 0
    assert certificate.labels.tolist() == [1]


def test_many_boxes_are_as_good_as_one_at_a_time():
    rng = np.random.default_rng(0)
    layers = (
        Dense(rng.integers(-3, 4, (40, 30)), np.zeros(40, int)),
        LutActivation(Lut(IntDomain(-200, 200), np.maximum(np.arange(-200, 201) // 8, 0))),
        Dense(rng.integers(-9, 10, (5, 40)), np.zeros(5, int)),
    )
    network = IntNetwork((30,), IntDomain(0, 1), layers)
    x = rng.integers(0, 2, (60, 30))
    labels, ball = network.predict(x), integer_ball(network, x, 0)
    hi = ball.hi.copy()
    hi[:, :3] = 1
    ball = type(ball)(ball.lo, hi)
    together = certify(network, ball, labels)
    for row in range(len(x)):
        alone = certify(network, type(ball)(ball.lo[[row]], hi[[row]]), labels[[row]])
        assert alone.margins[0].tolist() == together.margins[row].tolist()
    assert 0 < together.certified.sum() < len(x)
    assert (together.margins >= certify(network, ball, labels, "intervals").margins).all()
