"""One perturbation: in its ball, and good on images it was not made on."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.attacks.core.ball import NORMS, Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.norms import lengths
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.population.universal import fooling_rate, image_by_image, universal
from tests.plaintext_models.attacks.soundness import cases, in_ball, require_repeatable, require_sound, success_rate


@settings(max_examples=30)
@given(cases(), st.sampled_from(NORMS), st.floats(0, 5), st.integers(1, 3), st.integers(1, 6), st.integers(0, 9))
def test_is_sound(case, norm, radius, epochs, batch_size, seed):
    made = require_repeatable_universal(case, ball=Ball(norm, radius), epochs=epochs, batch_size=batch_size, seed=seed)
    assert made.perturbation.shape == case.images.shape[1:]
    # float32 sums of up to 147 elements
    assert lengths(made.perturbation[None], norm) <= radius * (1 + 1e-5) + 1e-6
    result = require_repeatable(lambda: made.apply(case.oracle, case.images, case.goal))
    require_sound(case.oracle, case.images, case.goal, result, norm=norm, radius=radius)
    unreached = ~case.goal.reached(case.model(case.images))
    assert fooling_rate(case.oracle, case.images, case.goal, made.perturbation) == pytest.approx(
        made.fooling_rate, nan_ok=True
    )
    assert math.isnan(made.fooling_rate) == (not unreached.any())
    if unreached.any():
        assert float(result.success[unreached].double().mean()) == pytest.approx(made.fooling_rate)


def require_repeatable_universal(case, **arguments):
    """As `require_repeatable`, of a result that is not all tensors."""
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        made.append(universal(case.target, case.images, case.goal, **arguments))
    assert torch.equal(made[0].perturbation, made[1].perturbation)
    return made[0]


@pytest.mark.parametrize(("norm", "radius", "least"), [("linf", 0.3, 0.6), ("l2", 2.0, 0.6), ("l1", 9.0, 0.6)])
def test_fools_on_images_it_has_not_seen(net, seen, held_out, norm, radius, least):
    made = universal(Target(net), seen[0], Goal(seen[1]), Ball(norm, radius))
    assert made.fooling_rate > least
    images, labels = held_out
    attacked = net(images).argmax(1) == labels
    assert success_rate(made.apply(Target.oracle(net), images, Goal(labels)), attacked) > least


def test_leads_to_one_class(net, seen, held_out):
    rates = []
    for images, labels in (seen, held_out):
        others = labels != 3
        goal = Goal(labels[others], torch.full_like(labels[others], 3))
        if not rates:
            made = universal(Target(net), images[others], goal, Ball("linf", 0.35))
        rates.append(fooling_rate(Target(net), images[others], goal, made.perturbation))
    assert rates[0] == made.fooling_rate
    assert min(rates) > 0.7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radius": -1}, "`radius` must be a number from 0, got -1"),
        ({"radius": 1, "norm": "l0"}, "`norm` must be one of l1, l2, linf, got 'l0'"),
        ({"radius": 1, "epochs": 0}, "`epochs`"),
        ({"radius": 1, "batch_size": 0}, "`batch_size`"),
        ({"radius": 1, "step": 0}, "`step` must be a number above 0, got 0"),
    ],
)
def test_refuses(net, held_out, arguments, message):
    with pytest.raises(ValueError, match=message):
        universal(Target(net), held_out[0], Goal(held_out[1]), **in_ball(**arguments))


@pytest.mark.parametrize(("norm", "radius"), [("linf", 0.3), ("l2", 2.0)])
def test_image_by_image(net, seen, held_out, norm, radius):
    some = seen[0][:60], Goal(seen[1][:60])
    made = image_by_image(Target(net), *some, Ball(norm, radius), rate=0.5, epochs=5)
    assert lengths(made.perturbation[None], norm) <= radius * (1 + 1e-5)
    assert made.fooling_rate == fooling_rate(Target(net), *some, made.perturbation)
    assert made.fooling_rate >= 0.5
    noise = torch.randn(made.perturbation.shape, generator=torch.Generator().manual_seed(0))
    noise = noise.sign() * radius if norm == "linf" else noise / noise.norm() * radius
    unseen = held_out[0], Goal(held_out[1])
    assert fooling_rate(Target(net), *unseen, made.perturbation) > fooling_rate(Target(net), *unseen, noise) + 0.1
    again = image_by_image(Target(net), *some, Ball(norm, radius), rate=0.5, epochs=5)
    assert torch.equal(again.perturbation, made.perturbation)


def test_image_by_image_refuses(net, held_out):
    for wrong in ({"rate": 0}, {"epochs": 0}, {"steps": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            image_by_image(Target(net), held_out[0], Goal(held_out[1]), Ball("linf", 0.1), **wrong)
