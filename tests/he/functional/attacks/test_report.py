import math

import numpy as np
import pytest

from he.functional.attacks.judge import judge, public_only_accuracy
from he.functional.attacks.report import Attempt, Revealed, Truth, psnr_db, revealed_by_products, revealed_by_training
from he.functional.attacks.seen import Seen
from he.functional.attacks.sights import Sight
from intnn.values.domain import IntDomain
from tests.he.functional.attacks.victims import components, images_of, projected, training

LEVELS = IntDomain(0, 16)


@pytest.fixture(scope="module")
def digits():
    return images_of("digits", 16)


@pytest.fixture(scope="module")
def reader(digits):
    return judge(digits[0], digits[1], LEVELS)


def projection(digits, reader, rank, count=40):
    train, labels, *_ = digits
    public, images = train[:200], train[200 : 200 + count]
    truth = Truth(images, labels[200 : 200 + count], reader)
    return revealed_by_products(projected(images, components(public, rank), 16), public, truth, (8, 8))


def test_a_projection_of_low_rank_reveals_no_image_exactly(digits, reader) -> None:
    revealed = projection(digits, reader, 8)
    assert (revealed.rank, revealed.length, revealed.images, revealed.updates) == (8, 64, 40, 0)
    assert revealed.share_rebuilt == 0
    assert 10 < revealed.psnr_db < 25
    assert 0.3 < revealed.judge_accuracy <= 1
    assert revealed.sentence.startswith("reveals 0 of 40 training images exactly, and ")
    assert {attempt.attack for attempt in revealed.attempts} == {
        "linear programme", "linear programme, reweighted", "neighbours", "ridge decoder"
    }  # fmt: skip


def test_a_projection_of_higher_rank_reveals_every_image(digits, reader) -> None:
    revealed = projection(digits, reader, 60)
    assert revealed.share_rebuilt == 1
    assert revealed.psnr_db == math.inf
    assert revealed.sentence == "reveals 40 of 40 training images exactly, and 100 % of them legibly"


def test_training_reveals_every_image_after_update_1_where_units_are_as_many_as_the_batch(digits, reader) -> None:
    train, labels, *_ = digits
    sights = training(train, labels, 16, units=64, batch=32, updates=1)
    revealed = revealed_by_training(sights, Truth(train[:32], labels[:32], reader))
    assert (revealed.rank, revealed.length, revealed.updates) == (32, 32, 1)
    assert revealed.sentence == "reveals every training image after update 1 of its batch"


def test_training_of_few_units_does_not_reveal_every_image_after_update_1(digits, reader) -> None:
    train, labels, *_ = digits
    sights = training(train, labels, 16, units=16, batch=32, updates=1)
    revealed = revealed_by_training(sights, Truth(train[:32], labels[:32], reader))
    assert revealed.rank <= 16
    assert revealed.share_rebuilt < 0.5
    found = round(32 * revealed.share_rebuilt)
    assert revealed.sentence.startswith(
        f"reveals {found} of 32 training images exactly after update 1 of its batch, and"
    )


def test_one_update_of_as_many_units_as_features_reveals_every_sample_of_a_larger_batch(reader) -> None:
    rng = np.random.default_rng(0)
    samples, labels = rng.integers(0, 17, (128, 12)), rng.integers(0, 10, 128)
    sights = training(samples, labels, 16, units=16, batch=64, updates=2)
    truth = Truth(samples, labels, judge(samples, labels, LEVELS))
    revealed = revealed_by_training(sights, truth)
    assert revealed.sentence == "reveals every training image after update 1 of its batch"
    assert revealed.rank < revealed.length
    fewer = revealed_by_training(training(samples, labels, 16, units=8, batch=64, updates=2), truth)
    assert fewer.share_rebuilt < 1


def test_several_updates_of_one_batch_are_put_together() -> None:
    """As `known_share` counts them: keys of the second epoch add to what the first one has told of the same images."""
    rng = np.random.default_rng(0)
    samples, labels = rng.integers(0, 17, (128, 20)), rng.integers(0, 10, 128)
    truth, sights = Truth(samples, labels, judge(samples, labels, LEVELS)), []
    for update in range(4):
        batch = update % 2
        x = samples[64 * batch :][:64]
        weights, errors = rng.integers(-127, 128, (12, 20)), rng.integers(-127, 128, (12, 64))
        sums, gradient = Seen(weights, x @ weights.T, LEVELS), Seen(errors, x.T @ errors.T, LEVELS)
        sights.append(Sight(sums, gradient, batch))
    assert revealed_by_training(sights[:2], truth).share_rebuilt == 0
    revealed = revealed_by_training(sights, truth)
    assert (revealed.rank, revealed.images) == (24, 128)
    assert revealed.sentence == "reveals every training image after 4 updates"


def test_keys_that_hold_for_all_samples_reveal_what_gradients_of_few_units_do_not(digits, reader) -> None:
    train, labels, *_ = digits
    sights = training(train, labels, 16, units=16, batch=32, updates=12)
    images, truth = train[: 12 * 32], Truth(train[: 12 * 32], labels[: 12 * 32], reader)
    scoped = revealed_by_training(sights, truth)
    reusable = revealed_by_training(sights, truth, lambda keys: images @ keys.T)
    assert scoped.share_rebuilt < 0.5 < reusable.share_rebuilt
    assert "after 12 updates" in scoped.sentence


def test_the_report_prints_every_attack_and_what_was_public(digits, reader) -> None:
    train, labels, test, test_labels = digits
    public = public_only_accuracy(train[:200], labels[:200], test, test_labels, LEVELS)
    truth = Truth(train[200:210], labels[200:210], reader)
    seen = projected(train[200:210], components(train[:200], 8), 16)
    lines = str(revealed_by_products(seen, train[:200], truth, (8, 8), public)).splitlines()
    assert lines[0].startswith("keys of rank 8 of 64: reveals 0 of 10")
    assert lines[1].startswith("linear programme: 0.0 % exact, ")
    assert lines[-1] == f"public images alone train to {100 * public:.1f} %"
    assert len(lines) == 6


def test_the_best_attack_counts() -> None:
    attempts = (Attempt("a", 0.25, 10.0, 0.75), Attempt("b", 0.5, 12.0, 0.25))
    revealed = Revealed(2, 4, 4, attempts, 0.75, 1.0)
    assert (revealed.psnr_db, revealed.judge_accuracy) == (12.0, 0.75)
    assert revealed.sentence == "reveals 3 of 4 training images exactly, and 75 % of them legibly"
    assert "public" not in str(revealed)


def test_the_ratio_is_of_the_range() -> None:
    truth = np.array([[0, 16], [16, 0]])
    assert psnr_db(truth, truth, LEVELS) == math.inf
    assert psnr_db(16 - truth, truth, LEVELS) == pytest.approx(0)
    assert psnr_db(truth + np.array([[0, 0], [0, 16]]), truth, LEVELS) == pytest.approx(10 * math.log10(4))


def test_what_does_not_fit_is_refused(digits, reader) -> None:
    train, labels, *_ = digits
    with pytest.raises(ValueError, match="`images` and `labels` must have shapes"):
        Truth(train[:3], labels[:2], reader)
    with pytest.raises(ValueError, match="`sights` must hold an update"):
        revealed_by_training([], Truth(train[:3], labels[:3], reader))
    sights = training(train, labels, 16, units=8, batch=8, updates=1)
    with pytest.raises(ValueError, match="`truth` must hold the images that were seen"):
        revealed_by_training(sights, Truth(train[:7], labels[:7], reader))
