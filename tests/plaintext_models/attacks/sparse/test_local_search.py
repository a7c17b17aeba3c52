"""Local search: few pixels, and an end."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.sparse.local_search import local_search
from tests.plaintext_models.attacks.soundness import (
    cases,
    in_ball,
    require_counted,
    require_repeatable,
    require_sound,
    success_rate,
)


@settings(max_examples=30)
@given(
    cases(),
    st.floats(0, 2),
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(0, 4),
    st.floats(0, 1),
    st.integers(0, 9),
)
def test_is_sound(case, factor, chosen, distance, rounds, fraction, seed):
    arguments = {"factor": factor, "chosen": chosen, "distance": distance, "fraction": fraction, "seed": seed}

    def attack(target):
        return local_search(
            target, case.images, case.goal, Ball("l0", rounds * chosen * case.images.shape[1]), **arguments
        )

    result = require_repeatable(lambda: attack(case.oracle))
    require_sound(case.oracle, case.images, case.goal, result, pixels=chosen * rounds)
    require_counted(case, case.oracle, attack)


def test_ends_when_every_pixel_has_been_changed():
    target = Target.oracle(lambda images: torch.tensor([[1.0, 0.0]]).repeat(len(images), 1))
    images = torch.rand(2, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    result = local_search(target, images, Goal(torch.tensor([0, 0])), Ball("l0", 200), chosen=2)
    assert not result.success.any()
    assert (result.iterations >= 5).all()
    # in every round at most all pixels left, and the changed image
    assert (result.iterations <= 9).all()


@pytest.mark.parametrize("targeted", [False, True])
def test_fools_a_network(net, held_out, targeted):
    images, labels = held_out
    goal = Goal(labels, (labels + 1) % 10 if targeted else None)
    result = local_search(Target.oracle(net), images, goal, Ball("l0", 750))
    assert success_rate(result, result.queries > 0) > 0.95


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 2.5}, "`factor` must be from 0 to 2, got 2.5"),
        ({"fraction": -1}, "`fraction` must be from 0 to 1, got -1"),
        ({"chosen": 0}, "`chosen`"),
        ({"distance": 0}, "`distance`"),
        ({"radius": -1}, "`radius` must be a number from 0, got -1"),
        ({"norm": "linf"}, "`norm` must be one of l0, got 'linf'"),
    ],
)
def test_refuses(net, held_out, arguments, message):
    with pytest.raises(ValueError, match=message):
        local_search(Target(net), held_out[0], Goal(held_out[1]), **in_ball(**{"radius": 9, "norm": "l0", **arguments}))
