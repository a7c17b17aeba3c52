"""Differential evolution: few pixels, and the right ones."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.sparse.few_pixel import few_pixel
from tests.plaintext_models.attacks.soundness import (
    cases,
    in_ball,
    require_counted,
    require_repeatable,
    require_sound,
    success_rate,
)


@settings(max_examples=30)
@given(cases(), st.integers(1, 3), st.integers(3, 8), st.integers(0, 3), st.integers(0, 9))
def test_is_sound(case, pixels, population, generations, seed):
    pixels = min(pixels, case.images[0, 0].numel())

    def attack(target):
        arguments = {"population": population, "generations": generations, "seed": seed}
        return few_pixel(target, case.images, case.goal, Ball("l0", pixels * case.images.shape[1]), **arguments)

    result = require_repeatable(lambda: attack(case.oracle))
    require_sound(case.oracle, case.images, case.goal, result, pixels=pixels)
    require_counted(case, case.oracle, attack)
    assert (result.queries <= population * (generations + 1)).all()


def test_finds_the_one_pixel_that_counts():
    # the last pixel decides, by the sum of its channels
    def answers(images):
        return torch.stack([torch.full((len(images),), 1.5), images[:, :, -1, -1].sum(1)], 1)

    images, labels = torch.zeros(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64)
    result = few_pixel(Target.oracle(answers), images, Goal(labels), Ball("l0", 3), population=100)
    assert result.success.all()
    assert (result.x_adv != images).any(1).nonzero()[:, 1:].tolist() == [[7, 7]] * 4


def test_more_pixels_fool_more(net, held_out):
    images, labels = held_out
    rates = []
    for pixels in (1, 3, 6):
        result = few_pixel(Target.oracle(net), images, Goal(labels), Ball("l0", pixels), population=50, generations=20)
        rates.append(success_rate(result, result.queries > 0))
    assert rates == sorted(rates)
    assert rates[0] > 0.1
    assert rates[-1] > 0.7


def test_evolution_helps(net, held_out):
    images, labels = held_out
    goal = Goal(labels, (labels + 1) % 10)
    evolved, drawn = (
        few_pixel(Target.oracle(net), images, goal, Ball("l0", 5), population=population, generations=generations)
        for population, generations in ((40, 49), (2000, 0))
    )
    assert evolved.success.sum() > drawn.success.sum()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radius": 0}, "`radius` must have room for the 1 elements of a pixel, got 0"),
        ({"radius": 1, "norm": "l1"}, "`norm` must be one of l0, got 'l1'"),
        ({"radius": 1, "population": 2}, "`population`"),
    ],
)
def test_refuses(net, held_out, arguments, message):
    with pytest.raises(ValueError, match=message):
        few_pixel(Target(net), held_out[0], Goal(held_out[1]), **in_ball(**{"norm": "l0", **arguments}))


def test_refuses_what_has_no_pixels(net, held_out):
    with pytest.raises(ValueError, match=r"`images` must be \[batch, channels, height, width\], got \(100, 64\)"):
        few_pixel(Target(net), held_out[0].flatten(1), Goal(held_out[1]), Ball("l0", 1))
