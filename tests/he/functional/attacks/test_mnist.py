"""The attacks on MNIST, where it is there: the figures of `docs/functional.md` are those of the slow tests."""

import math
import os

import numpy as np
import pytest

from he.functional.attacks.forward import images_by_least_squares, images_from_forward_keys
from he.functional.attacks.gradient import images_from_gradient
from he.functional.attacks.judge import judge, public_only_accuracy
from he.functional.attacks.programme import images_by_programme, prices
from he.functional.attacks.report import Truth, revealed_by_products, revealed_by_training
from he.functional.protocols.projection import BYTES, ByteScaling, classifier_for, fit_projection
from intnn.estimator.classifier import IntClassifier
from intnn.values.domain import IntDomain
from plaintext_models.data.datasets import DATA_VARIABLE
from tests.he.functional.attacks.victims import components, images_of, projected, training

pytestmark = pytest.mark.skipif(DATA_VARIABLE not in os.environ, reason=f"{DATA_VARIABLE} names no folder with MNIST")
PUBLIC = 2_000


@pytest.fixture(scope="module")
def mnist():
    """With 256 grey levels."""
    return images_of("mnist", 255)


def forward_keys(sights):
    return np.concatenate([sight.forward.keys for sight in sights])


def test_training_reveals_its_first_batch_by_the_first_gradient_and_three_batches_by_four_updates(mnist) -> None:
    images, labels = mnist[0] >> 4, mnist[1]
    sights = training(images, labels, 15, units=128, batch=64, updates=4)
    rebuilt = images_from_gradient(sights[0].gradient)
    assert rebuilt.confirmed.all()
    assert np.array_equal(rebuilt.images, images[:64])
    seen = projected(images[:192], forward_keys(sights), 15)
    assert not images_by_least_squares(seen).confirmed.any()
    rebuilt = images_from_forward_keys(seen, 128)
    right = (rebuilt.images == images[:192]).all(axis=1)
    assert right.mean() > 0.5
    assert right[rebuilt.confirmed].all()


def test_a_quarter_of_the_rank_gives_exact_images_and_an_eighth_of_that_none(mnist) -> None:
    public, images = mnist[0][:PUBLIC], mnist[0][PUBLIC : PUBLIC + 6]
    inputs = IntDomain(0, 255)
    weights = prices(public.mean(axis=0), inputs)
    many = images_by_programme(projected(images, components(public, 196), 255), weights)
    assert (many.images == images).all(axis=1).sum() >= 2
    few = images_by_programme(projected(images, components(public, 32), 255), weights)
    assert not few.confirmed.any()
    assert not (few.images == images).all(axis=1).any()


@pytest.fixture(scope="module")
def readers(mnist):
    """Judges of images with so many bits."""
    return {bits: judge(mnist[0] >> 8 - bits, mnist[1], IntDomain(0, 2**bits - 1)) for bits in (4, 8)}


@pytest.mark.slow
@pytest.mark.parametrize("bits", [4, 8])
def test_what_public_images_teach(mnist, readers, bits) -> None:
    train, test = mnist[0][:PUBLIC] >> 8 - bits, mnist[2] >> 8 - bits
    only = public_only_accuracy(train, mnist[1][:PUBLIC], test, mnist[3], IntDomain(0, 2**bits - 1))
    reader = readers[bits].score(test, mnist[3])
    print(f"\n{bits} bits: public images alone train to {100 * only:.1f} %, all to {100 * reader:.1f} %")
    assert 0.85 < only < 0.95 < reader


PRINCIPAL = [(16, 8), (32, 8), (64, 8), (128, 8), (196, 8), (32, 4), (64, 4), (196, 4)]
RANDOM = [(64, 8), (196, 8)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "rank", "bits"), [("principal", *pair) for pair in PRINCIPAL] + [("random", *pair) for pair in RANDOM]
)
def test_what_a_projection_reveals(mnist, readers, kind, rank, bits) -> None:
    here = slice(PUBLIC, PUBLIC + (100 if rank <= 64 else 20))
    train, hi = mnist[0] >> 8 - bits, 2**bits - 1
    seen = projected(train[here], components(train[:PUBLIC], rank, kind), hi)
    truth = Truth(train[here], mnist[1][here], readers[bits])
    revealed = revealed_by_products(seen, train[:PUBLIC], truth, (28, 28))
    print(f"\n{kind}, {bits} bits, {revealed}")
    assert (revealed.share_rebuilt > 0) == (rank > (32 if kind == "principal" else 64))


def gaussian_deviation(epsilon, delta) -> float:
    """The least noise for (epsilon, delta)-privacy of what may differ by 1 (Balle and Wang 2018, theorem 8)."""
    low, high = 1e-3, 1e3
    while high / low > 1 + 1e-6:
        s = math.sqrt(low * high)
        above, below = (math.erfc((epsilon * s + sign / (2 * s)) / math.sqrt(2)) / 2 for sign in (-1, 1))
        low, high = (low, s) if above - math.exp(epsilon) * below <= delta else (s, high)
    return high


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "rank"), [("principal", rank) for rank in (16, 32, 64, 128, 196)] + [("random", 64), ("random", 196)]
)
def test_what_a_projection_trains_to(mnist, kind, rank) -> None:
    train, labels, test, test_labels = mnist
    projection = fit_projection(train[:PUBLIC], rank, kind)
    classifier = classifier_for(len(train) - PUBLIC).fit(projection(train[PUBLIC:]), labels[PUBLIC:])
    accuracy = classifier.score(projection(test), test_labels)
    print(f"\n{kind}, {rank} keys: {100 * accuracy:.1f} %")
    assert accuracy > (0.975 if kind == "principal" and rank >= 32 else 0.94)


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [1, 8, 32])
def test_with_noise_in_every_image_less_is_learned_than_public_images_teach(mnist, epsilon) -> None:
    train, labels, test, test_labels = mnist
    projection = fit_projection(train[:PUBLIC], 32)
    middle = (train[:PUBLIC] @ projection.matrix.T).mean(axis=0)
    known, offsets, tests = (x @ projection.matrix.T - middle for x in (train[:PUBLIC], train[PUBLIC:], test))
    norms = np.linalg.norm(offsets, axis=1, keepdims=True)
    clip = np.median(norms)
    deviation = 2 * clip * gaussian_deviation(epsilon, 1e-5)
    noisy = offsets * np.minimum(1, clip / norms) + np.random.default_rng(0).normal(0, deviation, offsets.shape)
    # Fisher's discriminant, with the covariance of public images; and networks, by the best of some rates.
    means = np.array([noisy[labels[PUBLIC:] == number].mean(axis=0) for number in range(10)])
    slopes = np.linalg.solve(known.T @ known / PUBLIC, means.T)
    scores = tests @ slopes - (means.T * slopes).sum(axis=0) / 2
    linear = (scores.argmax(axis=1) == test_labels).mean()
    z, z_test = (np.rint(x).astype(np.int64) for x in (noisy, tests))
    scaling = ByteScaling.of(z, 0.5)
    network = max(
        IntClassifier((128,), epochs=8, batch_size=128, learning_rate=rate, input_domain=BYTES)
        .fit(scaling(z), labels[PUBLIC:])
        .score(scaling(z_test), test_labels)
        for rate in (0.02, 0.1, 0.4)
    )
    only = public_only_accuracy(train[:PUBLIC], labels[:PUBLIC], test, test_labels, IntDomain(0, 255))
    print(f"\n32 keys, epsilon {epsilon}: network {100 * network:.1f} %, linear {100 * linear:.1f} %; "
          f"public images alone {100 * only:.1f} %")  # fmt: skip
    assert max(network, linear) < only


def test_the_deviation_of_the_noise_is_that_of_the_theorem() -> None:
    # Dwork and Roth's, which is larger, for an epsilon where theirs holds; and it falls as epsilon grows.
    theirs = math.sqrt(2 * math.log(1.25e5)) / 0.5
    assert 0.5 * theirs < gaussian_deviation(0.5, 1e-5) < theirs
    assert gaussian_deviation(8, 1e-5) < gaussian_deviation(1, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("units", "batch"), [(128, 64), (64, 64), (32, 64), (32, 512), (16, 512)])
@pytest.mark.parametrize("updates", [1, 4, 16])
def test_what_training_reveals(mnist, readers, units, batch, updates) -> None:
    images, labels = mnist[0] >> 4, mnist[1]
    used = slice(0, updates * batch)
    truth = Truth(images[used], labels[used], readers[4])
    sights = training(images, labels, 15, units, batch, updates)
    scoped = revealed_by_training(sights, truth)
    reusable = revealed_by_training(sights, truth, lambda keys: projected(images[used], keys, 15).products)
    print(f"\n{units} units, batches of {batch}, {updates} updates\nkeys for one batch each: {scoped}")
    print(f"keys for all samples: {reusable}")
    assert (scoped.share_rebuilt == 1) == (scoped.rank == batch)
    assert scoped.rank <= units
    if updates == 1:
        assert scoped.rank == min(units, batch)


@pytest.mark.slow
@pytest.mark.parametrize(("units", "batch"), [(32, 64), (32, 512), (16, 512)])
def test_forward_keys_of_sixteen_updates_are_a_projection_of_every_sample(mnist, readers, units, batch) -> None:
    images, labels = mnist[0] >> 4, mnist[1]
    public, others = images[-PUBLIC:], slice(30_000, 30_010)  # which no update has used
    sights = training(images, labels, 15, units, batch, updates=16)
    truth = Truth(images[others], labels[others], readers[4])
    seen = projected(images[others], forward_keys(sights), 15)
    revealed = revealed_by_products(seen, public, truth, (28, 28))
    print(f"\n{units} units, batches of {batch}, samples that no update has used: {revealed}")
    assert revealed.share_rebuilt > 0
