"""Guards of calibrated ranges, as a client sees them: numbers beside the logits, and how large they may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from he.circuit.inputs import is_finite
from he.circuit.packing import OutputLayout, Packing
from intnn.values.value_object import ValueObject

DISAGREEMENT = 1 / 3  # of a guard's limit: what its copies may differ by


@dataclass(frozen=True)
class RangeGuard(ValueObject):
    """One guard: an answer is in its range if no image's number exceeds the limit.

    Attributes:
        limit: the largest number that is accepted.
        scale: the scale of the guard's ciphertext.

    Raises:
        ValueError: if a number is not positive and finite.
    """

    limit: float
    scale: float

    def __post_init__(self) -> None:
        if not all(is_finite(number) and number > 0 for number in (self.limit, self.scale)):
            raise ValueError(f"a guard's `limit` and `scale` must be positive and finite, got {self}")


class RangeError(ValueError):
    """An image left the range for which a circuit was calibrated, so that nothing is known of the answer's error.

    No logit of these images is returned. Compile with `ranges="proved"`, a larger `margin`, or samples that are more
    like the images. Whoever answered has chosen the guards: let it see that an answer was refused, if it must, but
    neither why nor for which images.

    Attributes:
        images: the numbers of the images that were refused, in ascending order. Of a single answer (`Client.decrypt`)
            these are those that the first guard that was exceeded shows: ask again without them.
        answers: what the call would have returned for the other images, in their order; None where it has none for
            them.
    """

    def __init__(self, images: Sequence[int], answers: np.ndarray | None = None) -> None:
        self.images, self.answers = tuple(images), answers
        super().__init__(
            f"images {list(self.images)!s:.200} of the batch left the range for which the circuit was calibrated, "
            "so their answers may be wrong: "
            + ("ask again without them" if answers is None else "`answers` of this error holds those of the others")
        )


def answers_in_range(batches: Iterable[np.ndarray], answer: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the answers to all images of some batches; images that leave the range are left out, and asked no more.

    Args:
        batches: arrays [images, *shape], one or more.
        answer: answers a batch [images, outputs], or raises a `RangeError` that names some of its images.

    Raises:
        RangeError: if images left their range; it has their numbers among all images, and the answers to the others.
    """
    answers, refused, begin = [], [], 0
    for batch in batches:
        numbers = np.arange(len(batch))
        while True:
            try:
                answers.append(answer(batch[numbers]))
                break
            except RangeError as refusal:
                outside = np.isin(np.arange(len(numbers)), refusal.images)
                refused += (begin + numbers[outside]).tolist()
                numbers = numbers[~outside]
                if not len(numbers):
                    break
        begin += len(batch)
    if refused:
        raise RangeError(sorted(refused), np.concatenate(answers) if answers else None)
    return np.concatenate(answers)


def images_outside(
    guards: Sequence[RangeGuard], packing: Packing, slots: np.ndarray, scale: float, images: int
) -> list[int]:
    """Return the numbers of the images that exceed the first guard that any image exceeds; none if all are within.

    Guards after that one may hold anything, for what they are computed from has left its range already. All lanes are
    looked at, for the coefficients of a polynomial are shared by them; those without an image of their own repeat one.

    Args:
        guards: the guards, in the order of the layers.
        packing: the division of the slots.
        slots: [guards, slots], what their ciphertexts decrypt to.
        scale: the scale at which the ciphertexts were decoded.
        images: how many images the batch has.

    Raises:
        PackingError: if the copies of a guard disagree, and neither it nor one before it is exceeded.
    """
    layout = OutputLayout(packing, 1, 1)
    for number, guard in enumerate(guards):
        found = slots[number : number + 1] * (scale / guard.scale)
        shown = layout.unpack(found, packing.images, math.inf)[:, 0]
        outside = ~(np.abs(shown) <= guard.limit)  # a comparison with NaN is false
        if outside.any():  # copies of what is far outside may differ by more than its limit
            return np.unique(np.flatnonzero(outside) % images).tolist()
        layout.unpack(found, packing.images, guard.limit * DISAGREEMENT)
    return []
