"""The card: its verdict, its curve and its flags, on a sound model and on some that deceive."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from plaintext_models.attacks.ball.adaptive import adaptive
from plaintext_models.attacks.ball.ascend import ascend
from plaintext_models.attacks.core import batches
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.data import datasets
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation import trials
from plaintext_models.evaluation.card import Effort
from plaintext_models.evaluation.judge import Share
from plaintext_models.evaluation.runner import evaluate
from plaintext_models.nets.mlp import mlp
from plaintext_models.training.loop import train

SMALL = Effort(20, 20, 2, 20, 3, 300, 40, 6)
N = 60


@pytest.fixture(autouse=True)
def one_thread():
    with deterministic(0):
        yield


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.fixture(scope="module")
def nets(digits):
    made = []
    for seed in (0, 1):
        with deterministic(seed):
            made.append(mlp(digits.input_shape, digits.classes, [32]))
        train(made[-1], digits, epochs=8, batch_size=64, learning_rate=5e-3, seed=seed, progress=False)
    return made


@pytest.fixture(scope="module")
def examples(digits):
    return torch.from_numpy(digits.test_images[:N]), torch.from_numpy(digits.test_labels[:N])


def require_consistent(card, images):
    """Whatever the model is."""
    n = len(images)
    assert card.entries[0].robust == card.clean
    assert card.curve[0].robust.count <= card.clean.count  # votes of a stochastic model are taken again
    assert card.curve[-1].radius >= card.radius
    worst = n
    for entry in card.entries:
        assert entry.worst.n == n
        assert entry.worst.count <= worst
        worst = entry.worst.count
        low, high = entry.robust.interval
        assert low <= entry.robust.value <= high
        assert entry.seconds >= 0
        if entry.radius is not None and entry.radius <= card.radius:
            assert card.verdict.value <= entry.robust.value
            assert not (entry.broken & (card.nearest > card.radius)).any()
    assert card.verdict == Share(worst, n)
    assert card.verdict.count == int((card.nearest > card.radius).sum())
    counts = [point.robust.count for point in card.curve]
    assert counts == sorted(counts, reverse=True)
    assert next(point.robust for point in card.curve if point.radius == card.radius) == card.verdict
    moved = card.adversarial - images
    size = moved.flatten(1).double().norm(p={"linf": math.inf, "l2": 2, "l1": 1}[card.norm], dim=1)
    assert (size <= card.radius * (1 + 1e-5) + 1e-5).all()
    still = (card.nearest == 0) | (card.nearest > card.radius)
    assert not moved[still].any()


@pytest.mark.parametrize(
    ("norm", "radius", "radii"), [("linf", 0.1, (0.05, 0.2)), ("l2", 0.5, (0.25, 1)), ("l1", 2, (1, 4))]
)
def test_a_sound_model_raises_no_flag(nets, examples, norm, radius, radii):
    target, rival = map(Target, nets)
    images, labels = examples
    told = []
    card = evaluate(
        target, images, labels, Ball(norm, radius), radii=radii, transfer_from=[rival], report=told.append, effort=SMALL
    )
    require_consistent(card, images)
    assert not card.findings
    assert not any(entry.complaints for entry in card.entries)
    assert [point.radius for point in card.curve[:-1]] == sorted([0, radius, *radii])
    assert card.curve[-1].robust.count == 0
    assert 0 < card.verdict.value < card.clean.value
    assert {entry.name for entry in card.entries} <= set(told)
    assert {entry.kind for entry in card.entries} >= {"clean", "one step", "white box", "transfer", "curve"} - (
        {"curve"} if norm == "l2" else set()
    )


def test_equal_seeds_give_equal_cards(nets, examples):
    images, labels = examples
    cards = []
    for state in (1, 2):
        torch.manual_seed(state)
        before = torch.get_rng_state()
        cards.append(evaluate(Target(nets[0]), images, labels, Ball("linf", 0.1), seed=3, effort=SMALL))
        assert torch.equal(torch.get_rng_state(), before)
    first, second = cards
    assert torch.equal(first.nearest, second.nearest)
    assert torch.equal(first.adversarial, second.adversarial)
    entries = [[replace(entry, seconds=0, broken=None) for entry in card.entries] for card in cards]
    assert list(map(vars, entries[0])) == list(map(vars, entries[1]))


class Saturated(nn.Module):
    """Probabilities of logits times 10,000: all 0 and 1."""

    def __init__(self, net):
        super().__init__()
        self.net = net.eval()

    def forward(self, images):
        return (1e4 * self.net(images)).softmax(1)


class Quantised(Saturated):
    """Sees grey levels only, which it rounds its input to."""

    def forward(self, images):
        return self.net((16 * images).round() / 16)


@pytest.mark.parametrize("mask", [Saturated, Quantised])
def test_masked_gradients_are_found_out(nets, examples, mask):
    images, labels = examples
    masked, rival = Target(mask(nets[0]).eval()), Target(nets[1])
    card = evaluate(masked, images, labels, Ball("linf", 0.15), transfer_from=[rival], effort=SMALL)
    require_consistent(card, images)
    names = {finding.name for finding in card.findings}
    assert names >= {"zero gradients", "transfer beats direct attack"}
    short = next(entry for entry in card.entries if entry.name == "PGD-20")
    assert card.verdict.value < short.robust.value


class Jagged(nn.Module):
    """A slope that points away, over so short a distance that a step passes over it."""

    def __init__(self, net):
        super().__init__()
        self.net = net.eval()

    def forward(self, images):
        teeth = 2e-3 * torch.sin(1e4 * images).detach() + images.detach() - (images - images.detach())
        return self.net(teeth)


def test_misleading_gradients_are_found_out(nets, examples):
    images, labels = examples
    card = evaluate(Target(Jagged(nets[0]).eval()), images, labels, Ball("linf", 0.15), effort=SMALL)
    require_consistent(card, images)
    assert {"black box beats white box"} <= {finding.name for finding in card.findings}


class Noisy(nn.Module):
    """Adds noise to its input."""

    def __init__(self, net, scale):
        super().__init__()
        self.net, self.scale = net.eval(), scale

    def forward(self, images):
        return self.net(images + self.scale * torch.randn_like(images))


def test_a_stochastic_model_is_attacked_with_and_without_its_randomness(nets, examples):
    images, labels = examples
    images, labels = images[:30], labels[:30]
    target, off = Target(Noisy(nets[0], 0.05).eval(), stochastic=True), Target(nets[0])
    card = evaluate(target, images, labels, Ball("linf", 0.1), randomness_off=off, effort=SMALL)
    require_consistent(card, images)
    assert {"randomness off", "white box"} <= {entry.kind for entry in card.entries}
    short = next(entry for entry in card.entries if entry.name == "PGD-20")
    assert short.queries % SMALL.draws == 0
    assert any("stochastic" in reason for reason in card.left_out)
    assert card.verdict.value < card.clean.value - 0.2


def test_a_detector_is_attacked_together_with_the_model(nets, examples):
    images, labels = examples

    def grey(batch):  # digits are black beside their strokes, attacked ones are not
        return (batch * (1 - batch)).flatten(1).mean(1) - 0.12

    alone = evaluate(Target(nets[0]), images, labels, Ball("linf", 0.15), effort=SMALL)
    card = evaluate(Target(nets[0]), images, labels, Ball("linf", 0.15), detector=grey, effort=SMALL)
    require_consistent(card, images)
    assert any(entry.kind == "joint" for entry in card.entries)
    assert card.verdict.count >= alone.verdict.count
    found = (card.nearest > 0) & (card.nearest <= card.radius)
    assert (grey(card.adversarial)[found] <= 0).all()
    plain = next(entry for entry in card.entries if entry.name == "PGD-20")
    assert card.verdict.count < plain.robust.count


def test_queries_alone_make_a_card(nets, examples):
    images, labels = examples
    with torch.no_grad():
        target = Target.oracle(nets[0])
        card = evaluate(target, images, labels, Ball("linf", 0.1), radii=[0.2], effort=SMALL)
    require_consistent(card, images)
    assert {entry.kind for entry in card.entries} == {"clean", "black box", "curve"}
    assert any("red flags" in reason for reason in card.left_out)


def test_a_card_of_what_can_be_attacked_in_no_way(nets, examples):
    images, labels = examples
    card = evaluate(Target.oracle(nets[0]), images, labels, Ball("l1", 0.1), radii=[0.2], effort=SMALL)
    require_consistent(card, images)
    assert [entry.kind for entry in card.entries] == ["clean"]
    assert len(card.left_out) == 3
    assert [point.radius for point in card.curve] == [0, 0.1, 0.2, 64]
    assert {point.robust for point in card.curve} == {card.clean}


def test_vectors_and_two_classes(nets):
    images = torch.rand((20, 5), generator=torch.Generator().manual_seed(0))
    target = Target(lambda x: torch.stack([x.sum(1), 5 - x.sum(1)], 1))
    card = evaluate(target, images, target.logits(images).argmax(1), Ball("l2", 0.1), effort=SMALL)
    require_consistent(card, images)
    assert not card.findings
    margins = (images.sum(1) - 2.5).abs() / math.sqrt(5)
    assert card.verdict.count == int((margins > 0.1).sum())


def test_an_attack_that_meets_no_numbers_does_not_end_the_card(nets, examples):
    images, labels = examples

    def broken(batch):
        logits = nets[0](batch)
        return logits + (logits.detach() - logits).abs().sqrt()  # 0, with a slope that is no number

    card = evaluate(Target(broken), images, labels, Ball("linf", 0.1), effort=replace(SMALL, steps=3))
    assert any("NaN" in reason for reason in card.left_out)
    assert "zero gradients" in {finding.name for finding in card.findings}
    assert any(entry.kind == "black box" for entry in card.entries)


def test_models_must_have_the_same_bounds(nets, examples):
    other = Target(nets[1], bounds=(-1, 1))
    for models in ({"transfer_from": [other]}, {"randomness_off": other}):
        with pytest.raises(ValueError, match="bounds"):
            evaluate(Target(nets[0]), *examples, Ball("linf", 0.1), **models)
    with pytest.raises(ValueError, match="radius"):
        evaluate(Target(nets[0]), *examples, Ball("linf", 0.1), radii=[-1])
    with pytest.raises(ValueError, match="norm"):
        evaluate(Target(nets[0]), *examples, Ball("l3", 0.1))


def test_ascent_goes_on_beyond_the_boundary(nets, examples):
    images, labels = examples
    target, losses = Target(nets[0]), []
    for steps in (1, 20):
        generator = torch.Generator().manual_seed(0)
        moved = ascend(target, images, Goal(labels), Ball("linf", 0.1), steps=steps, generator=generator)
        assert ((moved - images).abs() <= 0.1 + 1e-6).all()
        losses.append(float(nn.functional.cross_entropy(target.logits(moved), labels).detach()))
    assert losses[1] > losses[0]


def test_parts_are_put_together(nets, examples, monkeypatch):
    monkeypatch.setattr(batches, "PART", 7 * 64)
    images, labels = examples
    card = evaluate(Target(nets[0]), images, labels, Ball("linf", 0.1), effort=SMALL)
    require_consistent(card, images)
    assert not any(entry.complaints for entry in card.entries)


def test_the_adaptive_attack_is_given_all_images_at_once(nets, examples, monkeypatch):
    """It gives an image up by what it gained on others: of few others it learns too little, and gives up too early."""
    monkeypatch.setattr(batches, "PART", 7 * 64)
    given, asked = [], []

    def recorded(target, images, *rest, **options):
        given.append(len(images))
        return adaptive(target, images, *rest, **options)

    def counted(images):
        asked.append(len(images))
        return nets[0](images)

    monkeypatch.setattr(trials, "adaptive", recorded)
    images, labels = examples
    card = evaluate(Target(counted), images, labels, Ball("linf", 0.05), effort=replace(SMALL, adaptive=100))
    require_consistent(card, images)
    left = next(entry.robust.n for entry in card.entries if entry.name == "adaptive, 100")
    assert given == [left]
    assert left > 7
    assert asked.count(7) > 100  # memory stays bounded: it takes them in parts itself


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"effort": "QUICK"}, "`effort` must be an Effort, got str; take FULL or QUICK"),
        ({"radii": 0.1}, "`radii` must be a sequence, got float"),
        ({"radii": None}, "`radii` must be a sequence, got NoneType"),
        ({"radii": "0.1"}, "`radii` must be a sequence, got str"),
        (
            {"transfer_from": Target(lambda x: x.flatten(1))},
            "`transfer_from` must be a sequence, got Target; put",
        ),
        ({"report": 5}, "`report` must be a function, got int"),
        ({"detector": 5}, "`detector` must be a function, got int"),
        ({"randomness_off": 5}, "all models must be Targets, got int"),
    ],
)
def test_arguments_of_another_kind(nets, examples, arguments, message):
    with pytest.raises(TypeError, match=message):
        evaluate(Target(nets[0]), *examples, Ball("linf", 0.1), **arguments)


def test_a_detector_in_training_mode(nets, examples):
    detector = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 1)).train()
    mean = detector[1].running_mean.clone()
    with pytest.raises(ValueError, match="evaluation mode"):
        evaluate(Target(nets[0]), *examples, Ball("linf", 0.1), detector=detector, effort=SMALL)
    assert torch.equal(detector[1].running_mean, mean)
