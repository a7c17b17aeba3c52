"""Small runs: plans in an insecure ring, samples, and keys that are made once."""

from functools import cache

import numpy as np

from he.parties.evaluation_keys import EvaluationKeys
from he.parties.keys import SecretKey
from he.training.head import Descent
from he.training.owner import Owner
from he.training.plan import HeadPlan
from he.training.whitening import Moments, Whitening

FEATURES, CLASSES = 3, 3


@cache
def plan(samples=700, steps=2, bound=2.5, classes=CLASSES):
    return HeadPlan(samples, FEATURES + 1, classes, Descent(steps, bound), security="insecure", ring_degree=1024)


@cache
def keys(of: HeadPlan) -> tuple[SecretKey, EvaluationKeys]:
    secret = SecretKey.generate(of.parameters)
    return secret, secret.keys_of(of.key_elements, of.digest)


@cache
def samples(seed=0, count=700, classes=CLASSES):
    """Features whose class can be learnt, and labels."""
    generator = np.random.default_rng(seed)
    mixed, scores = generator.normal(size=(FEATURES, FEATURES)), generator.normal(size=(FEATURES, classes))
    x = generator.normal(size=(count, FEATURES)).clip(-4, 4) @ mixed + 1
    labels = np.argmax(x @ scores, axis=1)
    return x, labels


@cache
def whitening(seed=0, ridge=0.05):
    x, _ = samples(seed)
    return Whitening.of(Moments.of(x[:200]), ridge)


def owner(of=None, name="a", of_whitening=None):
    of = plan() if of is None else of
    return Owner(name, of, whitening() if of_whitening is None else of_whitening, *keys(of))


def blocks(of=None):
    """The blocks of one owner, as bytes."""
    return _blocks(plan() if of is None else of)


@cache
def _blocks(of):
    x, labels = samples(0, of.samples, of.classes)
    return tuple(block.to_bytes() for block in owner(of).encrypt(x, labels))
