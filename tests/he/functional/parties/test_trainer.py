"""The trainer's side: exact products of any range of samples, of whichever owners they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.functional.errors import BudgetError, MismatchError
from he.functional.parties import trainer
from he.functional.parties.authority import Authority
from he.functional.parties.owner import Owner, arranged
from he.functional.parties.trainer import Products
from he.functional.schemes import scheme
from tests.he.functional.parties.made import instance


class Asked:
    """An authority that keeps what it was asked."""

    def __init__(self, authority):
        self.authority, self.requests = authority, []

    def issue(self, request):
        self.requests.append(request)
        return self.authority.issue(request)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    with Authority(tmp_path_factory.mktemp("authority") / "journal") as authority:
        yield authority


def made(authority, name, sizes, budget=3, length=3, block_samples=4):
    """Products of several owners' samples, and the samples in the clear."""
    it = instance(length, name)
    public = authority.open(it, budget, it.id)
    x = np.random.default_rng(1).integers(0, 16, (sum(sizes), length))
    blocks, at = [], 0
    for number, samples in enumerate(sizes):
        blocks += Owner(f"owner {number}", public.to_bytes()).encrypt(x[at : at + samples], block_samples)
        at += samples
    asked = Asked(authority)
    names = [f"owner {number}" for number in range(len(sizes))]
    return x, asked, Products(asked, public.instance, arranged(blocks[::-1], names))


def test_places_of_samples_are_found_again_and_forgotten(authority, monkeypatch):
    monkeypatch.setattr(trainer, "_REMEMBERED", 3)
    x, asked, them = made(authority, "pads", [5, 3, 2])
    y = np.eye(3, dtype=np.int64)
    ranges = [(0, 10), (4, 6), (9, 10), (0, 10), (1, 2), (4, 6), (0, 1)]
    for start, stop in ranges:
        assert them.products(y, start, stop).tolist() == (x[start:stop] @ y.T).tolist()
        with pytest.raises(TypeError, match="`start`"):
            them.products(y, float(start), stop)
    assert len(asked.requests) == 4 + 2 + 1 + 4 + 1 + 2 + 1  # a key for every block


@settings(max_examples=60)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 3), st.data())
def test_products_are_exact_whichever_samples_they_are_of(authority, sizes, keys, data):
    x, asked, them = made(authority, "pads", sizes)
    assert them.samples == len(x)
    issued = 0
    for _ in range(2):
        start = data.draw(st.integers(0, len(x) - 1))
        stop = data.draw(st.integers(start + 1, len(x)))
        y = np.array(data.draw(st.lists(st.lists(st.integers(-127, 127), min_size=3, max_size=3), min_size=keys)))
        asked.requests.clear()
        products = them.products(y, start, stop)
        assert products.dtype == np.int64
        assert products.tolist() == (x[start:stop] @ y.T).tolist()
        issued += sum(len(request.y) for request in asked.requests)
        assert them.keys_issued == issued
        scopes = [request.scope for request in asked.requests]
        assert sum(scope.stop - scope.start for scope in scopes) == stop - start  # and of nothing else
        assert len({scope.header for scope in scopes}) == len(scopes)


@pytest.mark.parametrize("name", ["rlwe", "ddh"])
def test_keys_that_hold_for_all_samples_are_asked_for_once(authority, name):
    x, asked, them = made(authority, name, [3, 6], length=2, budget=2)
    y = np.array([[1, -127], [127, 127], [0, 0]])
    assert them.products(y, 1, 9).tolist() == (x[1:9] @ y.T).tolist()
    assert [request.scope for request in asked.requests] == [None]
    assert them.keys_issued == 3


def test_refused_keys_are_not_counted(authority):
    _, _, them = made(authority, "pads", [2], budget=1)
    them.products([[1, 0, 0]], 0, 1)
    with pytest.raises(BudgetError):
        them.products([[0, 1, 0]], 0, 1)
    assert them.keys_issued == 1


def test_samples_that_are_not_there_are_refused(authority):
    _, _, them = made(authority, "pads", [5, 1])
    for start, stop, error in [(-1, 2, ValueError), (2, 2, ValueError), (0, 7, ValueError), (0, 2.0, TypeError)]:
        with pytest.raises(error, match=r"`start`|`stop`"):
            them.products([[1, 0, 0]], start, stop)
    with pytest.raises(ValueError, match="`y`"):
        them.products([[1, 0]], 0, 1)
    assert them.keys_issued == 0


def test_ciphertexts_may_come_one_by_one(authority):
    public = authority.open(it := instance(), 1, it.id)
    blocks = Owner("Ada", public).encrypt([[1, 2, 3, 4]] * 3, 2)
    them = Products(authority, it, (block.ciphertext for block in blocks))
    assert them.samples == 3
    assert them.products([[1, 0, 0, 1]], 1, 3).tolist() == [[5], [5]]


def test_ciphertexts_of_another_instance_or_none_are_refused(authority):
    public, other = (scheme("pads").setup(instance())[1] for _ in range(2))
    block = next(Owner("Ada", other).encrypt([[0, 0, 0, 0]]))
    with pytest.raises(MismatchError, match=f"instance {public.instance.id} .* got one of {other.instance.id}"):
        Products(authority, public.instance, [block.ciphertext])
    with pytest.raises(TypeError, match="`ciphertexts` must be a PadsCiphertext, got Block"):
        Products(authority, other.instance, [block])
    with pytest.raises(ValueError, match="`ciphertexts` must be one or more, got none"):
        Products(authority, public.instance, [])
