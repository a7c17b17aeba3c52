"""A connection of a server: what is no call, how many an address may have, and how long one may be silent.

Uvicorn waits for ever for a client that has connected and asks nothing, or half of something, or that does not take
what it asked for, and lets one address have all connections; its parser takes heads of any length and any number of
calls at once. `Connection` does not.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from he.service.config import Limits
from he.service.problems import Problem, busy

_LINGER_SECONDS = 1.0
_MOST_HEAD = 1 << 16  # bytes that are no body's: of a head, waiting for one, between chunks, or behind the last of them
_MOST_HEADERS, _MOST_AHEAD = 100, 16  # of a call; calls that wait for the answer to another one
_MALFORMED = Problem(400, "the call must be well-formed HTTP (RFC 9112), and is not")
_TOO_LONG = Problem(431, f"a call's head must have at most {_MOST_HEAD} bytes")


class _RefusedError(Exception):
    """A call is not parsed any further."""


def connection(limits: Limits) -> type[asyncio.Protocol]:
    """Return the class of the connections of one server, which counts them."""
    inside: Counter[str] = Counter()  # connections by address, those that are being refused among them

    class Connection(HttpToolsProtocol):
        """A connection that is closed where no request is under way for a while, whatever bytes come.

        It is aborted where its other side takes nothing for a while, even if it is being closed: what waits to be sent
        would keep it open.
        """

        _address: str
        _idle: asyncio.TimerHandle | None = None
        _untaken: asyncio.TimerHandle | None = None
        _refused = False
        _vain = 0  # bytes since the last that were a body's or ended something
        _in_head = False
        _head = 0  # bytes of the address and the headers of a call
        _fault = _MALFORMED

        def connection_made(self, transport: Any) -> None:
            # What is short leaves at once, and not when the client confirms what came before, which it does late.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._address = transport.get_extra_info("peername")[0]
            inside[self._address] += 1
            if inside[self._address] > limits.connections_each:
                self._refuse(transport, _too_many(limits.connections_each))
                return
            if inside.total() > limits.connections:
                self._refuse(transport, busy("the server has as many connections as it may have"))
                return
            super().connection_made(transport)
            if self.scheme == "http":  # asyncio itself ends the closing of TLS
                transport.set_write_buffer_limits(0)  # so that writing is paused while a byte waits, and not 64 KB
            self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            self._taken()
            inside[self._address] -= 1
            if not inside[self._address]:
                del inside[self._address]
            if not self._refused:
                super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._refused:
                return
            self._vain += len(data)
            super().data_received(data)
            if self._vain > _MOST_HEAD and not self.transport.is_closing():
                self._end(_TOO_LONG)
            elif self._under_way():
                self._stop_waiting()

        def eof_received(self) -> None:
            if not self._refused:
                super().eof_received()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._untaken = self.loop.call_later(limits.answer_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            self._taken()
            super().resume_writing()

        def on_message_begin(self) -> None:
            if len(self.pipeline) >= _MOST_AHEAD:
                raise _RefusedError
            self._in_head, self._head = True, 0
            super().on_message_begin()

        def on_url(self, url: bytes) -> None:
            self._count(url)
            super().on_url(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            if not self._in_head:  # behind the last chunk of a body: nobody reads that
                return
            self._count(name, value)
            if len(self.headers) >= _MOST_HEADERS:
                raise _RefusedError
            super().on_header(name, value)

        def on_headers_complete(self) -> None:
            if self.parser.should_upgrade():  # the parser would take the body for something else
                raise _RefusedError
            self._vain, self._in_head = 0, False
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._vain = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._vain = 0
            super().on_message_complete()

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - said in our own words
            self._end(self._fault)

        def on_response_complete(self) -> None:
            self._await_head()
            super().on_response_complete()

        def _count(self, *pieces: bytes) -> None:
            """Count what a head holds, which may have come at once with its end."""
            self._head += sum(map(len, pieces))
            if self._head > _MOST_HEAD:
                self._fault = _TOO_LONG
                raise _RefusedError

        def _end(self, problem: Problem) -> None:
            """Say why, and close; where all that was asked is to be answered first, close then."""
            if self._under_way() and not self.cycle.more_body:
                self.flow.pause_reading()
                self.cycle.keep_alive = False
                return
            if not self._under_way() or not (self.pipeline or self.cycle.response_started):
                self.transport.write(_written(problem))
            self.transport.close()

        def _refuse(self, transport: Any, problem: Problem) -> None:
            """Say why, and close: late enough that the answer is not lost with what the client is sending."""
            self._refused = True
            if inside[self._address] > 2 * limits.connections_each or inside.total() > 2 * limits.connections:
                transport.abort()  # who goes on regardless is told nothing
                return
            transport.write(_written(problem))
            if transport.can_write_eof():
                transport.write_eof()
            self._idle = asyncio.get_running_loop().call_later(_LINGER_SECONDS, transport.abort)

        def _under_way(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _await_head(self) -> None:
            self._stop_waiting()
            self._idle = self.loop.call_later(limits.head_seconds, self._cut)

        def _stop_waiting(self) -> None:
            if self._idle is not None:
                self._idle.cancel()
                self._idle = None

        def _taken(self) -> None:
            if self._untaken is not None:
                self._untaken.cancel()
                self._untaken = None

        def _cut(self) -> None:
            if not self._under_way():
                self.transport.close()

    return Connection


def _too_many(most: int) -> Problem:
    return Problem(429, f"at most {most} connections of an address at once", {"Retry-After": "1"})


def _written(problem: Problem) -> bytes:
    """Return the answer on a connection that is not going to have another one, as it is sent."""
    answer = problem.response()
    answer.headers["Connection"] = "close"
    head = b"".join(b"%s: %s\r\n" % pair for pair in answer.raw_headers)
    status = f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n"
    return status.encode() + head + b"\r\n" + bytes(answer.body)
