"""The books: which instances encrypt the same vectors, and what is known of a batch."""

import unicodedata
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.functional.errors import MismatchError
from he.functional.instance import Instance
from he.functional.ledger import known_share, secret_prime
from he.functional.parties.books import Books, Exposure, Opening
from he.functional.scheme import Scope
from intnn import IntDomain


def opening(length=4, budget=2, data="images", role="forward", samples=None, columns=None):
    return Opening(Instance("pads", length, IntDomain(0, 15)), budget, data, role, samples, columns)


BATCHES = {"role": "gradient", "samples": range(12), "columns": 3}  # three of them, of four samples each


def opened(*openings):
    books = Books()
    for each in openings:
        books.require_room([each])
        books.open(each, secret_prime())
    return books


def accounts_of(books, opening):
    return books.opened(opening.instance)[1]


def issued(books, opening, rank, batch=0):
    """Enter keys for the first so many directions."""
    y, account = np.eye(opening.instance.length, dtype=np.int64)[:rank], accounts_of(books, opening)[batch]
    if rank:
        books.issue(account, account.span.grown(y, opening.budget)[0], rank)


@st.composite
def ranges(draw):
    start = draw(st.integers(0, 1 << 40))
    return range(start, start + draw(st.integers(1, 1 << 16)))


names = (
    st.text(min_size=1, max_size=200)
    .map(lambda text: unicodedata.normalize("NFC", text).strip())
    .filter(lambda name: 0 < len(name) <= 200 and name.isprintable())
)


@given(names, st.none() | ranges(), st.data())
def test_an_opening_survives_the_trip(data_name, samples, data):
    role, columns = data.draw(st.sampled_from(["forward", "projection", "gradient"])), None
    length = len(samples) if samples is not None and role == "gradient" else 4
    if samples is not None and role == "gradient":
        columns = data.draw(st.none() | st.integers(1, 9))
    it = opening(length, data.draw(st.integers(1, length)), data_name, role, samples, columns)
    assert Opening.of(it.instance, it.fields()) == it
    before = it.fields()
    if before.pop("columns") is None:  # which journals did not name before there were several batches
        assert Opening.of(it.instance, before) == it


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"budget": 0}, ValueError, r"`budget` must lie in \[1, 4\], got 0"),
        ({"budget": 5}, ValueError, r"`budget` must lie in \[1, 4\], got 5"),
        ({"budget": 1.0}, TypeError, "`budget`"),
        ({"data": ""}, ValueError, "`data` must be a name"),
        ({"data": "x-rays "}, ValueError, "`data` must be .* no spaces at its ends, got 'x-rays '"),
        ({"data": "e\u0301tude"}, ValueError, r"normal form C .* got 'e\\u0301tude'"),
        ({"data": None}, TypeError, "`data`"),
        ({"role": "backward"}, ValueError, '`role` must be "forward", "gradient" or "projection", got \'backward\''),
        ({"role": ["gradient"]}, ValueError, "`role`"),
        ({"samples": (0, 4)}, TypeError, "`samples`"),
        ({"samples": range(3, 3)}, ValueError, "range of one sample or more"),
        ({"samples": range(-1, 3)}, ValueError, "range of one sample or more"),
        ({"samples": range(0, 8, 2)}, ValueError, "without a step"),
        ({"samples": range(2**50)}, ValueError, "range of one sample or more"),
        ({"role": "gradient", "samples": range(3)}, ValueError, r"elements, 4, .* at most 1 .*, got range\(0, 3\)"),
        ({"role": "gradient", "samples": range(8)}, ValueError, r"elements, 4, .* at most 1 .*, got range\(0, 8\)"),
        ({**BATCHES, "samples": range(9)}, ValueError, r"elements, 4, .* at most 65536 .*, got range\(0, 9\)"),
        ({**BATCHES, "samples": range(4 * 65537)}, ValueError, "at most 65536"),
        ({**BATCHES, "columns": 0}, ValueError, "`columns`"),
        ({**BATCHES, "columns": 2.0}, TypeError, "`columns`"),
        ({**BATCHES, "samples": None}, ValueError, "`columns` must be None but for the gradients of batches"),
        ({**BATCHES, "role": "forward"}, ValueError, "`columns` must be None but for the gradients of batches"),
    ],
)
def test_an_opening_that_cannot_be_is_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        opening(**wrong)


@given(ranges(), ranges())
def test_two_openings_overlap_where_they_have_a_sample_in_common(a, b):
    is_common = max(a.start, b.start) in a and max(a.start, b.start) in b
    assert opening(samples=a).overlaps(opening(samples=b)) == is_common
    assert opening(samples=a).overlaps(opening(samples=None))
    assert opening(samples=None).overlaps(opening(samples=b))
    assert not opening(samples=a).overlaps(opening(samples=a, data="others"))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {"budget": 3}, r"share a budget, 2 of 4 directions, got 3 of 4; a new budget needs other data"),
        ({}, {"budget": 2, "length": 5}, "got 2 of 5"),
        ({}, {"budget": 3, "role": "projection"}, "share a budget"),
        ({}, {"samples": range(2)}, r"`samples` must be those of another instance .* or none of them"),
        ({"samples": range(4)}, {}, "what is known of a sample could not be told"),
        ({"samples": range(4)}, {"samples": range(3, 5)}, "what is known of a sample could not be told"),
        *[
            ({"role": "gradient", "samples": range(4)}, {"role": "gradient", "samples": samples}, "`samples`")
            for samples in (None, range(3, 7))
        ],
        (BATCHES, {"role": "gradient", "samples": range(6, 10)}, "`samples` must be those of another instance"),
        (BATCHES, {"role": "gradient", "samples": range(4), "length": 4, "budget": 3}, "share a budget"),
        (BATCHES, {"role": "gradient", "samples": range(2), "length": 2}, "`samples` must be those of another"),
        (BATCHES, {"role": "gradient"}, "`samples` must be those of another instance"),
        (BATCHES, {**BATCHES, "samples": range(2, 14)}, "`samples` must be those of another instance"),
    ],
)
def test_instances_that_encrypt_the_same_vectors_have_one_budget(first, second, message):
    books = opened(opening(**first))
    with pytest.raises(ValueError, match=message):
        books.require_room([opening(**second)])
    with pytest.raises(ValueError, match=message):
        Books().require_room([opening(**first), opening(**second)])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"role": "projection"}),
        ({}, {"data": "others", "budget": 3}),
        ({}, {"role": "gradient", "budget": 1}),
        ({}, {"role": "gradient", "samples": range(4)}),
        ({"samples": range(4)}, {"samples": range(4, 8), "budget": 1}),
        ({"role": "gradient", "samples": range(4)}, {"role": "gradient", "samples": range(4, 6), "length": 2}),
        (BATCHES, {**BATCHES, "samples": range(12, 16), "budget": 3}),
    ],
)
def test_instances_that_share_nothing_have_their_own(first, second):
    books = opened(opening(**first), opening(**second))
    assert len(books.counts()) == (2 if "data" in second else 1)


def test_an_instance_is_known_by_all_that_it_is():
    it = opening()
    books = opened(it)
    assert books.opened(it.instance)[0] is it
    for other in (Instance("pads", 4, IntDomain(0, 15)), Instance("pads", 4, IntDomain(0, 14), id=it.instance.id)):
        with pytest.raises(MismatchError, match=f"instance {other.id} is not open at this authority"):
            books.opened(other)
    again = Opening(Instance("ddh", 2, IntDomain(0, 1), id=it.instance.id), 1, "others", "forward")
    with pytest.raises(ValueError, match=f"{it.instance.id} was opened before"):
        books.require_room([again])


@given(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2))
def test_exposure_is_that_of_what_is_known_best(rows, first, second):
    """Of all samples, of a batch alone, or of a batch beside what is known of its samples."""
    forward, batches = opening(5, 3), [opening(2, 2, "images", "gradient", range(at, at + 2)) for at in (0, 2)]
    books = opened(forward, *batches, opening(data="others"))
    for it, rank in zip([forward, *batches], [rows, first, second], strict=True):
        issued(books, it, rank)
    best = max(first, second)
    share = float(known_share(rows, 5, best, 2))
    assert books.exposure("images") == Exposure(rows, 3, rows + first + second, share, best, 2)
    assert books.exposure("others") == Exposure(0, 2)
    assert books.exposure("none") == Exposure()


def test_batches_share_what_is_known_of_their_own_samples_only():
    left, right = opening(4, 4, samples=range(2)), opening(4, 4, samples=range(2, 4))
    batch = opening(2, 2, role="gradient", samples=range(2, 4))
    books = opened(left, right, batch)
    issued(books, left, 3)
    issued(books, batch, 1)
    assert books.exposure("images").known_share == 0.75  # of the left ones
    issued(books, right, 2)
    assert books.exposure("images").known_share == 0.75  # of either: 1 - (1 - 2/4)(1 - 1/2)
    issued(books, right, 3)
    assert Fraction(books.exposure("images").known_share) == Fraction(7, 8)


def test_batches_of_one_instance_have_the_accounts_that_instances_of_their_own_would_have():
    several = opening(**BATCHES)
    alone, others = opening(role="gradient", samples=range(4, 8)), opening(**{**BATCHES, "samples": range(8, 16)})
    books = opened(several, alone, others)
    accounts = accounts_of(books, several)
    assert [account.opening.samples for account in accounts] == [range(4), range(4, 8), range(8, 12)]
    assert accounts_of(books, alone) == accounts[1:2]
    assert accounts_of(books, others)[0] is accounts[2]
    issued(books, several, 2, batch=1)
    issued(books, alone, 1)
    assert [account.span.rank for account in accounts] == [0, 2, 0]
    assert books.exposure("images") == Exposure(0, 0, 3, 0.5, 2, 2)


@given(st.integers(0, 20), st.integers(1, 20))
def test_a_key_is_for_the_vectors_of_one_batch(start, more):
    several, scope = opening(**BATCHES), Scope(b"header", start, start + more)
    batches = {number // 3 for number in range(start, start + more)}
    if len(batches) == 1 and max(batches) < 3:
        assert {several.batch(scope)} == batches
    else:
        with pytest.raises(ValueError, match="`scope` must lie within the vectors of one batch, 3 for each 4 of 12"):
            several.batch(scope)
    with pytest.raises(ValueError, match="`scope` must say which batch's vectors a key is for"):
        several.batch(None)
    assert opening().batch(scope) == 0
