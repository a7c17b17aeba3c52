"""The Python client of a server, synchronous and asynchronous.

    with RemoteModel("https://models.example", "digits", token) as model:
        logits = model.predict(images)

Keys are made on this machine, and the secret one stays here; the server gets the evaluation keys, once. What it
proposes is held against the policy, and what it answers is decrypted, as `he.Client` does it.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Coroutine, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import numpy as np
from numpy.typing import ArrayLike

from he.circuit.family import Plan
from he.parties.client import Client
from he.service.choice import Choice
from he.service.conversation import (
    Answer,
    Ask,
    Conversation,
    Reply,
    ServiceError,
    Step,
    Talk,
    overview,
    published,
    revoked,
)
from intnn.values.value_object import Unstorable

T = TypeVar("T")
_ANSWER_SECONDS, _LEAST_RATE = 120.0, 1 << 14  # how long an answer's body may take, beside a second for so many bytes
_TOKEN = re.compile("[!-~]+")
_TIMEOUT = httpx.Timeout(120.0, connect=10.0)


class _Remote(Unstorable, instead="it holds a secret key: store that with `SecretKey.save`"):
    """What makes the calls of a conversation. It is a context manager, which closes the connection."""

    def __init__(self, url: str, token: str | None, http: dict[str, Any] | None) -> None:
        self._http = httpx.Client(**_options(url, token, http))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _said(self, talk: Talk[T]) -> T:
        answer: Answer = None
        try:
            while True:
                step = talk.send(answer)
                if isinstance(step, Ask):
                    answer = self._made(step)
                else:
                    time.sleep(step.seconds)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            talk.close()  # others may wait for its end

    def _made(self, ask: Ask) -> Answer:
        body = _Body(ask)
        try:
            with self._http.stream(ask.method, ask.path, content=ask.body, headers=ask.headers) as response:
                for chunk in response.iter_raw():
                    body.add(chunk)
        except httpx.TransportError as error:
            return Reply(0, repr(error).encode())
        return Reply(response.status_code, bytes(body.data), response.headers.get("retry-after"))


class RemoteServer(_Remote, instead="make another one"):
    """A server, which anybody may ask how it is. It is a context manager, which closes the connection.

    Args:
        url, http: see `RemoteModel`.
    """

    def __init__(self, url: str, *, http: dict[str, Any] | None = None) -> None:
        super().__init__(url, None, http)

    def status(self) -> dict[str, Any]:
        """Return how it is, and the cards of its models.

        Raises:
            ServiceError: if the server refuses, or does not answer.
            MessageError: if it does not answer as a server does.
        """
        return self._said(overview())


class RemoteOwner(_Remote, instead="make another one"):
    """A server to which a model's owner gives what it issues. It is a context manager, which closes the connection.

    Args:
        url, token, http: see `RemoteModel`. What is sent is believed by its signature, whoever sends it.
        model: the model's name.

    Raises:
        ValueError: as `RemoteModel`.
        ServiceError: by all methods, if the server refuses, or does not answer.
    """

    def __init__(self, url: str, model: str, token: str | None = None, *, http: dict[str, Any] | None = None) -> None:
        super().__init__(url, token, http)
        self._model = model

    def publish(self, network: bytes) -> None:
        """Send what `ModelOwner.issue` has returned, as bytes."""
        self._said(published(self._model, network))

    def revoke(self, revocation: bytes) -> None:
        """Send what `ModelOwner.revoke` has returned."""
        self._said(revoked(self._model, revocation))


class RemoteModel(_Remote, instead="it holds a secret key: store that with `SecretKey.save`"):
    """A model of a server, for whoever has images. It is a context manager, which closes the connection.

    Args:
        url: the server's address.
        model: the model's name.
        token: this client's token, where the server asks for one.
        http: what httpx's client is made with beside that, such as `verify` or `transport`.
        others: `secret_key`, `evaluation_keys`, `policy`, `state`, `tries` and `owner`, see `Conversation`.

    Raises:
        ValueError: if `url` is no address, or `token` is no token.
        ServiceError: by all methods, if the server refuses, or does not answer.
        MessageError, PolicyError: by all methods, as by `Client`.
        NotPermittedError: by `predict`, if weights are encrypted, and their owner does not permit their use.
    """

    def __init__(
        self, url: str, model: str, token: str | None = None, *, http: dict[str, Any] | None = None, **others: Any
    ) -> None:
        super().__init__(url, token, http)
        self._talk = Conversation(model, **others)

    @property
    def client(self) -> Client:
        """The party with the secret key."""
        return self._said(self._talk.open())

    def send_keys(self) -> None:
        """Send the evaluation keys, if the server does not have them; `predict` does it where that is needed."""
        self._said(self._talk.send_keys())

    def predict(self, images: ArrayLike) -> np.ndarray:
        """Encrypt images, have them evaluated, and decrypt the logits.

        Args:
            images: [n, *shape] with any n from 1: floats in the units that the network was trained on, or integers
                in its domain.

        Returns:
            Logits [n, outputs], as `Client.decrypt` returns them.

        Raises:
            DecryptionError, RangeError, KeyRetiredError: as `Client.decrypt`.
            InputError: if the images are not what the circuit takes.
        """
        return self._said(self._talk.predict(images))


class RemoteFamily(_Remote, instead="it holds secret keys: make another one"):
    """One network as several models of a server: for any number of images, the one that costs the least is asked.

    Keys are made, and sent, when a model is first asked; every model has its own.

    Args:
        url, token, http: see `RemoteModel`.
        models: the models' names, of which `he.compile_family` has made the circuits.
        others: `policy` and `tries`, see `Conversation`.

    Raises:
        MessageError: by all methods, if the models are not the circuits of one network, or as by `Client`.
        ServiceError, PolicyError: as `RemoteModel`; circuits that the policy does not accept are never asked.
    """

    def __init__(
        self,
        url: str,
        models: Iterable[str],
        token: str | None = None,
        *,
        http: dict[str, Any] | None = None,
        **others: Any,
    ) -> None:
        super().__init__(url, token, http)
        self._talk = Choice(models, **others)

    def plan(self, images: int) -> Plan:
        """Return how so many images are asked for; the plan's circuit is the place of a name among `models`."""
        return self._said(self._talk.plan(images))

    def predict(self, images: ArrayLike) -> np.ndarray:
        """See `RemoteModel.predict`."""
        return self._said(self._talk.predict(images))


class _AsyncRemote(Unstorable, instead="it holds a secret key: store that with `SecretKey.save`"):
    """The same for programs that wait for many things at once.

    Encryption and decryption are computed where they are called: in a thread of their own, so that others go on.
    """

    def __init__(self, url: str, token: str | None, http: dict[str, Any] | None) -> None:
        self._http = httpx.AsyncClient(**_options(url, token, http))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def _said(self, talk: Talk[T]) -> T:
        answer: Answer = None
        try:
            while True:
                step, result = await _whole(asyncio.to_thread(_next, talk, answer))
                if step is None:
                    assert result is not None
                    return result[0]
                if isinstance(step, Ask):
                    answer = await self._made(step)
                else:
                    await asyncio.sleep(step.seconds)
        finally:
            talk.close()  # others may wait for its end

    async def _made(self, ask: Ask) -> Answer:
        body = _Body(ask)
        try:
            async with self._http.stream(ask.method, ask.path, content=ask.body, headers=ask.headers) as response:
                async for chunk in response.aiter_raw():
                    body.add(chunk)
        except httpx.TransportError as error:
            return Reply(0, repr(error).encode())
        return Reply(response.status_code, bytes(body.data), response.headers.get("retry-after"))


class AsyncRemoteModel(_AsyncRemote, instead="it holds a secret key: store that with `SecretKey.save`"):
    """`RemoteModel` for programs that wait for many things at once."""

    def __init__(
        self, url: str, model: str, token: str | None = None, *, http: dict[str, Any] | None = None, **others: Any
    ) -> None:
        super().__init__(url, token, http)
        self._talk = Conversation(model, **others)

    async def client(self) -> Client:
        """See `RemoteModel.client`."""
        return await self._said(self._talk.open())

    async def send_keys(self) -> None:
        """See `RemoteModel.send_keys`."""
        await self._said(self._talk.send_keys())

    async def predict(self, images: ArrayLike) -> np.ndarray:
        """See `RemoteModel.predict`."""
        return await self._said(self._talk.predict(images))


class AsyncRemoteFamily(_AsyncRemote, instead="it holds secret keys: make another one"):
    """`RemoteFamily` for programs that wait for many things at once."""

    def __init__(
        self,
        url: str,
        models: Iterable[str],
        token: str | None = None,
        *,
        http: dict[str, Any] | None = None,
        **others: Any,
    ) -> None:
        super().__init__(url, token, http)
        self._talk = Choice(models, **others)

    async def plan(self, images: int) -> Plan:
        """See `RemoteFamily.plan`."""
        return await self._said(self._talk.plan(images))

    async def predict(self, images: ArrayLike) -> np.ndarray:
        """See `RemoteModel.predict`."""
        return await self._said(self._talk.predict(images))


class _Body:
    """The body of an answer as it comes, of which no more is taken, and for no longer, than is due."""

    def __init__(self, ask: Ask) -> None:
        self.data, self._most, self._end = bytearray(), ask.most, math.inf

    def add(self, chunk: bytes) -> None:
        """Take what has come.

        Raises:
            ServiceError: if that is more than an answer may have, or comes too slowly.
        """
        now = time.monotonic()
        if not self.data:
            self._end = now + _ANSWER_SECONDS + self._most / _LEAST_RATE
        self.data += chunk
        if len(self.data) > self._most:
            raise ServiceError(0, f"its answer has more than the {self._most} bytes that are due")
        if now > self._end:
            raise ServiceError(0, "its answer comes too slowly")


def _next(talk: Talk[T], answer: Answer) -> tuple[Step | None, tuple[T] | None]:
    """Return the next step, or the result in its place: no StopIteration passes through a coroutine."""
    try:
        return talk.send(answer), None
    except StopIteration as end:
        return None, (end.value,)


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """Return what work does. Who is cancelled meanwhile waits for its end: a thread cannot be stopped."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    finally:
        await asyncio.wait([task])


def _options(url: str, token: str | None, http: dict[str, Any] | None) -> dict[str, Any]:
    headers = {"Accept-Encoding": "identity"}  # what is compressed is short, and becomes long: nothing is undone
    if token is not None:
        if not _TOKEN.fullmatch(token):
            raise ValueError("`token` must have letters, digits and marks of ASCII alone, as a server's token has")
        headers["Authorization"] = f"Bearer {token}"
    try:
        base = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(
            f"`url` must be an address such as https://models.example, got {url!r:.80}: {error}"
        ) from error
    return {"base_url": base, "headers": headers, "timeout": _TIMEOUT, **(http or {})}
