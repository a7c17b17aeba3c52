"""A head for all digits, trained on ciphertexts at 128 bits: what the owner gets, and how exact it is."""

import numpy as np

from he.training.errors import head_error
from he.training.head import accuracy, fit
from he.training.owner import Owner
from he.training.recipes import DIGITS
from he.training.trainer import Trainer
from plaintext_models.data.datasets import load


def test_digits_are_learnt_from_ciphertexts_as_in_the_clear():
    data = load("digits")
    features, labels = DIGITS.features.of(data.train_images), data.train_labels
    whitening, plan = DIGITS.whitening(features), DIGITS.plan(len(labels), data.classes)
    owner = Owner("hospital", plan, whitening)
    trainer = Trainer(plan, owner.evaluation_keys.to_bytes())
    for block in owner.encrypt(features, labels):
        trainer.add(block.to_bytes())
    head = owner.decrypt(trainer.fit().to_bytes())

    twin = fit(whitening.apply(features), labels, data.classes, plan.descent)
    test = whitening.apply(DIGITS.features.of(data.test_images))
    assert np.abs(head - twin).max() <= head_error(plan) < 1e-4 * np.abs(twin).max()
    assert np.array_equal(np.argmax(test @ head, axis=1), np.argmax(test @ twin, axis=1))
    assert accuracy(test, data.test_labels, head) >= 0.975
