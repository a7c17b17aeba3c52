"""What is done at each address. Every handler is given the service and a call, and returns an answer or raises."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from he.parties.permission import MOST_SIGNED_BYTES
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
    await asyncio.to_thread(service.networks.make_room)
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


async def permission(service: Service, call: Call) -> Response:
    """Return what the model's owner has permitted a client's keys, to be verified by the client."""
    model, found = _issued_model(service, call), _keys(service, call)
    known = await asyncio.to_thread(service.networks.permission, model, found.digest)
    if known is None:
        raise Problem(403, "the model's owner has issued no network for these keys; ask it for one")
    return Response(known.to_bytes(), headers={"Cache-Control": "no-store"}, media_type=bodies.MEDIA_TYPE)


async def publish(service: Service, call: Call) -> Response:
    """Take a network that the model's owner has encrypted for a client's keys; its signature says that."""
    model, digest = _issued_model(service, call), _digest(call, "network")
    await asyncio.to_thread(service.networks.make_room)
    with (
        service.uploads.place(call.client.name),
        service.network_room(model),
        Spool(service.store.new_path("uploads")) as spool,
    ):
        await receive(call.request, spool, model.most_network_bytes, service.config.limits)
        await spool.finish(digest)
        taken = await asyncio.to_thread(service.networks.add, model, spool.path)
    return JSONResponse({"keys": taken.key, "number": taken.number, "expires": taken.expires}, 201)


async def revocation(service: Service, call: Call) -> Response:
    """Return the newest revocation of the model's owner."""
    known = await asyncio.to_thread(service.networks.revocation, _issued(_model(service, call)))
    if known is None:
        raise Problem(404, "the model's owner has revoked nothing")
    return _tagged(call, Response(known, media_type=bodies.MEDIA_TYPE))


async def revoke(service: Service, call: Call) -> Response:
    """Take a revocation by the model's owner; its signature says that."""
    model, body = _issued_model(service, call), InMemory()
    await receive(call.request, body, MOST_SIGNED_BYTES, service.config.limits)
    await asyncio.to_thread(service.networks.revoke, model, body.data())
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


def _issued(model: Model) -> Model:
    if model.owner is None:
        raise Problem(404, "the model's weights are plain, and nobody issues them")
    return model


def _issued_model(service: Service, call: Call) -> Model:
    return _issued(_permitted_model(service, call))


def _permitted_model(service: Service, call: Call) -> Model:
    model = _model(service, call)
    if not call.client.may_use(model.name):
        raise Problem(403, "this client may not use this model")
    return model


def _digest(call: Call, what: str = "keys") -> str:
    digest = str(call.request.path_params[what])
    if not _DIGEST.fullmatch(digest):
        raise Problem(400, "messages are named by 64 hexadecimal digits, their digest")
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
