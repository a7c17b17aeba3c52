"""A connection of a server: how many an address may have, and how long one may be silent.

Uvicorn waits for ever for a client that has connected and asks nothing, or half of something, or that does not take
what it asked for, and lets one address have all connections: `Connection` does not.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from he.service.config import Limits
from he.service.problems import Problem

_LINGER_SECONDS = 1.0


def connection(limits: Limits) -> type[asyncio.Protocol]:
    """Return the class of the connections of one server, which counts them."""
    inside: Counter[str] = Counter()  # connections by address, those that are being refused among them

    class Connection(H11Protocol):
        """A connection that is closed where no request is under way for a while, whatever bytes come.

        It is aborted where its other side takes nothing for a while, even if it is being closed: what waits to be sent
        would keep it open.
        """

        _address: str
        _idle: asyncio.TimerHandle | None = None
        _untaken: asyncio.TimerHandle | None = None
        _refused = False

        def connection_made(self, transport: Any) -> None:
            # What is short leaves at once, and not when the client confirms what came before, which it does late.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._address = transport.get_extra_info("peername")[0]
            inside[self._address] += 1
            if inside[self._address] > limits.connections_each:
                self._refuse(transport)
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
            if not self._refused:
                super().data_received(data)

        def eof_received(self) -> None:
            if not self._refused:
                super().eof_received()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._untaken = self.loop.call_later(limits.answer_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            self._taken()
            super().resume_writing()

        def handle_events(self) -> None:
            super().handle_events()
            if self._under_way():
                self._stop_waiting()

        def on_response_complete(self) -> None:
            self._await_head()
            super().on_response_complete()

        def _refuse(self, transport: Any) -> None:
            """Say why, and close: late enough that the answer is not lost with what the client is sending."""
            self._refused = True
            if inside[self._address] > 2 * limits.connections_each:  # who goes on regardless is told nothing
                transport.abort()
                return
            transport.write(_too_many(limits.connections_each))
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


def _too_many(most: int) -> bytes:
    """Return the answer on a connection that an address has too many of, as it is sent."""
    detail = f"at most {most} connections of an address at once"
    answer = Problem(429, detail, {"Retry-After": "1", "Connection": "close"}).response()
    head = b"".join(b"%s: %s\r\n" % pair for pair in answer.raw_headers)
    return b"HTTP/1.1 429 Too Many Requests\r\n" + head + b"\r\n" + bytes(answer.body)
