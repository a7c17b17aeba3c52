"""What an authority reads of its journal: records that are damaged, of another version, or of nothing are refused."""

import numpy as np
import pytest

from he.formats.messages import Kind
from he.functional.messages import seal
from he.functional.parties import records
from he.functional.parties.authority import Authority
from he.functional.parties.books import Opening
from he.functional.parties.journal import Journal, JournalError
from tests.he.functional.parties.made import instance, trainer

EYE = np.eye(4, dtype=np.int64)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.journal"


def test_a_journal_in_which_a_byte_has_changed_is_refused(path):
    with Authority(path) as authority:
        trainer(authority.open(instance(), 2, "data")).asks(authority, EYE[:2])
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(JournalError, match=r"is damaged at byte \d+"):
            Authority(path)
    path.write_bytes(content)
    Authority(path).close()  # and the one before has given it free


def test_a_journal_of_another_version_is_not_called_damaged(path):
    with Authority(path) as authority:
        trainer(authority.open(instance(), 2, "data")).asks(authority, EYE[:2])
    path.write_bytes(content := path.read_bytes().replace(b"HEINF3", b"HEINF2"))
    with pytest.raises(
        JournalError, match=r"made by an older version .* go on with that version, or open new instances"
    ):
        Authority(path)
    assert path.read_bytes() == content
    path.write_bytes(content.replace(b"HEINF2", b"HEINF3", 1))
    with pytest.raises(JournalError, match=r"is damaged at byte \d+"):
        Authority(path)


def test_a_journal_that_speaks_of_what_was_not_opened_is_refused(path):
    it = instance()
    for message in (
        records.issued(it, 1, np.empty((0, 4), np.uint64)),
        records.enrolled(it, "Ada"),
        seal(Kind.JOURNAL, it, {"event": "opened"}),
        seal(Kind.JOURNAL, it, {"event": "opened", "prime": 7, **Opening(it, 1, "data", "forward").fields()}),
    ):
        path.unlink(missing_ok=True)
        journal = Journal(path)
        journal.append(message)
        journal.close()
        with pytest.raises(JournalError, match="is damaged at byte 0"):
            Authority(path)
