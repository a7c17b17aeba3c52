"""Answers of several draws: by the most votes, by the mean, and the theorem on linear models of random weights."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.attacks.core.target import Target
from plaintext_models.stochastic.moments import expected_squared_error
from plaintext_models.stochastic.votes import averaged, ballots, majority, mean


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 7))
def test_the_majority_is_counted(seed, draws):
    logits = torch.randn(draws, 5, 3, generator=torch.Generator().manual_seed(seed))
    for image in range(5):
        votes = [int(logits[draw, image].argmax()) for draw in range(draws)]
        assert int(majority(logits)[image]) == max(range(3), key=lambda label: (votes.count(label), -label))
        sums = [float(logits[:, image, label].double().sum()) for label in range(3)]
        assert int(mean(logits)[image]) == max(range(3), key=sums.__getitem__)


def test_one_strong_draw_wins_the_mean_and_not_the_vote():
    logits = torch.tensor([[[9.0, 0.0]], [[0.0, 1.0]], [[0.0, 1.0]]])
    assert (int(mean(logits)), int(majority(logits))) == (0, 1)


def test_every_ballot_is_a_forward():
    counted = iter(range(10))
    target = Target(lambda images: images.new_full((len(images), 2), next(counted)), stochastic=True)
    found = ballots(target, torch.rand(3, 1, 2, 2), 4)
    assert found[:, 0, 0].tolist() == [0, 1, 2, 3]
    assert found.shape == (4, 3, 2)


def test_an_ensemble_of_draws_is_the_mean_of_their_probabilities():
    generator = torch.Generator().manual_seed(0)
    noisy = Target(lambda images: images.flatten(1) + torch.randn(4, generator=generator), stochastic=True)
    images, ensemble = torch.rand(3, 1, 2, 2), averaged(noisy, 5)
    assert ensemble.stochastic
    logits = ballots(ensemble, images, 1)[0]
    generator.manual_seed(0)
    expected = ballots(noisy, images, 5).softmax(2).mean(0)
    assert torch.allclose(logits.exp(), expected, atol=1e-6)
    gradient, _ = ensemble.gradient(images, lambda answers: answers[:, 0])
    assert bool((gradient.flatten(1)[:, 0] > 0).all())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 5))
def test_the_expected_error_of_random_weights(seed, n, features):
    generator = torch.Generator().manual_seed(seed)
    inputs, root = (torch.randn(rows, features, generator=generator, dtype=torch.float64) for rows in (n, features))
    outputs, mean = (torch.randn(size, generator=generator, dtype=torch.float64) for size in (n, features))
    found = expected_squared_error(inputs, outputs, mean, root @ root.T)
    frobenius = (outputs - inputs @ mean).square().sum() + (inputs @ root).square().sum()
    assert torch.allclose(found, frobenius)
    # The law with the points mean +- sqrt(features) times a column has these moments: a mean without an error.
    points = torch.cat([mean + sign * features**0.5 * root.T for sign in (1, -1)])
    assert torch.allclose(found, (outputs - points @ inputs.T).square().sum(1).mean())


def test_the_expected_error_by_drawing():
    generator = torch.Generator().manual_seed(0)
    inputs, root = (torch.randn(rows, 3, generator=generator, dtype=torch.float64) for rows in (4, 3))
    outputs, mean = (torch.randn(size, generator=generator, dtype=torch.float64) for size in (4, 3))
    weights = mean + torch.randn(100_000, 3, generator=generator, dtype=torch.float64) @ root.T
    errors = (outputs - weights @ inputs.T).square().sum(1)
    found = expected_squared_error(inputs, outputs, mean, root @ root.T)
    assert abs(float(errors.mean() - found)) < 5 * float(errors.std()) / len(errors) ** 0.5  # five deviations
