"""Goals, how attacks on them begin and how they end."""

import pytest
import torch

from plaintext_models.attacks.ball.auto import apgd
from plaintext_models.attacks.ball.pgd import bim, pgd
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal, conclude, spread, start
from plaintext_models.attacks.core.target import Target

IMAGES = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.3, 0.3, 0.3]])
LABELS = torch.tensor([0, 0, 2])
ITSELF = Target(lambda images: images + 0)


def test_any_wrong_class():
    goal = Goal(LABELS)
    assert (goal.sign, torch.equal(goal.classes, LABELS)) == (1, True)
    # equal logits count as the lowest class
    assert goal.reached(IMAGES).tolist() == [False, True, True]


def test_one_class_an_image():
    targets = torch.tensor([1, 1, 0])
    goal = Goal(LABELS, targets)
    assert (goal.sign, torch.equal(goal.classes, targets)) == (-1, True)
    assert goal.reached(IMAGES).tolist() == [False, True, True]
    assert goal.reached(IMAGES.roll(1, 1)).tolist() == [True, False, True]


def test_some_of_the_images():
    some = Goal(LABELS, torch.tensor([1, 2, 0]))[torch.tensor([True, False, True])]
    assert (some.labels.tolist(), some.targets.tolist()) == ([0, 2], [1, 0])
    assert Goal(LABELS)[torch.tensor([2])].targets is None


def test_refuses_a_target_that_is_the_label():
    with pytest.raises(ValueError, match="must differ from the labels, got an image whose target is its label"):
        Goal(LABELS, torch.tensor([1, 0, 1]))


def test_refuses_targets_of_another_shape():
    with pytest.raises(ValueError, match=r"`targets` must have a class an image, got \(2,\)"):
        Goal(LABELS, torch.tensor([1, 1]))


def test_starts_with_what_is_not_reached():
    active, queries, iterations = start(ITSELF, IMAGES, Goal(LABELS))
    assert active.tolist() == [True, False, False]
    assert queries.tolist() == iterations.tolist() == [0, 0, 0]
    assert queries.data_ptr() != iterations.data_ptr()


@pytest.mark.parametrize("target", [-1, 3])
def test_refuses_a_target_outside_the_classes(target):
    with pytest.raises(ValueError, match="`targets` must be from 0 to 2, got values from"):
        start(ITSELF, IMAGES, Goal(LABELS, torch.tensor([1, target, 1])))


def test_refuses_targets_that_are_not_integers():
    with pytest.raises(TypeError, match="`targets` must be integers"):
        start(ITSELF, IMAGES, Goal(LABELS, torch.tensor([1.0, 1.0, 1.0])))


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        (IMAGES[:0], LABELS[:0], ValueError, "at least one image"),
        (IMAGES, LABELS + 1, ValueError, "`labels` must be from 0 to 2, got values from 1 to 3"),
        (IMAGES + 0.2, LABELS, ValueError, "`images` must be numbers from 0.0 to 1.0"),
        (IMAGES * float("nan"), LABELS, ValueError, "got NaN"),
        (IMAGES.int(), LABELS, TypeError, "`images` must be floats"),
        (IMAGES, LABELS.double(), TypeError, "`labels` must be integers"),
    ],
)
def test_attacks_refuse_what_a_target_does(images, labels, error, message):
    for attack in (bim, pgd, apgd):
        with pytest.raises(error, match=message):
            attack(ITSELF, images, Goal(labels), Ball("linf", 0.1))


def test_concludes_with_what_stands_a_fresh_forward():
    # the first was found, the second only held to be found, the third beyond the bounds
    found = torch.tensor([[0.1, 0.9, 0.0], [0.8, 0.7, 0.1], [0.3, 1.4, 1.2]])
    goal, counts = Goal(torch.tensor([0, 0, 2])), torch.tensor([1, 2, 3])
    result = conclude(ITSELF, IMAGES, found, goal, counts, counts + 1)
    assert result.success.tolist() == [True, False, True]  # 1 and 1 after clipping: the lower class
    assert torch.equal(result.x_adv, torch.stack([found[0], IMAGES[1], torch.tensor([0.3, 1.0, 1.0])]))
    assert (result.queries.tolist(), result.iterations.tolist()) == ([1, 2, 3], [2, 3, 4])
    counts += 1
    assert result.queries.tolist() == [1, 2, 3]


@pytest.mark.parametrize("attack", [bim, pgd, apgd])
def test_a_misclassified_image_stays_as_it_is(attack):
    result = attack(ITSELF, IMAGES, Goal(LABELS), Ball("linf", 0.5))
    assert result.success.all()
    assert torch.equal(result.x_adv[1:], IMAGES[1:])
    assert not result.queries[1:].any()
    assert not result.iterations[1:].any()


@pytest.mark.parametrize("attack", [bim, pgd, apgd])
def test_nothing_moves_within_no_radius(attack):
    result = attack(ITSELF, IMAGES, Goal(LABELS), Ball("linf", 0))
    assert torch.equal(result.x_adv, IMAGES)
    assert result.success.tolist() == [False, True, True]


def test_spread():
    assert spread(torch.arange(3), torch.zeros(3, 1, 4, 5)).shape == (3, 1, 1, 1)
    assert spread(torch.arange(3), torch.zeros(3, 4)).shape == (3, 1)
