"""The authority in a process of its own: it answers as one in this process does, to who knows the password."""

import contextlib
import errno
import io
import multiprocessing
import os
import signal
import socket
import struct
import threading
from multiprocessing.connection import Client, Connection, Pipe

import numpy as np
import pytest

from he.formats.messages import Kind, MessageError
from he.functional.errors import BudgetError, FunctionalError, MismatchError
from he.functional.messages import seal
from he.functional.parties import process, remote
from he.functional.parties.authority import Authority
from he.functional.parties.books import Exposure
from he.functional.parties.journal import JournalError
from he.functional.parties.process import serve, start
from he.functional.parties.remote import GoneError, RemoteAuthority
from tests.he.functional.parties.made import full_disk, instance, trainer

EYE = np.eye(4, dtype=np.int64)
PASSWORD, TOKEN = b"p" * 32, b"t" * 32


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.journal"


@pytest.fixture
def authority(path):
    with Authority(path) as authority:
        yield authority


@pytest.fixture
def address(authority):
    """Where threads of this process answer for an authority of this process, as its own process would."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen():
            while True:
                try:
                    connection = Connection(server.accept()[0].detach())
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection, authority, PASSWORD, TOKEN), daemon=True).start()

        threading.Thread(target=listen, daemon=True).start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)


def test_a_process_answers_until_it_is_killed_and_the_next_one_goes_on(path):
    with start(path) as running:
        assert repr(running.password) not in repr(running)
        asking = RemoteAuthority(running.address, running.password)
        who = trainer(running.authority.open(instance(), 2, "data"))
        who.asks(asking, EYE[:2])
        with pytest.raises(BudgetError, match="more than 2 directions"):
            asking.issue(who.request(EYE[2:]))
        with pytest.raises(FunctionalError, match="by whoever has the token, got another"):
            asking.open(instance(), 4, "data")
        with pytest.raises(JournalError, match="is in use by another authority"):
            start(path)
        running.process.send_signal(signal.SIGKILL)
        with pytest.raises(GoneError, match=r"has ended.* start it or connect again, and ask again"):
            asking.issue(who.request(EYE[:2]))
        asking.close()
        with pytest.raises(GoneError, match="no authority answers at"):
            RemoteAuthority(running.address, running.password)
    with start(path) as running:
        who.asks(running.authority, EYE[:2])
        assert running.authority.exposure("data").rank_issued == 2
        held = os.dup(running.process.stdin.fileno())  # as by a process that was forked meanwhile
    os.close(held)
    assert running.process.returncode == 0
    with Authority(path) as authority:
        assert authority.exposure("data").rank_issued == 2


def test_a_process_that_does_not_start_says_why(path, monkeypatch):
    path.touch(0o644)
    with pytest.raises(JournalError, match="others may use"):
        start(path)
    with pytest.raises(OSError, match="must be a folder that exists"):
        start(path.parent / "none" / "journal")
    monkeypatch.setattr(process.sys, "executable", "false")
    with pytest.raises(GoneError, match="ended before it could answer"):
        start(path)


@contextlib.contextmanager
def running_here(path):
    """Where an authority in a thread of this process listens, until its input ends; by pipes for input and output."""
    read, write = os.pipe()
    os.write(write, PASSWORD + TOKEN)
    answers_read, out = os.pipe()
    with os.fdopen(read, "rb") as source, os.fdopen(out, "wb") as sink, os.fdopen(answers_read, "rb") as answers:
        runner = threading.Thread(target=process.run, args=(path, source, sink))
        runner.start()
        yield "127.0.0.1", int(answers.readline().removeprefix(remote.DONE))
        os.close(write)
        runner.join(60)
        assert not runner.is_alive()


def test_it_runs_until_its_input_ends(path):
    with running_here(path) as address, RemoteAuthority(address, PASSWORD, TOKEN) as asking:
        trainer(asking.open(instance(), 2, "data")).asks(asking, EYE[:1])
    sink = io.BytesIO()
    path.write_bytes(b"damaged")
    process.run(path, io.BytesIO(PASSWORD + TOKEN), sink)
    assert sink.getvalue().startswith(b"-JournalError\0")
    assert sink.getvalue().count(b"\n") == 1


def test_it_goes_on_where_there_are_no_files_for_more_connections(path, monkeypatch):
    accept, failures = socket.socket.accept, [OSError(errno.EMFILE, "Too many open files")] * 2

    def crowded(server):
        if failures:
            raise failures.pop()
        return accept(server)

    monkeypatch.setattr(socket.socket, "accept", crowded)
    with running_here(path) as address, RemoteAuthority(address, PASSWORD) as asking:
        assert asking.exposure("data") == Exposure()
    assert not failures


def test_all_that_an_authority_does_crosses(authority, address):
    with RemoteAuthority(address, PASSWORD, TOKEN) as asking, RemoteAuthority(address, PASSWORD) as other:
        batch = instance()
        who = trainer(asking.open(batch, 2, "data", "gradient", range(4, 8)))
        for each in (asking, other, authority):  # who share one budget
            who.asks(each, EYE[:2])
        asking.enrol(batch, "Ada")
        assert other.exposure("data") == authority.exposure("data") == Exposure(0, 0, 6, 0.5, 2, 2)
        assert other.exposure("none") == Exposure()
        many = trainer(asking.open(instance(), 4, "batches", "gradient", range(8), 2), samples=2)
        many.asks(other, EYE[:3])
        assert other.exposure("batches") == Exposure(0, 0, 3, 0.75, 3, 4)
        for call, error, message in [
            (lambda: asking.enrol(batch, "Ada"), FunctionalError, "'Ada' is registered"),
            (lambda: asking.open(batch, 2, "others"), ValueError, "opened before"),
            (lambda: asking.open(instance(), 9, "others"), ValueError, "`budget`"),
            (lambda: asking.enrol(instance(), "Ada"), MismatchError, "is not open"),
            (lambda: other.enrol(batch, "Grace"), FunctionalError, "token"),
            (lambda: other.issue(who.request(EYE)), BudgetError, "directions"),
        ]:
            with pytest.raises(error, match=message) as caught:
                call()
            assert type(caught.value) is error
        with full_disk(), pytest.raises(OSError, match="No space left"):
            asking.enrol(batch, "Grace")
        who.asks(other, EYE[:1])  # and the connection goes on


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (b"q", b"-MessageError\na question must be one of this toolkit"),
        (b"?", b"-MessageError\na question must be one of this toolkit, got b'?'"),
        (b"kno request", b"-MessageError\n"),
        (b"o", b"-FunctionalError\ninstances are opened and owners enrolled by whoever has the token"),
        (b"o" + TOKEN, b"-MessageError\n"),
        (b"e" + TOKEN + seal(Kind.INSTRUCTION, instance(), {"owner": "a", "more": 1}), b"-MessageError\n"),
        (b"e" + TOKEN + seal(Kind.INSTRUCTION, instance(), {"owner": 1}), b"-TypeError\n"),
        (b"x\xff", b"-ValueError\n"),
    ],
)
def test_what_is_no_question_is_answered_by_an_error(address, question, answer):
    with Client(address, authkey=PASSWORD) as connection:
        for _ in range(2):
            connection.send_bytes(question)
            assert connection.recv_bytes().startswith(answer)


@pytest.mark.parametrize(
    "fields",
    [
        {"budget": 2, "data": "a", "role": "forward", "samples": 3},
        {"budget": 2, "data": "a", "role": "forward", "samples": [1, 2, 3, 4]},
        {"budget": 2, "data": "a", "role": "forward", "samples": ["a"]},
        {"budget": "2", "data": "a", "role": "forward", "samples": None},
        {"budget": 2, "data": ["a"], "role": {}, "samples": None},
        {"budget": 2, "data": "a", "role": "forward", "samples": None, "columns": 3},
        {"budget": 2, "data": "a", "role": "gradient", "samples": [0, 8], "columns": "3"},
    ],
)
def test_an_instance_that_cannot_be_is_not_opened(authority, address, fields):
    with Client(address, authkey=PASSWORD) as connection:
        connection.send_bytes(b"o" + TOKEN + seal(Kind.INSTRUCTION, instance(), {"columns": None, **fields}))
        assert connection.recv_bytes().startswith((b"-TypeError\n", b"-ValueError\n"))
    assert not authority._books.counts()


def test_who_does_not_know_the_password_learns_nothing(address):
    with pytest.raises(GoneError, match="to this password"):
        RemoteAuthority(address, b"q" * 32)
    with socket.create_connection(address) as rude:
        rude.sendall(struct.pack("!i", 1 << 30) + b"no challenge")  # another length than any answer has
    with RemoteAuthority(address, PASSWORD) as asking:
        assert asking.exposure("data") == Exposure()


def test_somebody_else_is_no_authority():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet():
            with server.accept()[0] as connection:
                connection.sendall(struct.pack("!i", 5) + b"hello")

        greeter = threading.Thread(target=greet)
        greeter.start()
        with pytest.raises(GoneError, match="no authority answers at"):
            RemoteAuthority(server.getsockname(), PASSWORD)
        greeter.join()


def test_faults_that_nobody_expects_say_nothing_of_what_they_were():
    assert remote.refusal(ZeroDivisionError("a secret")) == (
        b"-FunctionalError\nthe authority has a fault (ZeroDivisionError); nothing was issued"
    )
    for answer in (b"", b"?", b"-NameError\nx", b"-"):
        with pytest.raises(MessageError, match="no answer of this toolkit"):
            remote.answered(answer)
    with pytest.raises(BudgetError, match=r"two\nlines"):
        remote.answered(remote.refusal(BudgetError("two\nlines")))


@pytest.fixture
def ends():
    """Who asks, and the other end of the line."""
    ours, theirs = Pipe()
    asking = object.__new__(RemoteAuthority)
    asking.address, asking._schemes, asking._lock, asking._connection = "here", remote.scheme, threading.Lock(), ours
    asking._token = TOKEN
    with asking, theirs:
        yield asking, theirs


def test_an_answer_for_something_else_is_refused(authority, ends):
    """From whoever knows the password and is no authority, or one that has lost its way."""
    asking, theirs = ends
    public = authority.open(instance(), 4, "data")
    who = trainer(public)
    theirs.send_bytes(remote.DONE + authority.derive(who.request(EYE[1:2]).to_bytes()))
    with pytest.raises(MismatchError, match="must answer with a key for the vectors asked for"):
        asking.issue(who.request(EYE[:1]))
    theirs.send_bytes(remote.DONE + public.to_bytes())
    with pytest.raises(MismatchError, match="must answer with the public key of instance"):
        asking.open(instance(), 1, "data of which less may be known")


def test_the_answer_to_a_question_that_was_interrupted_is_not_that_to_the_next(ends, monkeypatch):
    asking, theirs = ends

    def interrupted():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(asking._connection, "recv_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            asking.exposure("data")
    with contextlib.suppress(OSError):
        theirs.send_bytes(remote.DONE + b"{}")
    with pytest.raises(GoneError, match="connect again"):
        asking.exposure("others")


def test_a_question_that_is_too_long_is_not_sent(address, monkeypatch):
    with RemoteAuthority(address, PASSWORD) as asking:
        monkeypatch.setattr(remote, "MOST_QUESTION_BYTES", 100)
        with pytest.raises(MessageError, match="at most 100 bytes, got 1001; ask for fewer keys"):
            asking.exposure("d" * 1000)
        assert asking.exposure("data") == Exposure()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # from Python 3.12 on, where there are threads
def test_a_forked_process_connects_again(address):
    def ask_and_connect():
        with pytest.raises(GoneError, match="connect again"):
            asking.exposure("data")
        with RemoteAuthority(address, PASSWORD) as own:
            assert own.exposure("data") == Exposure()

    with RemoteAuthority(address, PASSWORD) as asking:
        child = multiprocessing.get_context("fork").Process(target=ask_and_connect)
        child.start()
        child.join(60)
        assert child.exitcode == 0
        assert asking.exposure("data") == Exposure()


def test_several_trainers_at_once_have_one_budget(authority, address):
    who = trainer(authority.open(instance(12), 5, "data"))
    outcomes = []

    def ask(row):
        with RemoteAuthority(address, PASSWORD) as asking:
            try:
                who.asks(asking, np.eye(12, dtype=np.int64)[[row]])
                outcomes.append("issued")
            except BudgetError:
                outcomes.append("refused")

    threads = [threading.Thread(target=ask, args=(row,)) for row in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["issued"] * 5 + ["refused"] * 7
