"""What is done at each address. Every handler is given the service and a call, and returns an answer or raises."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from he.service import bodies, metrics
from he.service.bodies import InMemory, Pieces, Spool, receive
from he.service.models import Model
from he.service.problems import Problem
from he.service.service import Service
from he.service.store import StoredKeys
from he.service.tokens import Permitted

_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Call:
    """A request over HTTP.

    Attributes:
        request: the request.
        client: who makes it; nobody in particular, where no token is asked for.
    """

    request: Request
    client: Permitted


async def health(_service: Service, _call: Call) -> Response:
    """Say that the server runs."""
    return JSONResponse({"status": "ok"})


async def models(service: Service, call: Call) -> Response:
    """List the models."""
    listed = [{"name": model.name, "circuit": model.digest} for model in service.models.values()]
    return _tagged(call, JSONResponse({"models": listed}))


async def card(service: Service, call: Call) -> Response:
    """Return what is public of a model."""
    return _tagged(call, JSONResponse(_model(service, call).card(service.config.limits)))


async def interface(service: Service, call: Call) -> Response:
    """Return a model's interface, from which a client is made."""
    return _tagged(call, Response(_model(service, call).interface, media_type=bodies.MEDIA_TYPE))


async def upload(service: Service, call: Call) -> Response:
    """Take a client's evaluation keys, which are sent once."""
    model, digest = _permitted_model(service, call), _digest(call)
    found = service.store.find(call.client.name, digest)
    if found is not None and found.circuit == model.digest:
        return JSONResponse(_described(found))
    with (
        service.uploads.place(call.client.name),
        service.room(model),
        Spool(service.store.new_path("uploads")) as spool,
    ):
        await receive(call.request, spool, model.most_key_bytes, service.config.limits)
        await spool.finish(digest)
        keys = await service.add_keys(call.client, model, digest, spool.path)
    return JSONResponse(_described(keys), 201)


async def keys(service: Service, call: Call) -> Response:
    """Say that the server has a client's keys."""
    return JSONResponse(_described(_keys(service, call)))


async def remove(service: Service, call: Call) -> Response:
    """Remove a client's keys."""
    await service.remove_keys(_keys(service, call))
    return Response(status_code=204)


async def evaluate(service: Service, call: Call) -> Response:
    """Evaluate a model on a client's encrypted images."""
    model, found = _permitted_model(service, call), _keys(service, call)
    with service.requests.place(call.client.name):
        request = InMemory()
        await receive(call.request, request, model.most_request_bytes, service.config.limits)
        answer = await service.evaluate(model, found, request.data(), call.request.is_disconnected)
    return Pieces(answer, headers={"Cache-Control": "no-store"}, media_type=bodies.MEDIA_TYPE)


async def measurements(service: Service, call: Call) -> Response:
    """Return what the server has counted."""
    if not call.client.operator:
        raise Problem(403, "the measurements are for operators; ask for a token of one")
    return Response(service.metrics.text(), headers={"Content-Type": metrics.MEDIA_TYPE})


def _model(service: Service, call: Call) -> Model:
    return service.model(call.request.path_params["model"])


def _permitted_model(service: Service, call: Call) -> Model:
    model = _model(service, call)
    if not call.client.may_use(model.name):
        raise Problem(403, "this client may not use this model")
    return model


def _digest(call: Call) -> str:
    digest = str(call.request.path_params["keys"])
    if not _DIGEST.fullmatch(digest):
        raise Problem(400, "keys are named by 64 hexadecimal digits, the digest of their message")
    return digest


def _keys(service: Service, call: Call) -> StoredKeys:
    digest, model = _digest(call), _permitted_model(service, call)
    return service.keys(call.client, model, digest)


def _described(keys: StoredKeys) -> dict[str, str | int]:
    return {"keys": keys.digest, "circuit": keys.circuit, "bytes": keys.bytes}


def _tagged(call: Call, response: Response) -> Response:
    """Return an answer with its digest, or none where the asker has it already (RFC 9110, 8.8.3; RFC 9530)."""
    digest = hashlib.sha256(response.body).digest()
    tag = f'"{digest.hex()}"'
    known = {one.strip().removeprefix("W/") for one in call.request.headers.get("if-none-match", "").split(",")}
    if known & {tag, "*"}:
        return Response(status_code=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    response.headers["Repr-Digest"] = f"sha-256=:{base64.b64encode(digest).decode()}:"
    return response
