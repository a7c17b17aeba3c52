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

from he.circuit.packing import InputLayout, OutputLayout, Packing
from he.ring.params import Parameters


class InputError(ValueError):
    """Images that the network is not made for."""


@dataclass(frozen=True, eq=False)
class Interface:
    """What a client must know of a circuit in order to use it, and all that it is told. No weight is in it.

    Attributes:
        parameters: the encryption parameters.
        input_shape: shape of one image, without the batch axis.
        input_low, input_high: range of the values that may be encrypted (integers for BFV).
        input: layout of the packed images.
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
    input_shape: tuple[int, ...]
    input_low: float
    input_high: float
    input: InputLayout
    output: OutputLayout
    rotation_steps: tuple[int, ...]
    swaps_rows: bool
    multiplies: bool
    tolerance: float
    output_scale: float

    def __post_init__(self) -> None:
        packing, parameters = self.input.packing, self.parameters
        both_parts = parameters.scheme == "ckks" and packing.split_rows  # the rows are real and imaginary parts
        if packing.row_length != parameters.row_length or (packing.rows != parameters.rows and not both_parts):
            raise ValueError(f"`packing` must be that of {parameters}, got {packing}")
        if math.prod(self.input_shape) != self.input.features:
            raise ValueError(f"`input_shape` must have {self.input.features} elements, got {self.input_shape}")
        if not -math.inf < self.input_low <= self.input_high < math.inf:
            raise ValueError(f"`input_range` must be in order, got [{self.input_low}, {self.input_high}]")
        if not all(isinstance(step, int) and 0 < step < packing.row_length for step in self.rotation_steps):
            raise ValueError(f"`rotation_steps` must lie in [1, {packing.row_length - 1}], got {self.rotation_steps}")
        if not (isinstance(self.swaps_rows, bool) and isinstance(self.multiplies, bool)):
            raise ValueError(f"`swaps_rows`, `multiplies` must be booleans, got {self.swaps_rows}, {self.multiplies}")
        if not (0 <= self.tolerance < math.inf and 0 < self.output_scale < math.inf):
            raise ValueError(
                f"`tolerance` must be finite and `output_scale` positive, got {self.tolerance}, {self.output_scale}"
            )

    @property
    def images(self) -> int:
        """Images that one evaluation serves."""
        return self.input.packing.images

    @property
    def both_parts(self) -> bool:
        """Whether CKKS slots hold one image in their real and another in their imaginary part."""
        return self.parameters.scheme == "ckks" and self.input.packing.split_rows

    @property
    def galois_elements(self) -> list[int]:
        """Automorphisms that need a key, as SEAL names them."""
        swap = [2 * self.parameters.poly_modulus_degree - 1] if self.swaps_rows else []
        return [self.parameters.galois_element(step) for step in self.rotation_steps] + swap

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything above: what a ciphertext was made for."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def check_images(self, images: np.ndarray) -> np.ndarray:
        """The images, flattened to [batch, features], if they are what the circuit takes.

        Raises:
            InputError: on a wrong dtype, shape, batch size or range, and on NaN.
        """
        images = np.asarray(images)
        exact = self.parameters.scheme == "bfv"
        if not np.issubdtype(images.dtype, np.integer if exact else np.floating):
            raise InputError(
                f"`images` must be of {'an integer' if exact else 'a float'} dtype, got {images.dtype}"
                + ("; use IntNetwork.quantise_input for float images" if exact else "")
            )
        if images.shape[1:] != self.input_shape or images.ndim != len(self.input_shape) + 1:
            raise InputError(
                f"`images` must have shape [batch, {', '.join(map(str, self.input_shape))}], got {images.shape}"
            )
        if not 1 <= len(images) <= self.images:
            raise InputError(f"`images` must hold 1 to {self.images} images a batch, got {len(images)}")
        if not np.all((images >= self.input_low) & (images <= self.input_high)):  # false for nan
            raise InputError(f"`images` must lie in [{self.input_low}, {self.input_high}] and hold no NaN")
        return images.reshape(len(images), -1)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `Interface.from_dict` is its inverse."""
        packing = self.input.packing
        return {
            "parameters": self.parameters.to_dict(),
            "input_shape": list(self.input_shape),
            "input_range": [self.input_low, self.input_high],
            "packing": [packing.rows, packing.row_length, packing.lanes, packing.split_rows, packing.guards],
            "features": self.input.features,
            "gather": self.input.gather.tolist(),
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
            low, high = fields["input_range"]
            return Interface(
                parameters=Parameters.from_dict(fields["parameters"]),
                input_shape=tuple(fields["input_shape"]),
                input_low=low,
                input_high=high,
                input=InputLayout(packing, fields["features"], np.array(fields["gather"])),
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
