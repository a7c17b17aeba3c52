"""Small runs of networks: plans in an insecure ring, samples, and keys that are made once."""

from functools import cache

import numpy as np

from he.parties.evaluation_keys import EvaluationKeys
from he.parties.keys import SecretKey
from he.training.refreshed.network import NetworkDescent
from he.training.refreshed.network_parties import NetworkOwner, NetworkTrainer
from he.training.refreshed.network_plan import NetworkPlan
from he.training.whitening import Moments, Whitening
from tests.he.training.made import CLASSES, FEATURES, samples


@cache
def plan(count=700, steps=3, rate=0.3, reach=5.0, seed=0):
    descent = NetworkDescent(4, steps, rate, 0.1, 0.8, reach, seed)
    return NetworkPlan(count, FEATURES + 1, CLASSES, descent, "insecure", 1024)


@cache
def keys(of: NetworkPlan) -> tuple[SecretKey, EvaluationKeys]:
    secret = SecretKey.generate(of.parameters)
    return secret, secret.keys_of(of.key_elements, of.digest)


@cache
def whitening():
    x, _ = samples()
    return Whitening.of(Moments.of(x[:200]), 0.05)


def owner(of=None, name="a"):
    of = plan() if of is None else of
    return NetworkOwner(name, of, whitening(), *keys(of))


def blocks(of=None):
    """The blocks of one owner, as bytes."""
    return _blocks(plan() if of is None else of)


@cache
def _blocks(of):
    x, labels = samples(0, of.samples)
    return tuple(block.to_bytes() for block in owner(of).encrypt(x, labels))


def trainer(of=None, given=None, threads=1):
    """A trainer with all samples, that waits for weights."""
    of = plan() if of is None else of
    made = NetworkTrainer(of, keys(of)[1], threads)
    for block in blocks(of) if given is None else given:
        made.add(block)
    return made


def white(of=None):
    """The twin's samples and labels."""
    x, labels = samples(0, (plan() if of is None else of).samples)
    return np.array(whitening().apply(x)), labels
