"""Which requests of a client a model has evaluated, on the disk: see `he.parties.ledger`.

*A request is evaluated once, and no more in all than are allowed, through crashes and restarts.* A request is recorded
while it is evaluated, and its answer leaves once that is on the disk: a crash before that loses a request that has had
no answer, which may be sent again; after that, the request is refused (`ReplayError`), and the client encrypts its
images anew. What is counted are the requests of a client for a model, whatever keys they come under: new keys give a
client no more answers.
"""

from __future__ import annotations

from concurrent.futures import Future
from threading import Lock

from he.parties.ledger import ReplayError, SpentError
from he.service.store import Store
from intnn.values.value_object import Unstorable


class StoredLedger(Unstorable, instead="make another one from the store"):
    """The ledger of a client and a model, for all its sessions; there must be one at a time.

    Args:
        store: where it is kept.
        client: the client's name.
        circuit: the digest of the model's interface.
        most: the number of requests that are allowed.
    """

    def __init__(self, store: Store, client: str, circuit: str, most: int) -> None:
        self._store, self._whose, self._most, self._lock = store, (client, circuit), most, Lock()
        self._count = store.evaluated(*self._whose)
        self._open: dict[str, Future[None]] = {}  # what is being evaluated

    def admit(self, name: str) -> None:
        """See `Ledger.admit`."""
        with self._lock:
            if name in self._open or self._store.has_evaluated(*self._whose, name):
                raise ReplayError
            if self._count >= self._most:
                raise SpentError(self._most)
            self._count += 1
            self._open[name] = self._store.record(*self._whose, name)

    def confirm(self, name: str) -> None:
        """See `Ledger.confirm`. What could not be recorded may be sent again."""
        try:
            self._open[name].result()
        except OSError:
            self._drop(name)
            raise
        with self._lock:
            del self._open[name]

    def release(self, name: str) -> None:
        """See `Ledger.release`."""
        self._store.forget(*self._whose, name)  # behind the record, which is written first
        self._drop(name)

    def _drop(self, name: str) -> None:
        with self._lock:
            del self._open[name]
            self._count -= 1
