"""`certify`: which labels an integer network provably gives to every input of a box."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from intnn.certification.margins import margins
from intnn.network.network import IntNetwork
from intnn.values.arrays import Array, IntArray, frozen, instance, integers
from intnn.values.domain import IntDomain, Interval
from intnn.values.value_object import ValueObject

Method = Literal["intervals", "lines"]

ELEMENTS = 1 << 23  # of coefficients at once


@dataclass(frozen=True, eq=False)
class Certificate(ValueObject):
    """What is proved of every box.

    Attributes:
        labels: The label that each box should have, int64 [n].
        margins: What the label's logit exceeds every other logit by, at least, for all inputs of the box: integers
            [n, classes], 0 at the label.
    """

    labels: IntArray
    margins: Array

    @property
    def certified(self) -> Array:
        """Whether no input of the box has another answer, bool [n]: of equal logits, `predict` takes the first."""
        classes = np.arange(self.margins.shape[1])
        least = np.where(classes < self.labels[:, None], 1, 0)
        return np.asarray((self.margins >= least).all(axis=1), bool)


def certify(network: IntNetwork, ball: Interval, labels: ArrayLike, method: Method = "lines") -> Certificate:
    """Prove labels for all inputs of boxes, in exact integer arithmetic.

    Args:
        network: The network. What it answers is what `IntNetwork.predict` says.
        ball: The boxes, integers [n, *network.input_shape] in its domain, from `integer_ball` or `real_ball`.
        labels: A class for each, int64 [n].
        method: "intervals" or "lines" (see `intnn.certification.margins`); of lines, which cost more, only boxes are
            asked that intervals do not prove, and the better margin of both counts.

    Returns:
        The margins that are proved, and whether they suffice. A label that is not certified may be right all the same.

    Raises:
        TypeError: An argument is of another type.
        ValueError: A box leaves the domain, shapes do not fit, a label is no class, or the method is unknown.
    """
    instance(network, IntNetwork, "network")
    instance(ball, Interval, "ball", "`integer_ball` and `real_ball` make one")
    low, high = (network.input_domain.require(end, "ball") for end in (ball.lo, ball.hi))
    if low.shape[1:] != network.input_shape:
        raise ValueError(f"`ball` must hold boxes of shape {network.input_shape}, got {low.shape[1:]}")
    classes, labels = int(np.prod(network.output_shape)), integers(labels, "labels")
    if labels.shape != low.shape[:1]:
        raise ValueError(f"`labels` must have shape {low.shape[:1]}, one for each box, got {labels.shape}")
    labels = frozen(IntDomain(0, classes - 1).require(labels, "labels"))
    if method not in get_args(Method):
        raise ValueError(f"`method` must be one of {', '.join(get_args(Method))}, got {method!r}")
    largest = max(map(np.prod, (network.input_shape, *network.shapes)))
    at_once = max(1, ELEMENTS // int(largest * classes))

    def proved(rows: IntArray, by_lines: bool) -> Array:
        parts = [rows[start : start + at_once] for start in range(0, len(rows), at_once)]
        return np.concatenate([margins(network, (low[part], high[part]), labels[part], by_lines) for part in parts])

    found = Certificate(labels, proved(np.arange(len(low)), by_lines=False))
    left = np.flatnonzero(~found.certified)
    if method == "intervals" or not len(left):
        return Certificate(labels, frozen(found.margins))
    better = found.margins.copy()
    better[left] = np.maximum(better[left], proved(left, by_lines=True))
    return Certificate(labels, frozen(better))
