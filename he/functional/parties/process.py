"""The authority in a process of its own.

    with start("keys.journal") as running:
        public_key = running.authority.open(instance, budget=32, data="images")
        trainer = RemoteAuthority(running.address, running.password)

What crosses are bytes (`he.functional.parties.remote`). Both sides prove that they know the password, by a challenge of
`multiprocessing.connection`, but nothing is encrypted or authenticated after that: whoever reads what crosses
between the processes has the keys that are issued. The authority listens to its own machine only; to reach it from
another one, put a channel between them that encrypts. Who opens instances and enrols owners needs a token beside the
password, which trainers do not get.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import secrets
import select
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import BinaryIO, Self

from he.formats.messages import Kind, MessageError
from he.functional.errors import FunctionalError
from he.functional.messages import opened
from he.functional.parties.authority import Authority
from he.functional.parties.books import Opening
from he.functional.parties.remote import (
    DONE,
    ENROL,
    EXPOSURE,
    KEY,
    MOST_QUESTION_BYTES,
    OPEN,
    SECRET_BYTES,
    GoneError,
    RemoteAuthority,
    answered,
    refusal,
)

_HOST = "127.0.0.1"
_PAUSE = 0.1  # seconds, before somebody is let in again where there was no room
_FIELDS = {OPEN: ("budget", "data", "role", "samples", "columns"), ENROL: ("owner",)}


@dataclass(frozen=True, eq=False)
class Running:
    """An authority's process, which ends with the ``with`` block, or when whoever started it ends.

    Attributes:
        process: The process.
        address: Where it listens.
        password: What trainers need, 32 bytes.
        authority: A connection that may also open instances and enrol owners.
    """

    process: subprocess.Popen[bytes]
    address: tuple[str, int]
    password: bytes = field(repr=False)
    authority: RemoteAuthority

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.authority.close()
        self.process.communicate(b"\n")  # ends it; to close its input would not, where another process holds that too


def start(path: str) -> Running:
    """Start an authority in a process of its own.

    Args:
        path: Its journal's file; see `Authority`.

    Raises:
        JournalError: The file is damaged, open to others, or in use.
        OSError: It cannot be read or made.
        GoneError: The process does not start.
    """
    command = [sys.executable, "-m", "he.functional.parties.process", str(path)]
    process = subprocess.Popen(  # noqa: S603  # our own module
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C is for whoever started it
    )
    assert process.stdin is not None
    assert process.stdout is not None
    password, token = secrets.token_bytes(SECRET_BYTES), secrets.token_bytes(SECRET_BYTES)
    try:
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            process.stdin.write(password + token)  # by a pipe: others may see arguments and environment
            process.stdin.flush()
        answer = process.stdout.readline().rstrip(b"\n").replace(b"\0", b"\n")
        if not answer:
            raise GoneError("the authority's process ended before it could answer; see what it wrote")
        address = _HOST, int(answered(answer))
        return Running(process, address, password, RemoteAuthority(address, password, token))
    except BaseException:
        process.kill()
        process.communicate()
        raise


def run(path: str, source: BinaryIO, sink: BinaryIO) -> None:
    """Be an authority until the source ends.

    Args:
        path: Its journal's file.
        source: Where password and token come from.
        sink: Where the port goes, or the error that prevents it: a line, with zeros for newlines in it.
    """
    password, token = source.read(SECRET_BYTES), source.read(SECRET_BYTES)
    try:
        authority = Authority(path)
    except Exception as error:
        _say(sink, refusal(error))
        return
    with authority, socket.create_server((_HOST, 0)) as server:
        _say(sink, DONE + str(server.getsockname()[1]).encode())
        while source.fileno() not in select.select([server.fileno(), source.fileno()], [], [])[0]:
            try:
                connection = Connection(server.accept()[0].detach())
                threading.Thread(target=serve, args=(connection, authority, password, token), daemon=True).start()
            except (OSError, RuntimeError):  # there are too many files or threads: those who are here go on
                time.sleep(_PAUSE)


def serve(connection: Connection, authority: Authority, password: bytes, token: bytes) -> None:
    """Answer the questions of one connection until it ends, if the other side knows the password.

    Args:
        connection: The connection.
        authority: Who answers.
        password: What the other side must know.
        token: What it must send along to open instances and enrol owners.
    """
    with connection, contextlib.suppress(EOFError, OSError, AuthenticationError):  # it has gone, or did not know it
        deliver_challenge(connection, password)
        answer_challenge(connection, password)
        while True:
            question = connection.recv_bytes(MOST_QUESTION_BYTES)
            try:
                answer = DONE + _answer(question, authority, token)
            except Exception as error:
                answer = refusal(error)
            connection.send_bytes(answer)


def _answer(question: bytes, authority: Authority, token: bytes) -> bytes:
    kind, content = question[:1], question[1:]
    if kind == KEY:
        return authority.derive(content)
    if kind == EXPOSURE:
        return json.dumps(asdict(authority.exposure(content.decode()))).encode()
    if kind not in (OPEN, ENROL):
        raise MessageError(f"a question must be one of this toolkit, got {kind!r}")
    if not hmac.compare_digest(content[:SECRET_BYTES], token):
        raise FunctionalError("instances are opened and owners enrolled by whoever has the token, got another")
    of, fields, _ = opened(Kind.INSTRUCTION, content[SECRET_BYTES:], names=_FIELDS[kind])
    if kind == ENROL:
        authority.enrol(of, fields["owner"])
        return b""
    opening = Opening.of(of, fields)
    return authority.open(of, opening.budget, opening.data, opening.role, opening.samples, opening.columns).to_bytes()


def _say(sink: BinaryIO, answer: bytes) -> None:
    sink.write(answer.replace(b"\n", b"\0") + b"\n")
    sink.flush()


if __name__ == "__main__":
    run(sys.argv[1], sys.stdin.buffer, sys.stdout.buffer)
