"""The operations of a server: one table, of which both the routes and the OpenAPI document are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from he.service import bodies, handlers, metrics
from he.service.handlers import Call
from he.service.service import Service

Handler = Callable[[Service, Call], Awaitable[Response]]

JSON = "application/json"


@dataclass(frozen=True)
class Operation:
    """What is done at an address by a method.

    Attributes:
        name: its name.
        method: GET, PUT, POST or DELETE.
        path: the address, with names in braces.
        handler: what does it.
        answers: the statuses of success, each with a media type and the name of a schema, or None where there is no
            body.
        problems: the statuses of refusals, beside those that every operation has.
        secured: whether a token is needed.
        body: what the body of the request is, if there is one.
    """

    name: str
    method: str
    path: str
    handler: Handler
    answers: dict[int, tuple[str, str] | None]
    problems: tuple[int, ...] = ()
    secured: bool = False
    body: str = ""

    @property
    def summary(self) -> str:
        """What it does, in a line."""
        return (self.handler.__doc__ or "").splitlines()[0]

    @property
    def statuses(self) -> list[int]:
        """The statuses of all refusals."""
        body = (408, 413, 415, 422, 507) if self.body else ()
        return sorted({400, 429, 431, 500, 503, *((401, 403) if self.secured else ()), *body, *self.problems})


_MODEL = "/v1/models/{model}"
_KEYS = f"{_MODEL}/keys/{{keys}}"
_TAGGED = {304: None}

OPERATIONS = (
    Operation("health", "GET", "/health", handlers.health, {200: (JSON, "Health")}),
    Operation("metrics", "GET", "/metrics", handlers.measurements, {200: (metrics.MEDIA_TYPE, "Text")}, secured=True),
    Operation("models", "GET", "/v1/models", handlers.models, {200: (JSON, "Models"), **_TAGGED}),
    Operation("card", "GET", _MODEL, handlers.card, {200: (JSON, "Card"), **_TAGGED}, (404,)),
    Operation(
        "interface",
        "GET",
        f"{_MODEL}/interface",
        handlers.interface,
        {200: (bodies.MEDIA_TYPE, "Message"), **_TAGGED},
        (404,),
    ),
    Operation(
        "upload",
        "PUT",
        _KEYS,
        handlers.upload,
        {200: (JSON, "Keys"), 201: (JSON, "Keys")},
        (404,),
        secured=True,
        body="A client's evaluation keys for the model; the address names their digest.",
    ),
    Operation("keys", "GET", _KEYS, handlers.keys, {200: (JSON, "Keys")}, (404,), secured=True),
    Operation("remove", "DELETE", _KEYS, handlers.remove, {204: None}, (404, 507), secured=True),
    Operation(
        "permission",
        "GET",
        f"{_KEYS}/permission",
        handlers.permission,
        {200: (bodies.MEDIA_TYPE, "Message")},
        (404,),
        secured=True,
    ),
    Operation(
        "publish",
        "PUT",
        f"{_MODEL}/networks/{{network}}",
        handlers.publish,
        {201: (JSON, "Permission")},
        (404, 409),
        secured=True,
        body="A network that the model's owner has encrypted for a client's keys; the address names its digest.",
    ),
    Operation(
        "revocation",
        "GET",
        f"{_MODEL}/revocation",
        handlers.revocation,
        {200: (bodies.MEDIA_TYPE, "Message"), **_TAGGED},
        (404,),
    ),
    Operation(
        "revoke",
        "PUT",
        f"{_MODEL}/revocation",
        handlers.revoke,
        {204: None},
        (404,),
        secured=True,
        body="A revocation by the model's owner.",
    ),
    Operation(
        "evaluate",
        "POST",
        f"{_KEYS}/evaluations",
        handlers.evaluate,
        {200: (bodies.MEDIA_TYPE, "Message")},
        (404, 409),
        secured=True,
        body="A request of `Client.encrypt`. It is evaluated once; the answer is for `Client.decrypt`.",
    ),
)
