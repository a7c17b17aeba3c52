import numpy as np
import pytest

from he.functional.attacks.judge import judge, public_only_accuracy
from intnn.values.domain import IntDomain
from tests.he.functional.attacks.victims import images_of

LEVELS = IntDomain(0, 16)


def test_a_judge_reads_originals_and_no_noise() -> None:
    train, labels, test, test_labels = images_of("digits", 16)
    reader = judge(train, labels, LEVELS)
    assert reader.score(test, test_labels) > 0.95
    noise = np.random.default_rng(0).integers(0, 17, test.shape)
    assert reader.score(noise, test_labels) < 0.3


def test_few_public_images_train_to_less_than_all() -> None:
    train, labels, test, test_labels = images_of("digits", 16)
    few, more = (public_only_accuracy(train[:n], labels[:n], test, test_labels, LEVELS) for n in (64, 600))
    assert 0.5 < few < more < 1
    assert few == public_only_accuracy(train[:64], labels[:64], test, test_labels, LEVELS)  # the same bits


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match="`images` must be at least 64, got 63"):
        judge(np.zeros((63, 4), int), np.arange(63), LEVELS)
    with pytest.raises(ValueError, match="`images` must lie in"):
        judge(np.full((64, 4), 17), np.arange(64), LEVELS)
