"""The models of a server: prepared circuits, what is public of them, and sessions for clients."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from he.circuit.residues import interfaces
from he.engines.rns.engine import RnsEngine
from he.formats.messages import largest_message
from he.formats.stored import StoredError
from he.parties.evaluation_keys import data_bytes
from he.parties.expanded import ExpandedKeys
from he.parties.interfaces import interface_bytes
from he.parties.prepared import PreparedCircuit
from he.parties.session import Session, request_bytes
from he.service.config import Limits
from he.service.ledger import StoredLedger
from he.service.store import Store, StoredKeys
from he.service.tokens import NAME
from intnn.values.value_object import Unstorable

_MOST_SESSIONS = 256  # that are kept ready; each has a file descriptor, and another is made in a millisecond


@dataclass(frozen=True, eq=False)
class Model(Unstorable, instead="load its file again"):
    """A prepared circuit under a name.

    Attributes:
        name: the name in addresses.
        prepared: the circuit.
    """

    name: str
    prepared: PreparedCircuit

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
            "key_bytes": data_bytes(interface),
            "most_key_bytes": self.most_key_bytes,
            "most_request_bytes": self.most_request_bytes,
            "most_evaluations": limits.most_evaluations,
        }


def load(folder: Path) -> dict[str, Model]:
    """Return the models whose files `NAME.he` lie in a folder, by name.

    Raises:
        StoredError: if a file is no prepared circuit.
        ValueError: if there is none, its weights are to be encrypted, or a name is not of 1 to 64 letters, digits, and
            `._-`.
        OSError: if a file cannot be read.
    """
    models = {}
    for path in sorted(folder.glob("*.he")):
        if not NAME.fullmatch(path.stem):
            raise ValueError(f"a model's name must have 1 to 64 letters, digits, and ._-, got {path.stem!r}")
        model = Model(path.stem, PreparedCircuit.load(path, engine=RnsEngine.name))
        if model.prepared.circuit.interface.encrypted:
            raise ValueError(f"a server's models must have plain weights, and those of {path} are to be encrypted")
        models[path.stem] = model
    if not models:
        raise ValueError(f"{folder} must hold prepared circuits, files NAME.he of `PreparedCircuit.save`, and has none")
    return models


class Sessions(Unstorable, instead="they are made of what the store has"):
    """The sessions of all clients, made when they are needed. All methods are safe for threads.

    Args:
        models: the models by name.
        store: what has the clients' keys, and remembers their requests.
        limits: what is allowed.
    """

    def __init__(self, models: Mapping[str, Model], store: Store, limits: Limits) -> None:
        self._models, self._store, self._limits, self._lock = models, store, limits, Lock()
        self._ready: OrderedDict[Path, Session] = OrderedDict()
        self._ledgers: WeakValueDictionary[tuple[str, str], StoredLedger] = WeakValueDictionary()

    def session(self, model: Model, keys: StoredKeys) -> Session:
        """Return the session of a client's keys.

        Raises:
            StoredError: if their file is damaged, or holds other keys.
            OSError: if it cannot be read.
        """
        with self._lock:
            session = self._ready.pop(keys.path, None)
            if session is None:
                mapped = ExpandedKeys.mapped(keys.path, model.prepared.circuit.interface)
                if mapped.id != keys.digest:
                    raise StoredError(f"{keys.path} must hold the keys that the index names, and holds others")
                ledger = self._ledger(keys.client, model.digest)
                session = model.prepared.session(mapped, self._limits.threads, ledger=ledger)
            self._ready[keys.path] = session
            if len(self._ready) > _MOST_SESSIONS:
                self._ready.popitem(last=False)
            return session

    def drop(self, keys: StoredKeys) -> None:
        """Forget the session of keys that are removed."""
        with self._lock:
            self._ready.pop(keys.path, None)

    def _ledger(self, client: str, circuit: str) -> StoredLedger:
        """Return the ledger of a client and a circuit; all sessions that live share one."""
        ledger = self._ledgers.get((client, circuit))
        if ledger is None:
            ledger = StoredLedger(self._store, client, circuit, self._limits.most_evaluations)
            self._ledgers[client, circuit] = ledger
        return ledger
