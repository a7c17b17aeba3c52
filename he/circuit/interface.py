"""The public part of a circuit: a client needs all of it and is told nothing else."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from he.circuit.commitment import is_digest
from he.circuit.packing import InputLayout, OutputLayout, Packing, require_taps
from he.formats.switching import RELINEARISATION
from he.program.operations import Source
from he.ring.params import Parameters
from he.ring.scheme import Scheme
from intnn.values.arrays import array, instance, reals
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
        """
        floats = reals(self._array(values), self.name)
        self._require_shape(floats)
        if not len(floats):
            raise InputError(f"`{self.name}` must hold 1 image a batch or more, got 0")
        if self.scale is None:
            raise InputError(
                f"`{self.name}` must be scaled by the model's own scaling, whose integers `encrypt` takes; for an "
                "IntClassifier, that is `scaling_`"
            )
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
        if not 1 <= len(values) <= most:
            raise InputError(f"`{self.name}` must hold 1 to {most} images a batch, got {len(values)}")
        if scheme.exact:
            taken, inside = values, (values >= self.low) & (values <= self.high)
        else:
            with np.errstate(over="ignore"):  # a value may be beyond float64, and an end beyond a narrow type
                taken = np.clip(values.astype(scheme.dtype), self.low, self.high)
                inside = np.isfinite(values) & (taken.astype(values.dtype) == values)
        if not inside.all():  # comparisons with NaN are false
            raise InputError(f"`{self.name}` must lie in [{self.low}, {self.high}] and hold no NaN")
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
            KeyError, TypeError, ValueError: if a field is missing or malformed.
        """
        low, high = fields["range"]
        return InputSpec(
            name=fields["name"],
            source=Source(fields["owner"], fields["kind"]),
            shape=_listed(fields["shape"]),
            low=low,
            high=high,
            scale=fields["scale"],
            layout=InputLayout.from_table(packing, fields["features"], _listed(fields["gather"]), table),
        )


LEAST_TOLERANCE = 2.0**-60  # of CKKS, whose scales reach no further; what is published gets noise in its proportion

#: The fields of an interface as it is written.
FIELDS = frozenset(
    {"parameters", "packing", "inputs", "output", "tolerance", "output_scale", "output_level"}
    | {"rotation_steps", "swaps_rows", "multiplies", "rerandomises", "commitment"}
)


@dataclass(frozen=True, eq=False)
class Interface(ValueObject):
    """The public part of a circuit, which a client needs in order to use it. It holds no weight.

    Attributes:
        parameters: the encryption parameters.
        inputs: the inputs in the order of their ciphertexts; the data owner provides at least one, and all have the
            packing of the output.
        output: the layout of the packed logits.
        rotation_steps: the steps of row rotations that need a Galois key.
        swaps_rows: whether the row swap (BFV) or complex conjugation (CKKS) needs a Galois key.
        multiplies: whether the circuit needs a relinearisation key.
        rerandomises: whether sessions re-randomise answers, for which they need an encryption of zero.
        tolerance: the largest difference between copies of a decrypted logit that a client accepts; 0 for BFV.
        output_scale: the scale of a result's ciphertext; 1 for BFV.
        output_level: the number of data primes of a result's ciphertext.
        commitment: 64 hexadecimal digits by which the model owner is bound to one network, and which tell nothing of it
            (`he.circuit.commitment`).

    Raises:
        ValueError: if the parts do not fit each other, or a number is out of range.
    """

    parameters: Parameters
    inputs: tuple[InputSpec, ...]
    output: OutputLayout
    rotation_steps: tuple[int, ...]
    swaps_rows: bool
    multiplies: bool
    rerandomises: bool
    tolerance: float
    output_scale: float
    output_level: int
    commitment: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        require_taps(sum(spec.layout.width * spec.layout.taps for spec in self.inputs))
        object.__setattr__(self, "rotation_steps", tuple(self.rotation_steps))
        parameters = self.parameters
        if not any(spec.source.owner == "data" for spec in self.inputs):
            raise ValueError(f"`inputs` must have one of the data owner's, got {[s.name for s in self.inputs]}")
        if len({spec.name for spec in self.inputs}) < len(self.inputs):
            raise ValueError(f"`inputs` must have different names, got {[s.name for s in self.inputs]}")
        packing = self.packing
        both_parts = not parameters.scheme.exact and packing.split_rows  # the rows are real and imaginary parts
        if packing.row_length != parameters.row_length or (packing.rows != parameters.rows and not both_parts):
            raise ValueError(f"`packing` must be that of {parameters}, got {packing}")
        if any(spec.layout.packing != packing for spec in self.inputs):
            found = [spec.layout.packing for spec in self.inputs]
            raise ValueError(f"`inputs` must have the packing of the output, {packing}, got {found}")
        if parameters.scheme.exact:
            half = parameters.t // 2
            for spec in self.inputs:
                ends = spec.low, spec.high
                if not all(type(end) is int and -half <= end <= half for end in ends):
                    raise ValueError(f"`{spec.name}` must have a range of integers within +-{half}, got {ends}")
        if not all(type(step) is int and 0 < step < packing.row_length for step in self.rotation_steps):
            raise ValueError(f"`rotation_steps` must lie in [1, {packing.row_length - 1}], got {self.rotation_steps}")
        if list(self.rotation_steps) != sorted(set(self.rotation_steps)):
            raise ValueError(f"`rotation_steps` must be different and in order, got {self.rotation_steps}")
        needs = self.swaps_rows, self.multiplies, self.rerandomises
        if not all(isinstance(need, bool) for need in needs):
            raise ValueError(f"`swaps_rows`, `multiplies` and `rerandomises` must be booleans, got {needs}")
        numbers = is_finite(self.tolerance) and is_finite(self.output_scale)
        if not (numbers and self.tolerance >= 0 and self.output_scale > 0):
            raise ValueError(
                f"`tolerance` must be finite and `output_scale` positive, got {self.tolerance}, {self.output_scale}"
            )
        if parameters.scheme.exact and (self.tolerance, self.output_scale) != (0, 1):
            raise ValueError(
                f"`tolerance` must be 0 and `output_scale` 1 for BFV, got {self.tolerance}, {self.output_scale}"
            )
        if not parameters.scheme.exact and self.tolerance < LEAST_TOLERANCE:
            raise ValueError(f"`tolerance` must be at least {LEAST_TOLERANCE} for CKKS, got {self.tolerance}")
        if type(self.output_level) is not int or not 1 <= self.output_level <= parameters.levels:
            raise ValueError(f"`output_level` must be from 1 to {parameters.levels}, got {self.output_level!r}")
        if not is_digest(self.commitment):
            raise ValueError(f"`commitment` must be 64 hexadecimal digits in lower case, got {self.commitment!r:.80}")

    @property
    def packing(self) -> Packing:
        """The division of the slots, which inputs and outputs share."""
        return self.output.packing

    @property
    def images(self) -> int:
        """The number of images that one evaluation serves."""
        return self.packing.images

    @property
    def both_parts(self) -> bool:
        """Whether CKKS slots hold one image in their real and another in their imaginary part."""
        return not self.parameters.scheme.exact and self.packing.split_rows

    @property
    def client_inputs(self) -> tuple[InputSpec, ...]:
        """The inputs that a client sends with every request: those of the data owner."""
        return tuple(spec for spec in self.inputs if spec.source.owner == "data")

    @property
    def galois_elements(self) -> list[int]:
        """The exponents of the automorphisms that need a Galois key."""
        swap = [2 * self.parameters.poly_modulus_degree - 1] if self.swaps_rows else []
        return [self.parameters.galois_element(step) for step in self.rotation_steps] + swap

    @property
    def key_elements(self) -> list[int]:
        """The Galois elements of all evaluation keys in the order in which they travel; 1 is relinearisation's."""
        return [RELINEARISATION] * self.multiplies + self.galois_elements

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all fields and tables in hexadecimal digits; every message names the circuit by it."""
        found = hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode())
        for table in self.tables:
            found.update(table.astype("<i4").tobytes())
        return found.hexdigest()

    @property
    def tables(self) -> list[np.ndarray]:
        """The table of every input's layout, int32 [..], which `to_dict` leaves out: the places of its numbers."""
        return [spec.layout.table for spec in self.inputs]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types, without `tables`; `Interface.from_dict` is the inverse."""
        packing = self.packing
        return {
            "parameters": self.parameters.to_dict(),
            "packing": [packing.rows, packing.row_length, packing.lanes, packing.split_rows, packing.guards],
            "inputs": [spec.to_dict() for spec in self.inputs],
            "output": [self.output.width, self.output.outputs],
            "rotation_steps": list(self.rotation_steps),
            "swaps_rows": self.swaps_rows,
            "multiplies": self.multiplies,
            "rerandomises": self.rerandomises,
            "tolerance": self.tolerance,
            "output_scale": self.output_scale,
            "output_level": self.output_level,
            "commitment": self.commitment,
        }

    @staticmethod
    def from_dict(fields: Mapping[str, Any], tables: Sequence[np.ndarray]) -> Interface:
        """Return the interface that `to_dict` wrote, with its `tables`. Nothing is made that is larger than these.

        Raises:
            ValueError: if a field is missing or malformed; the message names a missing one.
        """
        if not isinstance(fields, Mapping):
            raise ValueError(f"an interface must have the fields {sorted(FIELDS)}, got {type(fields).__name__}")
        try:
            unknown = sorted(fields.keys() - FIELDS)
            if unknown:
                raise ValueError(f"an interface must have the fields {sorted(FIELDS)} alone, got {unknown} as well")
            packing = Packing(*fields["packing"])
            specs = _listed(fields["inputs"])
            if len(specs) != len(tables):
                raise ValueError(f"there must be a table for every one of {len(specs)} inputs, got {len(tables)}")
            return Interface(
                parameters=Parameters.from_dict(fields["parameters"]),
                inputs=tuple(InputSpec.from_dict(*one) for one in zip(specs, repeat(packing), tables, strict=False)),
                output=OutputLayout(packing, *fields["output"]),
                rotation_steps=_listed(fields["rotation_steps"]),
                swaps_rows=fields["swaps_rows"],
                multiplies=fields["multiplies"],
                rerandomises=fields["rerandomises"],
                tolerance=fields["tolerance"],
                output_scale=fields["output_scale"],
                output_level=fields["output_level"],
                commitment=fields["commitment"],
            )
        except KeyError as error:
            raise ValueError(f"an interface must have a field {error}, got {sorted(fields)}") from error
        except TypeError as error:
            raise ValueError(f"an interface has a malformed field: {error}") from error


def require_interface(interface: object) -> Interface:
    """Return an interface, if it is one.

    Raises:
        TypeError: if it is not.
    """
    return instance(interface, Interface, "interface", "give `circuit.interface` or `client.interface`")


def is_finite(number: object) -> bool:
    """Return whether this is a finite float, or an integer of at most 53 bits, which a float64 holds; no boolean is."""
    if isinstance(number, float):
        return abs(number) < 2.0**1023
    return isinstance(number, int) and not isinstance(number, bool) and abs(number) <= 2**53


def _listed(values: object) -> tuple[Any, ...]:
    if not isinstance(values, list):
        raise TypeError(f"a list is due, got {values!r}")
    return tuple(values)
