"""The sessions of a server's clients, made when they are needed."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from he.formats.stored import StoredError
from he.parties.expanded import ExpandedKeys
from he.parties.permission import Permission
from he.parties.session import Session
from he.service.config import Limits
from he.service.ledger import StoredLedger
from he.service.models import Model
from he.service.networks import Networks
from he.service.store import Store, StoredKeys
from intnn.values.value_object import Unstorable

_MOST_SESSIONS = 256  # that are kept ready; each has a file descriptor, and another is made in a millisecond

_Place = tuple[Path, Permission | None]


class Sessions(Unstorable, instead="they are made of what the store has"):
    """The sessions of all clients. All methods are safe for threads.

    Args:
        store: what has the clients' keys, and remembers their requests.
        networks: what has the networks that are encrypted for them.
        limits: what is allowed.
    """

    def __init__(self, store: Store, networks: Networks, limits: Limits) -> None:
        self._store, self._networks, self._limits = store, networks, limits
        self._ready: OrderedDict[_Place, Session] = OrderedDict()
        self._lock, self._making = Lock(), Lock()  # of what is ready, which never waits; of what is being made
        self._ledgers: WeakValueDictionary[tuple[str, str], StoredLedger] = WeakValueDictionary()

    def session(self, model: Model, keys: StoredKeys) -> Session:
        """Return the session of a client's keys.

        Raises:
            NotPermittedError: if weights are encrypted, and were not issued for the keys, may no longer be used, or
                cannot be.
            StoredError: if the keys' file is damaged, or holds other keys.
            OSError: if a file cannot be read.
        """
        place = keys.path, self._networks.permission(model, keys.digest) if model.owner else None
        session = self._found(place)
        if session is None:
            with self._making:
                session = self._found(place) or self._kept(place, self._made(model, keys))
        revocation = self._networks.revocation(model) if model.owner else None
        if revocation is not None:
            session.revoke(revocation)
        return session

    def drop(self, keys: StoredKeys) -> None:
        """Forget the sessions of keys that are removed."""
        with self._making, self._lock:
            for place in [place for place in self._ready if place[0] == keys.path]:
                del self._ready[place]

    def _found(self, place: _Place) -> Session | None:
        with self._lock:
            if place in self._ready:
                self._ready.move_to_end(place)
            return self._ready.get(place)

    def _kept(self, place: _Place, session: Session) -> Session:
        """Keep a session ready; those that were not asked for longest make room, also for encrypted networks alone."""
        with self._lock:
            self._ready[place] = session
            encrypted = [one for one in self._ready if one[1] is not None]
            for one in [*encrypted[: -self._limits.networks], *[*self._ready][:-_MOST_SESSIONS]]:
                self._ready.pop(one, None)
        return session

    def _made(self, model: Model, keys: StoredKeys) -> Session:
        mapped = ExpandedKeys.mapped(keys.path, model.prepared.circuit.interface)
        if mapped.id != keys.digest:
            raise StoredError(f"{keys.path} must hold the keys that the index names, and holds others")
        ledger = self._ledger(keys.client, model.digest)
        network: AbstractContextManager[dict[str, Any]]
        network = self._networks.given(model, keys.digest) if model.owner else nullcontext({})
        with network as given:
            return model.prepared.session(mapped, self._limits.threads, ledger=ledger, **given)

    def _ledger(self, client: str, circuit: str) -> StoredLedger:
        """Return the ledger of a client and a circuit; all sessions that live share one."""
        ledger = self._ledgers.get((client, circuit))
        if ledger is None:
            ledger = StoredLedger(self._store, client, circuit, self._limits.most_evaluations)
            self._ledgers[client, circuit] = ledger
        return ledger
