import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.formats.messages import Kind, MessageError, open_message, seal_message
from he.functional.errors import MismatchError
from he.functional.instance import Instance
from he.functional.pads import objects, scheme
from he.functional.pads.objects import PadsCiphertext, PadsFunctionalKey, PadsMasterKey, PadsPublicKey
from he.functional.pads.scheme import SCHEME
from he.functional.pads.words import pads
from he.functional.scheme import Scope
from he.ring.params import ParameterError
from intnn import IntDomain
from tests.he.functional.made import Made, instances, made, made_for, matrices, products, vectors


def scoped(one: Made, y: np.ndarray, header: bytes, start: int, stop: int) -> PadsFunctionalKey:
    return SCHEME.derive_key(one.master, y, Scope(header, start, stop))


@given(st.data())
def test_a_ciphertext_is_a_pad_and_the_data(data: st.DataObject) -> None:
    """Whatever the data are: were the pad random, so would be the ciphertext."""
    one = made_for(data.draw(instances("pads")))
    x, _ = data.draw(matrices(one.instance))
    ciphertext = one.encrypt(x)
    pad = ciphertext.words - (x - one.instance.centre).astype(np.uint32)
    assert pad.ravel().tolist() == pads(one.master.shared(ciphertext.header), 0, x.size).tolist()


@given(st.data())
def test_a_key_follows_from_the_ciphertext_and_the_products(data: st.DataObject) -> None:
    """So it tells nothing beside the products: this is the simulator of the proof, in Python integers."""
    one = made_for(data.draw(instances("pads")))
    x, y = data.draw(matrices(one.instance))
    ciphertext = one.encrypt(x)
    known = products(ciphertext.words, y)
    centred = products(x - one.instance.centre, y)
    simulated = [[(a - b) % 2**32 for a, b in zip(*rows, strict=True)] for rows in zip(known, centred, strict=True)]
    assert (one.key(y, ciphertext).pads.astype(np.int64) % 2**32).tolist() == simulated


def test_no_pad_is_used_twice() -> None:
    one = made("pads", 8)
    x = np.zeros((64, 8), np.int64)
    drawn = [one.encrypt(x) for _ in range(3)]
    assert len({c.header for c in drawn}) == 3
    words = np.concatenate([c.words.ravel() for c in drawn])
    assert len(set(words.tolist())) > len(words) - 3  # three alike pairs among 1,536 words: a chance of 2^-38


def test_words_may_lie_at_any_byte_of_a_message() -> None:
    one = made("pads", 3)
    x, y = vectors(np.random.default_rng(0), one)
    ciphertext = one.encrypt(x)
    parts = ciphertext, one.key(y, ciphertext)
    for start in range(4):
        moved = (memoryview(bytes(start) + part.to_bytes())[start:] for part in parts)
        read = [type(part).from_bytes(data) for part, data in zip(parts, moved, strict=True)]
        assert one.decrypt(*read).tolist() == products(x, y)


@pytest.mark.parametrize("block", [1, 16, 40, 1 << 16])
def test_blocks_do_not_change_what_comes_out(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    one = made("pads", 7)
    x, y = vectors(np.random.default_rng(0), one, samples=23, keys=5)
    ciphertext = one.encrypt(x)
    key = scoped(one, y, ciphertext.header, 3, 20)
    monkeypatch.setattr(scheme, "_BLOCK_WORDS", block)
    assert scoped(one, y, ciphertext.header, 3, 20).pads.tolist() == key.pads.tolist()
    for cipher in (ciphertext, one.encrypt(x)):
        other = scoped(one, y, cipher.header, 3, 20)
        assert one.decrypt(cipher, other, slice(5, 19)).tolist() == products(x, y)[5:19]


def test_a_key_stays_as_it_was_made() -> None:
    one = made("pads")
    x, y = vectors(np.random.default_rng(0), one)
    for key in (made_key := one.key(y, one.encrypt(x)), type(made_key).from_bytes(made_key.to_bytes())):
        for part in (key.y, key.pads):
            with pytest.raises(ValueError, match="cannot set WRITEABLE"):
                part.setflags(write=True)


@given(st.integers(0, 6), st.integers(1, 7), st.integers(0, 6), st.integers(1, 7))
def test_keys_hold_for_their_scope_alone(start: int, stop: int, first: int, last: int) -> None:
    start, stop = sorted((start, stop)) if start != stop else (start - 1, stop)
    first, last = sorted((first, last)) if first != last else (first - 1, last)
    one = made("pads")
    x, y = vectors(np.random.default_rng(0), one, samples=7)
    ciphertext = one.encrypt(x)
    key = scoped(one, y, ciphertext.header, start, stop)
    if start <= first and last <= stop:
        assert one.decrypt(ciphertext, key, slice(first, last)).tolist() == products(x, y)[first:last]
    else:
        with pytest.raises(MismatchError, match=f"the key is for samples {start} to {stop}"):
            one.decrypt(ciphertext, key, slice(first, last))


def test_all_samples_are_more_than_a_scope_of_some() -> None:
    one = made("pads")
    x, y = vectors(np.random.default_rng(0), one)
    ciphertext = one.encrypt(x)
    with pytest.raises(MismatchError, match="samples 0 to 3"):
        one.decrypt(ciphertext, scoped(one, y, ciphertext.header, 0, 2))


def test_a_key_for_another_ciphertext_is_refused() -> None:
    one = made("pads")
    x, y = vectors(np.random.default_rng(0), one)
    first, second = one.encrypt(x), one.encrypt(x)
    with pytest.raises(MismatchError, match=f"of ciphertext {first.header.hex()}"):
        one.decrypt(second, one.key(y, first))
    forged = dataclasses.replace(one.key(y, first), scope=Scope(second.header, 0, 3))
    with pytest.raises(MismatchError, match="beyond"):
        one.decrypt(second, forged)


@pytest.mark.parametrize(("change", "largest"), [(1, 24), (-1, 4064), (2**30, 4064), (-(2**30), 4064)])
def test_a_product_out_of_range_is_refused(change: int, largest: int) -> None:
    one = made("pads")
    ciphertext = one.encrypt([[0, 0, 0, 0]])  # 8 below the centre
    key = one.key(np.array([[127, 127, 127, 127], [-1, -1, 0, -1]]), ciphertext)
    assert one.decrypt(ciphertext, key).tolist() == [[0, 0]]  # both as far from zero as their vectors allow
    further = dataclasses.replace(key, pads=key.pads - np.int32(change))  # wraps
    with pytest.raises(MismatchError, match=f"a product is beyond {largest}, the largest with its vector"):
        one.decrypt(ciphertext, further)


SCOPES: list[tuple[Callable[[bytes], object], type[Exception]]] = [
    (lambda header: Scope(header, 2, 2), ValueError),
    (lambda header: Scope(header, 2, 1), ValueError),
    (lambda header: Scope(header, -1, 1), ValueError),
    (lambda header: Scope(header, 0, 2**30 + 1), ValueError),
    (lambda header: Scope(header[:-1], 0, 1), ValueError),
    (lambda header: Scope(header + b"0", 0, 1), ValueError),
    (lambda header: Scope(b"", 0, 1), ValueError),
    (lambda header: None, ValueError),
    (lambda header: Scope(header.hex(), 0, 1), TypeError),
    (lambda header: Scope(header, 0.0, 1), TypeError),
    (lambda header: Scope(header, 0, True), TypeError),
    (lambda header: (header, 0, 1), TypeError),
    (lambda header: Scope(bytes(32), 0, 1), MismatchError),
]


@pytest.mark.parametrize(("scope", "error"), SCOPES)
def test_scopes_that_cannot_be_are_refused(scope: Callable[[bytes], object], error: type[Exception]) -> None:
    one = made("pads")
    with pytest.raises(error):
        SCHEME.derive_key(one.master, [[1, 2, 3, 4]], scope(one.encrypt([[0, 0, 0, 0]]).header))


def test_a_public_key_of_small_order_is_refused() -> None:
    with pytest.raises(MismatchError, match="small order"):
        SCHEME.encrypt(PadsPublicKey(made("pads").instance, bytes(32)), [[0, 0, 0, 0]])


def test_products_must_fit_words() -> None:
    widest = Instance("pads", 65536, IntDomain(-1, 1), 32767)
    assert widest.bound < 2**31
    one, x = made_for(widest), np.ones((1, 65536), np.int64)
    y = np.array([[32767] * 65536, [-32767] * 65536])
    ciphertext = one.encrypt(x)
    assert one.decrypt(ciphertext, one.key(y, ciphertext)).tolist() == [[32767 * 65536, -32767 * 65536]]
    with pytest.raises(ParameterError, match="must be below 2\\^31 for pads, got up to 2147483648"):
        SCHEME.setup(Instance("pads", 65536, IntDomain(0, 255), 256))


def test_more_samples_than_a_pad_has_words_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheme, "MAX_WORDS", 4 * 5)
    one = made("pads")
    assert one.encrypt(np.zeros((5, 4), np.int64)).samples == 5
    with pytest.raises(ValueError, match="at most 5 samples, got 6"):
        one.encrypt(np.zeros((6, 4), np.int64))


def test_a_master_key_remembers_a_bounded_number_of_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_REMEMBERED", 2)
    one = made("pads")
    x, y = vectors(np.random.default_rng(0), one)
    drawn = [one.encrypt(x) for _ in range(5)]
    for ciphertext in (*drawn, *drawn):
        assert one.decrypt(ciphertext, one.key(y, ciphertext)).tolist() == products(x, y)
        assert len(one.master._shared) <= 2


def test_a_master_key_does_not_show_its_secret() -> None:
    one = made("pads")
    one.key([[1, 2, 3, 4]], one.encrypt([[0, 0, 0, 0]]))
    assert repr(one.master) == f"PadsMasterKey(instance={one.instance!r})"


WORDS = np.zeros((2, 4), np.uint32)
SUMS = np.zeros((2, 1), np.int32)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda i: PadsMasterKey(i, bytes(31)), ValueError),
        (lambda i: PadsMasterKey(i, "s" * 32), TypeError),
        (lambda i: PadsMasterKey("instance", bytes(32)), TypeError),
        (lambda i: PadsMasterKey(dataclasses.replace(i, scheme="ddh"), bytes(32)), ValueError),
        (lambda i: PadsPublicKey(i, bytes(33)), ValueError),
        (lambda i: PadsPublicKey(dataclasses.replace(i, scheme="ddh"), bytes(32)), ValueError),
        (lambda i: PadsCiphertext(i, bytes(1), WORDS), ValueError),
        (lambda i: PadsCiphertext(i, bytes(32), WORDS.astype(np.int32)), ValueError),
        (lambda i: PadsCiphertext(i, bytes(32), WORDS[:, :3]), ValueError),
        (lambda i: PadsCiphertext(i, bytes(32), WORDS[:0]), ValueError),
        (lambda i: PadsCiphertext(i, bytes(32), WORDS.tolist()), TypeError),
        (lambda i: PadsCiphertext(dataclasses.replace(i, scheme="ddh"), bytes(32), WORDS), ValueError),
        (lambda i: PadsFunctionalKey(i, [[1, 2, 3, 4]], Scope(bytes(32), 0, 3), SUMS), ValueError),
        (lambda i: PadsFunctionalKey(i, [[1, 2, 3, 400]], Scope(bytes(32), 0, 2), SUMS), ValueError),
        (lambda i: PadsFunctionalKey(i, [[1, 2, 3, 4]], None, SUMS), ValueError),
        (lambda i: PadsFunctionalKey(i, [[1, 2, 3, 4]], Scope(bytes(32), 0, 2), SUMS.astype(np.int64)), ValueError),
    ],
)
def test_what_cannot_be_is_not_made(make: Callable[[Instance], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        make(Instance("pads", 4, IntDomain(0, 15)))


@given(st.integers(0, 1 << 47), st.integers(0, 3), st.integers(1, 4))
def test_a_ciphertext_begins_at_the_number_that_it_was_made_for(first: int, start: int, more: int) -> None:
    one = made("pads", 3)
    x, y = vectors(np.random.default_rng(0), one, samples=7)
    ciphertext = SCHEME.encrypt(one.public, x, first)
    assert PadsCiphertext.from_bytes(ciphertext.to_bytes()).first == first
    pad = ciphertext.words - (x - one.instance.centre).astype(np.uint32)
    assert pad.ravel().tolist() == pads(one.master.shared(ciphertext.header), 3 * first, x.size).tolist()
    scope = ciphertext.scope(start, start + more)
    assert scope == Scope(ciphertext.header, first + start, first + start + more)
    key = SCHEME.derive_key(one.master, y, scope)
    assert SCHEME.decrypt(ciphertext, key, slice(start, start + more)).tolist() == products(x, y)[start : start + more]


def test_a_ciphertext_that_begins_at_the_first_number_has_the_bytes_of_one_without_numbers() -> None:
    one = made("pads", 3)
    fields, parts = open_message(Kind.FUNCTIONAL_CIPHERTEXT, one.encrypt([[1, 2, 3]]).to_bytes())
    assert fields.keys() == {"instance", "samples"}
    for first in (0, -1, 1.0, True, 1 << 48):
        with pytest.raises(MessageError):
            PadsCiphertext.from_bytes(seal_message(Kind.FUNCTIONAL_CIPHERTEXT, {**fields, "first": first}, parts))
    for first, error in ((-1, ValueError), (1 << 48, ValueError), (1.0, TypeError)):
        with pytest.raises(error, match="`first`"):
            SCHEME.encrypt(one.public, [[1, 2, 3]], first)
