"""The least step along the gradient's sign that fools."""

from functools import partial

import pytest
import torch

from plaintext_models.attacks.ball.pgd import fgsm
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.norms import lengths
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.nearest.growing import growing_fgsm

FOOLBOX_1 = {"steps": 1000, "halvings": 0}


def test_nothing_shorter_on_the_grid_fools(net, held_out):
    images, labels = held_out[0][:30], held_out[1][:30]
    target, goal = Target(net), Goal(labels)
    found = growing_fgsm(target, images, goal, "linf", **FOOLBOX_1)
    length = lengths(found.x_adv - images, "linf")
    assert ((1000 * length - (1000 * length).round()).abs() < 1e-2).all()
    attacked = target.logits(images).argmax(1) == labels
    assert (found.queries[attacked & found.success] == 1 + found.iterations[attacked & found.success]).all()
    for number in range(1, 1000, 41):
        once = fgsm(target, images, goal, Ball("linf", number / 1000))
        assert not (once.success & (number / 1000 < length - 1e-6)).any()
    finer = growing_fgsm(target, images, goal, "linf", steps=1000, halvings=8)
    assert torch.equal(finer.success, found.success)
    shorter = length - lengths(finer.x_adv - images, "linf")
    assert (shorter[attacked & found.success] > -1e-6).all()
    assert (shorter < 1.01e-3).all()
    assert shorter.max() > 5e-4


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
def test_the_distance_of_a_plane_is_exact(norm, dual):
    generator = torch.Generator().manual_seed(0)
    weights, images = torch.randn(20, generator=generator), torch.rand((30, 20), generator=generator)
    target = Target(lambda x: torch.stack([x @ weights, 0 * x[:, 0]], 1), bounds=(-9, 9))
    goal = Goal((images @ weights < 0).long())
    found = growing_fgsm(target, images, goal, norm, steps=50, halvings=20)
    exact = (images @ weights).abs() / weights.norm(p=dual)
    assert found.success.all()
    torch.testing.assert_close(lengths(found.x_adv - images, norm), exact, rtol=1e-3, atol=1e-4)


def test_a_single_draw_is_pleased_sooner_than_many(net, held_out):
    images, labels = held_out[0][:30], held_out[1][:30]
    noisy = Target(lambda x: net(x) + torch.randn(len(x), 10), stochastic=True)
    torch.manual_seed(0)
    attack = partial(growing_fgsm, noisy, images, Goal(labels), "linf", steps=200)
    one, many = (lengths(attack(draws=draws).x_adv - images, "linf").median() for draws in (1, 10))
    assert one < many


def test_numbers_are_checked(net, held_out):
    for wrong in ({"steps": 0}, {"halvings": -1}, {"draws": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            growing_fgsm(Target(net), held_out[0], Goal(held_out[1]), "linf", **wrong)
