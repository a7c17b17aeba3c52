"""The journal: what was appended is there, whole and for good, and what is damaged is refused."""

import errno
import multiprocessing
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.functional.parties.journal import Journal, JournalError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.journal"


def written(path, *messages):
    journal = Journal(path)
    places = journal.append(*messages)
    journal.close()
    return places


def read(path):
    journal = Journal(path)
    try:
        return [message for _, message, _ in journal.messages()]
    finally:
        journal.close()


def test_messages_are_there_again_and_go_on(path):
    messages = [b"one", b"x" * 100_000, b"\0"]
    places = written(path, *messages[:2])
    journal = Journal(path)
    ends = [places[1], path.stat().st_size]
    assert list(journal.messages()) == list(zip(places, messages, ends, strict=False))
    places += journal.append(messages[2])
    ends.append(journal.end)
    assert [journal.read(place) for place in places] == messages
    assert list(journal.messages(places[1])) == list(zip(places, messages, ends, strict=True))[1:]
    journal.close()
    journal.close()
    assert read(path) == messages


def test_who_stops_reading_writes_over_nothing(path):
    written(path, b"first")
    journal = Journal(path)
    list(journal.messages())
    journal.append(b"second", b"third")
    for _ in journal.messages():
        break  # as an interrupt does
    journal.append(b"fourth")
    journal.close()
    assert read(path) == [b"first", b"second", b"third", b"fourth"]


def test_a_file_that_was_cut_within_the_last_message_has_the_others(path):
    """Wherever a crash has cut it; and the next message takes the place of what was cut."""
    _, last = written(path, b"first", b"second")
    whole = path.read_bytes()
    for size in range(last, len(whole)):
        path.write_bytes(whole[:size])
        assert read(path) == [b"first"]
    journal = Journal(path)
    assert len(list(journal.messages())) == 1
    journal.append(b"3")
    journal.close()
    assert read(path) == [b"first", b"3"]


@given(at=st.integers(0, 23), to=st.integers(1, 255))
def test_a_damaged_head_is_refused(tmp_path_factory, at, to):
    path = tmp_path_factory.mktemp("damaged") / "journal"
    written(path, b"first", b"second")
    content = bytearray(path.read_bytes())
    content[at] ^= to
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"is damaged at byte 0 .* put no copy in its place that is older"):
        read(path)


def test_a_file_of_something_else_is_refused(path):
    path.touch(0o600)
    path.write_bytes(b"HE")  # what a crash may have left of the first message
    assert read(path) == []
    path.write_bytes(b"no journal")
    with pytest.raises(JournalError, match="no message of a journal begins there"):
        read(path)
    assert path.read_bytes() == b"no journal"


@pytest.mark.parametrize("call", ["pwrite", "fsync", "ftruncate"])
def test_what_cannot_be_written_is_not_there(path, monkeypatch, call):
    journal = Journal(path)
    journal.append(b"first")

    def full(*args):
        if call == "pwrite":
            genuine(args[0], args[1][:7], args[2])
        raise OSError(errno.ENOSPC, "No space left on device")

    genuine = getattr(os, call)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space left"):
            journal.append(b"a message that does not fit")
    journal.append(b"second")
    journal.close()
    assert read(path) == [b"first", b"second"]


def test_a_message_that_is_written_in_pieces_is_whole(path, monkeypatch):
    genuine = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: genuine(file, data[:5], at))
    written(path, b"a message of some length", b"another one")
    assert read(path) == [b"a message of some length", b"another one"]


def test_a_message_is_on_the_disk_before_append_returns(path, monkeypatch):
    journal, synced, genuine = Journal(path), [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_size), genuine(file)))
    journal.append(b"message")
    assert synced == [path.stat().st_size]
    journal.close()


def test_the_owner_alone_may_use_the_file(path):
    mask = os.umask(0)
    try:
        written(path, b"first")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(JournalError, match=r"others may use .* \(mode 0640\); take that right away: chmod 600"):
        Journal(path)
    path.chmod(0o600)
    assert read(path) == [b"first"]


def test_one_at_a_time_has_it_open(path):
    journal = Journal(path)
    with pytest.raises(JournalError, match="is in use by another authority"):
        Journal(path)
    journal.append(b"first")
    journal.close()
    assert not journal.is_open
    with pytest.raises(JournalError, match="was closed; open it again"):
        journal.require_open()
    assert read(path) == [b"first"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # from Python 3.12 on, where there are threads
def test_a_forked_process_has_it_closed(path):
    journal = Journal(path)
    journal.append(b"first")
    context = multiprocessing.get_context("fork")
    child = context.Process(target=journal.append, args=(b"child",))
    child.start()
    child.join(60)
    assert child.exitcode == 1
    journal.append(b"second")
    journal.close()
    assert read(path) == [b"first", b"second"]


def test_its_folder_must_be_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        Journal(tmp_path / "none" / "journal")
