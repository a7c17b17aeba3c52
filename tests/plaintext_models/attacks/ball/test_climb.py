"""Gradient attacks within a ball: optima of linear models in closed form, and what more work may not make worse."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.attacks.ball.auto import apgd, apgd_targeted, checkpoints
from plaintext_models.attacks.ball.climb import wrong_classes
from plaintext_models.attacks.ball.least_likely import ilcm, one_step_least_likely
from plaintext_models.attacks.ball.pgd import bim, fgsm, pgd
from plaintext_models.attacks.core.ball import NORMS, Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.losses import margin
from plaintext_models.attacks.core.norms import project
from plaintext_models.attacks.core.target import Target
from tests.plaintext_models.attacks.soundness import (
    cases,
    in_ball,
    require_counted,
    require_repeatable,
    require_sound,
    success_rate,
)

norms = st.sampled_from(NORMS)
ATTACKS = {
    "fgsm": fgsm,
    "bim": partial(bim, steps=4),
    "pgd": partial(pgd, steps=5, restarts=3, seed=3),
    "pgd-margin": partial(pgd, steps=3, step_size=0.7, random_start=False, loss="margin", draws=2, restarts=2),
    "apgd": partial(apgd, steps=6, restarts=2, loss="cross-entropy"),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
@settings(max_examples=25)
@given(cases(), norms, st.floats(0, 4))
def test_is_sound(attack, case, norm, radius):
    attack = partial(attack, images=case.images, goal=case.goal, ball=Ball(norm, radius))
    result = require_repeatable(lambda: attack(case.target))
    require_sound(case.target, case.images, case.goal, result, norm=norm, radius=radius)
    require_counted(case, case.target, attack)
    if not radius:
        assert torch.equal(result.x_adv, case.images)
        assert not result.queries.any()


@settings(max_examples=25)
@given(cases(targeted=False), norms, st.floats(0, 4))
def test_attacks_that_choose_their_targets_are_sound(case, norm, radius):
    labels, wrong = case.goal.labels, wrong_classes(case.target, case.images, case.goal)
    for attack in (ilcm, one_step_least_likely):
        result = require_repeatable(lambda: attack(case.target, case.images, case.goal, Ball(norm, radius)))  # noqa: B023
        require_sound(case.target, case.images, Goal(labels, wrong[:, -1]), result, norm=norm, radius=radius)
    if wrong.shape[1] >= 3:
        attack = partial(apgd_targeted, ball=Ball(norm, radius), images=case.images, goal=case.goal, steps=4, classes=2)
        result = require_repeatable(lambda: attack(case.target))
        require_sound(case.target, case.images, case.goal, result, norm=norm, radius=radius)


def linear(generator, bounds=(-9.0, 9.0), shape=(6, 1, 4, 5)):
    """Images, the weights [20, 2] of a model of two classes that nothing fools, and how its loss grows [20]."""
    low, high = bounds
    images = low + (high - low) * torch.rand(shape, generator=generator)
    weights = torch.randn(20, 2, generator=generator)
    return images, weights, weights[:, 1] - weights[:, 0]


def best(slope, images, norm, radius, bounds):
    """Where a function of this slope is largest in ball and box."""
    if norm != "l1":
        return project(images, images + 1e4 * slope.reshape(images.shape[1:]), norm, radius, bounds)
    # the steepest elements, each up to its bound, as far as the radius goes
    order = slope.abs().argsort(descending=True)
    room = torch.where(slope > 0, bounds[1] - images.flatten(1), images.flatten(1) - bounds[0])[:, order]
    left = (radius - room.cumsum(1) + room).clamp_min(0)
    moves = torch.zeros_like(room).index_copy(1, order, torch.minimum(room, left))
    return images + (slope.sign() * moves).reshape(images.shape)


def climbed(attack, images, weights, bounds):
    """Where an attack that cannot succeed was when its loss was largest."""
    seen = []

    def model(images):
        seen.append(images.detach().clone())
        return images.flatten(1) @ weights + torch.tensor([999.0, 0.0])

    attack(Target(model, bounds=bounds), images, Goal(torch.zeros(len(images), dtype=torch.int64)))
    seen = torch.stack(seen)
    most = (seen.flatten(2) @ (weights[:, 1] - weights[:, 0])).argmax(0)
    return seen[most, torch.arange(len(images))]


# float32 cross-entropy of a margin of hundreds has no gradient: the margin has
PLANE = {"random_start": False, "loss": "margin"}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(3))
def test_one_step_is_the_optimum_of_a_plane(norm, seed):
    # far from the bounds
    images, weights, slope = linear(torch.Generator().manual_seed(seed))
    images = images / 9
    found = climbed(partial(pgd, ball=Ball(norm, 2), steps=1, step_size=2, **PLANE), images, weights, (-9, 9))
    torch.testing.assert_close(found, best(slope, images, norm, 2, (-9, 9)))


@pytest.mark.parametrize(("norm", "tolerance"), [("linf", 1e-6), ("l2", 1e-4), ("l1", 3e-2)])
@pytest.mark.parametrize(
    "attack", [partial(pgd, **PLANE, steps=300, step_size=0.3), partial(apgd, loss="margin", steps=200)]
)
@pytest.mark.parametrize("seed", range(3))
def test_ends_at_the_optimum_of_a_plane_and_a_box(attack, norm, tolerance, seed):
    images, weights, slope = linear(torch.Generator().manual_seed(seed), (0, 1))
    radius = {"linf": 0.3, "l2": 1.5, "l1": 4.0}[norm]
    optimum = (best(slope, images, norm, radius, (0, 1)) - images).flatten(1) @ slope
    found = (climbed(partial(attack, ball=Ball(norm, radius)), images, weights, (0, 1)) - images).flatten(1) @ slope
    # L1 trades what is left of the radius between two elements, step by step
    assert (found <= optimum * (1 + 1e-5)).all()
    assert (found >= optimum * (1 - tolerance)).all()


def test_fgsm_follows_the_sign():
    weights = torch.tensor([[1.0, -1.0], [-2.0, 1.0], [0.5, 0.5]])
    target, images = Target(lambda images: images @ weights), torch.tensor([[0.5, 0.2, 0.5], [0.9, 0.05, 0.1]])
    result = fgsm(target, images, Goal(torch.tensor([0, 0])), Ball("linf", 0.3))
    torch.testing.assert_close(result.x_adv[0], torch.tensor([0.2, 0.5, 0.5]))
    assert result.success.tolist() == [True, False]
    assert torch.equal(result.x_adv[1], images[1])
    assert result.iterations.tolist() == [1, 1]
    assert result.queries.tolist() == [0, 0]  # the only forward before the verdict is also that of the check


@settings(max_examples=30)
@given(cases(), norms, st.floats(0, 4))
def test_a_single_step_of_pgd_is_fgsm(case, norm, radius):
    one = pgd(case.target, case.images, case.goal, Ball(norm, radius), steps=1, step_size=radius, random_start=False)
    for other in (
        fgsm(case.target, case.images, case.goal, Ball(norm, radius)),
        bim(case.target, case.images, case.goal, Ball(norm, radius), steps=1, step_size=radius),
    ):
        assert all(torch.equal(value, getattr(other, name)) for name, value in vars(one).items())


@settings(max_examples=30)
@given(cases(), norms, st.floats(0, 2), st.integers(1, 4), st.booleans(), st.integers(0, 9))
def test_more_work_finds_no_less(case, norm, radius, more, random_start, seed):
    arguments = {"ball": Ball(norm, radius), "step_size": 0.2, "random_start": random_start, "seed": seed}

    def found(**settings):
        return pgd(case.target, case.images, case.goal, **arguments, **settings).success

    assert not (found(steps=3) & ~found(steps=3 + more)).any()
    assert not (found(steps=3) & ~found(steps=3, restarts=1 + more)).any()
    apgds = [
        apgd(case.target, case.images, case.goal, Ball(norm, radius), steps=4, restarts=n, loss="margin").success
        for n in (1, 1 + more)
    ]
    assert not (apgds[0] & ~apgds[1]).any()


def test_leaves_as_soon_as_it_is_fooled():
    # over the edge at 0.5 after one step or three; the rest of the ball is not walked
    sizes = []

    def model(images):
        sizes.append(len(images))
        return torch.stack([torch.zeros(len(images)), images.sum(1) - 0.5], 1)

    images = torch.tensor([[0.45], [0.25], [0.0], [0.9]])
    result = bim(
        Target(model), images, Goal(torch.zeros(4, dtype=torch.int64)), Ball("linf", 0.4), steps=6, step_size=0.1
    )
    torch.testing.assert_close(result.x_adv, torch.tensor([[0.55], [0.55], [0.0], [0.9]]))
    assert result.success.tolist() == [True, True, False, True]
    assert result.iterations.tolist() == [1, 3, 6, 0]
    assert result.queries.tolist() == [1, 3, 5, 0]
    # the check, whose gradient is that of the first step, and its probes; five steps, verdict
    assert sizes == [4, 4, 4, 3, 2, 2, 1, 1, 4]


def test_an_adversarial_image_on_the_way_counts():
    # a spike of the other class that the walk steps onto and would leave again
    def model(images):
        x = images.sum(1)
        return torch.stack([torch.full_like(x, 0.1) - 0.01 * x, torch.where((x - 0.7).abs() < 0.04, x, x - 1)], 1)

    result = bim(
        Target(model), torch.tensor([[0.5]]), Goal(torch.tensor([0])), Ball("linf", 0.4), steps=4, step_size=0.1
    )
    assert result.success.all()
    torch.testing.assert_close(result.x_adv, torch.tensor([[0.7]]))


def test_draws_average_a_stochastic_gradient(digits):
    # gradients point the right way on average only: noise of ten times their length
    slope = torch.linspace(-1, 1, 16)
    generator = torch.Generator().manual_seed(0)

    def model(images):
        noise = 10 * torch.randn(slope.shape, generator=generator)
        return torch.stack(
            [torch.full((len(images),), 2.5), (images - 0.5) @ (slope + noise) - (images.detach() - 0.5) @ noise], 1
        )

    target, images = Target(model, stochastic=True), torch.full((20, 16), 0.5)
    goal = Goal(torch.zeros(20, dtype=torch.int64))
    few, many = (
        pgd(target, images, goal, Ball("linf", 0.4), steps=10, draws=draws, loss="margin", random_start=False)
        for draws in (1, 500)
    )
    assert few.queries.max() <= 10
    assert (many.queries % 500 == 0).all()
    assert not few.success.any()
    assert many.success.all()


@pytest.mark.parametrize(
    ("attack", "norm", "radius", "targeted", "least"),
    [
        (fgsm, "linf", 0.2, False, 0.8),
        (fgsm, "l2", 1.5, False, 0.7),
        (pgd, "linf", 0.15, False, 0.8),
        (pgd, "linf", 0.3, True, 0.85),
        (pgd, "l2", 1.0, False, 0.7),
        (pgd, "l1", 4.0, False, 0.7),
        (partial(pgd, loss="dlr"), "l1", 8.0, True, 0.6),
        (apgd, "linf", 0.15, False, 0.8),
        (apgd, "l2", 2.0, True, 0.7),
        (apgd, "l1", 4.0, False, 0.7),
    ],
)
def test_fools_a_network(net, held_out, attack, norm, radius, targeted, least):
    images, labels = held_out
    goal = Goal(labels, (labels + 1) % 10 if targeted else None)
    result = attack(Target(net), images, goal, Ball(norm, radius))
    assert success_rate(result, result.iterations > 0) >= least


@pytest.mark.parametrize(("norm", "radius"), [("linf", 0.1), ("l2", 0.7), ("l1", 2.5)])
def test_auto_pgd_beats_pgd_and_many_targets_beat_it(net, held_out, norm, radius):
    images, labels = held_out
    arguments = {"ball": Ball(norm, radius), "steps": 40}
    plain = pgd(Target(net), images, Goal(labels), **arguments).success.sum()
    auto = apgd(Target(net), images, Goal(labels), **arguments, loss="cross-entropy").success.sum()
    every = apgd_targeted(Target(net), images, Goal(labels), **arguments).success.sum()
    assert plain <= auto + 1
    assert auto <= every + 1


def test_aims_at_the_least_likely_class(net, held_out):
    images, labels = held_out
    with torch.no_grad():
        logits = net(images)
    wrong = wrong_classes(Target(net), images, Goal(labels))
    right = logits.argmax(1) == labels
    assert torch.equal(wrong[right][:, -1], logits[right].argmin(1))
    assert torch.equal(wrong[:, 0], logits.scatter(1, labels[:, None], -torch.inf).argmax(1))
    result = ilcm(Target(net), images, Goal(labels), Ball("linf", 0.5), steps=20)
    assert result.success.double().mean() > 0.9
    with torch.no_grad():
        assert torch.equal(net(result.x_adv[result.success]).argmax(1), wrong[result.success][:, -1])
    without_bound = ilcm(Target(net), images, Goal(labels), Ball("linf", 1.0), steps=20, step_size=0.02, leave=False)
    aims, rows = wrong[:, -1:], torch.arange(len(images))
    with torch.no_grad():
        sure, just = (net(x.x_adv).softmax(1).gather(1, aims)[rows[right]].mean() for x in (without_bound, result))
    assert sure > 0.9 > just
    # a label that is itself the least likely is not aimed at
    least = logits.argmin(1)
    assert not (wrong_classes(Target(net), images, Goal(least)) == least[:, None]).any()


def test_checkpoints_are_those_of_the_paper():
    assert checkpoints(100) == [0, 22, 41, 57, 70, 80, 87, 93, 99, 105]
    assert checkpoints(1) == [0, 1, 2]


@pytest.mark.parametrize(
    ("attack", "arguments", "message"),
    [
        (fgsm, {"radius": -1}, "`radius` must be a number from 0, got -1"),
        (fgsm, {"radius": float("nan")}, "`radius` must be a number from 0, got nan"),
        (pgd, {"radius": float("nan")}, "`radius` must be a number from 0, got nan"),
        (pgd, {"radius": 1, "norm": "l0"}, "`norm` must be one of l1, l2, linf, got 'l0'"),
        (pgd, {"radius": 1, "steps": 0}, "`steps`"),
        (pgd, {"radius": 1, "restarts": 0}, "`restarts`"),
        (pgd, {"radius": 1, "draws": 0}, "`draws`"),
        (pgd, {"radius": 1, "step_size": -0.1}, "`step_size` must be from 0 to"),
        (pgd, {"radius": 1, "loss": "hinge"}, "`loss` must be a function or one of cross-entropy, margin, dlr"),
        (apgd, {"radius": 1, "steps": 0}, "`steps`"),
    ],
)
def test_refuses(net, held_out, attack, arguments, message):
    with pytest.raises(ValueError, match=message):
        attack(Target(net), held_out[0], Goal(held_out[1]), **in_ball(**arguments))


@pytest.mark.parametrize("attack", [ilcm, one_step_least_likely, apgd_targeted])
def test_attacks_that_choose_their_targets_refuse_others(net, held_out, attack):
    images, labels = held_out
    with pytest.raises(ValueError, match="`goal` must have no targets: this attack chooses them itself"):
        attack(Target(net), images, Goal(labels, (labels + 1) % 10), Ball("linf", 0.1))


def test_refuses_too_few_classes():
    images, labels = torch.full((2, 4), 0.5), torch.tensor([0, 0])

    def of(classes):
        return Target(lambda images: images[:, :classes] + torch.eye(classes)[0])

    with pytest.raises(ValueError, match="this loss needs 3 classes, got 2"):
        apgd(of(2), images, Goal(labels), Ball("linf", 0.1))
    with pytest.raises(ValueError, match="this loss needs 4 classes, got 3"):
        apgd_targeted(of(3), images, Goal(labels), Ball("linf", 0.1))
    with pytest.raises(ValueError, match="a wrong class needs 2 classes, got 1"):
        ilcm(of(1), images, Goal(labels), Ball("linf", 0.1))
    with pytest.raises(ValueError, match="`classes`"):
        apgd_targeted(of(4), images, Goal(labels), Ball("linf", 0.1), classes=0)


@pytest.mark.parametrize("attack", [fgsm, pgd, apgd])
def test_needs_gradients(net, held_out, attack):
    with pytest.raises(TypeError, match="answers queries only"):
        attack(Target.oracle(net), held_out[0], Goal(held_out[1]), Ball("linf", 0.1))


def test_going_on_ends_further_from_the_boundary(net, seen):
    images, labels = seen
    goal, options = Goal(labels), {"ball": Ball("linf", 0.2), "seed": 3}
    stopped, gone_on = (pgd(Target(net), images, goal, leave=leave, **options) for leave in (True, False))
    both = stopped.success & gone_on.success & (stopped.iterations > 0)
    depths = [margin(net(result.x_adv[both]), labels[both]).mean() for result in (stopped, gone_on)]
    assert both.float().mean() > 0.5
    assert depths[1] > 2 * depths[0]
    assert (gone_on.iterations[both] == 40).all()


def test_the_first_gradient_is_that_of_the_check(net, seen):
    """Without a random start the model sees the clean images once, and the result once; and a few to compare."""
    images, labels = seen
    forwards = []

    def counted(x):
        forwards.append(len(x))
        return net(x)

    fgsm(Target(counted), images, Goal(labels), Ball("linf", 0.1))
    assert forwards == [len(images), min(8, len(images)), min(8, len(images)), len(images)]
