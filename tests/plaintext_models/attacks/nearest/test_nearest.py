from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.norms import lengths
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.nearest.carlini_wagner import carlini_wagner
from plaintext_models.attacks.nearest.ddn import ddn
from plaintext_models.attacks.nearest.deepfool import LEAST, deepfool
from plaintext_models.attacks.nearest.lbfgs import lbfgs

SHAPE, CLASSES = (1, 4, 5), 4
WIDE = (-4.0, 4.0)  # a box that no nearest point of these tests is at the wall of

ATTACKS = {
    "deepfool-l2": partial(deepfool, norm="l2"),
    "deepfool-linf": partial(deepfool, norm="linf"),
    "cw-l2": partial(carlini_wagner, norm="l2"),
    "cw-l0": partial(carlini_wagner, norm="l0"),
    "cw-linf": partial(carlini_wagner, norm="linf"),
    "ddn": partial(ddn, norm="l2"),
    "lbfgs": partial(lbfgs, norm="l2", searches=4, steps=10),
}
attacks = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())


class Linear(nn.Module):
    def __init__(self, weights: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.weights, self.bias = weights, bias if bias is not None else torch.zeros(len(weights))
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weights.T + self.bias


def linear(seed: int, classes: int = CLASSES) -> Linear:
    generator = torch.Generator().manual_seed(seed)
    return Linear(torch.randn(classes, 20, generator=generator), 0.1 * torch.randn(classes, generator=generator))


def network(seed: int) -> nn.Module:
    """Not linear, not trained."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(20, 24), nn.ReLU(), nn.Linear(24, CLASSES)).eval()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / 3
    return model.requires_grad_(False)


def inside(count: int, seed: int = 0, scale: float = 0.3) -> Tensor:
    return scale * torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


def binary(count: int, seed: int = 0) -> Tensor:
    """Images of nothing but 0 and 1, each exactly."""
    return torch.randint(0, 2, (count, *SHAPE), generator=torch.Generator().manual_seed(seed)).float()


def own_labels(target: Target, images: Tensor) -> Tensor:
    return target.logits(images).argmax(1)


def exact(model: Linear, images: Tensor, goal: Goal, dual: str) -> Tensor:
    """Distance to the nearest boundary of a linear classifier: the logits' difference over the slope's dual length."""
    logits = model(images)
    labels = goal.labels
    apart = logits.gather(1, labels[:, None]) - logits
    slope = lengths((model.weights[labels][:, None] - model.weights).flatten(0, 1), dual).reshape(apart.shape)
    return (apart / slope).scatter(1, labels[:, None], torch.inf).amin(1)


@pytest.mark.parametrize(("norm", "dual"), [("l2", "l2"), ("linf", "l1")])
def test_deepfool_steps_just_over_a_plane(norm: str, dual: str) -> None:
    model, images = linear(0), inside(30)
    target = Target(model, bounds=WIDE)
    goal = Goal(own_labels(target, images))
    result = deepfool(target, images, goal, norm, overshoot=0.02)
    assert result.success.all()
    assert (result.iterations == 1).all()
    assert (result.queries == 2).all()
    least = LEAST * (WIDE[1] - WIDE[0])
    # what it is made to go too far, and float32
    torch.testing.assert_close(
        lengths(result.x_adv - images, norm), 1.02 * (exact(model, images, goal, dual) + least), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("attack", "tolerance"),
    [
        (partial(carlini_wagner, norm="l2"), 0.02),  # a step of Adam at the end of a round
        (partial(ddn, norm="l2", steps=300, radius=0.1), 0.05),  # what a sphere shrinks by
        (partial(lbfgs, norm="l2"), 0.2),  # six constants, each half as far (in logarithms) as the one before
        (partial(carlini_wagner, norm="linf"), 0.03),
    ],
)
def test_distances_from_a_plane(attack: partial, tolerance: float) -> None:
    model, images = linear(1, classes=2), inside(20)
    target = Target(model, bounds=WIDE)
    goal = Goal(own_labels(target, images))
    linf = attack.keywords["norm"] == "linf"
    result = attack(target, images, goal)
    ratio = lengths(result.x_adv - images, "linf" if linf else "l2") / exact(
        model, images, goal, "l1" if linf else "l2"
    )
    assert result.success.all()
    assert (ratio > 1 - 1e-5).all()
    assert ratio.median() < 1 + tolerance


def test_carlini_wagner_moves_as_few_elements_as_it_takes() -> None:
    weights = torch.zeros(2, 20)
    weights[1] = torch.arange(20) / 20
    model = Linear(weights, torch.tensor([1.8, 0.0]))  # 0.95 and 0.9 are enough together, no one is alone
    result = carlini_wagner(Target(model), torch.zeros(3, *SHAPE), Goal(torch.zeros(3, dtype=torch.int64)), "l0")
    assert result.success.all()
    assert (lengths(result.x_adv, "l0") == 2).all()


@attacks
def test_elements_at_the_bounds_move(attack: partial) -> None:
    target, images = Target(linear(2)), binary(12)
    goal = Goal(own_labels(target, images))
    result = attack(target, images, goal)
    assert result.success.all()
    assert (result.x_adv != images).flatten(1).any(1).all()
    moved = result.x_adv != images
    assert moved[images == 0].any()
    assert moved[images == 1].any()


@attacks
def test_targets_are_reached(attack: partial) -> None:
    target, images = Target(network(3), bounds=WIDE), inside(10, 3)
    labels = own_labels(target, images)
    goal = Goal(labels, (labels + 1) % CLASSES)
    result = attack(target, images, goal)
    # DeepFool looks at one boundary at a time, and may go back and forth between two
    assert result.success.sum() >= (10 if attack.keywords["norm"] == "l2" else 9)
    assert torch.equal(own_labels(target, result.x_adv)[result.success], goal.targets[result.success])


@attacks
def test_failures_give_the_clean_image(attack: partial) -> None:
    target = Target(Linear(1e-3 * torch.randn(3, 20, generator=torch.Generator().manual_seed(0)), torch.eye(3)[0]))
    images = binary(4)
    result = attack(target, images, Goal(torch.zeros(4, dtype=torch.int64)))
    assert not result.success.any()
    torch.testing.assert_close(result.x_adv, images, rtol=0, atol=0)


@attacks
def test_no_gradient_at_all(attack: partial) -> None:
    target, images = Target(Linear(torch.zeros(3, 20), torch.eye(3)[0])), binary(3)
    with torch.enable_grad():
        result = attack(target, images, Goal(torch.zeros(3, dtype=torch.int64)))
    assert not result.success.any()


@attacks
def test_what_is_reached_already_is_left_alone(attack: partial) -> None:
    target, images = Target(network(4), bounds=WIDE), inside(8, 4)
    labels = own_labels(target, images)
    labels[::2] = (labels[::2] + 1) % CLASSES
    result = attack(target, images, Goal(labels))
    assert result.success.all()
    torch.testing.assert_close(result.x_adv[::2], images[::2], rtol=0, atol=0)
    assert not result.queries[::2].any()
    assert not result.iterations[::2].any()
    assert (result.queries[1::2] > 0).all()
    assert (result.iterations[1::2] > 0).all()


@attacks
def test_equal_arguments_give_equal_bits(attack: partial) -> None:
    target, images = Target(network(5), bounds=WIDE), inside(4, 5)
    goal = Goal(own_labels(target, images))
    one, other = (attack(target, images, goal) for _ in range(2))
    assert torch.equal(one.x_adv, other.x_adv)
    assert torch.equal(one.queries, other.queries)


@pytest.mark.parametrize("attack", [ATTACKS[name] for name in ("deepfool-l2", "deepfool-linf", "ddn", "cw-l2")])
def test_a_point_on_the_boundary_is_not_robust(attack: partial) -> None:
    model = Linear(torch.tensor([[1.0] * 20, [-1.0] * 20]))
    images = torch.full((1, *SHAPE), 0.5) * torch.tensor([1.0, -1.0]).repeat(10).reshape(SHAPE)  # both logits are 0
    target, labels = Target(model, bounds=WIDE), torch.zeros(1, dtype=torch.int64)
    result = attack(target, images, Goal(labels))
    assert result.success.all()
    assert (own_labels(target, result.x_adv) == 1).all()


@settings(max_examples=8)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 5), targeted=st.booleans(), low=st.sampled_from([0.0, -1.0]))
@attacks
def test_within_the_bounds_and_as_it_says(attack: partial, seed: int, count: int, targeted: bool, low: float) -> None:
    target = Target(network(seed), bounds=(low, 1.0))
    images = inside(count, seed, 2.0).clamp(low, 1.0)
    labels = torch.randint(0, CLASSES, (count,), generator=torch.Generator().manual_seed(seed))
    goal = Goal(labels, (labels + 1) % CLASSES if targeted else None)
    cheap = {"rounds": 6} if "carlini" in str(attack) else {"searches": 2, "steps": 5} if "lbfgs" in str(attack) else {}
    result: AttackResult = attack(target, images, goal, **cheap)
    assert (result.x_adv >= low).all()
    assert (result.x_adv <= 1).all()
    assert torch.equal(result.success, goal.reached(target.logits(result.x_adv)))
    kept = ~result.success
    assert torch.equal(result.x_adv[kept], images[kept])


@attacks
def test_a_target_without_gradients_is_refused(attack: partial) -> None:
    target, images = Target.oracle(network(6)), binary(2)
    labels = own_labels(target, images)
    with pytest.raises(TypeError, match="queries only"):
        attack(target, images, Goal(labels))


@pytest.mark.parametrize(
    ("attack", "arguments"),
    [
        (deepfool, {"norm": "l1"}),
        (deepfool, {"steps": 0}),
        (deepfool, {"overshoot": -0.1}),
        (deepfool, {"candidates": 1}),
        (carlini_wagner, {"norm": "l1"}),
        (carlini_wagner, {"rounds": 0}),
        (carlini_wagner, {"steps": 0}),
        (carlini_wagner, {"rate": 0.0}),
        (carlini_wagner, {"confidence": float("nan")}),
        (ddn, {"norm": "linf"}),
        (lbfgs, {"norm": "l0"}),
        (ddn, {"steps": 1}),
        (ddn, {"radius": 0.0}),
        (ddn, {"gamma": 1.0}),
        (lbfgs, {"searches": 0}),
        (lbfgs, {"steps": 0}),
        (lbfgs, {"memory": 0}),
    ],
)
def test_numbers_out_of_range(attack: partial, arguments: dict[str, object]) -> None:
    target, images = Target(network(7)), binary(2)
    with pytest.raises(ValueError, match="must"):
        attack(target, images, Goal(own_labels(target, images)), **{"norm": "l2", **arguments})


def test_confidence_is_kept() -> None:
    target, images = Target(network(8), bounds=WIDE), inside(6, 8)
    labels = own_labels(target, images)
    result = carlini_wagner(target, images, Goal(labels), "l2", confidence=0.5)
    logits = target.logits(result.x_adv)
    own = logits.gather(1, labels[:, None])
    assert result.success.all()
    assert (logits.amax(1, keepdim=True) - own >= 0.5).all()


def test_deepfool_takes_logits_finer_than_images(net, held_out):
    images, labels = held_out
    coarse, fine = (
        deepfool(Target(model), images, Goal(labels), "l2") for model in (net, lambda x: net(x).to(torch.float64))
    )
    torch.testing.assert_close(fine.x_adv, coarse.x_adv, atol=1e-4, rtol=0)
