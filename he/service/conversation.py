"""What a client of a server says and expects, without a network: sync and async clients carry it.

Everything is a generator that yields requests and is sent answers. A call that the server refused for now (429, 503) is
made again after the time that it names; a request that may have been evaluated without its answer reaching us is not
sent again: the images are encrypted anew, because a server evaluates no request twice.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np
from numpy.typing import ArrayLike

from he.circuit.guards import RangeError
from he.circuit.interface import Interface
from he.formats.header import parsed
from he.formats.messages import MessageError, message_digest
from he.parties.client import Client
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.interfaces import MOST_INTERFACE_BYTES, read_interface
from he.parties.keys import SecretKey
from he.parties.permission import NotPermittedError
from he.parties.policy import Policy
from intnn.values.arrays import real
from intnn.values.value_object import Unstorable

MEDIA_TYPE = "application/octet-stream"
_MOST_WAIT = 60.0  # seconds, whatever a server asks for
_TRIES = 8  # of a call that is refused for now, or has no answer
_MOST_DESCRIPTION = 1 << 16  # bytes of an answer that is JSON
_TURN = 0.05  # seconds until a talk looks again whether another one has ended

T = TypeVar("T")


class ServiceError(RuntimeError):
    """A server refused a call for good, or does not answer.

    Attributes:
        status: the status; 0 if there was no answer.
    """

    def __init__(self, status: int, detail: str) -> None:
        said = f"the server refused ({status})" if status else "the server does not answer"
        super().__init__(f"{said}: {detail}")
        self.status = status


@dataclass(frozen=True)
class Ask:
    """A call that is to be made.

    Attributes:
        method, path: what is called.
        body: the body; None if there is none.
        most: the most bytes that an answer may have: no more are read.
    """

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    most: int = _MOST_DESCRIPTION

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with the body."""
        return {} if self.body is None else {"Content-Type": MEDIA_TYPE}


@dataclass(frozen=True)
class Pause:
    """So many seconds pass before anything else is asked."""

    seconds: float


@dataclass(frozen=True)
class Reply:
    """An answer to a call.

    Attributes:
        status: the status; 0 if there was no answer.
        content: the body; why there was none, if there was no answer.
        wait: the seconds after which the call may be made again, as the server says it; None if it says nothing.
    """

    status: int
    content: bytes = field(repr=False)
    wait: str | None = None

    @property
    def seconds(self) -> float:
        """The seconds that a client waits before it calls again."""
        try:
            return min(max(0.0, float(self.wait or 1.0)), _MOST_WAIT)
        except ValueError:
            return 1.0

    @property
    def detail(self) -> str:
        """What is said of a refusal, in letters that a terminal shows and does not obey."""
        try:
            said = str(parsed(self.content)["detail"])
            return "".join(letter if letter.isprintable() else " " for letter in said)
        except (ValueError, KeyError):
            return "it does not say why"


Step = Ask | Pause
Answer = Reply | None
Talk = Generator[Step, Answer, T]


class Conversation(Unstorable, instead="it holds a secret key: store that with `SecretKey.save`"):
    """A client of one model of a server, with one key pair. Several of its talks may go on at once, also in threads.

    Args:
        model: the model's name.
        secret_key, evaluation_keys, policy, state: see `Client`.
        owner: where weights are encrypted, the verification key of the model's owner, which the client has from the
            owner itself; what the server has of the owner's is verified by it.
        tries: how often a call is made that the server refuses for now, or does not answer.

    Attributes:
        client: the party with the secret key; None before the interface is there.
    """

    def __init__(
        self,
        model: str,
        secret_key: SecretKey | None = None,
        evaluation_keys: EvaluationKeys | bytes | None = None,
        policy: Policy | None = None,
        state: bytes | None = None,
        tries: int = _TRIES,
        *,
        owner: bytes | None = None,
    ) -> None:
        self._path, self._tries, self._owner = f"/v1/models/{model}", tries, owner
        self._made = partial(Client, secret_key=secret_key, evaluation_keys=evaluation_keys, policy=policy, state=state)
        self._interface: Interface | None = None
        self._turn = Lock()
        self.client: Client | None = None

    def interface(self) -> Talk[Interface]:
        """Get the interface."""
        if self._interface is None:
            data = yield from self._asked(Ask("GET", f"{self._path}/interface", most=MOST_INTERFACE_BYTES))
            self._interface = read_interface(data)
        return self._interface

    def units(self) -> Talk[float]:
        """Get what the server says that it spends on a request, in units of one SEAL rotation."""
        card = yield from self._asked(Ask("GET", self._path))
        try:
            return real(parsed(card)["units"], "units")
        except (KeyError, TypeError, ValueError) as error:
            raise MessageError(f"the model's card is malformed: {error}") from error

    def open(self) -> Talk[Client]:
        """Get the interface, and make keys or take those that were given."""
        return self.client or (yield from self._alone(self._open()))

    def _open(self) -> Talk[Client]:
        if self.client is None:
            self.client = self._made((yield from self.interface()))
        return self.client

    def send_keys(self) -> Talk[None]:
        """Send the evaluation keys, if the server does not have them."""
        client = yield from self.open()
        yield from self._alone(self._send_keys(client))

    def _send_keys(self, client: Client) -> Talk[None]:
        path = self._keys_path(client)
        try:
            yield from self._asked(Ask("GET", path))
        except ServiceError as error:
            if error.status != 404:
                raise
            yield from self._asked(Ask("PUT", path, client.evaluation_keys.to_bytes()))

    def _alone(self, talk: Talk[T]) -> Talk[T]:
        """Have a talk while no other one is had like that."""
        while not self._turn.acquire(blocking=False):
            yield Pause(_TURN)
        try:
            return (yield from talk)
        finally:
            self._turn.release()

    def predict(self, images: ArrayLike) -> Talk[np.ndarray]:
        """Have any number of images answered: floats as `Client.prepare` takes them, or what `Client.encrypt` takes."""
        client = yield from self.open()
        (spec,) = client.interface.client_inputs
        values = np.asarray(images)
        exact = client.interface.parameters.scheme.exact
        ready = values if exact and values.dtype.kind in "iu" else client.prepare(values)
        logits: list[np.ndarray] = []
        begin = 0
        for batch in spec.batches(ready):
            try:
                logits.append((yield from self._answered(client, batch)))
            except RangeError as refusal:
                raise RangeError([begin + image for image in refusal.images]) from refusal
            begin += len(batch)
        return np.concatenate(logits)

    def _answered(self, client: Client, batch: np.ndarray) -> Talk[np.ndarray]:
        path = f"{self._keys_path(client)}/evaluations"
        for left in reversed(range(self._tries)):
            request = yield from self._encrypted(client, batch)
            try:
                answer = yield from self._asked(Ask("POST", path, request, client.most_answer_bytes))
            except ServiceError as error:
                if not left or error.status not in (0, 404, 409):
                    raise
                if error.status == 404:
                    yield from self.send_keys()
                elif error.status == 0:
                    yield Pause(1.0)
                continue
            return client.decrypt(answer, request)
        raise AssertionError("the last try returns or raises")

    def _encrypted(self, client: Client, batch: np.ndarray) -> Talk[bytes]:
        """Encrypt a batch; where weights are encrypted, once the client has seen that it is permitted to use them."""
        try:
            return client.encrypt(batch)
        except NotPermittedError:
            yield from self._admit(client)
        return client.encrypt(batch)

    def _admit(self, client: Client) -> Talk[None]:
        """Get the permission to use encrypted weights, and verify it."""
        if self._owner is None:
            raise NotPermittedError("the client must be given `owner`, the verification key of the model's owner")
        yield from self.send_keys()
        permission, revocation = (yield from self._asked(Ask("GET", f"{self._keys_path(client)}/permission"))), None
        try:
            revocation = yield from self._asked(Ask("GET", f"{self._path}/revocation"))
        except ServiceError as error:
            if error.status != 404:
                raise
        client.admit(permission, self._owner, revocation)

    def _asked(self, ask: Ask) -> Talk[bytes]:
        return _asked(ask, self._tries)

    def _keys_path(self, client: Client) -> str:
        return f"{self._path}/keys/{client.evaluation_keys.id}"


def published(model: str, network: bytes) -> Talk[None]:
    """Send a network that its owner has encrypted for a client's keys."""
    yield from _asked(Ask("PUT", f"/v1/models/{model}/networks/{message_digest(network)}", network), _TRIES)


def revoked(model: str, revocation: bytes) -> Talk[None]:
    """Send a revocation by a model's owner."""
    yield from _asked(Ask("PUT", f"/v1/models/{model}/revocation", revocation), _TRIES)


def overview() -> Talk[dict[str, Any]]:
    """Get how a server is, and the cards of its models, as `models`.

    Raises:
        MessageError: if it does not answer as a server does.
    """
    health = yield from _described("/health")
    models = (yield from _described("/v1/models")).get("models")
    if not isinstance(models, list) or not all(isinstance(model, dict) and "name" in model for model in models):
        raise MessageError("the server must list its models by name, and does not")
    cards = []
    for model in models:
        cards.append((yield from _described(f"/v1/models/{quote(str(model['name']), safe='')}")))
    return {**health, "models": cards}


def _described(path: str) -> Talk[dict[str, Any]]:
    """Get a JSON object."""
    content = yield from _asked(Ask("GET", path), 1)
    try:
        return parsed(content)
    except ValueError as error:
        raise MessageError(f"the server must answer {path} with a JSON object, and does not: {error}") from error


def _asked(ask: Ask, tries: int) -> Talk[bytes]:
    """Make a call, again where it may be made again, and return the body of the answer.

    Raises:
        ServiceError: if it is refused for good, or there is no answer.
    """
    again = (429, 503) if ask.method == "POST" else (0, 429, 503)
    for left in reversed(range(tries)):
        reply = yield ask
        assert reply is not None
        if 200 <= reply.status < 300:
            return reply.content
        if not left or reply.status not in again:
            raise ServiceError(reply.status, reply.detail if reply.status else reply.content.decode())
        yield Pause(reply.seconds)
    raise AssertionError("the last try returns or raises")
