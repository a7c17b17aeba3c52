"""The server as an ASGI application: routes, and around every call its client, its limits, its log line and its counts.

app = application(Config(models=Path("models"), store=Path("store")))
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from he.service.bodies import Incoming
from he.service.config import Config
from he.service.handlers import Call
from he.service.logs import event
from he.service.openapi import PATH, document
from he.service.operations import OPERATIONS, Operation
from he.service.problems import Problem
from he.service.service import Service
from he.service.tokens import PUBLIC

_MOST_ADDRESS = 64  # letters of a caller's address: what a proxy says of it may be anything


def application(config: Config) -> Starlette:
    """Return the application of a server. Its store is taken at once, and left when it is shut down.

    Raises:
        StoreError: if another server uses the store, or it is of another version.
        OSError: if a file cannot be read.
        ValueError: if there are no models, or a file is malformed.
    """
    service = Service(config)
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    described = document()

    async def openapi(_service: Service, _call: Call) -> Response:
        return JSONResponse(described)

    by_path[PATH] = {"GET": Operation("openapi", "GET", PATH, openapi, {})}
    routes = [Route(path, Address(service, methods)) for path, methods in by_path.items()]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes, app.router.default = False, Address(service, {})
    app.state.service = service
    return app


class Address:
    """The operations at one address, by their methods. Other methods are refused like any call: logged and limited.

    Args:
        service: what does them.
        operations: the operations; none at an address that there is not.
    """

    def __init__(self, service: Service, operations: Mapping[str, Operation]) -> None:
        self._service, self._operations = service, operations
        self._none = Operation("none", "", "", self._refuse, {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, log it and count it."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        operation, number, start = self._operations.get(method, self._none), secrets.token_hex(8), time.monotonic()
        incoming, status, sent, who, fault = Incoming(receive), 0, 0, "", None

        async def counted(message: Message) -> None:
            nonlocal status, sent
            status, sent = message.get("status", status), sent + len(message.get("body", b""))
            await send(message)

        request = Request(scope, incoming)
        try:
            call = self._call(operation, request)
            who = call.client.name
            response = await operation.handler(self._service, call)
        except Exception as error:
            problem = Problem.of(error)
            fault = error if problem.status == 500 else None
            response = problem.response()
            await incoming.linger()
            if not incoming.complete and {"content-length", "transfer-encoding"} & {*request.headers}:
                response.headers["Connection"] = "close"  # what is still on its way is not read
        response.headers["X-Request-Id"] = number
        try:
            await response(scope, incoming, counted)
        finally:
            seconds = time.monotonic() - start
            event(
                "call",
                error=fault,
                number=number,
                client=who,
                operation=operation.name,
                status=status,
                seconds=round(seconds, 4),
                sent=sent,
            )
            self._service.metrics.count("he_calls_total", operation=operation.name, status=str(status))
            self._service.metrics.time("he_call_seconds", seconds, operation=operation.name)

    def _call(self, operation: Operation, request: Request) -> Call:
        """Return who calls, if it does not call too often.

        Raises:
            Problem: if it does (429), a token is needed and missing (401), or a proxy between might take it for
                another one (400): by where its body ends, or by its host (RFC 9112, 3.2 and 6.3).
        """
        encodings, hosts = (request.headers.getlist(name) for name in ("transfer-encoding", "host"))
        if [one.lower() for one in encodings] not in ([], ["chunked"]):
            raise Problem(400, "a call must have a length or chunks, and no other encoding", {"Connection": "close"})
        if len(hosts) > 1 or (not hosts and request.scope["http_version"] != "1.0"):
            raise Problem(400, "a call must name one host", {"Connection": "close"})
        address = "" if request.client is None else request.client.host[:_MOST_ADDRESS]
        if not operation.secured:
            self._service.rates.take(f"address {address}")
            return Call(request, PUBLIC)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            client = self._service.client(token.strip() if scheme.lower() == "bearer" else None)
        except Problem:
            self._service.rates.take(f"address {address}")
            raise
        self._service.rates.take(client.name if client is not PUBLIC else f"address {address}")
        return Call(request, client)

    async def _refuse(self, _service: Service, _call: Call) -> Response:
        if not self._operations:
            raise Problem(404, "there is no such address")
        allowed = [*self._operations, *["HEAD"] * ("GET" in self._operations)]
        raise Problem(405, "the address is not for this method", {"Allow": ", ".join(allowed)})
