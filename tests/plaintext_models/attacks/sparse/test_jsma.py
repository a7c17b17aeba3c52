"""The saliency map attack: few elements, and the pair that the paper names."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.sparse.jsma import jsma, salient_pairs
from tests.plaintext_models.attacks.soundness import (
    cases,
    in_ball,
    require_counted,
    require_repeatable,
    require_sound,
    success_rate,
)


@settings(max_examples=30)
@given(cases(), st.sampled_from((-2.0, -0.3, 0.3, 1.0)), st.floats(0, 1))
def test_is_sound(case, theta, gamma):
    def attack(target):
        return jsma(target, case.images, case.goal, Ball("l0", gamma * case.images[0].numel()), theta=theta)

    result = require_repeatable(lambda: attack(case.target))
    require_sound(case.target, case.images, case.goal, result, norm="l0", radius=gamma * case.images[0].numel())
    require_counted(case, case.target, attack)
    change = result.x_adv - case.images
    assert (change * theta >= 0).all()
    if not gamma:
        assert torch.equal(result.x_adv, case.images)


@given(st.integers(1, 12), st.sampled_from((0.0, 0.9, 2.0)), st.booleans(), st.integers(0, 2**32))
def test_no_pair_is_more_salient(elements, blocked, ties, seed):
    generator = torch.Generator().manual_seed(seed)
    up, down = torch.randn(2, 4, elements, generator=generator, dtype=torch.float64)
    if ties:
        up, down = up.round(), down.round()
    free = torch.randn(4, elements, generator=generator) > blocked - 1.0 if blocked else torch.ones(4, elements) > 0
    up, down = (values.where(free, -torch.inf) for values in (up, down))
    pairs, found = salient_pairs(up, down)
    for row in range(4):
        best = 0.0
        for p, q in itertools.combinations(free[row].nonzero().flatten().tolist(), 2):
            a, b = float(up[row, p] + up[row, q]), float(down[row, p] + down[row, q])
            best = max(best, a * b if a > 0 and b > 0 else 0.0)
        assert bool(found[row]) == (best > 0)
        if best:
            assert pairs[row, 0] != pairs[row, 1]
            assert float(up[row, pairs[row]].sum() * down[row, pairs[row]].sum()) == best


def test_takes_the_pair_that_the_saliency_map_names():
    # logits: rise (1, 3, 2, -1), rest (-1, -1, -4, 0): of all pairs the second and third have the largest product
    weights = torch.tensor([[1.0, -1.0], [3.0, -1.0], [2.0, -4.0], [-1.0, 0.0]])
    target = Target(lambda images: images @ weights + torch.tensor([-5.0, 0.0]))
    goal = Goal(torch.tensor([1]), torch.tensor([0]))
    result = jsma(target, torch.zeros(1, 4), goal, Ball("l0", 4))
    assert result.x_adv.tolist() == [[0, 1, 1, 0]]
    assert result.iterations.tolist() == [1]
    assert result.queries.tolist() == [3]
    # the third is at its bound already: it stands aside
    full = torch.tensor([[0.0, 0.0, 1.0, 0.0]])
    target = Target(lambda images: images @ weights + torch.tensor([-9.0, 0.0]))
    assert jsma(target, full, goal, Ball("l0", 2)).x_adv.tolist() == [[1, 1, 1, 0]]


def test_gives_up_where_no_pair_helps():
    target = Target(lambda images: torch.stack([images.sum(1), 10 + 2 * images.sum(1)], 1))
    result = jsma(target, torch.zeros(2, 4), Goal(torch.tensor([1, 1])), Ball("l0", 4))
    assert not result.success.any()
    assert result.iterations.tolist() == [0, 0]


@pytest.mark.parametrize(("targeted", "least"), [(False, 0.7), (True, 0.45)])
def test_fools_a_network(net, held_out, targeted, least):
    images, labels = held_out
    goal = Goal(labels, (labels + 1) % 10 if targeted else None)
    result = jsma(Target(net), images, goal, Ball("l0", 0.2 * 64))
    assert success_rate(result, result.iterations > 0) >= least


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radius": 4, "theta": 0}, "`theta` must be a number other than 0, got 0"),
        ({"radius": 4, "theta": float("nan")}, "`theta` must be a number, got nan"),
        ({"radius": -1}, "`radius` must be a number from 0, got -1"),
        ({"radius": 4, "norm": "l2"}, "`norm` must be one of l0, got 'l2'"),
    ],
)
def test_refuses(net, held_out, arguments, message):
    with pytest.raises(ValueError, match=message):
        jsma(Target(net), held_out[0], Goal(held_out[1]), **in_ball(**{"norm": "l0", **arguments}))


def test_needs_gradients(net, held_out):
    with pytest.raises(TypeError, match="answers queries only"):
        jsma(Target.oracle(net), held_out[0], Goal(held_out[1]), Ball("l0", 9))
