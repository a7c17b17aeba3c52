"""A compiled network as one value: its program, its parameters and its layouts."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from he.circuit.commitment import SALT_BYTES, commitment, require_salt
from he.circuit.interface import Interface
from he.circuit.key_levels import KeyLevels
from he.circuit.rounding import rounded_matrix, rounded_slots
from he.formats.compact import Form
from he.program.operations import Matrix, Plain
from he.program.placed import output_levels
from he.program.program import Program
from he.readers.cost import Cost, cost
from he.ring.params import ParameterError, Parameters
from intnn.values.arrays import instance, real
from intnn.values.value_object import ValueObject

if TYPE_CHECKING:
    from he.circuit.commitment import Network


@dataclass(frozen=True, eq=False)
class Circuit(ValueObject):
    """A network compiled for one scheme, parameter set and batch size. It holds the weights, unless it is `public`.

    Attributes:
        interface: the public part, which clients are given.
        program: the operations, placed for the interface's parameters.
        output_bound: for BFV, a lower bound on the noise budget that the result has left, in bits; for CKKS, an upper
            bound on the error of a logit.
        reasons: one line for each table's polynomial and for each ring that the compiler refused, with the numbers.
        salt: 32 secret bytes, with which the owner opens the interface's commitment to the network. They decide how the
            weights of CKKS are rounded, too (`he.circuit.rounding`).

    Raises:
        TypeError: if the bound is no number, or the salt no bytes.
        ValueError: if the interface does not describe the program, the bound is not finite, or the salt has another
            length.
    """

    interface: Interface
    program: Program
    output_bound: float
    reasons: tuple[str, ...]
    salt: bytes = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "output_bound", real(self.output_bound, "output_bound"))
        object.__setattr__(self, "reasons", tuple(self.reasons))
        require_salt(self.salt)
        interface, program = self.interface, self.program
        sources = tuple(spec.source for spec in interface.inputs for _ in range(spec.layout.ciphertexts))
        needs = tuple(sorted(program.rotation_steps)), program.swaps_rows, program.multiplies
        for name, stated, found in (
            ("inputs", sources, program.inputs),
            ("outputs", interface.ciphertexts, len(program.outputs)),
            ("guards", len(interface.guards), program.guards),
            ("output level", {interface.output_level}, output_levels(program, interface.parameters)),
            ("slots", interface.packing.slots if program.plaintexts else program.slots, program.slots),
            ("keys", (interface.rotation_steps, interface.swaps_rows, interface.multiplies), needs),
            ("encrypted weights", interface.encrypted, bool(program.encrypted)),
            ("key levels", interface.key_levels, self._key_levels()),
        ):
            if stated != found:
                raise ValueError(f"the interface must describe the program: its {name} are {found}, got {stated}")
        if not math.isfinite(self.output_bound):
            raise ValueError(f"`output_bound` must be finite, got {self.output_bound}")

    @property
    def public(self) -> Circuit:
        """The circuit for whoever evaluates it with encrypted weights: it has neither them nor the salt.

        What is left tells of the network what `he.compiler.compile.compile_exact` says of `weights`.

        Raises:
            ParameterError: if the weights are not to be encrypted.
        """
        if not self.interface.encrypted:
            raise ParameterError('the circuit holds its weights in the clear: compile it with weights="encrypted"')
        return replace(self, program=self.program.without_plaintexts(), reasons=(), salt=bytes(SALT_BYTES))

    def _key_levels(self) -> KeyLevels | None:
        """Return what the interface has to say of the program's keys, with the gadgets that it has chosen."""
        interface = self.interface
        if interface.key_levels is None:
            return None
        return KeyLevels.of(self.program, interface.gadgets, self.parameters, interface.key_elements)

    def with_usual_keys(self) -> Circuit:
        """Return the circuit for keys as SEAL makes them, with one special prime at all levels.

        SEAL's engine evaluates with no others. The bound holds for both: it is the worse of the two where a circuit was
        compiled with gadgets of its own.
        """
        return replace(self, interface=replace(self.interface, key_levels=None))

    @property
    def parameters(self) -> Parameters:
        """The encryption parameters of the interface."""
        return self.interface.parameters

    def operand(self, plain: Plain) -> np.ndarray:
        """Return the slots [slots] of an operand as every engine encodes them: for CKKS, rounded at random."""
        slots = self.program.plaintexts[plain.index]
        return slots if self.parameters.scheme.exact else rounded_slots(slots, plain, self.salt)

    def factors(self, matrix: Matrix) -> Matrix:
        """Return a matrix of the program with numbers as every engine encodes them: for CKKS, rounded at random."""
        return matrix if self.parameters.scheme.exact else rounded_matrix(matrix, self._numbers[matrix], self.salt)

    @cached_property
    def _numbers(self) -> dict[Matrix, int]:
        return {operation: i for i, operation in enumerate(self.program.operations) if isinstance(operation, Matrix)}

    def opens(self, network: Network) -> bool:
        """Return whether this is the network to which the interface's commitment binds the circuit's owner."""
        return commitment(network, self.salt) == self.interface.commitment

    def cost(self) -> Cost:
        """Return the cost of one evaluation on the fast engine, on one thread."""
        gadgets = self.interface.gadgets if self.interface.key_levels else None
        return cost(self.program, self.parameters, gadgets=gadgets)

    def explain(self) -> str:
        """Return a text with parameters and their reasons, layout, operations, cost, keys, memory and noise bound."""
        counts, layout, spent = self.program.counts, self.interface.inputs[0].layout, self.cost()
        sent = layout.ciphertexts * Form.fresh(self.parameters).bytes
        lines = [
            f"parameters: {self.parameters}",
            *(f"  {reason}" for reason in self.reasons),
            f"layout: {layout.packing.images} image(s), {layout.ciphertexts} input ciphertext(s), "
            f"{layout.width} units in the first layer; about {_megabytes(sent)} to send",
            "operations: "
            + ", ".join(
                f"{counts[kind]} {name}"
                for kind, name in (
                    ("Multiply", "ciphertext products"),
                    ("SquareParts", "squares of real and imaginary parts"),
                    ("Relinearise", "relinearisations"),
                    ("plain products", "plain products"),
                    ("encrypted products", "products with encrypted weights"),
                    ("matrix products", "matrix products"),
                    ("ScalarDot", "scalar combinations"),
                    ("Rotate", "rotations"),
                    ("SwapRows", "row swaps"),
                    ("Conjugate", "conjugations"),
                    ("SwitchModulus", "modulus switches"),
                    ("Rescale", "rescalings"),
                )
                if counts[kind]
            ),
            f"rotations: {spent.hoisted} hoisted, of {spent.groups} values, and {spent.single} single",
            f"cost: {spent.total:.1f} units of one SEAL rotation on one thread of a hoisting engine, "
            + ", ".join(f"{kind} {units:.1f}" for kind, units in spent.units.items() if units >= 0.05),
            f"evaluation keys: {len(self.interface.galois_elements)} Galois"
            + (" and one for relinearisation" if self.interface.multiplies else "")
            + f", {_megabytes(spent.key_bytes)}, of which the levels at which they are used need "
            f"{_megabytes(spent.needed_key_bytes)}",
            self._digits,
            f"memory: {_megabytes(spent.value_bytes)} of values at most wait for others, on one thread",
            self.noise,
        ]
        return "\n".join(lines)

    @property
    def _digits(self) -> str:
        """What digits the keys are for, in words."""
        stated = self.interface.key_levels
        if stated is None:
            return "key switching: one special prime, keys as SEAL makes them, for all levels"
        used: dict[int, list[str]] = {}
        for level in sorted({level for levels in stated.levels for level in levels}):
            used.setdefault(stated.specials[level - 1], []).append(str(level))
        gadgets = "; ".join(f"{specials} at {', '.join(levels)}" for specials, levels in sorted(used.items()))
        return f"key switching: special primes by level, {gadgets}; keys up to the levels at which they are used"

    @property
    def noise(self) -> str:
        """The bound on the noise in words."""
        if self.parameters.scheme.exact:
            return f"noise: at least {self.output_bound:.1f} bits of budget are left at the end"
        return f"noise: a logit is off by at most {self.output_bound:.2g}"

    def draw(self, path: str | os.PathLike[str]) -> None:
        """Draw the stages with their levels, scales and units into an .svg, .png or .pdf file.

        Raises:
            ValueError: if the suffix is another one.
            ImportError: if Matplotlib is not installed.
            OSError: if the file cannot be written.
        """
        from he.circuit.draw import draw_circuit  # a library that not everybody has

        draw_circuit(self.interface, self.program, self.noise, path)


def require_circuit(circuit: object) -> Circuit:
    """Return a circuit, if it is one.

    Raises:
        TypeError: if it is not.
    """
    return instance(circuit, Circuit, "circuit", "compile a network with compile_exact or compile_approximate first")


def require_weights(circuit: object) -> Circuit:
    """Return a circuit, if it is one with its weights.

    Raises:
        ParameterError: if it is a `Circuit.public`.
        TypeError: if it is none.
    """
    found = require_circuit(circuit)
    if found.interface.encrypted and not len(found.program.plaintexts):
        raise ParameterError("the circuit has no weights: give the model owner's, and not `Circuit.public`")
    return found


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
