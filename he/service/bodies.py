"""Bodies of requests as they come: counted, timed, and hashed. Bodies of answers as they go."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from he.formats.digest import DIGEST_BYTES, hasher
from he.service.config import Limits
from he.service.problems import Problem

MEDIA_TYPE = "application/octet-stream"
_PIECE = 1 << 20  # bytes that are written at once
_ANSWER_PIECE = 1 << 18  # bytes of an answer that are sent at once
_LINGER_BYTES, _LINGER_SECONDS = 1 << 20, 1.0


class Sink(Protocol):
    """What takes a body."""

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes."""


class InMemory:
    """A body in memory."""

    def __init__(self) -> None:
        self._data = bytearray()  # not a list of chunks: a body of single bytes would take fifty times its size

    async def write(self, chunk: bytes) -> None:
        """See `Sink.write`."""
        self._data += chunk

    def data(self) -> bytes:
        """Return the body, which is held no more."""
        data, self._data = bytes(self._data), bytearray()
        return data


class Spool:
    """A message in a file, which is hashed while it comes.

    It is a context manager; the file, which must not exist before, is removed at the end.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._hash, self._held = path, hasher(), bytearray()

    def __enter__(self) -> Spool:
        self._file = self._path.open("xb", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    async def write(self, chunk: bytes) -> None:
        """See `Sink.write`."""
        self._held += chunk
        if len(self._held) >= _PIECE + DIGEST_BYTES:
            await asyncio.to_thread(self._flush, len(self._held) - DIGEST_BYTES)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    async def finish(self, digest: str) -> None:
        """Write what is left, if the message ends in the digest of all before it, and that is the one expected.

        Raises:
            Problem: if it is not (400).
        """
        held, end = bytes(self._held), bytes(self._held[-DIGEST_BYTES:])
        await asyncio.to_thread(self._flush, max(0, len(held) - DIGEST_BYTES))
        if not self._hash.hexdigest() == end.hex() == digest:
            raise Problem(400, "the body must be the message whose digest is in the address, got a damaged or another")
        await asyncio.to_thread(self._write, end)

    def _flush(self, size: int) -> None:
        piece = bytes(self._held[:size])
        del self._held[:size]
        self._hash.update(piece)
        self._write(piece)

    def _write(self, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            rest = rest[self._file.write(rest) :]


async def receive(request: Request, sink: Sink, most: int, limits: Limits) -> int:
    """Give the body of a request to a sink, and return how many bytes it has.

    Raises:
        Problem: if it has another type or is encoded (415), is larger (413), or takes too long (408), or its sender has
            left (400).
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise Problem(415, f"the body must be of type {MEDIA_TYPE}")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Problem(415, "the body must be sent as it is, without a content encoding")
    declared = int(request.headers.get("content-length", "0"))  # which the server has checked to be a number
    too_large = Problem(413, f"the body must have at most {most} bytes")
    if declared > most:
        raise too_large
    size = 0
    try:
        async with asyncio.timeout(limits.body_seconds + (declared or most) / limits.least_rate):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise too_large
                await sink.write(chunk)
    except TimeoutError:
        raise Problem(408, "the body took too long; send it again, faster") from None
    except ClientDisconnect:
        raise Problem(400, "the body was cut short") from None
    return size


class Pieces(Response):
    """An answer that is sent piece by piece, of which each must be taken in time.

    Starlette's own watches for whoever leaves while it is sent, by a task that takes longer than most answers do.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = memoryview(self.body)
        for start in range(0, len(body) or 1, _ANSWER_PIECE):
            end = start + _ANSWER_PIECE
            await send({"type": "http.response.body", "body": body[start:end], "more_body": end < len(body)})


class Incoming:
    """The messages of a request that come from its sender, and whether there are more of them.

    Args:
        receive: the server's function of this name.

    Attributes:
        complete: whether the body has been received.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive, self.complete = receive, False

    async def __call__(self) -> Message:
        """Return the next message."""
        message = await self._receive()
        self.complete = self.complete or message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def linger(self) -> None:
        """Read what is left of a body, if it is little and comes soon.

        A connection that is closed while bytes are on their way is reset, and the client may not see its answer.
        """
        left = _LINGER_BYTES
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while not self.complete and left >= 0:
                    left -= len((await self()).get("body", b""))
        except TimeoutError:
            pass
