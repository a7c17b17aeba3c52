"""Guards of calibrated ranges, as a client sees them: numbers beside the logits, and how large they may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
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

    No logit of the answer is returned. Ask again without these images, or compile with `ranges="proved"`, a larger
    `margin`, or samples that are more like the images. Whoever answered has chosen the guards: let it see that an
    answer was refused, if it must, but neither why nor for which images.

    Attributes:
        images: the numbers of the images in the batch, as far as the first guard that was exceeded shows them.
    """

    def __init__(self, images: Sequence[int]) -> None:
        self.images = tuple(images)
        super().__init__(
            f"images {list(self.images)} of the batch left the range for which the circuit was calibrated, so the "
            "answer may be wrong: ask again without them"
        )


def images_outside(guards: Sequence[RangeGuard], packing: Packing, slots: np.ndarray, scale: float) -> list[int]:
    """Return the numbers of the images that exceed the first guard that any image exceeds; none if all are within.

    Guards after that one may hold anything, for what they are computed from has left its range already. Lanes without
    an image are looked at as well, for the coefficients of a polynomial are shared by all lanes.

    Args:
        guards: the guards, in the order of the layers.
        packing: the division of the slots.
        slots: [guards, slots], what their ciphertexts decrypt to.
        scale: the scale at which the ciphertexts were decoded.

    Raises:
        PackingError: if the copies of a guard disagree, and neither it nor one before it is exceeded.
    """
    layout = OutputLayout(packing, 1, 1)
    for number, guard in enumerate(guards):
        found = slots[number : number + 1] * (scale / guard.scale)
        shown = layout.unpack(found, packing.images, math.inf)[:, 0]
        outside = ~(np.abs(shown) <= guard.limit)  # a comparison with NaN is false
        if outside.any():  # copies of what is far outside may differ by more than its limit
            return np.flatnonzero(outside).tolist()
        layout.unpack(found, packing.images, guard.limit * DISAGREEMENT)
    return []
