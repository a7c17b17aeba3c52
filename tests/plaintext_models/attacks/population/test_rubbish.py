"""Images of nothing that a network is sure of."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.population.rubbish import ascended, evolved
from tests.plaintext_models.attacks.soundness import cases

CLASSES = torch.arange(10)


@settings(max_examples=30)
@given(cases(), st.booleans(), st.floats(0.1, 0.9), st.integers(0, 20), st.integers(0, 9))
def test_is_sound(case, evolves, confidence, rounds, seed):
    shape = case.images.shape[1:]

    def make():
        if evolves:
            return evolved(
                case.oracle, wanted, shape, confidence=confidence, population=5, generations=rounds, seed=seed
            )
        return ascended(case.target, wanted, shape, confidence=confidence, steps=rounds, seed=seed)

    wanted = case.goal.labels
    case.oracle.check(case.images[:1].expand(len(wanted), *shape), wanted)
    aside = len(wanted) + 2 * min(8, len(wanted)) + len(wanted)  # the check with its probes, and the verdict
    before = case.model.seen
    made = make()
    assert case.model.seen - before - aside == made.queries
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert torch.equal(make().images, made.images)
    assert torch.equal(torch.get_rng_state(), state)
    low, high = case.bounds
    assert made.images.shape == (len(wanted), *shape)
    assert ((made.images >= low) & (made.images <= high)).all()
    logits = case.model(made.images)
    sure = logits.softmax(1).gather(1, wanted[:, None]).squeeze(1)
    torch.testing.assert_close(made.confidences, sure)
    assert torch.equal(made.success, (made.confidences >= confidence) & (logits.argmax(1) == wanted))
    assert made.iterations <= rounds


@pytest.mark.parametrize("make", [evolved, ascended])
def test_a_network_is_sure_of_rubbish(net, make):
    made = make(Target(net), CLASSES, (1, 8, 8), confidence=0.99)
    assert made.success.all()
    assert (made.confidences >= 0.99).all()
    assert make(Target(net), CLASSES, (1, 8, 8), confidence=0.99, seed=1).images.ne(made.images).any()


def test_evolution_never_loses_ground(net):
    confidences = [
        evolved(Target.oracle(net), CLASSES, (1, 8, 8), generations=generations).confidences
        for generations in (0, 5, 10, 20)
    ]
    for earlier, later in itertools.pairwise(confidences):
        # a champion is judged in a batch of another size, whose sums may round otherwise
        assert (later >= earlier - 1e-6).all()


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (evolved, {"confidence": 1}, "`confidence` must be above 0, below 1, got 1"),
        (ascended, {"confidence": 0}, "`confidence` must be above 0, below 1, got 0"),
        (evolved, {"rate": 0}, "`rate` must be above 0, up to 1, got 0"),
        (evolved, {"population": 0}, "`population`"),
        (evolved, {"generations": -1}, "`generations`"),
        (ascended, {"steps": -1}, "`steps`"),
        (ascended, {"decay": 1}, "`decay` must be from 0, below 1, got 1"),
    ],
)
def test_refuses(net, make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(Target(net), CLASSES, (1, 8, 8), **arguments)


def test_climbing_needs_gradients(net):
    with pytest.raises(TypeError, match="answers queries only"):
        ascended(Target.oracle(net), CLASSES, (1, 8, 8))


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("make", [evolved, ascended])
def test_images_of_few_levels(net, make, levels):
    target = Target(net, levels=levels, bounds=(-1, 2))
    made = make(target, CLASSES, (1, 8, 8), confidence=0.5)
    target.require(made.images)
    assert made.success.any()
    assert torch.equal(made.success, (net(made.images).argmax(1) == CLASSES) & (made.confidences >= 0.5))


def test_what_is_wanted(net):
    for make in (evolved, ascended):
        for classes in (3, torch.tensor(3), [], [[1]]):
            with pytest.raises((TypeError, ValueError), match="`classes` must be"):
                make(Target(net), classes, (1, 8, 8))
        for shape in (8, (1.0, 8, 8), "188", None):
            with pytest.raises(TypeError, match="`shape` must be"):
                make(Target(net), [3], shape)
