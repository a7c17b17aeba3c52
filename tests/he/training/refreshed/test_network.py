"""A network of squares: gradients are derivatives, steps those of the heavy ball, and what grows too far is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.training.head import targets
from he.training.refreshed.network import (
    NetworkDescent,
    ReachError,
    SquareNetwork,
    Windows,
    fit_network,
    gradients,
    with_ones,
)
from he.training.whitening import Moments, Whitening
from plaintext_models.data.datasets import load, validation_split

SMALL = NetworkDescent(3, 4, 0.05, 0.03)


def made(seed, n=20, d=4, classes=3, hidden=3):
    generator = np.random.default_rng(seed)
    x = with_ones(generator.normal(size=(n, d - 1)).clip(-3, 3))
    weights = generator.normal(size=(d, hidden)) / 2, generator.normal(size=(hidden + 1, classes)) / 2
    return x, generator.integers(0, classes, n), SquareNetwork.dense(*weights)


def loss(first, second, x, y):
    """|R|^2 / (2 n), also for complex weights."""
    squares = (x @ first) ** 2
    residuals = squares @ second[:-1] + second[-1] - y
    return (residuals**2).sum() / (2 * len(x))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_gradients_are_derivatives_of_the_loss(seed):
    """By steps along the imaginary axis, which lose no digits."""
    x, labels, network = made(seed)
    y, found = targets(labels, 3), gradients(network, x, targets(labels, 3))
    for name in ("first", "second"):
        weights = {"first": network.first.astype(complex), "second": network.second.astype(complex)}
        wanted = np.empty(weights[name].shape)
        for place in np.ndindex(wanted.shape):
            weights[name][place] += 1e-100j
            wanted[place] = loss(**weights, x=x, y=y).imag / 1e-100
            weights[name][place] = weights[name][place].real
        assert np.allclose(getattr(found, name), wanted, rtol=1e-10, atol=1e-12)
    units = x @ network.first
    values = units, network.logits(x) - y, found.first, found.second
    assert found.reach == max(np.abs(part).max() for part in values)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.95))
def test_steps_are_those_of_the_heavy_ball(seed, momentum):
    """Written without velocities: a step is momentum times the last one, less the rate times the gradient."""
    x, labels, _ = made(seed)
    descent = replace(SMALL, momentum=momentum)
    seen = [SquareNetwork.initial(4, 3, descent)]
    fit_network(x, labels, 3, descent, lambda step, network, reach: seen.append(network))
    y = targets(labels, 3)
    for i in range(1, descent.steps):
        before, now, after = seen[i - 1 : i + 2]
        found = gradients(now, x, y)
        moved = momentum * (now.first - before.first) - descent.first_rate * found.first
        assert np.allclose(after.first - now.first, moved, atol=1e-12)
        moved = momentum * (now.second - before.second) - descent.second_rate * found.second
        assert np.allclose(after.second - now.second, moved, atol=1e-12)


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 4))
def test_windows_meet_the_pixels_of_their_places(image, window, stride):
    if window > image:
        with pytest.raises(ValueError, match="`window` must lie in"):
            Windows(image, window, stride)
        return
    found = Windows(image, window, stride).indices
    whole = np.arange(image**2).reshape(image, image)
    views = np.lib.stride_tricks.sliding_window_view(whole, (window, window))[::stride, ::stride]
    assert np.array_equal(found[:, :-1], views.reshape(-1, window**2))
    assert (found[:, -1] == image**2).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 2))
def test_a_convolution_is_a_dense_layer_whose_weights_are_shared(seed, stride):
    """And so its gradients are sums of the dense one's, over all places where a weight stands."""
    generator, windows = np.random.default_rng(seed), Windows(3, 2, stride)
    indices = windows.indices
    (places, taps), hidden = indices.shape, 2
    x, labels = with_ones(generator.normal(size=(15, 9)).clip(-3, 3)), generator.integers(0, 3, 15)
    first, second = generator.normal(size=(taps, hidden)), generator.normal(size=(places * hidden + 1, 3))
    shared = np.zeros((10, places, hidden))
    for place, row in enumerate(indices):
        shared[row, place] = first
    y = targets(labels, 3)
    found = gradients(SquareNetwork(first, second, indices), x, y)
    dense = gradients(SquareNetwork.dense(shared.reshape(10, -1), second), x, y)
    apart = dense.first.reshape(10, places, hidden)
    assert np.allclose(found.first, sum(apart[row, place] for place, row in enumerate(indices)))
    assert np.allclose(found.second, dense.second)


def test_progress_tells_of_every_step_and_the_last_network_is_returned():
    x, labels, _ = made(0)
    seen = []
    network = fit_network(x, labels, 3, SMALL, lambda *told: seen.append(told))
    assert [told[0] for told in seen] == [1, 2, 3, 4]
    assert network is seen[-1][1]
    assert all(0 < told[2] <= SMALL.reach for told in seen)


def test_weights_at_the_start_are_named_by_the_seed_and_have_their_deviations():
    one, same, other = (SquareNetwork.initial(200, 10, replace(SMALL, hidden=50, seed=s)) for s in (0, 0, 1))
    assert np.array_equal(one.first, same.first)
    assert np.array_equal(one.second, same.second)
    assert not np.array_equal(one.first, other.first)
    assert np.array_equal(one.first[-1], np.ones(50))
    assert np.isclose(one.first[:-1].std() * np.sqrt(200), 0.3, rtol=0.03)  # of 9,950 draws
    assert np.isclose(one.second.std() * np.sqrt(50), 0.1, rtol=0.1)  # of 510


def test_rates_that_are_too_large_are_refused_and_not_trained_on():
    x, labels, _ = made(0)
    with pytest.raises(ReachError, match=r"within `reach`, 8, got .* in step \d+; lower the rates"):
        fit_network(x, labels, 3, NetworkDescent(3, 200, 10.0, 10.0))
    with pytest.raises(ReachError, match="in step 1"):
        fit_network(x, labels, 3, replace(SMALL, reach=0.5))


def test_digits_that_are_held_out_are_read_from_pixels():
    parts = validation_split(load("digits"), 287)
    train, held_out = (x.reshape(len(x), -1).astype(np.float64) for x in (parts.train_images, parts.test_images))
    whitening = Whitening.of(Moments.of(train[:400]), 0.01, keep=32)
    network = fit_network(whitening.apply(train), parts.train_labels, 10, NetworkDescent(16, 60, 0.6, 0.1))
    assert network.accuracy(whitening.apply(held_out), parts.test_labels) >= 0.93


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: NetworkDescent(2, 1, 0.1, 0.1, windows=3), TypeError, "`windows` must be a Windows"),
        (lambda: NetworkDescent(2, 1, 0.1, 0.1, windows=Windows(3, 2)).indices(9), ValueError, "must be 10, .* got 9"),
        (lambda: Windows(3, 2, 0), ValueError, "`stride` must lie in"),
        (lambda: NetworkDescent(0, 1, 0.1, 0.1), ValueError, "`hidden` must lie in"),
        (lambda: NetworkDescent(1, 0, 0.1, 0.1), ValueError, "`steps` must lie in"),
        (lambda: NetworkDescent(1, 1, 0.0, 0.1), ValueError, "`first_rate` must be finite and above 0"),
        (lambda: NetworkDescent(1, 1, 0.1, np.nan), ValueError, "`second_rate` must be finite and above 0"),
        (lambda: NetworkDescent(1, 1, 0.1, 0.1, 1.0), ValueError, r"`momentum` must lie in \[0, 1\)"),
        (lambda: NetworkDescent(1, 1, 0.1, 0.1, reach=-1.0), ValueError, "`reach` must be finite and above 0"),
        (
            lambda: SquareNetwork.dense(np.zeros((2, 3)), np.zeros((3, 2))),
            ValueError,
            r"must have shapes \[t, h\], \[p h \+ 1",
        ),
        (lambda: SquareNetwork.dense(np.full((2, 1), np.nan), np.zeros((2, 2))), ValueError, "must be finite"),
        (lambda: fit_network(*made(0)[:2], 3, 4), TypeError, "`descent` must be a NetworkDescent"),
        (lambda: fit_network(made(0)[0], made(0)[1][:-1], 3, SMALL), ValueError, "as many as samples, 20, got 19"),
        (lambda: fit_network(made(0)[0] * 2, made(0)[1], 3, SMALL), ValueError, "give what a whitening made"),
    ],
)
def test_what_cannot_be_is_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
