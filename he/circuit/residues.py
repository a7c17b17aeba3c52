"""Circuits that compute one network modulo several primes: what a client makes of their logits, and what it is told.

The residues of a logit modulo primes t_1, t_2, ... are those of one number within +-T / 2, T = t_1 t_2 ... (the
Chinese remainder theorem). All circuits are one program but for weights, which are reduced modulo t, and have one
chain of primes. Neither BFV's secret nor its keys for switching depend on t: a client has one of each, whatever the
number of moduli, and an image that is encrypted for each of them is several messages under one key. An answer is
refused as a whole, so that the number of moduli does not change what refusals tell of the key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from he.circuit.circuit import Circuit
from he.circuit.interface import Interface
from he.readers.cost import Cost
from he.ring.params import Parameters
from intnn.values.arrays import instance
from intnn.values.value_object import ValueObject

MOST_MODULI = 64
_OWN_FIELDS = frozenset({"moduli", "reach_bits"})


@dataclass(frozen=True, eq=False)
class ResidueInterface(Interface):
    """The public part of a `ResidueCircuit`: that of its first circuit, with what a client needs of the others.

    Attributes:
        moduli: the plaintext moduli of all circuits, different ones; that of `parameters` is the first.
        reach_bits: every logit lies within +-(2^reach_bits - 1), which is within half of the product of the moduli.

    Raises:
        ParameterError: if a modulus is none for the parameters' ring.
        ValueError: if the parts do not fit each other, or a number is out of range.
    """

    moduli: tuple[int, ...]
    reach_bits: int

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "moduli", tuple(self.moduli))
        if not (1 <= len(self.moduli) <= MOST_MODULI and all(type(t) is int for t in self.moduli)):
            raise ValueError(f"`moduli` must be 1 to {MOST_MODULI} integers, got {self.moduli!r:.80}")
        if self.moduli[0] != self.parameters.plain_modulus or len(set(self.moduli)) < len(self.moduli):
            raise ValueError(f"`moduli` must be different, and begin with {self.parameters.plain_modulus}")
        for name in ("rerandomises", "encrypted"):
            if getattr(self, name):
                raise ValueError(f"`{name}` must be false where there are `moduli`")
        _ = self.each  # checks every modulus
        most = room_bits(self.moduli)
        if type(self.reach_bits) is not int or not 0 <= self.reach_bits <= most:
            raise ValueError(f"`reach_bits` must be from 0 to {most} for these moduli, got {self.reach_bits!r:.80}")

    @cached_property
    def each(self) -> tuple[Interface, ...]:
        """The interface of every circuit."""
        shared = {field.name: getattr(self, field.name) for field in fields(Interface)}
        chains = (replace(self.parameters, plain_modulus=t) for t in self.moduli)
        return tuple(Interface(**{**shared, "parameters": parameters}) for parameters in chains)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types, without `tables`; `interface_from` is the inverse."""
        return {**super().to_dict(), "moduli": list(self.moduli), "reach_bits": self.reach_bits}


def room_bits(moduli: Sequence[int]) -> int:
    """Return the largest b for which all integers below 2^b in magnitude are known by their residues."""
    return (prod(moduli) // 2 + 1).bit_length() - 1


def interface_from(written: Mapping[str, Any], tables: Sequence[np.ndarray]) -> Interface:
    """Return the interface that `to_dict` wrote, of one circuit or of several.

    Raises:
        ValueError: if a field is missing or malformed; the message names a missing one.
    """
    if not isinstance(written, Mapping) or not _OWN_FIELDS & written.keys():
        return Interface.from_dict(written, tables)
    first = Interface.from_dict({name: value for name, value in written.items() if name not in _OWN_FIELDS}, tables)
    shared = {field.name: getattr(first, field.name) for field in fields(Interface)}
    try:
        if not isinstance(written["moduli"], list):
            raise TypeError(f"a list is due, got {written['moduli']!r:.80}")
        return ResidueInterface(**shared, moduli=tuple(written["moduli"]), reach_bits=written["reach_bits"])
    except KeyError as error:
        raise ValueError(f"an interface must have a field {error}, got {sorted(written)}") from error
    except TypeError as error:
        raise ValueError(f"an interface has a malformed field: {error}") from error


def interfaces(interface: Interface) -> tuple[Interface, ...]:
    """Return the interfaces of the circuits that an interface stands for: one, but for a `ResidueInterface`."""
    return interface.each if isinstance(interface, ResidueInterface) else (interface,)


def combined(interface: Interface, logits: Sequence[np.ndarray]) -> np.ndarray | None:
    """Return the logits of which the circuits' own are residues; None if one is beyond what a network can reach.

    Args:
        interface: the interface of the circuits.
        logits: [batch, outputs] of every circuit.

    Returns:
        [batch, outputs]: int64, or Python's integers where `reach_bits` is more than 63.
    """
    if not isinstance(interface, ResidueInterface):
        (result,) = logits
        return result
    result = lifted(interface.moduli, logits)
    if (abs(result) >= 1 << interface.reach_bits).any():
        return None
    return np.asarray(result, np.int64) if interface.reach_bits <= 63 else np.asarray(result)


def lifted(moduli: Sequence[int], residues: Sequence[np.ndarray]) -> np.ndarray:
    """Return the integers within half of the moduli's product that have these residues: Python's, of the same shape."""
    whole = prod(moduli)
    units = [whole // t * pow(whole // t, -1, t) for t in moduli]  # 1 modulo t, and 0 modulo the others
    total: Any = sum(unit * own.astype(object) for unit, own in zip(units, residues, strict=True))
    result: np.ndarray = (total + whole // 2) % whole - whole // 2
    return result


@dataclass(frozen=True, eq=False)
class ResidueCircuit(ValueObject):
    """A network compiled modulo several primes, a circuit for each. It holds the weights.

    Attributes:
        circuits: the circuits, which differ in their plaintext modulus and in weights modulo it.
        reach_bits: see `ResidueInterface`.
        reasons: why there are so many, of this size.

    Raises:
        TypeError: if `circuits` are none.
        ValueError: if there are none, or they differ in anything else that a client is told.
    """

    circuits: tuple[Circuit, ...]
    reach_bits: int
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "circuits", tuple(self.circuits))
        object.__setattr__(self, "reasons", tuple(self.reasons))
        for circuit in self.circuits:
            instance(circuit, Circuit, "circuits", "compile a network with compile_residues")
        if not self.circuits:
            raise ValueError("`circuits` must be one or more")
        told = [one.digest for one in self.interface.each]
        if told != [circuit.interface.digest for circuit in self.circuits]:
            raise ValueError("`circuits` must have one interface but for the plaintext modulus")

    @cached_property
    def interface(self) -> ResidueInterface:
        """The public part, which clients are given."""
        first = self.circuits[0].interface
        shared = {field.name: getattr(first, field.name) for field in fields(Interface)}
        moduli = tuple(circuit.parameters.t for circuit in self.circuits)
        return ResidueInterface(**shared, moduli=moduli, reach_bits=self.reach_bits)

    def with_usual_keys(self) -> ResidueCircuit:
        """Return the circuits for keys as SEAL makes them; see `Circuit.with_usual_keys`."""
        return replace(self, circuits=tuple(circuit.with_usual_keys() for circuit in self.circuits))

    @property
    def parameters(self) -> Parameters:
        """The encryption parameters of the first circuit; the others have another plaintext modulus."""
        return self.circuits[0].parameters

    @property
    def output_bound(self) -> float:
        """A lower bound on the noise budget that the results have left, in bits."""
        return min(circuit.output_bound for circuit in self.circuits)

    def cost(self) -> Cost:
        """Return the cost of one evaluation of all circuits, one after the other; they share the keys."""
        return self.circuits[0].cost().times(len(self.circuits))

    def explain(self) -> str:
        """Return a text with the primes and their reasons, and what `Circuit.explain` says of the first circuit."""
        moduli = ", ".join(map(str, self.interface.moduli))
        lines = [
            f"residues: {len(self.circuits)} circuit(s), modulo {moduli}, for logits within +-2^{self.reach_bits}",
            *(f"  {reason}" for reason in self.reasons),
            f"cost: {self.cost().total:.1f} units in all, under one secret key and one set of evaluation keys",
            "the first circuit:",
            *(f"  {line}" for line in self.circuits[0].explain().splitlines()),
        ]
        return "\n".join(lines)

    def draw(self, path: str | os.PathLike[str]) -> None:
        """Draw the first circuit, which stands for all; it raises what `Circuit.draw` raises."""
        from he.circuit.draw import draw_circuit  # a library that not everybody has

        first, count = self.circuits[0], len(self.circuits)
        draw_circuit(first.interface, first.program, first.noise, path, f"one of {count} circuits, a prime each")
