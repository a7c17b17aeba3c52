"""One network as several circuits, for few images and for many, and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from he.circuit.circuit import Circuit
from he.circuit.interface import Interface
from he.circuit.residues import ResidueCircuit, interfaces
from intnn.values.arrays import instance, integer, real
from intnn.values.value_object import ValueObject

MOST_CIRCUITS = 64

#: What a client spends on a ciphertext of N = 8192 in units of `he.readers.cost`, by whether it is exact: measured.
ENCRYPTION = {True: 1.6, False: 2.4}


class Plan(NamedTuple):
    """How so many images are asked for.

    Attributes:
        circuit: the number of the circuit among those that are offered.
        images: the number of images that one of its requests holds.
        requests: the number of requests; the last one may hold fewer images.
        units: what client and server spend on them, in units of one SEAL rotation.
    """

    circuit: int
    images: int
    requests: int
    units: float


@dataclass(frozen=True, eq=False)
class Offer(ValueObject):
    """The public part of a `Family`: clients are given it, and choose by the number of their images.

    Attributes:
        interfaces: the interfaces of one network's circuits.
        units: what a server spends on one request of each, in units of one SEAL rotation.

    Raises:
        TypeError: if a part has another type.
        ValueError: if there is none, there are more than 64, they are of different networks, take different images or
            something else than one encrypted input of images, or two are alike, one of several has encrypted weights,
            which are issued for one circuit's keys, or prices are not as many, or not positive.
    """

    interfaces: tuple[Interface, ...]
    units: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "interfaces", tuple(self.interfaces))
        object.__setattr__(self, "units", tuple(real(units, "units") for units in self.units))
        for interface in self.interfaces:
            instance(interface, Interface, "interfaces", "give those of compiled circuits")
        if not 1 <= len(self.interfaces) <= MOST_CIRCUITS:
            raise ValueError(f"`interfaces` must be 1 to {MOST_CIRCUITS}, got {len(self.interfaces)}")
        if len(self.interfaces) > 1 and any(interface.encrypted for interface in self.interfaces):
            raise ValueError("`interfaces` must be one where weights are encrypted: they are issued for its keys")
        if len({interface.commitment for interface in self.interfaces}) > 1:
            raise ValueError("`interfaces` must have one commitment: compile one network with one `salt`")
        if len(set(map(_asked, self.interfaces))) > 1:
            raise ValueError("`interfaces` must be of one scheme, and take the same images and give as many logits")
        if len({interface.digest for interface in self.interfaces}) < len(self.interfaces):
            raise ValueError("`interfaces` must be different, got one twice")
        if len(self.units) != len(self.interfaces) or not all(0 < units < float("inf") for units in self.units):
            raise ValueError(f"`units` must be {len(self.interfaces)} positive numbers, got {self.units!r:.80}")

    def plan(self, images: int, among: Sequence[int] | None = None) -> Plan:
        """Return the cheapest way to ask for so many images, all by one circuit.

        What the server spends and what the client spends to encrypt are added up: where features of few images fill
        many ciphertexts, that is most of the whole.

        Args:
            images: the number of images, from 1.
            among: the numbers of the circuits that may be chosen; by default all.

        Raises:
            TypeError: if a number is no integer.
            ValueError: if `images` is below 1, or `among` is empty or has the number of no circuit.
        """
        count = integer(images, "images", 1)
        numbers = range(len(self.interfaces)) if among is None else among
        if not numbers:
            raise ValueError("`among` must be one circuit or more, got none")
        numbers = [integer(number, "among", 0, len(self.interfaces) - 1) for number in numbers]
        return min((self._of(number, count) for number in numbers), key=lambda plan: plan.units)

    def _of(self, number: int, images: int) -> Plan:
        interface = self.interfaces[number]
        requests = -(-images // interface.images)
        return Plan(number, interface.images, requests, requests * (self.units[number] + encryption_units(interface)))


@dataclass(frozen=True, eq=False)
class Family(ValueObject):
    """One network as several circuits, made by `he.compile_family`. It holds the weights.

    Attributes:
        circuits: the circuits.

    Raises:
        TypeError: if one is no circuit.
        ValueError: as `Offer`.
    """

    circuits: tuple[Circuit | ResidueCircuit, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "circuits", tuple(self.circuits))
        for circuit in self.circuits:
            if not isinstance(circuit, Circuit | ResidueCircuit):
                raise TypeError(f"`circuits` must be compiled networks, got {type(circuit).__name__}")
        _ = self.offer

    @property
    def offer(self) -> Offer:
        """The public part, which clients are given."""
        circuits = self.circuits
        return Offer(tuple(one.interface for one in circuits), tuple(one.cost().total for one in circuits))


def _asked(interface: Interface) -> tuple[Any, ...]:
    """Return what must be the same in all circuits among which one is chosen: images are prepared for any of them.

    Raises:
        ValueError: if the data owner is not asked for one encrypted input.
    """
    specs = interface.client_inputs
    if [spec.source.kind for spec in specs] != ["ciphertext"]:
        asked = [(spec.name, spec.source.kind) for spec in specs]
        raise ValueError(f"`interfaces` must ask the data owner for one encrypted input, got {asked}")
    (spec,) = specs
    outputs = interface.output.outputs
    return interface.parameters.scheme, spec.shape, spec.low, spec.high, spec.scale, outputs


def encryption_units(interface: Interface) -> float:
    """Return what a client spends to encrypt a request, in units of one SEAL rotation."""
    ciphertexts = sum(spec.layout.ciphertexts for spec in interface.client_inputs) * len(interfaces(interface))
    parameters = interface.parameters
    return ciphertexts * ENCRYPTION[parameters.scheme.exact] * parameters.poly_modulus_degree / 8192
