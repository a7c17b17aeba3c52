"""What is attacked: images, projections of them, and intnn's training as a trainer by functional keys sees it."""

from fractions import Fraction

import numpy as np

from he.functional.attacks.seen import Seen
from he.functional.attacks.sights import Sight
from he.functional.protocols.projection import fit_projection
from intnn.training.ops import numpy_
from intnn.training.plan import plan
from intnn.training.schedule import Schedule, rate_at
from intnn.training.step import Descent, initialise, step
from intnn.values.domain import IntDomain
from plaintext_models.data.datasets import load


def images_of(name, hi, data=None):
    """Training and test images as integers in [0, hi], with their labels."""
    dataset = load(name, data)
    parts = dataset.train_images, dataset.test_images
    train, test = (np.rint(x.reshape(len(x), -1) * hi).astype(np.int64) for x in parts)
    return train, dataset.train_labels, test, dataset.test_labels


def components(public, rank, kind="principal"):
    """The vectors of the projection protocol's keys, [rank, features]."""
    return fit_projection(public, rank, kind).matrix


def projected(images, keys, hi):
    return Seen(keys, images @ keys.T, IntDomain(0, hi))


class Listening:
    """The operations of a step; the first product is the first layer's sums, the last one its gradient."""

    def __init__(self):
        self.heard = []

    def __getattr__(self, name):
        return getattr(numpy_, name)

    def products(self, a, b):
        result = numpy_.products(a, b)
        self.heard.append((a, b, result))
        return result


def training(images, labels, hi, units, batch, updates):
    """The first updates of training on images in their order, as `Sight`s."""
    inputs = IntDomain(0, hi)
    layout = plan((units,), (images.shape[1],), inputs, 10, 8)
    schedule = Schedule(1, batch, Fraction(1, 20), Descent(), 0)
    state, sights = initialise(layout, 0), []
    for number in range(updates):
        here = slice(number * batch, (number + 1) * batch)
        ops, rate = Listening(), rate_at(schedule, number, 1000)
        x = images[here].reshape(batch, 1, 1, -1)
        step(layout, state, x, labels[here], rate, schedule.descent, (0, number), ops)
        (_, weights, sums), (errors, _, gradient) = ops.heard[0], ops.heard[-1]
        sights.append(Sight(Seen(weights, sums, inputs), Seen(errors, gradient.T, inputs)))
    return sights
