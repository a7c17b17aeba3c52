"""Owners: what they encrypt lies one behind the other, whose it is and in which order it came."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.formats.messages import Kind, MessageError
from he.functional.errors import MismatchError
from he.functional.messages import seal
from he.functional.parties.owner import Block, Owner, arranged, public_key_from_bytes
from he.functional.schemes import scheme
from tests.he.functional.parties.made import instance

INSTANCE = instance()
MASTER, PUBLIC = scheme("pads").setup(INSTANCE)
OTHER = scheme("pads").setup(instance())[1]


def blocks_of(name, samples, block_samples=4096, public=PUBLIC, first_block=0):
    x = np.zeros((samples, public.instance.length), np.int64)
    return list(Owner(name, public, first_block).encrypt(x, block_samples))


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(1, 9), min_size=1), min_size=1), st.randoms())
def test_blocks_that_arrive_in_any_order_are_arranged(calls, random):
    made = []
    for name, sizes in calls.items():
        owner = Owner(name, PUBLIC.to_bytes())
        for samples in sizes:
            blocks = list(owner.encrypt(np.zeros((samples, 4), int), 4))
            numbers = [block.ciphertext.samples for block in blocks]
            assert numbers == [min(4, samples - at) for at in range(0, samples, 4)]
            made += blocks
    wanted = [block.ciphertext.header for block in made]
    arrived = [Block.from_bytes(block.to_bytes()) for block in made]
    random.shuffle(arrived)
    assert [ciphertext.header for ciphertext in arranged(arrived, list(calls))] == wanted


def test_blocks_are_made_one_by_one_and_numbered_on():
    owner = Owner("Ada", PUBLIC, first_block=7)
    blocks = owner.encrypt(np.zeros((3, 4), int), 2)
    assert [next(blocks).number, next(blocks).number] == [7, 8]
    assert next(owner.encrypt(np.zeros((1, 4), int))).number == 9


@pytest.mark.parametrize(
    ("blocks", "owners", "message"),
    [
        (blocks_of("a", 3, 2)[:1] * 2, ["a"], "block 0 of owner 'a' is there 2 times, or two owners have one name"),
        (blocks_of("a", 1) + blocks_of("a", 1), ["a"], "two owners have one name"),
        (blocks_of("a", 1) + blocks_of("b", 1, public=OTHER), ["a", "b"], "all blocks must belong to one instance"),
        (blocks_of("a", 1), ["a", "b"], "`owners` must name each whose blocks they are once"),
        (blocks_of("a", 1) + blocks_of("b", 1), ["a"], "`owners` must name each"),
        (blocks_of("a", 1), ["a", "a"], "`owners` must name each"),
        (blocks_of("a", 5, 2)[::2], ["a"], r"blocks of owner 'a' are missing, got numbers \[0, 2\]"),
        (blocks_of("a", 1, first_block=1), ["a"], r"blocks of owner 'a' are missing, got numbers \[1\]"),
    ],
)
def test_blocks_that_are_not_all_there_once_are_refused(blocks, owners, message):
    with pytest.raises(MismatchError, match=message):
        arranged(blocks, owners)


def test_what_is_no_block_is_refused():
    block = blocks_of("Ada", 2)[0]
    part = block.ciphertext.to_bytes()
    for at in range(0, len(block.to_bytes()), 11):
        with pytest.raises(MessageError):
            Block.from_bytes(block.to_bytes()[:at])
    for owner, number, parts, of, error, message in [
        ("", 0, [part], INSTANCE, MessageError, "`owner` must be a name"),
        (3, 0, [part], INSTANCE, MessageError, "`owner` must be"),
        ("a", -1, [part], INSTANCE, MessageError, "`number` must lie"),
        ("a", 0, [], INSTANCE, MessageError, "a block must have one part, got 0"),
        ("a", 0, [part, part], INSTANCE, MessageError, "a block must have one part, got 2"),
        ("a", 0, [b"no ciphertext"], INSTANCE, MessageError, "message"),
        (
            "a",
            0,
            [part],
            OTHER.instance,
            MismatchError,
            f"instance {OTHER.instance.id} must hold one of its",
        ),
    ]:
        with pytest.raises(error, match=message):
            Block.from_bytes(seal(Kind.FUNCTIONAL_BLOCK, of, {"owner": owner, "number": number}, parts))


@pytest.mark.parametrize("name", ["pads", "ddh"])
def test_public_keys_are_read_whatever_their_scheme(name):
    public = scheme(name).setup(instance(2, name))[1]
    assert public_key_from_bytes(public.to_bytes()).to_bytes() == public.to_bytes()
    with pytest.raises(MessageError):
        public_key_from_bytes(public.to_bytes()[:-1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Owner("", PUBLIC), ValueError, "`name` must be a name"),
        (lambda: Owner("a\n", PUBLIC), ValueError, "`name` must be a name"),
        (lambda: Owner("a" * 201, PUBLIC), ValueError, "1 to 200 printable letters"),
        (lambda: Owner(b"a", PUBLIC), TypeError, "`name`"),
        (lambda: Owner("a", PUBLIC, -1), ValueError, "`first_block`"),
        (lambda: Owner("a", MASTER.to_bytes()), MessageError, "message"),
        (lambda: Owner("a", PUBLIC).encrypt(np.zeros((1, 4), int), 0), ValueError, "`block_samples`"),
        (lambda: Owner("a", PUBLIC).encrypt(np.zeros((0, 4), int)), ValueError, "`x` must have shape"),
        (lambda: Owner("a", PUBLIC).encrypt([[16, 0, 0, 0]]), ValueError, "`x`"),
        (lambda: Owner("a", PUBLIC).encrypt([[0.5, 0, 0, 0]]), TypeError, "`x`"),
    ],
)
def test_what_cannot_be_encrypted_is_refused_at_once(call, error, message):
    with pytest.raises(error, match=message):
        call()
