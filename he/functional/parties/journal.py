"""A file of messages that only grows: each is in it whole, and for good, before anybody acts on it.

A message lies between a head (magic, 8 bytes, and its length, twice 8 bytes) and the next head. A file that ends within
a message was cut by a crash while that was written; nobody has acted on it yet, and it is dropped. Everything else that
is not as it was written is damage, and refused: a journal that forgets what was issued would issue more. What was cut
off later cannot be told from that: such a file is an older copy of itself.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from he.functional.errors import FunctionalError
from he.functional.parties.forks import close_in_forked
from intnn.storage.document import require_place, sync_folder
from intnn.values.value_object import Unstorable

_MAGIC = b"HEJOURN1"
_HEAD = len(_MAGIC) + 16


class JournalError(FunctionalError):
    """A journal is damaged, foreign, in use, or open to others; nothing is issued by it."""


class Journal(Unstorable, instead="open its file, when nobody else has it open"):
    """A journal in a file that its owner alone may read, and one process at a time may open (POSIX).

    In a process that was forked from the one which has it open it is closed: each of the two would write over what the
    other one has written.

    Attributes:
        path: The file; it is made if there is none.
        end: Where the last message ends, once all have been read, or the last one that was written.

    Raises:
        JournalError: Others may use the file, or another process has it open.
        OSError: The file cannot be opened or made.
    """

    def __init__(self, path: Path) -> None:
        require_place(path)
        self.path, self.end = path, 0
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # so that it is there, and private
        self._file = FileIO(path, "r+")  # an object, which an interrupt at any place leaves to be closed with it
        try:
            close_in_forked(self)
            self._claim()
        except BaseException:
            self.close()
            raise

    def __del__(self) -> None:
        """Close the file of a journal that nobody holds any more, as after an interrupt."""
        if "_file" in vars(self):
            self.close()

    def messages(self, start: int = 0) -> Iterator[tuple[int, bytes, int]]:
        """The messages from a place on, with their places, and where each ends.

        When all have been read, `append` goes on behind the last one; it does not as long as one has not, as where an
        interrupt has ended the reading, and so no message is written over.

        Raises:
            JournalError: The file is damaged, or no journal.
        """
        at, size = start, os.fstat(self._number).st_size
        while at < size:
            head = os.pread(self._number, _HEAD, at)
            length, again = (int.from_bytes(head[at : at + 8], "big") for at in (len(_MAGIC), len(_MAGIC) + 8))
            if not _MAGIC.startswith(head[: len(_MAGIC)]) or (len(head) == _HEAD and length != again):
                raise self.damaged(at, "no message of a journal begins there")
            if len(head) < _HEAD or at + _HEAD + length > size:
                break
            place, at = at, at + _HEAD + length
            yield place, os.pread(self._number, length, place + _HEAD), at
        self.end = at

    def read(self, place: int) -> bytes:
        """The message at a place that `append` or `messages` has given."""
        length = os.pread(self._number, 8, place + len(_MAGIC))
        return os.pread(self._number, int.from_bytes(length, "big"), place + _HEAD)

    def append(self, *messages: bytes) -> list[int]:
        """Write messages, durably, and return their places.

        Raises:
            OSError: They cannot be written, such as on a full disk. The journal is what it was: what there is of the
                messages is no part of it, and overwritten by the next one.
        """
        pieces, places, at = [], [], self.end
        for message in messages:
            length = len(message).to_bytes(8, "big")
            pieces += [_MAGIC, length, length, message]
            places.append(at)
            at += _HEAD + len(message)
        os.ftruncate(self._number, self.end)
        rest = memoryview(b"".join(pieces))
        while rest:
            rest = rest[os.pwrite(self._number, rest, at - len(rest)) :]
        os.fsync(self._number)
        self.end = at
        return places

    def damaged(self, place: int, problem: object) -> JournalError:
        """The error that says that the message at a place is not what was written."""
        return JournalError(
            f"{self.path} is damaged at byte {place} ({problem}); put no copy in its place that is older than the last "
            "key: it would allow again what has been issued"
        )

    def close(self) -> None:
        """Close the file, if it is open; others may open it then."""
        self._file.close()

    @property
    def is_open(self) -> bool:
        """Whether the file is open."""
        return not self._file.closed

    @property
    def _number(self) -> int:
        """What the system knows the file by.

        Raises:
            JournalError: It was closed.
        """
        self.require_open()
        return self._file.fileno()

    def require_open(self) -> None:
        """Check that the file is open.

        Raises:
            JournalError: It was closed.
        """
        if not self.is_open:
            raise JournalError(f"{self.path} was closed; open it again")

    def _claim(self) -> None:
        """Have the file for ourselves, its name on the disk included."""
        mode = stat.S_IMODE(os.fstat(self._number).st_mode)
        if mode & 0o077:
            raise JournalError(
                f"others may use {self.path} (mode {mode:04o}); take that right away: chmod 600 {self.path}"
            )
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalError(f"{self.path} is in use by another authority; ask that one, or end it") from None
        sync_folder(self.path.parent)
