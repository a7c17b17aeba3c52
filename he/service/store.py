"""What a server keeps on its disk: expanded keys in files, an index of them, and which requests were evaluated.

    lock            held by the one server that uses the folder
    index.sqlite    keys: client, digest, circuit, file and bytes; evaluated: client, circuit and digest of a request
    keys/           expanded keys (`he.parties.expanded`), which are mapped
    networks/       what models' owners have issued and revoked (`he.service.networks`)
    interfaces/     those of the server's models, for the process that expands keys
    uploads/        what is being uploaded or expanded; it is emptied when the server starts

Every file is written whole and synchronised before the index names it. So after a crash at any time there are at most
files that the index does not name, which are removed. Nothing depends on the clock.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from he.service.problems import Problem
from he.service.writer import Writer, connect, failure
from intnn.values.value_object import Unstorable

VERSION = 1
_APPLICATION = 0x48455356  # marks the file as ours
_TABLES = (
    "CREATE TABLE keys (client TEXT, digest TEXT, circuit TEXT, file TEXT, bytes INTEGER, "
    "PRIMARY KEY (client, digest))",
    "CREATE TABLE evaluated (client TEXT, circuit TEXT, request BLOB, PRIMARY KEY (client, circuit, request)) "
    "WITHOUT ROWID",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)


class StoreError(RuntimeError):
    """A store is used by another server, of another version, or no store."""


@dataclass(frozen=True)
class StoredKeys:
    """One client's keys in a store.

    Attributes:
        client: the client's name.
        digest: the name of the keys.
        circuit: the digest of their circuit's interface.
        path: the file of the expanded keys.
        bytes: its size.
    """

    client: str
    digest: str
    circuit: str
    path: Path
    bytes: int


class Store(Unstorable, instead="open its folder, when no other server has it open"):
    """A folder that one server at a time has open.

    Args:
        folder: the folder; it is made if there is none.

    Raises:
        StoreError: if another server has it open, it is of another version, or something else.
        OSError: if it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as error:
            raise StoreError(f"{folder} must be a folder, or not be there yet, and it is a file") from error
        self.folder, self._index = folder, folder / "index.sqlite"
        self._held = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._claim()
            self._keys = {(keys.client, keys.digest): keys for keys in self._open()}
        except BaseException:
            os.close(self._held)
            raise
        self._promised = [0, 0]  # bytes, of keys and of uploads that are being written
        self._reader, self._reading = connect(self._index), Lock()
        self._writer = Writer(self._index)

    @property
    def bytes(self) -> int:
        """The number of bytes of all keys."""
        return sum(keys.bytes for keys in self.keys_of(None))

    @property
    def count(self) -> int:
        """The number of sets of keys."""
        return len(self._keys)

    def find(self, client: str, digest: str) -> StoredKeys | None:
        """Return a client's keys of this name, if it has any."""
        return self._keys.get((client, digest))

    def keys_of(self, client: str | None) -> list[StoredKeys]:
        """Return the keys of a client, or those of all where it is None, the oldest first."""
        kept = [*self._keys.values()]  # in one step: other threads add and remove
        return [keys for keys in kept if client in (None, keys.client)]

    def new_path(self, folder: str) -> Path:
        """Return a path of a file that does not exist, in `keys` or `uploads`."""
        return self.folder / folder / secrets.token_hex(16)

    @contextmanager
    def room(self, kept: int, passing: int, most: int, spare: int) -> Iterator[None]:
        """Keep room for keys that are to be written, so that nobody else is promised it; by one thread.

        What has been written of them counts twice while it lasts, rather than not at all.

        Args:
            kept: the bytes of the expanded keys.
            passing: the bytes of the upload of which they are made, which is removed.
            most: the most bytes that all keys may have.
            spare: bytes that must stay free on the disk.

        Raises:
            Problem: if there is not so much (507).
        """
        kept_in_all, in_all = self._promised[0] + kept, sum(self._promised) + kept + passing
        if self.bytes + kept_in_all > most or shutil.disk_usage(self.folder).free < in_all + spare:
            raise Problem(507, "the server has no room for more keys; remove some, or try again later")
        self._promised[:] = kept_in_all, in_all - kept_in_all
        try:
            yield
        finally:
            self._promised[0] -= kept
            self._promised[1] -= passing

    def add(self, keys: StoredKeys) -> None:
        """Keep keys whose file is there, and return once that is on the disk.

        Raises:
            OSError: if it cannot be written.
        """
        row = keys.client, keys.digest, keys.circuit, keys.path.name, keys.bytes
        self._writer.write("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?)", *row).result()
        self._keys[keys.client, keys.digest] = keys

    def remove(self, keys: StoredKeys) -> None:
        """Remove keys. Whoever has mapped the file may go on, and so may keys of the same name that came after them.

        Raises:
            OSError: if the index cannot be written.
        """
        self._writer.write("DELETE FROM keys WHERE file = ?", keys.path.name).result()
        if self.find(keys.client, keys.digest) == keys:
            self._keys.pop((keys.client, keys.digest), None)
        keys.path.unlink(missing_ok=True)

    def evaluated(self, client: str, circuit: str) -> int:
        """Count the requests of a client that a circuit has evaluated."""
        with self._reading:
            rows = self._reader.execute(
                "SELECT COUNT(*) FROM evaluated WHERE client = ? AND circuit = ?", (client, circuit)
            )
            return int(rows.fetchone()[0])

    def has_evaluated(self, client: str, circuit: str, request: str) -> bool:
        """Return whether it is on the disk that a circuit has evaluated a client's request of this digest."""
        row = client, circuit, bytes.fromhex(request)
        with self._reading:
            statement = "SELECT 1 FROM evaluated WHERE client = ? AND circuit = ? AND request = ?"
            return self._reader.execute(statement, row).fetchone() is not None

    def record(self, client: str, circuit: str, request: str) -> Future[None]:
        """Begin to write that a request is evaluated; what is returned has a result once it is on the disk."""
        row = client, circuit, bytes.fromhex(request)
        return self._writer.write("INSERT OR IGNORE INTO evaluated VALUES (?, ?, ?)", *row)

    def forget(self, client: str, circuit: str, request: str) -> Future[None]:
        """Begin to write that a request was not evaluated after all."""
        row = client, circuit, bytes.fromhex(request)
        return self._writer.write("DELETE FROM evaluated WHERE client = ? AND circuit = ? AND request = ?", *row)

    def close(self) -> None:
        """Write what waits, and let others have the folder."""
        self._writer.close()
        self._reader.close()
        os.close(self._held)

    def _claim(self) -> None:
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{self.folder} is in use by another server; give this one a folder of its own") from None

    def _open(self) -> list[StoredKeys]:
        """Return all keys whose files are what the index says, and make the folder agree with that."""
        for name in ("interfaces", "keys", "networks", "uploads"):
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        try:
            rows = self._rows()
        except sqlite3.OperationalError as error:  # a full disk, say, for which no index must be given up
            raise failure(error, f"{self._index} cannot be read or written") from None
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self._index} is damaged or no index of a store ({error}); move the folder away"
            ) from None
        found = []
        for client, digest, circuit, file, size in rows:
            path = self.folder / "keys" / file
            if path.is_file() and path.stat().st_size == size:
                found.append(StoredKeys(client, digest, circuit, path, size))
        kept = {keys.path for keys in found}
        for path in [*(self.folder / "keys").iterdir(), *(self.folder / "uploads").iterdir()]:
            if path not in kept:
                path.unlink(missing_ok=True)  # what a server that was killed had begun may still come and go
        return found

    def _rows(self) -> list[tuple[str, str, str, str, int]]:
        with closing(sqlite3.connect(self._index, isolation_level=None)) as connection:  # which changes nothing of it
            found = tuple(
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
            )
            is_new = not connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]
        if not is_new and found != (_APPLICATION, VERSION):
            raise StoreError(
                f"{self._index} must be the index of a store of version {VERSION}, got version {found[1]} of "
                f"application {found[0]:#x}; start the server with a new folder, to which clients send keys, and "
                "models' owners networks and revocations, again; it has forgotten which requests were evaluated"
            )
        with closing(connect(self._index)) as connection:
            if is_new:
                for statement in ("BEGIN IMMEDIATE", *_TABLES, "COMMIT"):  # all of them, or none
                    connection.execute(statement)
            return connection.execute("SELECT client, digest, circuit, file, bytes FROM keys ORDER BY rowid").fetchall()
