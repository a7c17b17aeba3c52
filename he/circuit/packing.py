"""The layout of images and vectors in the slots of a ciphertext.

A row of slots is cut into *periods* of `width * lanes` slots: `width` is a layer's number of units, rounded up to a
power of two, and each unit has `lanes` neighbouring slots, one for each image. A packed vector fills its row
periodically, so that a rotation within the row is a cyclic rotation of the vector, and nothing needs masking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from intnn.values.arrays import Array, array, frozen
from intnn.values.value_object import ValueObject

MAX_TAPS = 1 << 25  # of all units together: 128 MiB, and a request of 1024 ciphertexts in the largest ring


class PackingError(ValueError):
    """Slots do not hold what their layout promises."""


@dataclass(frozen=True)
class Packing(ValueObject):
    """The shape of the slots: `rows` x `row_length`, with `lanes` images side by side in a row.

    Attributes:
        rows: 2 for BFV; 1 for CKKS, or 2 where real and imaginary parts count as rows.
        row_length: the number of slots in a row, a power of two.
        lanes: the number of lanes in a row, a power of two; each holds one image.
        split_rows: true if the rows hold different images, false if they hold copies of the same ones.
        guards: the number of lanes at the end of a row that repeat those at its beginning; they let a client recognise
            a wrong result where logits have no other copies. Clients put the lanes in a secret order. Of an answer
            that is wrong in a part f of a row's L lanes, guards that nobody else can tell let pass (1 - f)^(2 guards)
            if the wrong values all differ, 2^-16 for eight guards and half of the lanes, and (f^2 + (1 - f)^2)^guards
            if they are wrong by the same amount, 2^-8, in rows of 32 lanes or more (of 16, 2^-7.5). Values that are
            wrong in a few lanes alone mostly pass, all but 2 guards / L of those that are wrong in one.

    Raises:
        ValueError: if `row_length` or `lanes` is no power of two, `lanes` exceeds the row, there are not 1 or 2 rows, a
            single row is split, or there are more guards than other lanes.
    """

    rows: int
    row_length: int
    lanes: int = 1
    split_rows: bool = False
    guards: int = 0

    def __post_init__(self) -> None:
        numbers = self.rows, self.row_length, self.lanes, self.guards
        if any(type(number) is not int for number in numbers) or type(self.split_rows) is not bool:
            raise ValueError(f"a packing must have integers and one boolean, got {numbers}, {self.split_rows}")
        if not _is_power_of_two(self.row_length):
            raise ValueError(f"`row_length` must be a power of two, got {self.row_length}")
        if not _is_power_of_two(self.lanes) or self.lanes > self.row_length:
            raise ValueError(f"`lanes` must be a power of two from 1 to {self.row_length}, got {self.lanes}")
        if self.rows not in (1, 2) or self.split_rows not in (False, self.rows == 2):
            raise ValueError(f"`rows` must be 1 or 2, and 2 to be split, got {self.rows}, {self.split_rows}")
        if not 0 <= 2 * self.guards <= self.lanes:
            raise ValueError(f"`guards` must be from 0 to half of {self.lanes} lanes, got {self.guards}")

    @property
    def slots(self) -> int:
        """The length of a slot vector."""
        return self.rows * self.row_length

    @property
    def images(self) -> int:
        """The number of images that one ciphertext serves."""
        return (self.lanes - self.guards) * (self.rows if self.split_rows else 1)

    def require_width(self, width: int) -> None:
        """Check that `width` is a power of two and that a period of so many units fits a row.

        Raises:
            ValueError: if it does not.
        """
        if type(width) is not int or not _is_power_of_two(width) or width * self.lanes > self.row_length:
            raise ValueError(f"`width` must be a power of two of at most {self.row_length // self.lanes}, got {width}")

    def copies(self, width: int) -> int:
        """Return how often a vector of `width` units occurs in a row."""
        return self.row_length // (width * self.lanes)

    def view(self, slots: np.ndarray, width: int) -> np.ndarray:
        """Return slots [..., slots] in the shape [..., row, copy, unit, lane]."""
        return slots.reshape(*slots.shape[:-1], self.rows, self.copies(width), width, self.lanes)

    def permuted(self, slots: np.ndarray, order: np.ndarray) -> np.ndarray:
        """Return slots [..., slots] with the lanes of every row in another order.

        Args:
            slots: the slots.
            order: [rows, lanes]; lane i of a row of the result is lane `order[row, i]` of that row.
        """
        by_lane = slots.reshape(*slots.shape[:-1], self.rows, -1, self.lanes)
        order = order.reshape(*(1,) * (slots.ndim - 1), self.rows, 1, self.lanes)
        return np.take_along_axis(by_lane, order, axis=-1).reshape(slots.shape)

    def spread(self, vector: np.ndarray) -> np.ndarray:
        """Return the slots [slots] of a vector over units [width] that is the same for every image."""
        return np.tile(np.repeat(vector, self.lanes), self.rows * self.copies(len(vector)))


@dataclass(frozen=True, eq=False)
class InputLayout(ValueObject):
    """The places where a client puts its images: each unit of the first layer finds its own inputs in its own slots.

    Input k of unit j is a *tap*: one pixel under the kernel of a convolution, or any one pixel for a dense layer. It
    lies in unit j's slot of some copy in some ciphertext, so that the first linear layer is a slotwise product and a
    sum over copies.

    Units that read the same inputs, as all units of a dense layer do, share one row of indices: a layout is as large as
    what is written of it, whatever it says.

    Attributes:
        packing: the division of the slots.
        features: the length of a flattened image, below 2**31.
        rows: int32 [distinct, taps], indices into the flattened image; -1 where a unit has fewer taps. The layout keeps
            a read-only copy.
        row_of: int32 [width], the row of every unit. The layout keeps a read-only copy.

    Raises:
        ValueError: if an array has another type or shape, the units have more than `MAX_TAPS` indices together, an
            index is out of range, or the packing is too narrow.
    """

    packing: Packing
    features: int
    rows: Array
    row_of: Array

    def __post_init__(self) -> None:
        if type(self.features) is not int or not 1 <= self.features < 1 << 31:
            raise ValueError(f"`features` must be an integer from 1 to {(1 << 31) - 1}, got {self.features!r:.80}")
        for name, axes, low, high in (("rows", 2, -1, self.features), ("row_of", 1, 0, len(self.rows))):
            indices = np.asarray(getattr(self, name))
            well_formed = indices.ndim == axes and indices.size and indices.dtype == np.int32
            if not well_formed or indices.min() < low or indices.max() >= high:
                raise ValueError(
                    f"`{name}` must be int32 with {axes} axes and indices from {low} to {high - 1}, got {indices}"
                )
            object.__setattr__(self, name, frozen(indices))
        require_taps(self.width * self.taps)
        self.packing.require_width(self.width)

    @staticmethod
    def of(packing: Packing, features: int, gather: ArrayLike) -> InputLayout:
        """Return the layout of units with these indices, [width, taps]; equal rows are kept once.

        Raises:
            ValueError: as the constructor.
        """
        indices = array(gather, "gather")
        well_formed = indices.ndim == 2 and indices.size and indices.dtype.kind == "i"
        if not well_formed or indices.min() < -1 or indices.max() >= features:
            raise ValueError(
                f"`gather` must be integers [width, taps] with indices from -1 to {features - 1}, got {indices}"
            )
        numbers: dict[bytes, int] = {}
        small = indices.astype(np.int32)
        row_of = [numbers.setdefault(row.tobytes(), len(numbers)) for row in small]
        rows = np.frombuffer(b"".join(numbers), np.int32).reshape(len(numbers), -1)
        return InputLayout(packing, features, rows, np.array(row_of, np.int32))

    @staticmethod
    def from_table(packing: Packing, features: int, shape: Sequence[object], table: np.ndarray) -> InputLayout:
        """Return the layout whose `shape` and `table` these are. Nothing is made that is larger than the table.

        Raises:
            ValueError: if the shape is not that of the table, or as the constructor.
        """
        sides = [side for side in shape if type(side) is int and side > 0]
        distinct, taps, width = sides if len(sides) == len(shape) == 3 else (0, 0, 0)
        if not width or table.dtype != np.int32 or table.shape != (distinct * taps + width,):
            raise ValueError(
                f"`gather` must be numbers of rows, taps and units that its table has, got {shape!r:.80} for "
                f"{table.dtype} {table.shape}"
            )
        return InputLayout(
            packing, features, table[: distinct * taps].reshape(distinct, taps), table[distinct * taps :]
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """The numbers of distinct rows, of their taps, and of units: what `from_table` needs to know of `table`."""
        return *self.rows.shape, self.width

    @property
    def table(self) -> np.ndarray:
        """The rows, one behind the other, and then the row of every unit: int32 [distinct * taps + width]."""
        return np.concatenate([self.rows.ravel(), self.row_of])

    @property
    def gather(self) -> np.ndarray:
        """The indices of every unit, int32 [width, taps]; they are made anew, and may be many."""
        return self.rows[self.row_of]

    @property
    def taps(self) -> int:
        """The number of inputs of a unit."""
        return self.rows.shape[1]

    @property
    def width(self) -> int:
        """The number of units of the first layer, a power of two."""
        return len(self.row_of)

    @property
    def taps_per_ciphertext(self) -> int:
        """The number of periods of a ciphertext that hold different taps: those of one row, or of both if not split."""
        return self.packing.copies(self.width) * (1 if self.packing.split_rows else self.packing.rows)

    @property
    def ciphertexts(self) -> int:
        """The number of ciphertexts that carry one batch of images."""
        return -(-self.taps // self.taps_per_ciphertext)

    def pack(self, images: np.ndarray) -> np.ndarray:
        """Return the slot vectors of images [batch, features], where batch is 1 to `packing.images`.

        Returns:
            [ciphertexts, slots] in the images' dtype; lanes without an image hold one again, in turn, for guards of
            ranges look at every lane.
        """
        padded = np.zeros((len(images), self.features + 1), images.dtype)  # the last column: what is absent
        padded[:, :-1] = images
        lanes = np.arange(self.packing.images) % len(images)
        per_row = lanes.reshape(-1, self.packing.lanes - self.packing.guards)
        per_row = np.concatenate([per_row, per_row[:, : self.packing.guards]], axis=1)  # [1 or rows, lane]
        taps = self.by_tap(self.gather, -1)  # [ciphertext, row, copy, unit]
        by_row = [
            padded[per_row[row % len(per_row), :, None, None, None], taps[:, row]] for row in range(self.packing.rows)
        ]
        packed = np.moveaxis(np.stack(by_row, axis=2), 0, -1)  # [ciphertext, row, copy, unit, lane]
        return packed.reshape(self.ciphertexts, self.packing.slots)

    def by_tap(self, values: np.ndarray, absent: int) -> np.ndarray:
        """Return values of any number of taps [width, taps] as [ciphertext, row, copy, unit].

        Past the last tap there is `absent`.
        """
        packing, (width, taps) = self.packing, values.shape
        copies, ciphertexts = packing.copies(width), -(-taps // self.taps_per_ciphertext)
        padded = np.full((ciphertexts * self.taps_per_ciphertext, width), absent, values.dtype)
        padded[:taps] = values.T
        arranged = padded.reshape(ciphertexts, -1, copies, width)
        return np.broadcast_to(arranged, (ciphertexts, packing.rows, copies, width))


@dataclass(frozen=True)
class OutputLayout(ValueObject):
    """The places where a client finds the logits.

    Logit j is unit j of every period of the first ciphertext; the units of the next ciphertexts follow.

    Attributes:
        packing: the division of the slots.
        width: the number of units in a period, a power of two.
        outputs: the number of logits, at least 1; clients ignore the units after these.

    Raises:
        ValueError: if `width` does not fit the packing, or there is no logit.
    """

    packing: Packing
    width: int
    outputs: int

    def __post_init__(self) -> None:
        if type(self.outputs) is not int or self.outputs < 1:
            raise ValueError(f"`outputs` must be a positive integer, got {self.outputs!r}")
        self.packing.require_width(self.width)

    @property
    def ciphertexts(self) -> int:
        """The number of ciphertexts that carry the logits of one batch."""
        return -(-self.outputs // self.width)

    def unpack(self, slots: np.ndarray, images: int, tolerance: float = 0.0) -> np.ndarray:
        """Return the logits [images, outputs] that slot vectors [ciphertexts, slots] hold.

        Raises:
            PackingError: if copies of a logit differ by more than `tolerance`, so that the slots hold no result.
        """
        view = self.packing.view(slots, self.width)  # [ciphertext, row, copy, unit, lane]
        if not self.packing.split_rows:
            view = view.reshape(len(view), 1, -1, *view.shape[3:])
        lanes = self.packing.lanes - self.packing.guards
        copies, guarded = view[:, :, :1], view[..., : self.packing.guards]
        with np.errstate(invalid="ignore"):  # infinities differ by NaN, and NaN compares false
            agree = (np.abs(view - copies) <= tolerance).all()
            agree &= (np.abs(view[..., lanes:] - guarded) <= tolerance).all()
        if not agree:
            raise PackingError(
                "the copies of the decrypted logits disagree: the ciphertext was damaged, or made under another key"
            )
        logits = view[:, :, 0, :, :lanes]  # [ciphertext, row, unit, lane]
        return np.moveaxis(logits, (1, 3), (0, 1)).reshape(-1, len(view) * self.width)[:images, : self.outputs]


def require_taps(taps: int) -> None:
    """Refuse inputs whose units together read more than `MAX_TAPS` elements.

    Raises:
        ValueError: if they do.
    """
    if taps > MAX_TAPS:
        raise ValueError(f"`gather` must have at most {MAX_TAPS} entries, got {taps}: the first layer is too large")


def _is_power_of_two(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0
