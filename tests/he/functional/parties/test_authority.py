"""The authority: nobody gets more than the budget, however they ask, and whatever happens to it in between."""

import contextlib
import copy
import os
import threading
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.formats.messages import MessageError
from he.functional.errors import BudgetError, FunctionalError, MismatchError
from he.functional.instance import Instance
from he.functional.parties.authority import STRIDE, Authority
from he.functional.parties.books import Books, Exposure, Opening
from he.functional.parties.journal import Journal, JournalError
from he.functional.schemes import scheme
from intnn import IntDomain
from tests.he.functional.parties.made import full_disk, instance, interrupted_behind_the_record, killed, trainer
from tests.he.functional.ranks import rank, requests
from tests.interrupts import interrupted_at

EYE = np.eye(4, dtype=np.int64)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.journal"


EVENTS = st.sampled_from(["asks", "asks", "asks", "disk is full", "is interrupted", "is killed", "is closed"])


@settings(max_examples=60)
@given(requests(limits=(1, 127), most=10), st.integers(0, 7), st.data())
def test_whatever_happens_nobody_gets_more_than_the_budget(tmp_path_factory, asked, most, data):
    """Two trainers share what they hold; the dimension of all of it is told exactly, and never beyond the budget."""
    n, batches = asked
    budget = min(most, n) or 1
    path = tmp_path_factory.mktemp("authority") / "journal"
    authority = Authority(path)
    trainers = [trainer(authority.open(instance(n), budget, "data", role)) for role in ("forward", "projection")]
    held, keys = [], 0
    for y in batches:
        who, event = data.draw(st.sampled_from(trainers)), data.draw(EVENTS)
        rows = y.tolist()
        is_within = rank([*held, *rows]) <= budget
        if event == "disk is full":
            with full_disk(), contextlib.suppress(OSError, BudgetError):
                who.asks(authority, y)
                keys += len(rows)
            assert authority.exposure("data").rank_issued == rank(held)
        elif event == "is interrupted":
            try:
                with interrupted_behind_the_record(authority):
                    authority.issue(who.request(y))
            except KeyboardInterrupt:
                held += rows  # it counts as known: the key may be out
            except BudgetError:
                assert not is_within
        elif event == "is killed":
            killed(authority)
            authority = Authority(path)
        elif event == "is closed":
            authority.close()
            authority = Authority(path)
        if is_within:
            who.asks(authority, y)
            held, keys = held + rows, keys + len(rows)
        else:
            with pytest.raises(BudgetError):
                authority.issue(who.request(y))
        exposure = authority.exposure("data")
        assert (exposure.rank_issued, exposure.rank_budget) == (rank(held), budget)
        assert exposure.keys_issued >= keys
    authority.close()


def test_a_key_is_recorded_before_it_is_issued(path):
    """Killed in between, the authority issues it when it is asked again, and the span does not grow."""
    authority = Authority(path)
    who = trainer(authority.open(instance(), 2, "data"))
    with pytest.raises(KeyboardInterrupt), interrupted_behind_the_record(authority):
        authority.issue(who.request(EYE[:2]))
    killed(authority)
    with Authority(path) as authority:
        assert authority.exposure("data").rank_issued == 2
        with pytest.raises(BudgetError, match="more than 2 directions of the data, 2 of which are known"):
            authority.issue(who.request(EYE[2:3]))
        who.asks(authority, EYE[:2])
        assert authority.exposure("data").rank_issued == 2


def test_interrupts_between_the_journal_and_the_books_lose_nothing(path, monkeypatch):
    """One behind the write of several instances, and one while they are entered in the books."""
    them, read, places = [instance() for _ in range(3)], os.pread, []

    def interrupted(*_):
        raise KeyboardInterrupt

    def read_one(file, length, place):
        places.append(place)
        if len(places) > 2:  # behind the head of the first instance, and the rest of it
            raise KeyboardInterrupt
        return read(file, length, place)

    with Authority(path) as authority:
        with monkeypatch.context() as patch:
            patch.setattr(Books, "open", interrupted)
            with pytest.raises(KeyboardInterrupt):
                authority.open_all([Opening(it, 2, it.id, "forward") for it in them])
        with monkeypatch.context() as patch:
            patch.setattr(os, "pread", read_one)
            with pytest.raises(KeyboardInterrupt):
                authority.enrol(them[0], "owner")
        trainer(authority.open(instance(), 2, "data")).asks(authority, EYE[:2])
    for _ in range(2):
        with Authority(path) as authority:
            assert authority.exposure("data").rank_issued == 2
            for it in them:
                with pytest.raises(ValueError, match="`instance` must have a new id"):
                    authority.open(it, 2, it.id)


def test_where_the_disk_is_full_nothing_is_issued_or_known(path):
    with Authority(path) as authority:
        who = trainer(authority.open(instance(), 2, "data"))
        before = path.read_bytes()
        with full_disk():
            with pytest.raises(OSError, match="No space left"):
                authority.issue(who.request(EYE[:1]))
            with pytest.raises(OSError, match="No space left"):
                authority.open(instance(), 2, "others")
            with pytest.raises(OSError, match="No space left"):
                authority.enrol(who.instance, "Ada")
        assert authority.exposure("data") == Exposure(0, 2)
        assert authority.exposure("others") == Exposure()
        assert path.read_bytes() == before
        who.asks(authority, EYE[1:3])
        authority.enrol(who.instance, "Ada")


def test_what_an_interrupt_leaves_behind_the_record_is_entered_later(path):
    """Also an instance whose public key nobody has got: its id is taken, and its account is the journal's."""
    authority, it = Authority(path), instance()
    with pytest.raises(KeyboardInterrupt), interrupted_behind_the_record(authority):
        authority.open(it, 2, "data")
    with pytest.raises(ValueError, match="was opened before"):
        authority.open(it, 2, "data")
    who = trainer(authority.open(instance(), 2, "data"))
    with pytest.raises(KeyboardInterrupt), interrupted_behind_the_record(authority):
        authority.enrol(who.instance, "Ada")
    with pytest.raises(FunctionalError, match="an owner 'Ada' is registered"):
        authority.enrol(who.instance, "Ada")
    who.asks(authority, EYE[:2])
    killed(authority)
    with Authority(path) as authority:
        assert authority.exposure("data").rank_issued == 2
        who.asks(authority, EYE[:2] - EYE[1::-1])


def test_most_requests_write_nothing(path, monkeypatch):
    with Authority(path) as authority:
        who = trainer(authority.open(instance(), 2, "data"))
        who.asks(authority, EYE[:2])
        monkeypatch.setattr(Journal, "append", None)
        for _ in range(5):
            who.asks(authority, np.array([[3, -7, 0, 0]] * 10))
        assert authority.exposure("data").keys_issued == 52
        monkeypatch.undo()


def test_keys_are_counted_exactly_by_who_closes_and_never_too_few(path):
    y = np.repeat(EYE[:1], STRIDE - 1, 0)
    authority = Authority(path)
    who = trainer(authority.open(instance(), 1, "data"), samples=1)
    for _ in range(3):
        authority.issue(who.request(y))
    assert authority.exposure("data").keys_issued == 3 * (STRIDE - 1)
    killed(authority)
    with Authority(path) as authority:
        assert authority.exposure("data").keys_issued == 3 * STRIDE
        authority.issue(who.request(y[:5]))
    with Authority(path) as authority:
        assert authority.exposure("data").keys_issued == 3 * STRIDE + 5
        size = path.stat().st_size
    assert path.stat().st_size == size  # nothing was left to say


def test_the_count_is_not_lost_with_a_disk_that_is_full_at_the_end(path):
    authority = Authority(path)
    trainer(authority.open(instance(), 1, "data")).asks(authority, EYE[:1])
    with full_disk(), pytest.raises(OSError, match="No space left"):
        authority.close()
    authority.close()
    with Authority(path) as authority:
        assert authority.exposure("data").keys_issued == STRIDE


@pytest.mark.parametrize("name", ["pads", "rlwe", "ddh"])
def test_master_keys_are_there_again(path, name):
    """Of every scheme, and of more instances than are held in memory."""
    with Authority(path) as authority:
        others = 20 if name == "pads" else 0
        trainers = [trainer(authority.open(instance(2, name), 2, f"data {i}")) for i in range(1 + others)]
        for who in trainers * 2:
            who.asks(authority, [[1, -2]])
    with Authority(path) as authority:
        for who in trainers:
            who.asks(authority, [[1, -2], [5, 6]])
        assert authority.exposure("data 0").rank_issued == 2


def test_batches_have_budgets_of_their_own(path):
    with Authority(path) as authority:
        batches = [
            trainer(authority.open(instance(), budget, "data", "gradient", range(at, at + 4)))
            for at, budget in ((0, 1), (4, 3))
        ]
        batches[0].asks(authority, EYE[:1])
        batches[1].asks(authority, EYE[:3])
        with pytest.raises(BudgetError):
            authority.issue(batches[0].request(EYE[1:2]))
        assert authority.exposure("data") == Exposure(0, 0, 4, 0.75, 3, 3)


def gradients(*starts, samples=4):
    return [Opening(instance(), 2, "data", "gradient", range(at, at + samples)) for at in starts]


def test_several_instances_are_opened_with_one_write(path, monkeypatch):
    openings, synced, genuine = gradients(0, 4, 8), [], os.fsync
    with Authority(path) as authority:
        monkeypatch.setattr(os, "fsync", lambda file: (synced.append(file), genuine(file)))
        trainers = [trainer(public) for public in authority.open_all(openings)]
        assert len(synced) == 1
        assert [who.instance for who in trainers] == [opening.instance for opening in openings]
    with Authority(path) as authority:
        for who, y in zip(trainers, (EYE[:1], EYE[1:3], EYE[:2]), strict=True):
            who.asks(authority, y)
        assert authority.exposure("data").batch_rank_issued == 2


def test_of_several_instances_all_are_opened_or_none(path):
    with Authority(path) as authority:
        before = path.read_bytes()
        with pytest.raises(ValueError, match="what is known of a sample could not be told"):
            authority.open_all(gradients(0, 4, 6))
        with full_disk(), pytest.raises(OSError, match="No space left"):
            authority.open_all(gradients(0, 4))
        assert path.read_bytes() == before
        assert authority.exposure("data") == Exposure()
        authority.open_all(gradients(0, 4))
        assert authority.exposure("data").batch_rank_budget == 2


def test_several_threads_share_one_budget(path):
    with Authority(path) as authority:
        who = trainer(authority.open(instance(12), 5, "data"))
        outcomes = defaultdict(int)

        def ask(row):
            try:
                who.asks(authority, np.eye(12, dtype=np.int64)[[row]])
                outcomes["issued"] += 1
            except BudgetError:
                outcomes["refused"] += 1

        threads = [threading.Thread(target=ask, args=(row,)) for row in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes == {"issued": 5, "refused": 7}
        assert authority.exposure("data").rank_issued == 5


def test_keys_cross_as_bytes(path):
    with Authority(path) as authority:
        who = trainer(authority.open(instance(), 2, "data"))
        key = scheme("pads").types.functional_key.from_bytes(authority.derive(who.request(EYE[:2]).to_bytes()))
        products = scheme("pads").decrypt(who.ciphertext, key)
        assert products.tolist() == who.x[:, :2].tolist()
        with pytest.raises(MessageError):
            authority.derive(b"no request")
        assert authority.exposure("data").keys_issued == 2


def test_foreign_instances_and_requests_are_refused(path):
    with Authority(path) as authority:
        public = authority.open(instance(), 2, "data")
        who = trainer(public)
        other = Instance("pads", 4, IntDomain(0, 14), id=public.instance.id)  # of the same id
        foreign = trainer(scheme("pads").setup(other)[1])
        for ask in (
            lambda: authority.issue(foreign.request(EYE[:1])),
            lambda: authority.enrol(other, "Ada"),
            lambda: authority.enrol(instance(), "Ada"),
        ):
            with pytest.raises(MismatchError, match=r"is not open at this authority as it is described; open it first"):
                ask()
        with pytest.raises(TypeError, match="`request`"):
            authority.issue(who.request(EYE).to_bytes())
        with pytest.raises(ValueError, match="`scope`"):
            authority.issue(type(who.request(EYE))(who.instance, EYE[:1]))
        with pytest.raises(ValueError, match="`owner` must be a name"):
            authority.enrol(who.instance, "")
        with pytest.raises(TypeError, match="`instance`"):
            authority.enrol("instance", "Ada")
        with pytest.raises(ValueError, match="`budget`"):
            authority.open(instance(), 5, "others")
        assert authority.exposure("data") == Exposure(0, 2)


def test_two_owners_of_one_name_are_refused(path):
    with Authority(path) as authority:
        one, two = instance(), instance()
        for it in (one, two):
            authority.open(it, 2, "data")
            authority.enrol(it, "Ada")
    with Authority(path) as authority:
        with pytest.raises(FunctionalError, match=f"'Ada' is registered for instance {one.id}; choose another"):
            authority.enrol(one, "Ada")
        authority.enrol(one, "Grace")


def test_a_closed_authority_answers_nothing_but_what_it_knows(path):
    authority = Authority(path)
    who = trainer(authority.open(instance(), 2, "data"))
    authority.close()
    for ask in (
        lambda: authority.issue(who.request(EYE[:1])),
        lambda: authority.open(instance(), 2, "data"),
        lambda: authority.enrol(who.instance, "Ada"),
    ):
        with pytest.raises(JournalError, match="was closed; open it again"):
            ask()
    assert authority.exposure("data").rank_budget == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of what is closed when it goes
def test_an_interrupt_anywhere_leaves_the_journal_to_the_next(path):
    with Authority(path) as authority:
        authority.open(instance(), 2, "data")
    number, came = 0, True
    while came:
        with interrupted_at(number, Authority.__init__, Journal.__init__, Journal._claim, Journal.close) as interrupt:
            Authority(path).close()
        number, came = number + 1, interrupt.came
        Authority(path).close()
    assert number > 15


def test_an_authority_shows_nothing_and_is_not_copied(path):
    with Authority(path) as authority:
        authority.open(instance(), 2, "data")
        secret = authority._masters[next(iter(authority._places))].secret
        assert secret.hex() not in repr(authority)
        assert repr(secret) not in repr(authority)
        with pytest.raises(TypeError, match="cannot be pickled or copied; open its journal"):
            copy.copy(authority)
