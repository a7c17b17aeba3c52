"""Inputs on which attacks, the card or the referee were once wrong, with their right values."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from intnn import Dense, IntNetwork
from plaintext_models.attacks.ball.pgd import pgd
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.norms import lengths
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.nearest.carlini_wagner import carlini_wagner
from plaintext_models.attacks.nearest.deepfool import deepfool
from plaintext_models.bridge.twin import integer_target
from plaintext_models.data import datasets
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.card import QUICK, Effort
from plaintext_models.evaluation.judge import judge
from plaintext_models.evaluation.runner import evaluate
from plaintext_models.nets.mlp import mlp
from plaintext_models.training.loop import train
from plaintext_models.zoo import shipped
from tests.plaintext_models.attacks.every import EVERY

SHORTEST = [attack for attack in EVERY if not attack.within]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Networks this small only lose by more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.fixture(scope="module")
def net(digits):
    with deterministic(0):
        module = mlp(digits.input_shape, digits.classes, [32])
    train(module, digits, epochs=8, batch_size=64, learning_rate=5e-3, seed=0, progress=False)
    return module.eval()


@pytest.fixture(scope="module")
def images(digits):
    return torch.from_numpy(digits.test_images[:20])


@pytest.fixture(scope="module")
def labels(net, images):
    return net(images).argmax(1)


def masked(net, value=-1e9, count=1):
    return lambda x: torch.cat([net(x), torch.full((len(x), count), value)], 1)


@pytest.mark.parametrize("attack", SHORTEST, ids=str)
@pytest.mark.parametrize(
    "changed",
    [
        masked,
        lambda net: lambda x: masked(net)(x).flip(1),
        lambda net: masked(net, torch.finfo(torch.float32).min, 3),
        lambda net: lambda x: net(x) + 1e5,
        lambda net: lambda x: masked(net)(x) + 1e4,
        lambda net: lambda x: 1e-6 * net(x),
    ],
    ids=["masked", "masked first", "masked by finfo.min", "constant added", "both", "small"],
)
def test_the_slack_is_of_the_logits_that_meet(net, images, attack, changed):
    # found were 0 of 20 beside a logit of -1e9, and three times as far beside a constant of 1e6
    images, model = images[:3], changed(net)
    more = {"searches": 6} if attack.name == "lbfgs" else {}
    result = attack(attack.target(model), images, Goal(model(images).argmax(1)), **more)
    plain = attack(attack.target(net), images, Goal(net(images).argmax(1)), **more)
    assert result.success.all()
    # a small scale makes the cross-entropy flat and a large constant makes logits coarse: paths differ, not by much
    ratio = lengths(result.x_adv - images, attack.norm) / lengths(plain.x_adv - images, attack.norm)
    assert ratio.median() < 1.6


def test_two_classes_and_a_constant(net, images):
    def two(x):
        return torch.stack([net(x)[:, :5].amax(1), net(x)[:, 5:].amax(1)], 1) + 1e6

    result = deepfool(Target(two), images, Goal(two(images).argmax(1)), "l2")
    assert result.success.all()  # of 20, 7 were


def test_the_curve_of_a_masked_class_is_that_without(net, images, labels):
    cards = [evaluate(Target(f), images, labels, Ball("linf", 0.05), effort=QUICK) for f in (net, masked(net))]
    torch.testing.assert_close(cards[0].nearest, cards[1].nearest, rtol=0.01, atol=0)
    assert cards[1].curve == cards[0].curve
    assert not cards[1].findings


def test_the_ball_of_a_small_channel_beside_a_large_one(images):
    # the referee's tolerance was 2**-22 of the largest value of all: 0.24 in a channel from 0 to 1
    clean = torch.full((3, 2, 4, 4), 0.5) * torch.tensor([1.0, 1e6]).reshape(2, 1, 1)
    target = Target(lambda x: x.flatten(1)[:, :3], bounds=((0.0, 0.0), (1.0, 1e6)))
    moved = clean + torch.tensor([0.2, 0.0]).reshape(2, 1, 1)
    verdict = judge(target, clean, Goal(torch.zeros(3, dtype=torch.int64)), moved, Ball("linf", 0.1))
    assert not verdict.inside.any()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_steps_are_of_the_narrowest_channel(norm):
    # a step adds 1e-4 of a range, and must not take it from a channel a million times as wide
    clean = torch.full((3, 2, 4, 4), 0.5) * torch.tensor([1.0, 1e6]).reshape(2, 1, 1)
    weights = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])

    def model(x):
        return (x - torch.tensor([0.45, 0.0]).reshape(2, 1, 1)).mean((2, 3)) @ weights.T

    target = Target(model, bounds=((0.0, 0.0), (1.0, 1e6)))
    result = deepfool(target, clean, Goal(torch.zeros(3, dtype=torch.int64)), norm)
    assert result.success.all()
    exact = 0.05 * (4 if norm == "l2" else 1)
    assert (lengths(result.x_adv - clean, norm) < 1.05 * exact).all()


def test_training_mode_after_wrapping(net, images, labels):
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10)).eval()
    target, mean = Target(model), model[1].running_mean.clone()
    model.train()
    goal, ball = Goal(labels), Ball("linf", 0.1)
    for action in (
        lambda: pgd(target, images, goal, ball),
        lambda: judge(target, images, goal, images, ball),
        lambda: evaluate(target, images, labels, ball, effort=QUICK),
    ):
        with pytest.raises(ValueError, match=r"evaluation mode, got one in training mode; call model.eval\(\) first"):
            action()
    assert torch.equal(model[1].running_mean, mean)


@pytest.mark.parametrize("change", ["mode", "weights", "noise"])
def test_a_model_that_changes_under_a_card(digits, images, labels, change):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Dropout(0.5)).eval()
    with torch.no_grad():
        model[1].weight.copy_(torch.eye(10, 64) + 0.1)

    def report(name):
        if name.startswith("PGD") and change == "mode":
            model.train()
        elif name.startswith("PGD") and change == "weights":
            model[1].weight.data[:5] += 0.5
        elif name.startswith("PGD"):
            model[2].forward = lambda x: x + torch.rand_like(x)

    with pytest.raises(ValueError, match=r"training mode|two forwards of the same images differ"):
        evaluate(Target(model), images, labels, Ball("linf", 0.1), report=report, effort=QUICK)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_card_of_vectors_by_an_oracle(norm):
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(12, 3, generator=generator)
    images = torch.rand(7, 12, generator=generator)
    target = Target.oracle(lambda x: x @ weights)
    card = evaluate(target, images, (images @ weights).argmax(1), Ball(norm, 0.1), effort=QUICK)
    assert card.verdict.count == 7
    assert [entry.kind for entry in card.entries] == ["clean"]
    assert "Square: for Linf and L2, and images with pixels" in card.left_out


@pytest.mark.parametrize("norm", ["l0", "l2", "linf"])
def test_carlini_wagner_on_logits_finer_than_images(net, images, labels, norm):
    result = carlini_wagner(Target(lambda x: net(x).double()), images[:5], Goal(labels[:5]), norm, rounds=4)
    assert result.success.all()
    assert result.x_adv.dtype == torch.float32


def test_carlini_wagner_on_an_integer_network(digits):
    white = integer_target(shipped.load("digits-table-mlp"))
    some = torch.from_numpy(digits.test_images[:4])
    goal = Goal(white.logits(some).argmax(1))
    assert carlini_wagner(Target(lambda x: white.logits(x).double()), some, goal, "l2", rounds=4).success.all()


def test_a_class_of_wide_range_leaves_the_others_of_an_integer_network_their_slope(digits):
    """Logits were measured by the widest of all ranges, where the softmax of the others is flat."""
    network = shipped.load("digits-table-mlp")
    *layers, last = network.layers
    wide = Dense(np.vstack([last.weight, 3000 * last.weight[:1]]), np.append(last.bias, -(10**9)))  # never the largest
    masked = IntNetwork(network.input_shape, network.input_domain, (*layers, wide), network.input_scale)
    images, labels = torch.from_numpy(digits.test_images[:40]), torch.from_numpy(digits.test_labels[:40])
    found = [pgd(integer_target(n), images, Goal(labels), Ball("linf", 0.1)).success for n in (network, masked)]
    assert found[0].any()
    assert torch.equal(*found)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.uint8, torch.uint16, torch.uint64])
def test_labels_of_any_integer_type(net, images, labels, dtype):
    expected = pgd(Target(net), images, Goal(labels), Ball("linf", 0.1))
    for some in (labels.to(dtype), labels.to(dtype).numpy(), labels.tolist()):
        assert torch.equal(pgd(Target(net), images, Goal(some), Ball("linf", 0.1)).x_adv, expected.x_adv)
    for wrong in (labels.double(), labels.bool(), labels.numpy() * 1j):
        with pytest.raises(TypeError, match="`labels` must be integers"):
            Goal(wrong)
    with pytest.raises(ValueError, match=r"`labels` must be \[batch\], got \(20, 1\)"):
        Goal(labels[:, None])
    with pytest.raises(ValueError, match="`labels` must fit int64"):
        Goal(np.array([2**63], dtype=np.uint64))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused(net, images, labels, dtype):
    for action in (
        lambda: pgd(Target(net), images.to(dtype), Goal(labels), Ball("linf", 0.1)),
        lambda: judge(Target(net), images.to(dtype), Goal(labels), images, Ball("linf", 0.1)),
        lambda: evaluate(Target(net), images.to(dtype), labels, Ball("linf", 0.1)),
    ):
        with pytest.raises(TypeError, match=r"floats must have 32 or 64 bits, as those of images.float\(\) do"):
            action()


def test_a_card_without_gradients_outside(net, images, labels):
    expected = evaluate(Target(net), images, labels, Ball("linf", 0.1), effort=QUICK)
    with torch.inference_mode():
        inside = images + 0
        card = evaluate(Target(net), inside, labels, Ball("linf", 0.1), effort=QUICK)
        assert judge(Target(net), inside, Goal(labels), inside, Ball("linf", 0.1)).inside.all()
    assert torch.equal(card.nearest, expected.nearest)
    given = images.clone().requires_grad_()
    card = evaluate(Target(net), given, labels.numpy(), Ball("linf", 0.1), effort=QUICK)
    assert torch.equal(card.nearest, expected.nearest)
    assert not card.adversarial.requires_grad


def test_a_softmax_is_told_of(net, images, labels):
    target = Target(lambda x: net(x).softmax(1))
    with pytest.warns(UserWarning, match="look like probabilities"):
        deepfool(target, images, Goal(labels), "l2")
    card = evaluate(target, images, labels, Ball("linf", 0.1), effort=QUICK)
    assert "answers are probabilities" in {finding.name for finding in card.findings}


@pytest.mark.parametrize(
    "radius", [np.float64(0.1), np.float32(0.5), np.int64(1), torch.tensor(0.25), np.array(0.5), 1]
)
def test_a_radius_of_another_type(radius):
    assert Ball("linf", radius) == Ball("linf", float(radius))
    assert type(Ball("linf", radius).radius) is float


@pytest.mark.parametrize(
    ("radius", "error"),
    [
        (math.inf, ValueError),
        (math.nan, ValueError),
        (-0.1, ValueError),
        (torch.tensor(math.nan), ValueError),
        ([], ValueError),
        ([0.1, -0.1], ValueError),
        ("0.1", TypeError),
        (None, TypeError),
        (True, TypeError),
        (0.1j, TypeError),
        ([[0.1]], TypeError),
        (torch.rand(2, 2), TypeError),
    ],
)
def test_a_radius_that_is_none(radius, error):
    with pytest.raises(error, match="`radius` must be"):
        Ball("linf", radius)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"target": nn.Identity()}, TypeError, r"`target` must be a Target, got Identity; wrap the model"),
        ({"labels": torch.zeros(20)}, TypeError, "`labels` must be integers, got torch.float32"),
        ({"labels": torch.zeros(19, dtype=torch.int64)}, ValueError, "one label each"),
        ({"labels": torch.full((20,), 10)}, ValueError, "`labels` must be from 0 to 9"),
        ({"ball": 0.1}, TypeError, "`ball` must be a Ball, got float"),
        ({"ball": Ball("linf", [0.1] * 20)}, ValueError, "`radius` must be one for all images here, got 20"),
        ({"ball": Ball("l0", 1)}, ValueError, "`norm` must be one of l1, l2, linf, got 'l0'"),
        ({"radii": [math.nan]}, ValueError, "`radius` must be a number from 0, got nan"),
        ({"seed": 0.5}, TypeError, "`seed` must be an integer, got 0.5"),
        ({"transfer_from": [nn.Identity()]}, TypeError, "all models must be Targets, got Identity; wrap it"),
    ],
)
def test_a_card_refuses_by_name(net, images, labels, arguments, error, message):
    given = {"target": Target(net), "images": images, "labels": labels, "ball": Ball("linf", 0.1)} | arguments
    with pytest.raises(error, match=message):
        evaluate(**given)
    with pytest.raises(ValueError, match="at least one image"):
        evaluate(Target(net), images[:0], labels[:0], Ball("linf", 0.1))


def test_a_model_out_of_memory_says_so(net, images, labels):
    def large(x):
        raise torch.OutOfMemoryError("too large")

    with pytest.raises(torch.OutOfMemoryError, match="too large"):
        pgd(Target(large), images, Goal(labels), Ball("linf", 0.1))
    with pytest.raises(TypeError, match="`model` must be a module or a function of images, got str"):
        Target("model")
    with pytest.raises(TypeError, match="`model` must be a module or a function of images, got Target"):
        Target(Target(net))


def test_scores_and_claims_are_one_an_image(net, images, labels):
    goal, ball = Goal(labels), Ball("linf", 0.1)
    with pytest.raises(ValueError, match=r"`detector` must give a score an image, got \(20, 10\) for 20"):
        evaluate(Target(net), images, labels, ball, detector=net, effort=QUICK)
    result = pgd(Target(net), images, goal, ball)
    verdict = judge(Target(net), images, goal, replace(result, success=result.success[:, None]), ball)
    assert "it claims (20, 1) successes of 20 images" in verdict.complaints


def test_efforts_are_whole_numbers():
    assert Effort(steps=np.int64(3)) == Effort(steps=3)
    with pytest.raises(TypeError, match=r"`steps` must be an integer, got 2\.0"):
        Effort(steps=2.0)
    with pytest.raises(ValueError, match="`nearest_steps` must lie in"):
        Effort(nearest_steps=1)


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(1e-30, torch.float32), (1e-13, torch.float64), (1e20, torch.float32), (1e30, torch.float64)],
    ids=str,
)
@pytest.mark.parametrize(
    "attack",
    [a for a in EVERY if a.name in ("deepfool", "carlini-wagner", "lbfgs", "jsma", "apgd", "apgd-targeted")],
    ids=str,
)
def test_the_scale_of_the_logits_decides_nothing(net, images, labels, attack, dtype, scale):
    # found were 0 to 4 of 20: constants had a largest value, and squares of gradients overflowed
    images, labels = images[:4], labels[:4]
    more = {"searches": 6} if attack.name == "lbfgs" else {}
    results = [
        attack(attack.target(lambda x, by=by: net(x).to(dtype) * by), images, Goal(labels), **more) for by in (1, scale)
    ]
    assert results[0].success.any()
    assert torch.equal(results[0].success, results[1].success)
    if not attack.within:
        far = [lengths(result.x_adv - images, attack.norm).median() for result in results]
        assert far[1] < 1.5 * far[0]


def test_every_class_twice_is_told_of(net, images, labels):
    card = evaluate(Target(lambda x: net(x).repeat(1, 2)), images, labels, Ball("linf", 0.05), effort=QUICK)
    assert "classes tie" in {finding.name for finding in card.findings}


def test_what_was_frozen_is_no_longer_the_callers(labels):
    given, wanted = labels.clone(), (labels + 1) % 10
    goal = Goal(given, wanted)
    given += 1
    wanted += 1
    assert torch.equal(goal.labels, labels)
    assert torch.equal(goal.targets, (labels + 1) % 10)


@pytest.mark.parametrize("read", [list, np.ma.copy], ids=["rows", "whole"])
def test_what_is_masked_is_refused(net, images, labels, read):
    masked = np.ma.array(images.numpy(), mask=images.numpy() > 0.5)
    with pytest.raises(ValueError, match="`images` must have nothing masked"):
        pgd(Target(net), read(masked), Goal(labels), Ball("linf", 0.1))
    with pytest.raises(ValueError, match="`labels` must have nothing masked"):
        Goal(np.ma.array(labels.numpy(), mask=labels.numpy() == 3))
    oracle = Target.oracle(lambda x: np.ma.array(net(x).numpy(), mask=net(x).numpy() < 0))
    with pytest.raises(ValueError, match="`logits` must have nothing masked"):
        oracle.check(images, labels)
