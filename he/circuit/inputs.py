"""The inputs of a circuit: what a client may encrypt, and where it lies in the slots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from he.circuit.packing import InputLayout, Packing
from he.program.operations import Source
from he.ring.scheme import Scheme
from intnn.network.scale import warn_of_scale
from intnn.values.arrays import array, reals
from intnn.values.rounding import round_half_up
from intnn.values.value_object import ValueObject


class InputError(ValueError):
    """Input values have another type, shape or range than the circuit takes."""


@dataclass(frozen=True, eq=False)
class InputSpec(ValueObject):
    """One input of a circuit: its origin, its range of values, and its layout in the slots.

    Attributes:
        name: an identifier, by which error messages call it.
        source: its owner, and whether it is encrypted.
        shape: the shape of one image, without the batch axis.
        low, high: the closed range of the numbers that may be encrypted; integers for BFV.
        scale: the factor by which a float is multiplied before it is rounded to an integer; 1 for CKKS. None where the
            network's integers come from a scaling of its own, which only the model's owner knows.
        layout: the places of the numbers in the slots.

    Raises:
        ValueError: if the parts do not fit each other, or a number is out of range.
    """

    name: str
    source: Source
    shape: tuple[int, ...]
    low: float
    high: float
    scale: float | None
    layout: InputLayout

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name.isidentifier()):
            raise ValueError(f"an input's `name` must be an identifier, got {self.name!r}")
        object.__setattr__(self, "shape", tuple(self.shape))
        if not all(type(side) is int and side > 0 for side in self.shape):
            raise ValueError(f"`shape` must be positive integers, got {self.shape}")
        if math.prod(self.shape) != self.layout.features:
            raise ValueError(f"`shape` must have {self.layout.features} elements, got {self.shape}")
        if not (is_finite(self.low) and is_finite(self.high) and self.low <= self.high):
            raise ValueError(f"`low` and `high` must be finite and in order, got [{self.low}, {self.high}]")
        if self.scale is not None and not (is_finite(self.scale) and self.scale > 0):
            raise ValueError(f"`scale` must be positive and finite, or None, got {self.scale}")

    def prepare(self, values: ArrayLike, scheme: Scheme) -> np.ndarray:
        """Convert floats, in the units that the float network was trained on, to what the circuit takes.

        For BFV they are multiplied by `scale`, saturated into the range and rounded, halves up; the result equals that
        of `IntNetwork.quantise_input`. For CKKS they stay as they are.

        Args:
            values: finite floats [batch, *shape].
            scheme: the circuit's scheme.

        Returns:
            [batch, *shape]: int64 for BFV, float64 for CKKS.

        Raises:
            TypeError: if `values` does not hold floats.
            ValueError: on NaN or infinity.
            InputError: on a wrong shape, an empty batch, or if the network scales its inputs in a way of its own.

        Warns:
            UserWarning: if `values` have another scale than the samples by which the range was chosen; see
                `intnn.network.scale`.
        """
        floats = reals(self._array(values), self.name)
        self._require_shape(floats)
        if not len(floats):
            raise InputError(f"`{self.name}` must hold one image or more, got none")
        if self.scale is None:
            raise InputError(
                f"`{self.name}` must be scaled by the model's own scaling, whose integers `encrypt` takes; for an "
                "IntClassifier, that is `scaling_`"
            )
        unit = self.scale if scheme.exact else 1.0
        warn_of_scale(floats, self.low / unit, self.high / unit)
        if not scheme.exact:
            return floats
        with np.errstate(over="ignore"):  # a product that overflows to infinity saturates as well
            return round_half_up(np.clip(floats * self.scale, self.low, self.high))

    def _array(self, values: ArrayLike) -> np.ndarray:
        try:
            return array(values, self.name)
        except (TypeError, ValueError) as error:
            raise InputError(str(error)) from None

    def _require_shape(self, values: np.ndarray) -> None:
        if values.shape[1:] != self.shape or values.ndim != len(self.shape) + 1:
            raise InputError(
                f"`{self.name}` must have shape [batch, {', '.join(map(str, self.shape))}], got {values.shape}"
            )

    def check(self, values: np.ndarray, scheme: Scheme) -> np.ndarray:
        """Return the values in the scheme's dtype, flattened to [batch, features], if they are what the circuit takes.

        An end of the range that a narrower float rounds outwards counts as that end.

        Args:
            values: [batch, *shape], integers of any size for BFV and floats of any precision for CKKS.
            scheme: the circuit's scheme.

        Returns:
            int64 for BFV, float64 for CKKS.

        Raises:
            InputError: if dtype, shape, batch size or range are wrong, or a value is NaN.
        """
        values, most = self._array(values), self.layout.packing.images
        if not np.issubdtype(values.dtype, np.integer if scheme.exact else np.floating):
            due = "an integer" if scheme.exact else "a float"
            remedy = "use Client.prepare for floats" if values.dtype.kind == "f" else "cast it first"
            raise InputError(f"`{self.name}` must be of {due} dtype, got {values.dtype}; {remedy}")
        self._require_shape(values)
        if not len(values):
            raise InputError(f"`{self.name}` must hold one image or more, got none")
        if len(values) > most:
            room = f"at most {most} images" if most > 1 else "one image"
            raise InputError(
                f"`{self.name}` must hold {room} a batch, got {len(values)}; make several batches of them, or compile "
                "for more `images`"
            )
        if scheme.exact:
            taken, inside = values, (values >= self.low) & (values <= self.high)
        else:
            with np.errstate(over="ignore"):  # a value may be beyond float64, and an end beyond a narrow type
                taken = np.clip(values.astype(scheme.dtype), self.low, self.high)
                inside = np.isfinite(values) & (taken.astype(values.dtype) == values)
        if not inside.all():  # comparisons with NaN are false
            remedy = "" if scheme.exact else "; scale images as the samples were from which the network was made"
            place = tuple(map(int, np.argwhere(~inside)[0]))
            raise InputError(
                f"`{self.name}` must lie in [{self.low}, {self.high}] and hold no NaN, got {values[place]} at index "
                f"{place}{remedy}"
            )
        return taken.astype(scheme.dtype).reshape(len(values), -1)

    def batches(self, values: ArrayLike) -> list[np.ndarray]:
        """Cut any number of images [n, *shape] into batches, of which all but the last are full; one if n is 0.

        Raises:
            InputError: if the shape is wrong.
        """
        images, step = self._array(values), self.layout.packing.images
        self._require_shape(images)
        return [images[start : start + step] for start in range(0, max(len(images), 1), step)]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields but for packing and table as JSON types; `InputSpec.from_dict` is the inverse."""
        return {
            "name": self.name,
            "owner": self.source.owner,
            "kind": self.source.kind,
            "shape": list(self.shape),
            "range": [self.low, self.high],
            "scale": self.scale,
            "features": self.layout.features,
            "gather": list(self.layout.shape),
        }

    @staticmethod
    def from_dict(fields: Mapping[str, Any], packing: Packing, table: np.ndarray) -> InputSpec:
        """Return the input that `to_dict` wrote, in the interface's packing and with the table of its layout.

        Raises:
            KeyError, TypeError, ValueError: if a field is missing, unknown or malformed.
        """
        low, high = fields["range"]
        spec = InputSpec(
            name=fields["name"],
            source=Source(fields["owner"], fields["kind"]),
            shape=listed(fields["shape"]),
            low=low,
            high=high,
            scale=fields["scale"],
            layout=InputLayout.from_table(packing, fields["features"], listed(fields["gather"]), table),
        )
        known = spec.to_dict().keys()
        if unknown := sorted(fields.keys() - known):
            raise ValueError(f"an input must have the fields {sorted(known)} alone, got {unknown} as well")
        return spec


def is_finite(number: object) -> bool:
    """Return whether this is a finite float, or an integer of at most 53 bits, which a float64 holds; no boolean is."""
    if isinstance(number, float):
        return abs(number) < 2.0**1023
    return isinstance(number, int) and not isinstance(number, bool) and abs(number) <= 2**53


def listed(values: object) -> tuple[Any, ...]:
    """Return the elements of a list that was read from JSON, if it is one."""
    if not isinstance(values, list):
        raise TypeError(f"a list is due, got {values!r}")
    return tuple(values)
