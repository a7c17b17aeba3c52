"""What a client must know of a circuit, and all that it is told."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from he.circuit.packing import InputLayout, OutputLayout, Packing
from he.program.operations import Source
from he.ring.params import Parameters
from he.ring.scheme import Scheme
from intnn.values.arrays import reals
from intnn.values.rounding import round_half_up


class InputError(ValueError):
    """Values that the network is not made for."""


@dataclass(frozen=True, eq=False)
class InputSpec:
    """One input of a circuit: who provides it, what values it may have, and where they lie.

    Attributes:
        name: what error messages call it.
        source: its owner, and whether it is encrypted.
        shape: shape of one value (an image), without the batch axis.
        low, high: range of the numbers that may be encrypted (integers for BFV).
        scale: what a float is multiplied by before it is rounded to an integer; 1 for CKKS.
        layout: where the numbers lie in the slots.

    Raises:
        ValueError: if the parts do not fit each other, or a number is out of range.
    """

    name: str
    source: Source
    shape: tuple[int, ...]
    low: float
    high: float
    scale: float
    layout: InputLayout

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name.isidentifier()):
            raise ValueError(f"an input's `name` must be an identifier, got {self.name!r}")
        if math.prod(self.shape) != self.layout.features:
            raise ValueError(f"`shape` must have {self.layout.features} elements, got {self.shape}")
        if not -math.inf < self.low <= self.high < math.inf:
            raise ValueError(f"`low` and `high` must be finite and in order, got [{self.low}, {self.high}]")
        if not 0 < self.scale < math.inf:
            raise ValueError(f"`scale` must be positive and finite, got {self.scale}")

    def prepare(self, values: ArrayLike, scheme: Scheme) -> np.ndarray:
        """Floats in the units that the float network was trained on, as the circuit takes them.

        For BFV they are multiplied by `scale`, rounded (halves up) and saturated into the range, as
        `IntNetwork.quantise_input` does it. For CKKS they are taken as they are.

        Args:
            values: finite floats, [batch, *shape].
            scheme: of the circuit.

        Returns:
            int64 for BFV, float64 for CKKS, of the same shape.

        Raises:
            TypeError: if `values` does not hold floats.
            ValueError: on NaN or infinity.
        """
        floats = reals(values, self.name)
        if not scheme.exact:
            return floats
        with np.errstate(over="ignore"):  # infinity saturates as well
            return round_half_up(np.clip(floats * self.scale, self.low, self.high))

    def check(self, values: np.ndarray, scheme: Scheme) -> np.ndarray:
        """The values, flattened to [batch, features], if they are what the circuit takes.

        Raises:
            InputError: on a wrong dtype, shape, batch size or range, and on NaN.
        """
        values, most = np.asarray(values), self.layout.packing.images
        if not np.issubdtype(values.dtype, np.integer if scheme.exact else np.floating):
            raise InputError(
                f"`{self.name}` must be of {'an integer' if scheme.exact else 'a float'} dtype, got {values.dtype}"
                + ("; use Client.prepare for floats" if scheme.exact else "")
            )
        if values.shape[1:] != self.shape or values.ndim != len(self.shape) + 1:
            raise InputError(
                f"`{self.name}` must have shape [batch, {', '.join(map(str, self.shape))}], got {values.shape}"
            )
        if not 1 <= len(values) <= most:
            raise InputError(f"`{self.name}` must hold 1 to {most} images a batch, got {len(values)}")
        if not np.all((values >= self.low) & (values <= self.high)):  # false for nan
            raise InputError(f"`{self.name}` must lie in [{self.low}, {self.high}] and hold no NaN")
        return values.reshape(len(values), -1)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `InputSpec.from_dict` is its inverse. The packing is the interface's."""
        return {
            "name": self.name,
            "owner": self.source.owner,
            "kind": self.source.kind,
            "shape": list(self.shape),
            "range": [self.low, self.high],
            "scale": self.scale,
            "features": self.layout.features,
            "gather": self.layout.gather.tolist(),
        }

    @staticmethod
    def from_dict(fields: Mapping[str, Any], packing: Packing) -> InputSpec:
        """Rebuild from `to_dict`'s output.

        Raises:
            KeyError, TypeError, ValueError: if a field is missing or malformed.
        """
        low, high = fields["range"]
        return InputSpec(
            name=fields["name"],
            source=Source(fields["owner"], fields["kind"]),
            shape=tuple(fields["shape"]),
            low=low,
            high=high,
            scale=fields["scale"],
            layout=InputLayout(packing, fields["features"], np.array(fields["gather"])),
        )


@dataclass(frozen=True, eq=False)
class Interface:
    """What a client must know of a circuit in order to use it, and all that it is told. No weight is in it.

    Attributes:
        parameters: the encryption parameters.
        inputs: in the order of their ciphertexts, at least one of them the data owner's, all in one packing.
        output: layout of the packed logits.
        rotation_steps: row rotations that need a Galois key.
        swaps_rows: whether the row swap (BFV) or complex conjugation (CKKS) needs one.
        multiplies: whether a relinearisation key is needed.
        tolerance: largest error of a decrypted logit; 0 for BFV.
        output_scale: scale of a result's ciphertext; 1 for BFV.

    Raises:
        ValueError: if the parts do not fit each other, or a number is out of range.
    """

    parameters: Parameters
    inputs: tuple[InputSpec, ...]
    output: OutputLayout
    rotation_steps: tuple[int, ...]
    swaps_rows: bool
    multiplies: bool
    tolerance: float
    output_scale: float

    def __post_init__(self) -> None:
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
            raise ValueError(f"all inputs must have the packing of the output, {packing}")
        if not all(isinstance(step, int) and 0 < step < packing.row_length for step in self.rotation_steps):
            raise ValueError(f"`rotation_steps` must lie in [1, {packing.row_length - 1}], got {self.rotation_steps}")
        if not (isinstance(self.swaps_rows, bool) and isinstance(self.multiplies, bool)):
            raise ValueError(f"`swaps_rows`, `multiplies` must be booleans, got {self.swaps_rows}, {self.multiplies}")
        if not (0 <= self.tolerance < math.inf and 0 < self.output_scale < math.inf):
            raise ValueError(
                f"`tolerance` must be finite and `output_scale` positive, got {self.tolerance}, {self.output_scale}"
            )

    @property
    def packing(self) -> Packing:
        """How all slots are divided."""
        return self.output.packing

    @property
    def images(self) -> int:
        """Images that one evaluation serves."""
        return self.packing.images

    @property
    def both_parts(self) -> bool:
        """Whether CKKS slots hold one image in their real and another in their imaginary part."""
        return not self.parameters.scheme.exact and self.packing.split_rows

    @property
    def client_inputs(self) -> tuple[InputSpec, ...]:
        """What a client sends with every request."""
        return tuple(spec for spec in self.inputs if spec.source.owner == "data")

    @property
    def galois_elements(self) -> list[int]:
        """Automorphisms that need a key, as SEAL names them."""
        swap = [2 * self.parameters.poly_modulus_degree - 1] if self.swaps_rows else []
        return [self.parameters.galois_element(step) for step in self.rotation_steps] + swap

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything above: what a ciphertext was made for."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `Interface.from_dict` is its inverse."""
        packing = self.packing
        return {
            "parameters": self.parameters.to_dict(),
            "packing": [packing.rows, packing.row_length, packing.lanes, packing.split_rows, packing.guards],
            "inputs": [spec.to_dict() for spec in self.inputs],
            "output": [self.output.width, self.output.outputs],
            "rotation_steps": list(self.rotation_steps),
            "swaps_rows": self.swaps_rows,
            "multiplies": self.multiplies,
            "tolerance": self.tolerance,
            "output_scale": self.output_scale,
        }

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> Interface:
        """Rebuild from `to_dict`'s output.

        Raises:
            ValueError: naming the field that is missing or malformed.
        """
        try:
            packing = Packing(*fields["packing"])
            return Interface(
                parameters=Parameters.from_dict(fields["parameters"]),
                inputs=tuple(InputSpec.from_dict(spec, packing) for spec in fields["inputs"]),
                output=OutputLayout(packing, *fields["output"]),
                rotation_steps=tuple(fields["rotation_steps"]),
                swaps_rows=fields["swaps_rows"],
                multiplies=fields["multiplies"],
                tolerance=fields["tolerance"],
                output_scale=fields["output_scale"],
            )
        except KeyError as error:
            raise ValueError(f"an interface must have a field {error}, got {sorted(fields)}") from error
        except TypeError as error:
            raise ValueError(f"an interface has a malformed field: {error}") from error
