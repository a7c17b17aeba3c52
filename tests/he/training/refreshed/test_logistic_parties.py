"""Heads of logistic regression on ciphertexts are their clear twins, step by step."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.parties.keys import SecretKey
from he.ring.params import ParameterError
from he.training.refreshed.logistic import LogisticDescent, fit_logistic
from he.training.refreshed.logistic_parties import LogisticOwner, LogisticTrainer
from he.training.refreshed.logistic_plan import LogisticPlan
from he.training.refreshed.network import ReachError
from tests.he.training.made import CLASSES, FEATURES, samples
from tests.he.training.made import plan as head_plan
from tests.he.training.refreshed.made import whitening


@cache
def plan(count=700, steps=4, rate=2.0, reach=8.0, classes=CLASSES):
    descent = LogisticDescent(steps, rate, 0.5, reach)
    return LogisticPlan(count, FEATURES + 1, classes, descent, "insecure", 1024)


@cache
def parties_of(of):
    secret = SecretKey.generate(of.parameters)
    return secret, secret.keys_of(of.key_elements, of.digest)


def parties(of, seed=0):
    """An owner and a trainer that has all samples, and the twin's samples."""
    x, labels = samples(seed, of.samples, of.classes)
    owner = LogisticOwner("a", of, whitening(), *parties_of(of))
    trainer = LogisticTrainer(of, owner.evaluation_keys, 1)
    for block in owner.encrypt(x, labels):
        trainer.add(block.to_bytes())
    trainer.receive(owner.begin())
    return owner, trainer, whitening().apply(x), labels


@settings(max_examples=8, deadline=None)
@given(st.sampled_from([60, 512, 700]), st.sampled_from([2, 3, 4]))
def test_a_head_is_its_twin_step_by_step(count, classes):
    of, twins = plan(count, classes=classes), []
    owner, trainer, white, labels = parties(of)
    fit_logistic(white, labels, classes, of.descent, lambda step, head, largest: twins.append((head, largest)))
    for twin, _ in twins:
        trainer.receive(owner.refresh(trainer.step()))
        assert 0 < np.abs(owner.head - twin).max() < 1e-6 * np.abs(twin).max()
    assert 1 < twins[-1][1] < 8  # the polynomial is more than its linear part


def test_what_is_trained_reads_labels_better_than_chance_can():
    of = plan()
    owner, trainer, white, labels = parties(of)
    trainer.fit(owner.refresh)
    assert (np.argmax(white @ owner.head, axis=1) == labels).mean() > 0.8


def test_scales_of_values_come_out_as_they_go_in():
    """Each is that of its factors, divided by the prime of its level."""
    of = plan()
    scales, primes = of.scales, of.parameters.primes
    assert 2 * scales.sample * scales.fresh / primes[5] == pytest.approx(scales.logit)  # halves are twice
    assert scales.logit**2 / primes[4] == pytest.approx(scales.square)
    assert scales.square**2 / primes[3] == pytest.approx(scales.outer)
    leading = 4.223017e-5
    assert scales.logit * scales.outer / primes[2] == pytest.approx(scales.residual * leading)
    total = scales.sample * scales.residual / primes[1]  # of one sample
    assert total * of.samples / of.descent.rate == pytest.approx(scales.worn)
    assert scales.worn * of.descent.reach < 2 ** (of.parameters.log2_modulus(1) - 1)


def test_a_reach_for_which_fresh_weights_have_no_room_is_refused():
    """An owner could not encrypt what it has decrypted; a bit below, it can, whatever a trainer sends."""
    with pytest.raises(ParameterError, match=r"fresh weights within `reach`, 1e\+06, have no room"):
        plan(reach=1e6)
    of = plan(reach=5e5)
    made = LogisticOwner("a", of, whitening())
    made._cipher.encrypt_packed(of.fresh_scales * np.full((of.weights, 2), of.descent.reach), of.fresh_form)


def test_weights_out_of_reach_are_refused():
    of = plan(reach=0.5)
    owner, trainer, white, labels = parties(of)
    with pytest.raises(ReachError):
        fit_logistic(white, labels, CLASSES, of.descent)
    with pytest.raises(ReachError, match="the run is over"):
        trainer.fit(owner.refresh)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: LogisticPlan(0, 33, 10, LogisticDescent(1, 1.0)), ValueError, "`samples` must lie in"),
        (lambda: LogisticPlan(9, 33, 10, 16), TypeError, "`descent` must be a LogisticDescent"),
        (
            lambda: LogisticPlan(9, 1800, 10, LogisticDescent(1, 1.0)),
            ValueError,
            "at most 8192 pairs of weights, .*, got 9000",
        ),
        (lambda: LogisticOwner("a", head_plan(), whitening()), TypeError, "`plan` must be a LogisticPlan"),
        (lambda: LogisticTrainer(head_plan(), b""), TypeError, "`plan` must be a LogisticPlan"),
    ],
)
def test_what_cannot_be_is_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
