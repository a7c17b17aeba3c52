"""Writes to an SQLite file by one thread, as many as wait in one transaction: a disk confirms all of them at once."""

from __future__ import annotations

import errno
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import Any

_Write = tuple[str, Sequence[Any], Future[None]]


class Writer:
    """The only writer of a file. What `write` returns has a result once it is on the disk.

    Args:
        path: the file, which has its tables.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: SimpleQueue[_Write | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def write(self, statement: str, *values: Any) -> Future[None]:
        """Have a statement executed.

        Returns:
            What has a result once that is on the disk, or raises an OSError if it is not.
        """
        done: Future[None] = Future()
        self._waiting.put((statement, values, done))
        return done

    def close(self) -> None:
        """Write what waits, and end."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        connection = connect(self._path)
        with_end = False
        while not with_end:
            writes = [self._waiting.get()]
            while not self._waiting.empty():
                writes.append(self._waiting.get())
            with_end = None in writes
            _commit(connection, [write for write in writes if write is not None])
        connection.close()


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection to a file, with a log that is written ahead, and synchronised at every commit."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def failure(error: sqlite3.Error, what: str) -> OSError:
    """Return what says that a file could not be read or written, and whether the disk is full."""
    full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return OSError(errno.ENOSPC if full else errno.EIO, f"{what}: {error}")


def _commit(connection: sqlite3.Connection, writes: list[_Write]) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
        for statement, values, _ in writes:
            connection.execute(statement, values)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        for _, _, done in writes:
            done.set_exception(failure(error, "the index was not written"))
    else:
        for _, _, done in writes:
            done.set_result(None)
