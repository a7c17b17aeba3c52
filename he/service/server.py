"""The server as a process: uvicorn, with connections of our own."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from he.service.app import application
from he.service.config import Config
from he.service.connection import connection


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
        ValueError: if there are no models, a file is malformed, or `certificate` and `key` do not fit each other.
    """
    _require_pair(certificate, key)
    limits = config.limits
    return uvicorn.Server(
        uvicorn.Config(
            application(config),
            host,
            port,
            http=connection(limits),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=int(limits.head_seconds) or 1,
            timeout_graceful_shutdown=int(limits.stop_seconds) or 1,
            ssl_certfile=None if certificate is None else str(certificate),
            ssl_keyfile=None if key is None else str(key),
        )
    )


def _require_pair(certificate: Path | None, key: Path | None) -> None:
    """Check what TLS is to use, and say which files are wrong: the library does not."""
    if (certificate is None) != (key is None):
        raise ValueError("`certificate` and `key` must both be given, for TLS, or neither")
    for path in filter(None, (certificate, key)):
        path.open("rb").close()
    if certificate is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        except ssl.SSLError as error:
            raise ValueError(
                f"{certificate} must be a certificate in PEM, and {key} its private key: {error}"
            ) from error


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
        (host, port), *_ = (place.getsockname()[:2] for each in one.servers for place in each.sockets)
        yield f"{'https' if one.config.is_ssl else 'http'}://{host}:{port}"
    finally:
        one.should_exit = True
        thread.join()
