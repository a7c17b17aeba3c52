"""The referee, before attacks that lie."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from plaintext_models.attacks.core.ball import NORMS, Ball
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.norms import project, random_point
from plaintext_models.attacks.core.target import Target
from plaintext_models.evaluation.judge import PART, Share, Unnoticed, Z, guarded, judge, wilson

N, RADIUS = 40, 0.1


def brightness(images):
    """Class 1 where the mean is above one half."""
    mean = images.flatten(1).mean(1)
    return torch.stack([0.5 - mean, mean - 0.5], 1)


@pytest.fixture
def target():
    return Target(brightness)


@pytest.fixture
def images():
    """All of class 0, as near to class 1 as 0.05 in every element."""
    return 0.45 + 0.02 * (torch.rand((N, 1, 4, 4), generator=torch.Generator().manual_seed(0)) - 0.5)


@pytest.fixture
def goal():
    return Goal(torch.zeros(N, dtype=torch.int64))


def claiming(x_adv):
    count = torch.ones(N, dtype=torch.int64)
    return AttackResult(x_adv, count.bool(), count, count)


def test_an_honest_attack_is_believed(target, images, goal):
    verdict = judge(target, images, goal, claiming(images + 0.09), Ball("linf", RADIUS))
    assert verdict.reached.all()
    assert verdict.admissible.all()
    assert not verdict.clean.any()
    assert not verdict.complaints
    assert verdict.robust == Share(0, N)
    assert verdict.distances["linf"].numpy() == pytest.approx(0.09, rel=1e-5)
    assert verdict.distances["l1"].numpy() == pytest.approx(16 * 0.09, rel=1e-5)
    assert verdict.distances["l2"].numpy() == pytest.approx(4 * 0.09, rel=1e-5)
    assert (verdict.distances["l0"] == 16).all()


@pytest.mark.parametrize(
    ("lie", "complaint"),
    [
        (lambda images: images.clone(), "claimed to reach the goal"),
        (lambda images: images + 0.2, "leave the ball"),
        (lambda images: images + 1, "leave the bounds"),
        (lambda images: images * math.nan, "not finite"),
        (lambda images: images + math.inf, "not finite"),
        (torch.zeros_like, "one image is returned for all"),
        (lambda images: images.double() + 0.09, "float64"),
        (lambda images: images.flatten(1) + 0.09, "(40, 16)"),
        (lambda images: images[1:] + 0.09, "(39, 1, 4, 4)"),
    ],
    ids=["nothing done", "ball", "bounds", "NaN", "inf", "black", "dtype", "shape", "count"],
)
def test_a_lie_is_caught(target, images, goal, lie, complaint):
    verdict = judge(target, images, goal, claiming(lie(images)), Ball("linf", RADIUS))
    assert any(complaint in each for each in verdict.complaints)
    assert verdict.robust == Share(N, N)


def test_single_lies_are_found_among_truths(target, images, goal):
    moved = images + 0.09
    moved[3], moved[7, 0, 2, 2], moved[20] = images[3] + 0.3, math.nan, images[20]
    verdict = judge(target, images, goal, claiming(moved), Ball("linf", RADIUS))
    assert (~verdict.reached).nonzero().squeeze(1).tolist() == [3, 7, 20]
    assert (~verdict.inside).nonzero().squeeze(1).tolist() == [3, 7]
    assert (~verdict.finite).nonzero().squeeze(1).tolist() == [7]
    assert "3 images (3, 7, 20) are claimed to reach the goal, and do not" in verdict.complaints


def test_a_failure_that_is_a_success_counts(target, images, goal):
    verdict = judge(target, images, goal, images + 0.09, Ball("linf", RADIUS))
    assert verdict.robust.count == 0
    assert not verdict.complaints


def test_what_is_wrong_without_an_attack_stays_broken(target, images):
    goal = Goal(torch.ones(N, dtype=torch.int64))
    verdict = judge(target, images, goal, images + 5, Ball("linf", RADIUS))
    assert verdict.clean.all()
    assert not verdict.reached.any()
    assert verdict.robust.count == 0


def test_a_success_must_not_depend_on_the_batch(images, goal):
    def capricious(batch):
        logits = brightness(batch)
        return logits.flip(1) if len(batch) == PART and bool((batch > 0.5).any()) else logits

    verdict = judge(Target(capricious), images, goal, images + 0.09, Ball("linf", RADIUS))
    assert any("in some batches" in each for each in verdict.complaints)
    assert verdict.reached.sum() == N - PART * (N // PART)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-3.0, 5.0)])
def test_points_on_the_surface_are_inside(norm, bounds):
    generator = torch.Generator().manual_seed(0)
    low, high = bounds
    images = low + (high - low) * torch.rand((64, 3, 12, 12), generator=generator)
    target = Target(lambda x: x.flatten(1)[:, :3], bounds=bounds)
    goal = Goal(torch.zeros(64, dtype=torch.int64))
    for radius in (1e-3, 0.3, 7.0):
        far = images + 100 * torch.randn(images.shape, generator=generator)
        for moved in (
            project(images, far, norm, radius, bounds),
            random_point(images, norm, radius, bounds, generator),
        ):
            assert judge(target, images, goal, moved, Ball(norm, radius)).inside.all()
    out = project(images, far, norm, 0.303, bounds)
    assert not judge(target, images, goal, out, Ball(norm, 0.3)).inside.any()


def test_stochastic_targets_are_judged_by_majority(images, goal):
    draws = iter(range(10**6))

    def flickering(batch):
        return brightness(batch).flip(1) if next(draws) % 3 == 0 else brightness(batch)

    target = Target(flickering, stochastic=True)
    verdict = judge(target, images, goal, images + 0.09, Ball("linf", RADIUS), draws=30)
    assert verdict.reached.all()
    assert not verdict.clean.any()


def test_one_draw_is_told_beside_the_majority(target, images, goal):
    def sometimes(batch):
        return torch.where(torch.rand(len(batch), 1) < 0.25, brightness(batch).flip(1), brightness(batch))

    torch.manual_seed(0)
    stochastic = Target(sometimes, stochastic=True)
    verdict = judge(stochastic, images, goal, images, Ball("linf", RADIUS), draws=200)
    assert verdict.robust == Share(N, N)
    assert (verdict.chance - 0.25).abs().max() < 0.16  # five deviations
    assert 0 < verdict.once.sum() < N // 2
    assert verdict.robust_once == Share(N - int(verdict.once.sum()), N)
    certain = judge(target, images, goal, torch.where(torch.arange(N)[:, None, None, None] < 7, images + 0.09, images))
    assert certain.robust_once == certain.robust == Share(N - 7, N)
    assert certain.chance.tolist() == certain.reached.double().tolist()
    outside = judge(stochastic, images, goal, images + 1, Ball("linf", RADIUS), draws=200)
    assert not outside.reached.any()
    assert (outside.chance - 0.25).abs().max() < 0.16  # of the clean images


def test_what_is_detected_is_not_broken(target, images):
    goal = Unnoticed(torch.zeros(N, dtype=torch.int64))
    joint = guarded(target, lambda x: x.flatten(1).amax(1) - 0.55)
    noticed = judge(joint, images, goal, images + 0.1, Ball("linf", RADIUS))
    assert (noticed.reached == ((images + 0.1).flatten(1).amax(1) <= 0.55)).all()
    unnoticed = judge(joint, images, goal, torch.full_like(images, 0.51), Ball("linf", RADIUS))
    assert unnoticed.reached.all()
    assert isinstance(goal[torch.tensor([0, 1])], Unnoticed)


def test_draws_are_checked(target, images, goal):
    with pytest.raises(ValueError, match="`draws` must lie in"):
        judge(target, images, goal, images, draws=0)


def test_elements_are_counted_in_an_l0_ball(target, images, goal):
    moved = images.clone()
    moved[:, 0, 0, :2] = 1 - moved[:, 0, 0, :2]
    for radius, inside in ((2, True), (1, False)):
        verdict = judge(target, images, goal, moved, Ball("l0", radius))
        changed = verdict.distances["l0"]
        assert (verdict.inside == (changed <= radius)).all()
        assert bool(verdict.inside.all()) == inside


@given(st.integers(0, 2000), st.integers(1, 2000))
def test_the_interval_is_all_shares_that_fit(count, n):
    count = min(count, n)
    low, high = wilson(count, n)
    share = count / n
    assert 0 <= low <= share <= high <= 1
    for end in (low, high):
        # its ends solve (p̂ - p)² = Z² p (1 - p) / n, whose roots are 0 and 1 as well where p̂ is
        assert (share - end) ** 2 == pytest.approx(Z**2 * end * (1 - end) / n, abs=1e-12)
    a, b, c = 1 + Z**2 / n, -(2 * share + Z**2 / n), share**2
    root = math.sqrt(max(0, b * b - 4 * a * c))
    assert (low, high) == pytest.approx(((-b - root) / (2 * a), (-b + root) / (2 * a)), abs=1e-9)


def test_known_intervals():
    # by hand: 0 of 10 is [0, Z² / (10 + Z²)]; 50 of 100 is 1/2 ± Z / (2 √(100 + Z²))
    assert wilson(0, 10) == pytest.approx((0, Z**2 / (10 + Z**2)))
    reach = Z / (2 * math.sqrt(100 + Z**2))
    assert wilson(50, 100) == pytest.approx((0.5 - reach, 0.5 + reach))
    assert wilson(0, 0) == (0, 1)
    assert str(Share(50, 100)) == "50.0 % [40.4, 59.6]"
    with pytest.raises(ValueError, match="count"):
        wilson(3, 2)


@given(st.lists(st.booleans(), max_size=40))
def test_a_share_knows_its_images_again(flags):
    share = Share.of(torch.tensor(flags, dtype=torch.bool))
    assert (share.count, share.n, share.each.tolist()) == (sum(flags), len(flags), flags)
    assert Share(share.count, share.n, share.which).each.tolist() == flags


@pytest.mark.parametrize(
    ("count", "n", "which"),
    [
        (3, 2, None),
        (-1, 2, None),
        (1, 4, "80 "),
        (1, 4, "8"),
        (1, 4, "8000"),  # too many bits
        (1, 9, "80"),  # too few
        (2, 4, "80"),  # other images than are counted
        (1, 4, "08"),  # an image beyond the last
        (1, 4, "0x80"),
        (1, 4, "image"),
        (0, 0, "00"),
    ],
)
def test_a_share_of_other_images_than_it_counts_is_none(count, n, which):
    with pytest.raises(ValueError, match=r"`count` must be|`which` must hold|fromhex"):
        Share(count, n, which)


@pytest.mark.parametrize("flags", [torch.tensor([2, 0]), torch.ones(2, 2, dtype=torch.bool)])
def test_images_are_true_or_false(flags):
    with pytest.raises(ValueError, match=r"`count` must be|`which` must hold"):
        Share.of(flags)


@pytest.mark.parametrize(
    ("detector", "error", "message"),
    [
        (5, TypeError, "`detector` must be a module or a function of images, got int"),
        (lambda x: x.flatten(1)[:, 0].tolist(), TypeError, r"`detector\(images\)` must be a Tensor, got list"),
        (lambda x: x.flatten(1)[:, 0].numpy(), TypeError, "must be a Tensor, got ndarray"),
        (lambda x: x.flatten(1), ValueError, "`detector` must give a score an image"),
        (lambda x: x.flatten(1)[:, 0] * math.nan, FloatingPointError, "`detector` must give finite scores"),
        (nn.Sequential(nn.Flatten(), nn.Dropout()).train(), ValueError, r"evaluation mode, .* call model.eval\(\)"),
    ],
)
def test_detectors_that_are_none(target, images, detector, error, message):
    with pytest.raises(error, match=message):
        guarded(target, detector).logits(images)
