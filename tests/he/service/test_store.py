"""What a server keeps: whole files, one server at a time, and through crashes."""

import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from types import SimpleNamespace

import pytest

from he.parties.ledger import ReplayError, SpentError
from he.service.ledger import StoredLedger
from he.service.problems import Problem
from he.service.store import _TABLES, Store, StoredKeys, StoreError
from he.service.writer import Writer, connect


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


def stored(store, digest="d", content=b"keys", client="ann"):
    path = store.new_path("keys")
    path.write_bytes(content)
    keys = StoredKeys(client, digest, "circuit", path, len(content))
    store.add(keys)
    return keys


def test_keys_are_found_again_after_a_restart(folder) -> None:
    with closing(Store(folder)) as store:
        keys, other = stored(store), stored(store, "e")
        assert store.find("ann", "d") == keys
        assert store.find("bob", "d") is None
        assert (store.count, store.bytes, store.keys_of("ann"), store.keys_of("bob")) == (2, 8, [keys, other], [])
        store.remove(other)
        assert not other.path.exists()
    with closing(Store(folder)) as store:
        assert store.find("ann", "d") == keys
        assert store.count == 1


def test_who_removes_keys_once_more_does_not_remove_those_that_took_their_name(folder) -> None:
    with closing(Store(folder)) as store:
        first = stored(store)
        store.remove(first)
        second = stored(store)
        store.remove(first)  # as an evaluation does that found their file gone
        assert store.find("ann", "d") == second
    with closing(Store(folder)) as store:
        assert store.find("ann", "d") == second


def test_the_folder_is_made_to_agree_with_its_index(folder) -> None:
    with closing(Store(folder)) as store:
        kept, lost, shorter = stored(store, "a"), stored(store, "b"), stored(store, "c")
        lost.path.unlink()
        shorter.path.write_bytes(b"k")
        orphan, upload = store.new_path("keys"), store.new_path("uploads")
        orphan.write_bytes(b"written, and not named by the index")
        upload.write_bytes(b"half of an upl")
    with closing(Store(folder)) as store:
        assert [store.find("ann", digest) for digest in "abc"] == [kept, None, None]
        assert not orphan.exists()
        assert not upload.exists()


def test_one_server_at_a_time(folder) -> None:
    with closing(Store(folder)):
        with pytest.raises(StoreError, match="in use by another server"):
            Store(folder)
        code = f"from pathlib import Path; from he.service.store import Store; Store(Path({str(folder)!r}))"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "in use by another server" in other.stderr
    with closing(Store(folder)):
        pass


@pytest.mark.parametrize(
    "change",
    ["PRAGMA user_version = 0", "PRAGMA user_version = 2", "PRAGMA application_id = 7"],
)
def test_a_store_of_another_version_is_refused_and_stays_as_it_is(folder, change) -> None:
    with closing(Store(folder)) as store:
        keys = stored(store)
    with closing(sqlite3.connect(folder / "index.sqlite")) as connection:
        connection.execute(change)
    with pytest.raises(StoreError, match="of version 1"):
        Store(folder)
    assert keys.path.exists()


def test_an_index_of_another_application_is_not_touched(folder) -> None:
    folder.mkdir()
    with closing(sqlite3.connect(folder / "index.sqlite")) as connection:
        connection.execute("CREATE TABLE theirs (number INTEGER)")
    content = (folder / "index.sqlite").read_bytes()
    with pytest.raises(StoreError, match=r"of version 1, .* a new folder, .* has forgotten which requests"):
        Store(folder)
    assert (folder / "index.sqlite").read_bytes() == content


def test_a_file_is_no_folder(tmp_path) -> None:
    (tmp_path / "store").write_text("something else")
    with pytest.raises(StoreError, match="store must be a folder, or not be there yet, and it is a file"):
        Store(tmp_path / "store")
    assert (tmp_path / "store").read_text() == "something else"


def test_what_is_no_index_is_refused(folder) -> None:
    folder.mkdir()
    (folder / "index.sqlite").write_bytes(b"something else " * 1000)
    with pytest.raises(StoreError, match="damaged or no index"):
        Store(folder)
    with pytest.raises(StoreError, match="damaged or no index"):  # and is not held by the first that was refused
        Store(folder)


def test_a_store_that_was_begun_and_not_finished_is_begun_again(folder, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("he.service.store._TABLES", (*_TABLES[:1], "what stands for the end of the process"))
        with pytest.raises(OSError, match="cannot be read or written"):
            Store(folder)
    with closing(Store(folder)) as store:
        assert store.count == 0


@pytest.mark.parametrize("exists", [False, True])
def test_a_disk_that_takes_nothing_is_not_taken_for_a_damaged_index(folder, exists) -> None:
    """Nobody is told to move away a folder that remembers what was evaluated."""
    if exists:
        Store(folder).close()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="cannot be read or written"):
            Store(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    Store(folder).close()


def test_room(folder) -> None:
    with closing(Store(folder)) as store:
        stored(store, content=bytes(100))

        def is_there(kept, passing=0, most=150, spare=0):
            try:
                with store.room(kept, passing, most, spare):
                    return True
            except Problem as refused:
                return refused.status != 507

        for _ in range(2):  # what ends gives its room back
            assert is_there(50)
            assert not is_there(51)
            assert not is_there(50, spare=1 << 62)
            with store.room(30, passing=10, most=150, spare=0):
                assert is_there(20)
                assert not is_there(21)


def test_room_that_was_promised_is_not_promised_again(folder, monkeypatch) -> None:
    free = SimpleNamespace(free=100)
    monkeypatch.setattr("he.service.store.shutil.disk_usage", lambda _: free)
    with closing(Store(folder)) as store:
        with store.room(30, passing=20, most=1000, spare=10), store.room(20, passing=10, most=1000, spare=10):
            with pytest.raises(Problem), store.room(10, passing=1, most=1000, spare=10):
                pass
            with store.room(10, passing=0, most=1000, spare=10):
                pass
        with pytest.raises(ZeroDivisionError), store.room(90, passing=0, most=1000, spare=10):
            _ = 1 / 0
        with store.room(90, passing=0, most=1000, spare=10):
            pass


def names(count):
    return [f"{number:064x}" for number in range(count)]


def test_a_request_is_refused_after_a_restart_once_its_answer_could_leave(folder) -> None:
    first, second, third, fourth = names(4)
    with closing(Store(folder)) as store:
        ledger = StoredLedger(store, "ann", "circuit", 3)
        ledger.admit(first)
        with pytest.raises(ReplayError):
            ledger.admit(first)
        ledger.confirm(first)
        ledger.admit(second)
        ledger.release(second)
    with closing(Store(folder)) as store:
        ledger = StoredLedger(store, "ann", "circuit", 3)
        with pytest.raises(ReplayError):
            ledger.admit(first)
        for name in (second, third):
            ledger.admit(name)
            ledger.confirm(name)
        with pytest.raises(SpentError):
            ledger.admit(fourth)
        for other in (StoredLedger(store, "bob", "circuit", 3), StoredLedger(store, "ann", "another", 3)):
            other.admit(first)
            other.confirm(first)


def test_what_cannot_be_written_is_not_confirmed(folder) -> None:
    name = names(1)[0]
    with closing(Store(folder)) as store:
        ledger = StoredLedger(store, "ann", "circuit", 1)
        with closing(connect(folder / "index.sqlite")) as other:  # what stands for a disk that takes nothing
            other.execute("CREATE TRIGGER full BEFORE INSERT ON evaluated BEGIN SELECT RAISE(ABORT, 'full'); END")
            ledger.admit(name)
            with pytest.raises(OSError, match="full"):
                ledger.confirm(name)
            other.execute("DROP TRIGGER full")
        ledger.admit(name)  # nothing was answered, and so it may be sent again, and counts once
        ledger.confirm(name)


def test_writes_of_many_threads_are_one_transaction_or_a_few(folder) -> None:
    with closing(Store(folder)) as store:
        writes = [store.record("ann", "circuit", name) for name in names(200)]
        for write in writes:
            write.result()
        assert store.evaluated("ann", "circuit") == 200


def test_a_full_disk_is_told_apart(folder) -> None:
    folder.mkdir()
    path = folder / "small.sqlite"
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE rows (content BLOB)")
    writer = Writer(path)
    try:
        writer.write("PRAGMA max_page_count = 4").result()
        with pytest.raises(OSError, match="full") as error:
            writer.write("INSERT INTO rows VALUES (?)", bytes(1 << 20)).result()
        assert Problem.of(error.value).status == 507
        writer.write("INSERT INTO rows VALUES (?)", b"little").result()  # and the writer goes on
    finally:
        writer.close()
