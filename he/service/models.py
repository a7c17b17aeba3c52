"""The models of a server: prepared circuits, and what is public of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from he.circuit.circuit import Circuit
from he.circuit.interface import Interface
from he.circuit.residues import interfaces
from he.engines.rns.engine import RnsEngine
from he.formats.messages import largest_message
from he.parties.encrypted_network import network_bytes
from he.parties.evaluation_keys import data_bytes
from he.parties.interfaces import interface_bytes
from he.parties.permission import verification_key
from he.parties.prepared import PreparedCircuit
from he.parties.session import request_bytes
from he.service.config import Limits
from he.service.tokens import NAME
from intnn.values.value_object import Unstorable


@dataclass(frozen=True, eq=False)
class Model(Unstorable, instead="load its file again"):
    """A prepared circuit under a name.

    Attributes:
        name: the name in addresses.
        prepared: the circuit.
        owner: where weights are encrypted, the key by which what their owner signs is verified; None where not.
    """

    name: str
    prepared: PreparedCircuit
    owner: bytes | None = None

    @property
    def digest(self) -> str:
        """The digest of the interface, which covers a commitment to the network."""
        return self.prepared.circuit.interface.digest

    @cached_property
    def interface(self) -> bytes:
        """The interface as clients read it."""
        return interface_bytes(self.prepared.circuit.interface)

    @cached_property
    def units(self) -> float:
        """What a request costs, in units of one SEAL rotation."""
        return self.prepared.circuit.cost().total

    @cached_property
    def most_key_bytes(self) -> int:
        """The most bytes of a message with evaluation keys."""
        return largest_message(data_bytes(self.prepared.circuit.interface))

    @cached_property
    def most_request_bytes(self) -> int:
        """The most bytes of a request."""
        return largest_message(request_bytes(self.prepared.circuit.interface))

    @cached_property
    def most_network_bytes(self) -> int:
        """The most bytes of a message with an encrypted network."""
        return largest_message(network_bytes(self.single))

    @property
    def single(self) -> Circuit:
        """The circuit, where weights are encrypted."""
        assert isinstance(self.prepared.circuit, Circuit)  # weights modulo several primes are plain
        return self.prepared.circuit

    def card(self, limits: Limits) -> dict[str, Any]:
        """Return what everybody may know: what follows from the interface, and what the server allows."""
        interface = self.prepared.circuit.interface
        parameters, (spec,) = interface.parameters, interface.client_inputs
        return {
            "name": self.name,
            "circuit": self.digest,
            "commitment": interface.commitment,
            "scheme": parameters.scheme.value,
            "security": parameters.security,
            "poly_modulus_degree": parameters.poly_modulus_degree,
            "coeff_modulus_bits": list(parameters.coeff_modulus_bits),
            "plain_moduli": [one.parameters.plain_modulus for one in interfaces(interface)]
            if parameters.scheme.exact
            else [],
            "input": {"shape": list(spec.shape), "low": spec.low, "high": spec.high, "scale": spec.scale},
            "images": interface.images,
            "units": self.units,
            "outputs": interface.output.outputs,
            "max_error": interface.tolerance / 2,
            "range_guards": len(interface.guards),
            "rerandomises": interface.rerandomises,
            "encrypted": interface.encrypted,
            "key_bytes": data_bytes(interface),
            "most_key_bytes": self.most_key_bytes,
            "most_request_bytes": self.most_request_bytes,
            "most_evaluations": limits.most_evaluations,
        }


def load(folder: Path) -> dict[str, Model]:
    """Return the models whose files `NAME.he` lie in a folder, by name; with `NAME.owner` where weights are encrypted.

    Raises:
        StoredError: if a file is no prepared circuit.
        ValueError: if there is none, a circuit or its key has two owners, its weights are to be encrypted and the file
            with their owner's verification key is not there or is none, or a name is not of 1 to 64 letters, digits,
            and `._-`.
        OSError: if a file cannot be read.
    """
    models: dict[str, Model] = {}
    owners: dict[str, bytes | None] = {}  # by circuit: what an owner signs names that
    for path in sorted(folder.glob("*.he")):
        if not NAME.fullmatch(path.stem):
            raise ValueError(f"a model's name must have 1 to 64 letters, digits, and ._-, got {path.stem!r}")
        prepared = PreparedCircuit.load(path, engine=RnsEngine.name)
        models[path.stem] = model = Model(path.stem, prepared, _owner(path, prepared))
        if owners.setdefault(model.digest, model.owner) != model.owner:
            raise ValueError(f"models of one circuit must have one owner, and that of {path} is another one's too")
    if not models:
        raise ValueError(f"{folder} must hold prepared circuits, files NAME.he of `PreparedCircuit.save`, and has none")
    return models


def _owner(path: Path, prepared: PreparedCircuit) -> bytes | None:
    """Return the verification key of the owner of encrypted weights."""
    interface = prepared.circuit.interface
    if not isinstance(interface, Interface) or not interface.encrypted:
        return None
    if interface.threshold:
        raise ValueError(f"a server's models must have keys of one owner, and that of {path} has two")
    file = path.with_suffix(".owner")
    if not file.is_file():
        raise ValueError(f"there must be {file}, by which what the owner of {path} issues is verified (`owner.key`)")
    owner = file.read_bytes()
    verification_key(owner, file.name)
    return owner
