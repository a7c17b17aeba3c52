"""A server's state, and what it does with it; how it is asked over HTTP is none of its business but for `Problem`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from he.formats.stored import StoredError
from he.parties.expanded import expanded_bytes
from he.service import models
from he.service.config import Config
from he.service.expanding import Expander
from he.service.limits import Gate, Rates
from he.service.logs import event
from he.service.metrics import Metrics
from he.service.models import Model
from he.service.networks import Networks
from he.service.problems import Problem, busy
from he.service.sessions import Sessions
from he.service.store import Store, StoredKeys
from he.service.tokens import PUBLIC, Permitted, Tokens
from intnn.storage.document import write_atomically
from intnn.values.value_object import Unstorable


class Service(Unstorable, instead="start another one"):
    """The models, the clients and their keys, and the work that is under way.

    Args:
        config: where its files are, and what it allows.

    Attributes:
        config: the same.
        models: the models by name.
        store: what it keeps on its disk.
        networks: what it has of networks that it cannot read.
        metrics: what it has counted.
        rates: how often clients call.
        requests, uploads: places for what goes on at once.

    Raises:
        StoreError: if another server uses the store, it is of another version, or a revocation in it is damaged.
        OSError: if a file cannot be read.
        ValueError: if there are no models, or a file is malformed.
    """

    def __init__(self, config: Config) -> None:
        limits = config.limits
        self.config, self.metrics = config, Metrics()
        self.models = models.load(config.models)
        self._tokens = None if config.tokens is None else Tokens.load(config.tokens)
        self.store = Store(config.store)
        try:
            self.networks = self._kept()
        except BaseException:
            self.store.close()
            raise
        self._sessions = Sessions(self.store, self.networks, limits)
        self.rates = Rates(limits.rate, limits.burst)
        self.requests = Gate("requests", limits.requests, limits.requests_each)
        self.uploads = Gate("uploads", limits.uploads, 1)
        self._expander = Expander(limits.expand_seconds)
        self._pool = ThreadPoolExecutor(limits.evaluations, "evaluation")
        self._turns = asyncio.Semaphore(limits.evaluations)
        self._watch()

    def _kept(self) -> Networks:
        """Make what is kept agree with the models, and return the networks that are."""
        for model in self.models.values():
            write_atomically(self._interface(model), model.interface)
        served = {model.digest for model in self.models.values()}
        for keys in self.store.keys_of(None):
            if keys.circuit not in served:  # no address reaches them, not even to remove them
                self.store.remove(keys)
        return Networks(self.config.store / "networks", self.models.values())

    async def start(self) -> None:
        """Start the process that expands keys, so that the first client need not wait for it."""
        await self._expander.start()
        event("started", models=sorted(self.models), keys=self.store.count)

    async def stop(self) -> None:
        """End what goes on, and let another server have the store."""
        await self._expander.close()
        await asyncio.to_thread(self._pool.shutdown)
        self.store.close()
        event("stopped")

    def client(self, token: str | None) -> Permitted:
        """Return the client whose token this is.

        Raises:
            Problem: if it is nobody's (401).
        """
        if self._tokens is None:
            return PUBLIC
        found = None if token is None else self._tokens.client(token)
        if found is None:
            detail = "the call must have the header `Authorization: Bearer TOKEN`, with a token of this server"
            raise Problem(401, detail, {"WWW-Authenticate": "Bearer"})
        return found

    def model(self, name: str) -> Model:
        """Return a model.

        Raises:
            Problem: if there is none of this name (404).
        """
        if name not in self.models:
            raise Problem(404, "there is no model of this name")
        return self.models[name]

    def keys(self, client: Permitted, model: Model, digest: str) -> StoredKeys:
        """Return a client's keys for a model.

        Raises:
            Problem: if it has none of this name (404); whether another client has them is not told.
        """
        found = self.store.find(client.name, digest)
        if found is None or found.circuit != model.digest:
            raise Problem(404, "there are no such keys of this client for this model; send them")
        return found

    def room(self, model: Model) -> AbstractContextManager[None]:
        """Return what keeps room for one more set of keys, for as long as they are sent and expanded.

        Raises:
            Problem: when it is entered, if there is none on the disk (507).
        """
        return self._room(expanded_bytes(model.prepared.circuit.interface), model.most_key_bytes)

    def network_room(self, model: Model) -> AbstractContextManager[None]:
        """Return the same for one more encrypted network."""
        return self._room(model.most_network_bytes, model.most_network_bytes)

    def _room(self, kept: int, passing: int) -> AbstractContextManager[None]:
        limits = self.config.limits
        return self.store.room(kept, passing, limits.store_bytes - self.networks.size, limits.spare_bytes)

    async def add_keys(self, client: Permitted, model: Model, digest: str, upload: Path) -> StoredKeys:
        """Expand keys that were uploaded and keep them, in the place of the client's oldest where it has too many.

        Raises:
            MessageError: if they are no keys of the model.
            OSError: if they cannot be written.
            Problem: if the process that expands them fails (503).
        """
        target, start = self.store.new_path("keys"), time.monotonic()
        try:
            await self._expander.expand(self._interface(model), upload, target)
            keys = StoredKeys(client.name, digest, model.digest, target, target.stat().st_size)
            await asyncio.to_thread(self.store.add, keys)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        self.metrics.time("he_expand_seconds", time.monotonic() - start, model=model.name)
        for oldest in self.store.keys_of(client.name)[: -self.config.limits.keys_each]:
            await self.remove_keys(oldest)
        return keys

    async def remove_keys(self, keys: StoredKeys) -> None:
        """Remove a client's keys; evaluations that have begun go on.

        Raises:
            OSError: if that cannot be written.
        """
        await asyncio.to_thread(self.store.remove, keys)
        self._sessions.drop(keys)  # at last: an evaluation that had begun may have made it anew

    async def evaluate(
        self, model: Model, keys: StoredKeys, request: bytes, is_gone: Callable[[], Awaitable[bool]]
    ) -> bytes:
        """Answer a request once it is its turn, if its sender still waits for that.

        Raises:
            MessageError: see `Session.evaluate`.
            OSError: if it cannot be recorded that the request was evaluated; there is no answer then.
            Problem: if the wait was too long (503), its sender has left (400), or the keys' file is damaged (404).
        """
        waits = self._turns.locked()
        try:
            async with asyncio.timeout(self.config.limits.wait_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise busy("the request waited too long for its evaluation, which has not begun") from None
        start = time.monotonic()
        try:
            if waits and await is_gone():
                raise Problem(400, "the sender has left, and the request was not evaluated")
            work = partial(self._evaluated, model, keys, request)
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except (StoredError, FileNotFoundError):
            await self.remove_keys(keys)
            event("damaged", model=model.name)
            raise Problem(404, "the server has lost these keys; send them again") from None
        finally:
            self._turns.release()
            self.metrics.time("he_evaluation_seconds", time.monotonic() - start, model=model.name)

    def _evaluated(self, model: Model, keys: StoredKeys, request: bytes) -> bytes:
        return self._sessions.session(model, keys).evaluate(request)

    def _interface(self, model: Model) -> Path:
        return self.config.store / "interfaces" / model.digest

    def _watch(self) -> None:
        self.metrics.watch("he_requests_inside", lambda: self.requests.inside)
        self.metrics.watch("he_uploads_inside", lambda: self.uploads.inside)
        self.metrics.watch("he_keys", lambda: self.store.count)
        self.metrics.watch("he_key_bytes", lambda: self.store.bytes)
