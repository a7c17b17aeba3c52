"""One instance for the gradients of many batches: every batch has a budget of its own, whatever happens."""

import contextlib
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.formats.messages import Kind, open_message, seal_message
from he.functional.errors import BudgetError, MismatchError
from he.functional.instance import Instance
from he.functional.ledger import Span, secret_prime
from he.functional.parties import authority as authority_
from he.functional.parties import records
from he.functional.parties.authority import Authority
from he.functional.parties.books import Exposure
from he.functional.parties.journal import Journal, JournalError
from he.functional.parties.owner import Owner, arranged
from he.functional.parties.request import KeyRequest
from he.functional.parties.trainer import Products
from he.functional.scheme import Scope
from he.functional.schemes import scheme
from intnn import IntDomain
from tests.he.functional.parties.made import full_disk, instance, interrupted_behind_the_record, killed
from tests.he.functional.ranks import rank, requests

COLUMNS, BATCHES = 3, 5
EYE = np.eye(4, dtype=np.int64)


class Trainer:
    """Who asks for keys of an instance for several batches, of which owners encrypt one behind the other."""

    def __init__(self, authority, length=4, budget=4, owners=1, block_samples=4096, **opening):
        self.instance = instance(length)
        samples = range(BATCHES * length)
        public = authority.open(self.instance, budget, "data", "gradient", samples, COLUMNS, **opening)
        self.x = np.random.default_rng(0).integers(0, 16, (BATCHES * COLUMNS, length))
        blocks, at = [], 0
        names = [f"owner {number}" for number in range(owners)]
        for name, part in zip(names, np.array_split(self.x, owners), strict=True):
            blocks += Owner(name, public, first_sample=at).encrypt(part, block_samples)
            at += len(part)
        self.ciphertexts = arranged(blocks, names)

    def asks(self, authority, batch, y):
        """Ask for the products of a batch, and see that they are right."""
        part = slice(batch * COLUMNS, (batch + 1) * COLUMNS)
        products = Products(authority, self.instance, self.ciphertexts).products(y, part.start, part.stop)
        assert products.tolist() == (self.x[part] @ np.transpose(y)).tolist()

    def request(self, batch, y):
        return KeyRequest(self.instance, y, self.ciphertexts[0].scope(batch * COLUMNS, (batch + 1) * COLUMNS))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.journal"


EVENTS = st.sampled_from(["asks", "asks", "asks", "disk is full", "is interrupted", "is killed", "is closed"])


@settings(max_examples=60)
@given(requests(limits=(1, 127), most=12), st.integers(1, 7), st.integers(1, 3), st.data())
def test_whatever_happens_no_batch_tells_more_than_its_budget(tmp_path_factory, asked, most, ahead, data):
    """What is told of the batch that told most is exact, but where an authority that had foreseen more was killed."""
    n, parts = asked
    budget, path = min(most, n), tmp_path_factory.mktemp("authority") / "journal"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authority_, "BATCHES_AHEAD", ahead)
        authority = Authority(path)
        who = Trainer(authority, n, budget)
        held, is_exact, is_settled = [[] for _ in range(BATCHES)], True, True
        for y in parts:
            batch, event = data.draw(st.integers(0, BATCHES - 1)), data.draw(EVENTS)
            rows = y.tolist()
            is_within = rank([*held[batch], *rows]) <= budget
            if event == "disk is full":
                with full_disk(), contextlib.suppress(OSError, BudgetError):
                    who.asks(authority, batch, y)
                    held[batch] += rows
            elif event == "is interrupted":
                try:
                    with interrupted_behind_the_record(authority):
                        authority.issue(who.request(batch, y))
                    held[batch] += rows
                except KeyboardInterrupt:
                    held[batch] += rows  # it counts as known: the key may be out
                    is_exact &= budget < n
                except BudgetError:
                    assert not is_within
            elif event == "is killed":
                killed(authority)
                authority, is_exact = Authority(path), is_exact and (budget < n or is_settled)
            elif event == "is closed":
                authority.close()
                authority, is_settled = Authority(path), True
            if is_within:
                who.asks(authority, batch, y)
                held[batch] += rows
                is_settled &= not any(map(any, rows))
            else:
                with pytest.raises(BudgetError):
                    authority.issue(who.request(batch, y))
            told, true = authority.exposure("data"), max(map(rank, held))
            assert told.batch_rank_budget == budget
            assert told.batch_rank_issued == true if is_exact else true <= told.batch_rank_issued <= budget
        authority.close()


def test_the_first_updates_of_many_batches_take_one_write(path, monkeypatch):
    synced, genuine = [], os.fsync
    with Authority(path) as authority:
        who = Trainer(authority)
        monkeypatch.setattr(os, "fsync", lambda file: (synced.append(file), genuine(file)))
        for batch in range(BATCHES):
            who.asks(authority, batch, EYE[: batch + 1])
        assert len(synced) == 1
        assert authority.exposure("data") == Exposure(0, 0, 14, 1.0, 4, 4)


def test_it_is_on_the_disk_before_the_first_key_leaves(path):
    """Killed then, an authority counts as known what may be known; nobody gets more than was allowed."""
    authority = Authority(path)
    who = Trainer(authority)
    with full_disk(), pytest.raises(OSError, match="No space left"):
        authority.issue(who.request(0, EYE[:1]))
    assert authority.exposure("data") == Exposure(0, 0, 0, 0.0, 0, 4)
    who.asks(authority, 0, EYE[:1])
    assert authority.exposure("data") == Exposure(0, 0, 1, 0.25, 1, 4)
    killed(authority)
    with Authority(path) as authority:
        assert authority.exposure("data").batch_rank_issued == 4
        who.asks(authority, BATCHES - 1, EYE)


def test_who_closes_writes_what_is_known(path):
    with Authority(path) as authority:
        who = Trainer(authority)
        y = np.array([[3, 0, -5, 0], [0, 0, 60, 1]])
        who.asks(authority, 1, y)
        who.asks(authority, 3, EYE[:1])
    for _ in range(2):
        with Authority(path) as authority:
            assert authority.exposure("data") == Exposure(0, 0, 3, 0.5, 2, 4)
            size = path.stat().st_size
        assert path.stat().st_size == size  # nothing was left to say
    with Authority(path) as authority:
        who.asks(authority, 1, y - y[::-1])  # nothing new
        assert authority.exposure("data").batch_rank_issued == 2
        assert b"foreseen" not in path.read_bytes()[size:]  # the count of keys alone
        who.asks(authority, 1, EYE[:3])
        assert authority.exposure("data").batch_rank_issued == 4  # 0 to 2 beside a vector with the last one


def test_what_instances_share_is_said_once(path):
    with Authority(path) as authority:
        both = Trainer(authority), Trainer(authority)
        for who in both:
            who.asks(authority, 1, EYE[:2])
    assert path.read_bytes().count(b"settled") == 1 * BATCHES  # foreseen together, and settled each
    with Authority(path) as authority:
        assert authority.exposure("data").batch_rank_issued == 2


def test_a_batch_is_settled_where_it_was_foreseen_or_as_it_is_known(path):
    """Older journals said it once for each of several instances; another entry would make a budget larger again."""
    with Authority(path) as authority:
        who = Trainer(authority, budget=4)
        who.asks(authority, 1, EYE[:2])
    whole = path.read_bytes()
    journal = Journal(path)
    entries = {message: open_message(Kind.JOURNAL, message)[0] for _, message, _ in journal.messages()}
    journal.append(*(message for message, fields in entries.items() if fields["event"] == "settled"))
    journal.close()
    with Authority(path) as authority:
        assert authority.exposure("data").batch_rank_issued == 2
    for known in (EYE[:0], EYE[:1], EYE[1:3], EYE[:3]):
        path.write_bytes(whole)
        journal = Journal(path)
        list(journal.messages())
        span = Span.empty(4, secret_prime()).extended(known.astype(np.uint64))
        journal.append(records.settled(who.instance, 1, span))
        journal.close()
        with pytest.raises(JournalError, match=r"a batch (that was not foreseen is settled|is settled without what)"):
            Authority(path)


def test_what_was_known_before_a_batch_was_foreseen_stays_known(path):
    """Entries that are said again, or in another order, make no budget larger; nobody who keeps to it writes them."""
    for known in (EYE[:1], EYE[1:2]):
        with Authority(path) as authority:
            if known[0, 0]:
                who = Trainer(authority)
            who.asks(authority, 1, known)
    journal = Journal(path)
    entries = [message for _, message, _ in journal.messages()]
    journal.close()
    events = [open_message(Kind.JOURNAL, message)[0] for message in entries]
    settled = [n for n, fields in enumerate(events) if fields["event"] == "settled"]
    first, second = (n for n in settled if events[n]["batch"] == 1)
    foreseen = next(entry for entry, fields in zip(entries, events, strict=True) if fields["event"] == "foreseen")
    swapped = list(entries)
    swapped[first], swapped[second] = entries[second], entries[first]
    for changed in (swapped, [*entries, foreseen, entries[first]]):
        path.unlink()
        journal = Journal(path)
        journal.append(*changed)
        journal.close()
        with pytest.raises(JournalError, match="a batch is settled without what was known of it"):
            Authority(path)
    path.unlink()
    journal = Journal(path)
    journal.append(*entries, foreseen, foreseen, *(entries[n] for n in settled[-BATCHES:]))
    journal.close()
    with Authority(path) as authority:
        assert authority.exposure("data").batch_rank_issued == 2


def test_what_cannot_be_written_at_the_end_counts_as_known(path):
    authority = Authority(path)
    Trainer(authority).asks(authority, 1, EYE[:1])
    with full_disk(), pytest.raises(OSError, match="No space left"):
        authority.close()
    with Authority(path) as authority:
        assert authority.exposure("data").batch_rank_issued == 4


def test_a_smaller_budget_is_one_of_every_batch_and_is_kept_to_the_vector(path):
    authority = Authority(path)
    who = Trainer(authority, budget=2)
    for batch in range(BATCHES):
        who.asks(authority, batch, EYE[1:3])
    killed(authority)
    with Authority(path) as authority:
        for batch in range(BATCHES):
            for y in (EYE[:1], EYE[1:4], EYE[3:] + EYE[1]):
                with pytest.raises(BudgetError, match="more than 2 directions of the data, 2 of which are known"):
                    authority.issue(who.request(batch, y))
            who.asks(authority, batch, EYE[1:2] - EYE[2:3])
        assert authority.exposure("data").batch_rank_issued == 2


def test_a_batch_is_known_through_its_own_instance_too(path):
    with Authority(path) as authority:
        who = Trainer(authority, budget=3)
        alone = authority.open(instance(), 3, "data", "gradient", range(4, 8))
        block = next(Owner("owner", alone).encrypt(who.x[COLUMNS : 2 * COLUMNS]))
        Products(authority, alone.instance, [block.ciphertext]).products(EYE[:2], 0, COLUMNS)
        who.asks(authority, 1, EYE[2:3])
        who.asks(authority, 2, EYE[1:])
        with pytest.raises(BudgetError):
            authority.issue(who.request(1, EYE[3:]))
        with pytest.raises(ValueError, match="share a budget"):
            authority.open(instance(), 2, "data", "gradient", range(8, 12))


@pytest.mark.parametrize(("owners", "block_samples"), [(1, 4), (5, 4096), (3, 2)])
def test_batches_lie_in_ciphertexts_of_any_size(path, owners, block_samples):
    """Each sample counts for its own batch, whichever ciphertext it is in."""
    with Authority(path) as authority:
        who = Trainer(authority, budget=2, owners=owners, block_samples=block_samples)
        for batch in range(BATCHES):
            who.asks(authority, batch, EYE[batch % 2 : batch % 2 + 2])
            with pytest.raises(BudgetError):
                who.asks(authority, batch, EYE[3:])


def test_a_key_for_a_batch_opens_no_other_by_another_number(path):
    """A trainer that says a ciphertext's samples were those of another batch gets keys for another pad."""
    with Authority(path) as authority:
        who = Trainer(authority, budget=1, block_samples=COLUMNS)
        who.asks(authority, 1, EYE[:1])
        second, free = who.ciphertexts[1], 4  # a batch of which nothing is known yet
        key = authority.issue(
            KeyRequest(who.instance, EYE[1:2], Scope(second.header, COLUMNS * free, COLUMNS * free + 3))
        )
        pads = scheme("pads")
        with pytest.raises(MismatchError, match=r"the key is for samples 12 to 15 .*, got samples 3 to 6"):
            pads.decrypt(second, key)
        moved = type(second)(second.instance, second.header, second.words, COLUMNS * free)
        with pytest.raises(MismatchError, match="a product is beyond"):  # foreign words: within range once in 2^24
            pads.decrypt(moved, key)


def test_a_key_for_more_than_one_batch_is_refused_and_nothing_is_recorded(path):
    with Authority(path) as authority:
        who, before = Trainer(authority), path.read_bytes()
        for start, stop in ((2, 4), (0, 15), (15, 16), (1 << 40, (1 << 40) + 1)):
            scope = Scope(who.ciphertexts[0].header, start, stop)
            with pytest.raises(ValueError, match="`scope` must lie within the vectors of one batch"):
                authority.issue(KeyRequest(who.instance, EYE[:1], scope))
        with pytest.raises(ValueError, match="`scope` must say which batch's vectors"):
            authority.issue(KeyRequest(who.instance, EYE[:1]))
        assert path.read_bytes() == before
        assert authority.exposure("data") == Exposure(0, 0, 0, 0.0, 0, 4)


@pytest.mark.parametrize("name", ["rlwe", "ddh"])
def test_schemes_whose_keys_hold_for_all_vectors_have_an_instance_for_every_batch(path, name):
    with Authority(path) as authority:
        before = path.read_bytes()
        with pytest.raises(ValueError, match=f"`columns` must be None for {name}, whose keys hold for all vectors"):
            authority.open(instance(4, name), 4, "data", "gradient", range(8), COLUMNS)
        assert path.read_bytes() == before
        assert authority.exposure("data") == Exposure()


def test_a_journal_from_before_there_were_several_batches_is_read(path):
    """Its openings name no columns."""
    with Authority(path) as authority:
        public = authority.open(Instance("pads", 4, IntDomain(0, 15)), 3, "data", "gradient", range(4, 8))
        block = next(Owner("owner", public).encrypt(np.ones((2, 4), np.int64)))
        Products(authority, public.instance, [block.ciphertext]).products(EYE[:2], 0, 2)
    journal = Journal(path)
    messages = [open_message(Kind.JOURNAL, message) for _, message, _ in journal.messages()]
    journal.close()
    path.unlink()
    older = Journal(path)
    for fields, parts in messages:
        if fields["event"] == "opened":
            assert fields.pop("columns", "missing") is None
        assert fields.keys() <= {"event", "instance", "prime", "budget", "data", "role", "samples", "keys", "rows"}
        older.append(seal_message(Kind.JOURNAL, fields, [bytes(part) for part in parts]))
    older.close()
    with Authority(path) as authority:
        assert authority.exposure("data") == Exposure(0, 0, 2, 0.5, 2, 3)
        Products(authority, public.instance, [block.ciphertext]).products(EYE[1:3], 0, 2)
        with pytest.raises(BudgetError):
            Products(authority, public.instance, [block.ciphertext]).products(EYE[3:], 0, 2)
