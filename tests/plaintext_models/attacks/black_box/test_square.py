"""The Square attack: within its ball, and all of it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.attacks.black_box.square import _pattern, square
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from tests.plaintext_models.attacks.soundness import (
    cases,
    in_ball,
    require_counted,
    require_repeatable,
    require_sound,
    success_rate,
)

norms = st.sampled_from(("linf", "l2"))


@settings(max_examples=40)
@given(cases(), norms, st.floats(0, 5), st.integers(0, 20), st.floats(0.01, 1), st.integers(0, 9))
def test_is_sound(case, norm, radius, steps, area, seed):
    def attack(target):
        arguments = {"ball": Ball(norm, radius), "steps": steps, "area": area, "seed": seed}
        return square(target, case.images, case.goal, **arguments)

    result = require_repeatable(lambda: attack(case.oracle))
    require_sound(case.oracle, case.images, case.goal, result, norm=norm, radius=radius)
    require_counted(case, case.oracle, attack)
    attacked = result.queries > 0
    assert torch.equal(result.queries[attacked], result.iterations[attacked] + 1)


@settings(max_examples=10)
@given(cases(), norms)
def test_nothing_moves_within_no_radius(case, norm):
    assert torch.equal(square(case.oracle, case.images, case.goal, Ball(norm, 0), steps=5).x_adv, case.images)


@pytest.mark.parametrize(
    ("norm", "radius", "targeted", "least"),
    [("linf", 0.2, False, 0.95), ("linf", 0.3, True, 0.75), ("l2", 1.0, False, 0.75), ("l2", 2.0, True, 0.75)],
)
def test_fools_a_network(net, held_out, norm, radius, targeted, least):
    images, labels = held_out
    goal = Goal(labels, (labels + 1) % 10 if targeted else None)
    result = square(Target.oracle(net), images, goal, Ball(norm, radius), steps=500)
    assert success_rate(result, result.queries > 0) >= least


def test_an_l2_attack_uses_all_of_the_radius():
    # grey images, far from the bounds; a target that nothing reaches, but that likes the upper left
    seen = []

    def answers(images):
        seen.append(images)
        return torch.stack([torch.full((len(images),), 99.0), images[:, :, :4, :4].sum((1, 2, 3))], 1)

    images = torch.full((2, 3, 8, 8), 0.5)
    square(Target.oracle(answers), images, Goal(torch.tensor([0, 0])), Ball("l2", 0.5), steps=50)
    # first the check and its two probes, last the verdict
    used = torch.linalg.vector_norm((torch.stack(seen[3:-1]) - 0.5).flatten(2), dim=2)
    torch.testing.assert_close(used, torch.full_like(used, 0.5))  # of float32 sums


@pytest.mark.parametrize("side", range(1, 8))
def test_a_pattern_is_a_hill_beside_a_valley(side):
    pattern = _pattern(20, side, torch.Generator().manual_seed(0)).reshape(20, side, side)
    assert math.isclose(float(pattern[0].square().sum()), 1, rel_tol=1e-5)  # a sum in float32
    shapes = {tuple(part.sign().flatten().tolist()) for part in pattern}
    assert len(shapes) == (1 if side == 1 else 2)  # upright and lying
    if side == 5:
        upright = pattern[(pattern[:, 2, 1] > 0) & (pattern[:, 2, 3] < 0)][0]
        # rings of 1/9, 1/4 and 1 around the middle row, by the paper's equation
        expected = torch.tensor([1 / 9, 1 / 9 + 1 / 4, 1 / 9 + 1 / 4 + 1, 1 / 9 + 1 / 4, 1 / 9])
        torch.testing.assert_close(upright[:, 1] / upright[2, 1], expected / expected[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radius": 0.1, "norm": "l1"}, "`norm` must be one of linf, l2, got 'l1'"),
        ({"radius": -1}, "`radius` must be a number from 0, got -1"),
        ({"radius": 0.1, "area": 0}, "`area` must be above 0, up to 1, got 0"),
        ({"radius": 0.1, "steps": -1}, "`steps`"),
    ],
)
def test_refuses(net, held_out, arguments, message):
    with pytest.raises(ValueError, match=message):
        square(Target(net), held_out[0], Goal(held_out[1]), **in_ball(**arguments))
