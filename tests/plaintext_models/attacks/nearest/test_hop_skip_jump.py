"""HopSkipJump: sound, counted, and near to what gradients find, by the class alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.norms import lengths
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.nearest.carlini_wagner import carlini_wagner
from plaintext_models.attacks.nearest.hop_skip_jump import hop_skip_jump
from tests.plaintext_models.attacks.soundness import cases, require_counted, require_repeatable, require_sound

norms = pytest.mark.parametrize("norm", ["l2", "linf"])


@norms
@pytest.mark.parametrize("targeted", [False, True])
def test_decisions_are_nearly_as_good_as_gradients(net, held_out, norm, targeted):
    images = held_out[0][:20]
    labels = net(images).argmax(1)
    goal = Goal(labels, (labels + 1) % 10 if targeted else None)
    found = hop_skip_jump(Target.decisions(lambda x: net(x).argmax(1), 10), images, goal, norm)
    best = carlini_wagner(Target(net), images, goal, norm)
    assert found.success.all()
    ratio = lengths(found.x_adv - images, norm) / lengths(best.x_adv - images, norm)
    assert ratio.median() < 1.25
    assert found.queries.float().mean() < 7000


@norms
@settings(max_examples=15)
@given(case=cases(), seed=st.integers(0, 100))
def test_is_sound(norm, case, seed):
    target = Target.decisions(lambda x: case.model(x).argmax(1), case.model.second.shape[1], bounds=case.bounds)

    def attack(target):
        return hop_skip_jump(target, case.images, case.goal, norm, steps=2, draws=8, tries=5, seed=seed)

    result = require_repeatable(lambda: attack(target))
    require_sound(target, case.images, case.goal, result)
    require_counted(case, target, attack)


@norms
def test_a_plane_is_met_at_its_nearest_point(norm):
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(16, generator=generator)
    images = 0.5 + 0.05 * torch.randn(6, 1, 4, 4, generator=generator)
    target = Target.decisions(lambda x: ((x - 0.5).flatten(1) @ weights > 0).long(), 2)
    labels = ((images - 0.5).flatten(1) @ weights > 0).long()
    result = hop_skip_jump(target, images, Goal(labels), norm, steps=40)
    dual = weights.norm() if norm == "l2" else weights.abs().sum()
    exact = ((images - 0.5).flatten(1) @ weights).abs() / dual
    assert result.success.all()
    ratio = lengths(result.x_adv - images, norm) / exact
    assert (ratio > 1 - 1e-4).all()  # of float32 sums
    assert ratio.median() < 1.2


def test_starts_are_used(net, held_out):
    images, labels = held_out
    goal, one = Goal(torch.tensor([0]), torch.tensor([7])), images[labels == 0][:1]
    target = Target.decisions(lambda x: net(x).argmax(1), 10)
    alone = hop_skip_jump(target, one, goal, "l2", steps=2, tries=3)
    assert not alone.success.any()
    assert torch.equal(alone.x_adv, one)
    given = hop_skip_jump(target, one, goal, "l2", steps=2, tries=0, starts=images[labels == 7].numpy())
    assert given.success.all()
    with pytest.raises(ValueError, match=r"`starts` must be \[n, 1, 8, 8\], got \(3, 64\)"):
        hop_skip_jump(target, one, goal, "l2", starts=images[:3].flatten(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"norm": "l1"}, "`norm` must be one of l2, linf"),
        ({"steps": -1}, "`steps`"),
        ({"draws": 1}, "`draws`"),
        ({"tries": -1}, "`tries`"),
    ],
)
def test_refuses(net, held_out, arguments, message):
    with pytest.raises(ValueError, match=message):
        hop_skip_jump(Target(net), held_out[0][:2], Goal(held_out[1][:2]), **{"norm": "l2"} | arguments)


def test_decisions_are_classes(net, held_out):
    images, labels = (part[:3] for part in held_out)
    for answers, error, message in (
        (lambda x: net(x), TypeError, "`answers` must be integers, got torch.float32"),
        (lambda x: net(x).argmax(1) + 10, ValueError, "`answers` must be from 0 to 9"),
        (lambda x: net(x).argmax(1)[:, None], ValueError, r"`answers` must be a class an image, got \(3, 1\) for 3"),
    ):
        with pytest.raises(error, match=message):
            hop_skip_jump(Target.decisions(answers, 10), images, Goal(labels), "l2")
    with pytest.raises(ValueError, match="`classes`"):
        Target.decisions(lambda x: x, 1)
    lists = Target.decisions(lambda x: net(x).argmax(1).tolist(), 10)
    assert hop_skip_jump(lists, images, Goal(labels), "l2", steps=1).success.all()
    assert Ball("l2", 1) == Ball("l2", 1.0)
