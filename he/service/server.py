"""The server as a process: uvicorn, with what it leaves to others.

Uvicorn waits for ever for a client that has connected and asks nothing, or half of something: `Connection` does not.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from he.service.app import application
from he.service.config import Config, Limits


def server(
    config: Config, host: str = "127.0.0.1", port: int = 8000, certificate: Path | None = None, key: Path | None = None
) -> uvicorn.Server:
    """Return a server, which `run` runs until it is told to stop (SIGTERM, SIGINT).

    It stops to accept connections then, and finishes what has begun, for as long as `Limits.stop_seconds`.

    Args:
        config: what it serves.
        host: where it listens.
        port: where it listens; 0 for any that is free.
        certificate: a file with its certificate and those above it, in PEM, for TLS.
        key: a file with the certificate's private key, in PEM.

    Raises:
        StoreError: if another server uses the store, or it is of another version.
        OSError: if a file cannot be read.
        ValueError: if there are no models, or a file is malformed.
    """
    limits = config.limits
    return uvicorn.Server(
        uvicorn.Config(
            application(config),
            host,
            port,
            http=_connection(limits),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=limits.connections,
            timeout_keep_alive=int(limits.head_seconds) or 1,
            timeout_graceful_shutdown=int(limits.stop_seconds) or 1,
            ssl_certfile=None if certificate is None else str(certificate),
            ssl_keyfile=None if key is None else str(key),
        )
    )


def _connection(limits: Limits) -> type[asyncio.Protocol]:
    class Connection(H11Protocol):
        """A connection that is closed where no request is under way for a while, whatever bytes come."""

        _idle: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def handle_events(self) -> None:
            super().handle_events()
            if self._under_way():
                self._stop_waiting()

        def on_response_complete(self) -> None:
            self._await_head()
            super().on_response_complete()

        def _under_way(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _await_head(self) -> None:
            self._stop_waiting()
            self._idle = self.loop.call_later(limits.head_seconds, self._cut)

        def _stop_waiting(self) -> None:
            if self._idle is not None:
                self._idle.cancel()
                self._idle = None

        def _cut(self) -> None:
            if not self._under_way():
                self.transport.close()

    return Connection


@contextmanager
def running(one: uvicorn.Server) -> Iterator[str]:
    """Run a server in a thread of this process for a while, and yield its address: for tests and notebooks.

    Raises:
        RuntimeError: if it does not start, for want of its port, say.
    """
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        while not one.started:
            if not thread.is_alive():
                raise RuntimeError("the server must start, and has ended; its log says why")
            time.sleep(0.01)
        (host, port), *_ = (socket.getsockname()[:2] for each in one.servers for socket in each.sockets)
        yield f"{'https' if one.config.is_ssl else 'http'}://{host}:{port}"
    finally:
        one.should_exit = True
        thread.join()
