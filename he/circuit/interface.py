"""The public part of a circuit: a client needs all of it and is told nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np

from he.circuit.commitment import is_digest
from he.circuit.guards import RangeGuard
from he.circuit.inputs import InputSpec, is_finite, listed
from he.circuit.key_levels import KeyLevels
from he.circuit.packing import OutputLayout, Packing, require_taps
from he.formats import hybrid
from he.formats.switching import RELINEARISATION
from he.ring.gadget import Gadget, Gadgets
from he.ring.params import Parameters
from he.ring.primes import LARGEST_PRIME_BITS
from intnn.values.arrays import instance
from intnn.values.value_object import ValueObject

#: The largest error of a CKKS logit that clients accept, unless their policy says otherwise.
USUAL_ERROR = 1.0

LEAST_TOLERANCE = 2.0**-60  # of CKKS, whose scales reach no further; what is published gets noise in its proportion

#: The fields of an interface as it is written; those that most have not are left out there.
FIELDS = frozenset(
    {"parameters", "packing", "inputs", "output", "tolerance", "output_scale", "output_level"}
    | {"rotation_steps", "swaps_rows", "multiplies", "rerandomises", "commitment"}
)
_OPTIONAL = frozenset({"guards", "key_levels", "encrypted", "threshold"})


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
        guards: those of calibrated ranges, each a ciphertext of its own behind the logits'.
        key_levels: the gadgets of keys, and the levels that they are for; None for keys as SEAL makes them, with one
            special prime and for all levels.
        encrypted: whether the model's owner encrypts weights and biases under the client's key.
        threshold: where data owner and model owner hold one key together (`Parameters.owners`), the bits of statistical
            distance up to which an answer that both open tells logits alone; 0 where they do not.

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
    guards: tuple[RangeGuard, ...] = field(default=(), kw_only=True)
    key_levels: KeyLevels | None = field(default=None, kw_only=True)
    encrypted: bool = field(default=False, kw_only=True)
    threshold: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "guards", tuple(self.guards))
        require_taps(sum(spec.layout.width * spec.layout.taps for spec in self.inputs))
        object.__setattr__(self, "rotation_steps", tuple(self.rotation_steps))
        self._check_inputs()
        self._check_operations()
        self._check_answers()
        if self.key_levels:
            _ = self.keys  # checks their levels
            if max(self.parameters.coeff_modulus_bits) > LARGEST_PRIME_BITS:
                raise ValueError(
                    f"`key_levels` must go with primes of at most {LARGEST_PRIME_BITS} bits, got {self.parameters}"
                )
        if not is_digest(self.commitment):
            raise ValueError(f"`commitment` must be 64 hexadecimal digits in lower case, got {self.commitment!r:.80}")

    def _check_inputs(self) -> None:
        """Check what is encrypted, and how slots are divided."""
        parameters, packing = self.parameters, self.packing
        if not any(spec.source.owner == "data" for spec in self.inputs):
            raise ValueError(f"`inputs` must have one of the data owner's, got {[s.name for s in self.inputs]}")
        if len({spec.name for spec in self.inputs}) < len(self.inputs):
            raise ValueError(f"`inputs` must have different names, got {[s.name for s in self.inputs]}")
        # The rows of `both_parts` are real and imaginary parts.
        if packing.row_length != parameters.row_length or (packing.rows != parameters.rows and not self.both_parts):
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

    def _check_operations(self) -> None:
        """Check what keys there must be for."""
        row_length = self.packing.row_length
        if not all(type(step) is int and 0 < step < row_length for step in self.rotation_steps):
            raise ValueError(f"`rotation_steps` must lie in [1, {row_length - 1}], got {self.rotation_steps}")
        if list(self.rotation_steps) != sorted(set(self.rotation_steps)):
            raise ValueError(f"`rotation_steps` must be different and in order, got {self.rotation_steps}")
        needs = self.swaps_rows, self.multiplies, self.rerandomises, self.encrypted
        if not all(isinstance(need, bool) for need in needs):
            names = "`swaps_rows`, `multiplies`, `rerandomises` and `encrypted`"
            raise ValueError(f"{names} must be booleans, got {needs}")
        if self.encrypted and not self.multiplies:
            raise ValueError("`encrypted` must go with `multiplies`: products with encrypted weights are relinearised")

    def _check_answers(self) -> None:
        """Check in what form answers come, how far they may be off, and what they may hold besides logits."""
        parameters = self.parameters
        numbers = is_finite(self.tolerance) and is_finite(self.output_scale)
        if not (numbers and self.tolerance >= 0 and self.output_scale > 0):
            raise ValueError(
                f"`tolerance` must be finite and `output_scale` positive, got {self.tolerance}, {self.output_scale}"
            )
        if type(self.threshold) is not int or (self.threshold > 0) != (parameters.owners == 2) or self.threshold < 0:
            raise ValueError(
                "`threshold` must be positive bits where the key has two owners, and 0 for one, got "
                f"{self.threshold!r} for {parameters.owners}"
            )
        if self.threshold and (self.rerandomises or self.guards or not self.encrypted):
            raise ValueError("`threshold` must go with `encrypted`, and neither with `rerandomises` nor with `guards`")
        if parameters.scheme.exact and (self.tolerance, self.output_scale) != (0, 1):
            raise ValueError(
                f"`tolerance` must be 0 and `output_scale` 1 for BFV, got {self.tolerance}, {self.output_scale}"
            )
        if not parameters.scheme.exact and self.tolerance < LEAST_TOLERANCE:
            raise ValueError(f"`tolerance` must be at least {LEAST_TOLERANCE} for CKKS, got {self.tolerance}")
        if self.guards and (parameters.scheme.exact or self.rerandomises):
            raise ValueError("`guards` must be those of a CKKS circuit whose answers are not re-randomised")
        if type(self.output_level) is not int or not 1 <= self.output_level <= parameters.levels:
            raise ValueError(f"`output_level` must be from 1 to {parameters.levels}, got {self.output_level!r}")

    @property
    def packing(self) -> Packing:
        """The division of the slots, which inputs and outputs share."""
        return self.output.packing

    @property
    def ciphertexts(self) -> int:
        """The number of ciphertexts of an answer: those of the logits, and one for every guard."""
        return self.output.ciphertexts + len(self.guards)

    @property
    def scales(self) -> list[float]:
        """The scale of every ciphertext of an answer."""
        return [self.output_scale] * self.output.ciphertexts + [guard.scale for guard in self.guards]

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

    @property
    def gadgets(self) -> Gadgets:
        """The gadgets by which keys are switched."""
        return Gadgets.of(self.parameters, self.key_levels.specials if self.key_levels else None)

    @cached_property
    def keys(self) -> list[tuple[int, Gadget]]:
        """All evaluation keys in the order in which they travel: Galois element, and gadget of the highest level."""
        if self.key_levels:
            return self.key_levels.keys(self.parameters, self.key_elements)
        whole = Gadget.of(self.parameters, self.parameters.levels)
        return [(element, whole) for element in self.key_elements]

    @property
    def key_bytes(self) -> int:
        """The number of bytes of all evaluation keys as they travel."""
        return sum(hybrid.key_bytes(gadget) for _, gadget in self.keys)

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
            **({"guards": [[guard.limit, guard.scale] for guard in self.guards]} if self.guards else {}),
            **({"key_levels": self.key_levels.to_list()} if self.key_levels else {}),
            **({"encrypted": True} if self.encrypted else {}),
            **({"threshold": self.threshold} if self.threshold else {}),
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
            unknown = sorted(fields.keys() - FIELDS - _OPTIONAL)
            if unknown:
                raise ValueError(f"an interface must have the fields {sorted(FIELDS)} alone, got {unknown} as well")
            packing = Packing(*fields["packing"])
            specs = listed(fields["inputs"])
            if len(specs) != len(tables):
                raise ValueError(f"there must be a table for every one of {len(specs)} inputs, got {len(tables)}")
            return Interface(
                parameters=Parameters.from_dict(fields["parameters"]),
                inputs=tuple(InputSpec.from_dict(*one) for one in zip(specs, repeat(packing), tables, strict=False)),
                output=OutputLayout(packing, *fields["output"]),
                rotation_steps=listed(fields["rotation_steps"]),
                swaps_rows=fields["swaps_rows"],
                multiplies=fields["multiplies"],
                rerandomises=fields["rerandomises"],
                tolerance=fields["tolerance"],
                output_scale=fields["output_scale"],
                output_level=fields["output_level"],
                commitment=fields["commitment"],
                guards=tuple(RangeGuard(*listed(guard)) for guard in listed(fields.get("guards", []))),
                key_levels=KeyLevels.from_list(fields["key_levels"]) if "key_levels" in fields else None,
                encrypted=fields.get("encrypted", False),
                threshold=fields.get("threshold", 0),
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
