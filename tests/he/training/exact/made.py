"""Small exact runs in an insecure ring: a plan, samples, and an owner and a trainer that are made once."""

from fractions import Fraction
from functools import cache

import numpy as np

from he.parties.keys import SecretKey
from he.training.exact.owner import ExactOwner
from he.training.exact.plan import ExactPlan
from he.training.exact.trainer import ExactTrainer
from intnn.training.squares.plan import SquarePlan

SQUARES = SquarePlan(100, 4, 4, 3, 7, 15, 15, 60, 40, Fraction(1, 15), Fraction(1, 10))


@cache
def plan():
    return ExactPlan(SQUARES, "insecure", 1024)


@cache
def samples(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(-7, 8, (100, 4))
    x[:, -1] = 7
    return x, rng.integers(0, 3, 100)


@cache
def keys():
    secret = SecretKey.generate(plan().parameters)
    return secret, secret.keys_of(plan().key_elements, plan().digest)


def owner(state=None):
    return ExactOwner(plan(), *keys(), state)


@cache
def messages(seed=0):
    return tuple(owner().samples(*samples(seed)))


@cache
def trainer():
    made = ExactTrainer(plan(), keys()[1].to_bytes(), threads=2)
    for message in messages():
        made.add(message)
    return made
