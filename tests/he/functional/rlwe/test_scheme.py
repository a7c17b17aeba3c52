"""The lattice scheme at its real sizes: exact in the worst case, and silent never."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.functional.errors import FunctionalError, MismatchError
from he.functional.rlwe import scheme as rlwe
from he.functional.rlwe.gaussian import Source
from he.functional.rlwe.scheme import SCHEME, encrypted
from he.functional.rlwe.types import Block, RlweCiphertext, RlweFunctionalKey, RlweMasterKey, closed
from he.functional.schemes import scheme
from tests.he.functional.made import Made, made, made_for, products, vectors


def test_it_is_found_by_its_name() -> None:
    assert scheme("rlwe") is SCHEME
    assert not SCHEME.keys_are_scoped


@pytest.fixture(scope="module")
def digits() -> Made:
    return made("rlwe", 64, 0, 16)


@pytest.fixture(scope="module")
def small() -> Made:
    """With the smallest ring: 2,048 samples to a block."""
    return made("rlwe", 2, 0, 1, 1)


# The worst case.


@pytest.mark.parametrize(("hi", "kept", "tolerance"), [(15, 2, 0.25), (255, 2, 0.45), (3, 1, 0.25)])
def test_the_largest_products_of_large_vectors_are_exact(hi: int, kept: int, tolerance: float) -> None:
    one, rng = made("rlwe", 784, 0, hi), np.random.default_rng(hi)
    p = one.public.parameters
    assert p.kept == kept
    assert p.tolerance <= tolerance
    signs = rng.choice([-1, 1], (4, 784))
    signs[:2] = [[1], [-1]]
    x = np.where(np.repeat(signs, 2, axis=0) > 0, hi, 0)
    x[1::2] = hi - x[1::2]
    ciphertext, key = one.encrypt(x), one.key(127 * signs, one.encrypt(x))
    found = one.decrypt(ciphertext, key)
    assert found.tolist() == products(x, 127 * signs)
    centred = found - one.instance.centre * 127 * signs.sum(axis=1)
    assert np.abs(centred).max() == one.instance.bound


@settings(max_examples=25)
@given(st.integers(1, 4200), st.data())
def test_samples_of_several_blocks_are_asked_for_from_any_to_any(
    small: Made, samples: int, data: st.DataObject
) -> None:
    x, y = vectors(np.random.default_rng(samples), small, samples, keys=3)
    ciphertext = small.encrypt(x)
    assert len(ciphertext.blocks) == -(-samples // 2048)
    key = small.key(y, ciphertext)
    start = data.draw(st.integers(0, samples - 1))
    stop = data.draw(st.integers(start + 1, samples))
    assert (small.decrypt(ciphertext, key, slice(start, stop)) == x[start:stop] @ y.T).all()
    assert (small.decrypt(ciphertext, key) == x @ y.T).all()


def test_keys_serve_all_ciphertexts_of_an_instance(digits: Made) -> None:
    rng = np.random.default_rng(1)
    _, y = vectors(rng, digits, keys=5)
    key = SCHEME.derive_key(digits.master, y)
    for samples in (1, 70, 200):
        x, _ = vectors(rng, digits, samples)
        assert (digits.decrypt(digits.encrypt(x), key) == x @ y.T).all()


def test_equal_vectors_have_equal_keys_and_keys_add_up(digits: Made) -> None:
    """As it must be for the master key to be known by as many keys as vectors have elements."""
    _, y = vectors(np.random.default_rng(2), digits, keys=2)
    halves = SCHEME.derive_key(digits.master, y // 2)
    together = SCHEME.derive_key(digits.master, (y // 2).sum(axis=0, keepdims=True))
    assert (halves.keys.sum(axis=0) == together.keys[0]).all()
    unit = SCHEME.derive_key(digits.master, np.eye(64, dtype=np.int64))
    assert (unit.keys == digits.master.secrets).all()


# What does not belong together, or is damaged.


@pytest.mark.parametrize("samples", [1, 64, 65])
@pytest.mark.parametrize("name", ["digits", "wide"])
def test_no_key_of_another_authority_ever_decrypts(digits: Made, name: str, samples: int) -> None:
    """For one sample, too, and where more coefficients must be looked at."""
    one = digits if name == "digits" else made("rlwe", 784, 0, 255)
    assert one.public.parameters.checked == (64 if name == "digits" else 256)
    x, y = vectors(np.random.default_rng(3), one, samples, keys=6)
    foreign = SCHEME.derive_key(made_for(one.instance).master, y)
    ciphertext, own = one.encrypt(x), SCHEME.derive_key(one.master, y)
    for i in range(len(y)):
        for part in (slice(0, 1), slice(samples - 1, samples), None):
            mixed = own.keys.copy()
            mixed[i] = foreign.keys[i]
            with pytest.raises(MismatchError, match="of a step from the grid of results, beyond"):
                one.decrypt(ciphertext, RlweFunctionalKey(one.instance, y, mixed), part)


def test_a_key_for_other_vectors_than_it_says_is_refused(digits: Made) -> None:
    x, y = vectors(np.random.default_rng(4), digits)
    ciphertext, key = digits.encrypt(x), SCHEME.derive_key(digits.master, y)
    with pytest.raises(MismatchError, match="from the grid"):
        digits.decrypt(ciphertext, dataclasses.replace(key, y=y[::-1]))


def test_a_damaged_mask_is_refused(digits: Made) -> None:
    x, y = vectors(np.random.default_rng(5), digits)
    ciphertext, key = digits.encrypt(x), SCHEME.derive_key(digits.master, y)
    (block,) = ciphertext.blocks
    mask = block.mask.copy()
    mask[0, 1000] ^= 1
    damaged = RlweCiphertext(digits.instance, 3, (Block(mask, block.rows),))
    with pytest.raises(MismatchError, match="from the grid"):
        digits.decrypt(damaged, key)


@pytest.mark.parametrize("beyond", [17, -1, 200])
def test_products_of_what_is_no_input_are_refused_where_they_are_too_large(digits: Made, beyond: int) -> None:
    x = np.full((2, 64), 16)
    x[1] = beyond
    key = SCHEME.derive_key(digits.master, np.full((1, 64), 1))
    with pytest.raises(MismatchError, match="a product is beyond 512, the largest with its vector"):
        digits.decrypt(encrypted(digits.public, x, Source()), key)


def test_keys_that_are_too_large_are_not_given_away(digits: Made) -> None:
    """Once in 2^64 keys, if secrets are drawn as they must be."""
    bound = digits.master.parameters.secrets.bound
    master = RlweMasterKey(digits.instance, np.full((64, 4096), bound, np.int32))
    with pytest.raises(FunctionalError, match="draw the master key again"):
        SCHEME.derive_key(master, np.full((1, 64), 127))
    small = SCHEME.derive_key(master, np.eye(64, dtype=np.int64)[:1])
    assert (small.keys == bound).all()


def test_a_request_does_not_take_all_memory(digits: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rlwe, "MOST_COEFFICIENTS", 2 * 4096)
    y = np.eye(64, dtype=np.int64)
    assert len(SCHEME.derive_key(digits.master, y[:2]).keys) == 2
    with pytest.raises(ValueError, match="`y` must have at most 2 vectors, got 3; make several requests"):
        SCHEME.derive_key(digits.master, y[:3])


def test_no_key_without_elements_of_the_instance(digits: Made) -> None:
    """A vector of zeros has a key, which shows nothing."""
    x, _ = vectors(np.random.default_rng(6), digits)
    key = SCHEME.derive_key(digits.master, np.zeros((1, 64), np.int64))
    assert not key.keys.any()
    assert digits.decrypt(digits.encrypt(x), key).tolist() == [[0]] * 3


# The types.


def test_types_hold_what_kernels_can_read(digits: Made) -> None:
    x, y = vectors(np.random.default_rng(7), digits)
    ciphertext, key = digits.encrypt(x), SCHEME.derive_key(digits.master, y)
    (block,) = ciphertext.blocks
    wrong = [
        (digits.master, "secrets", digits.master.secrets[:, ::2]),
        (digits.master, "secrets", digits.master.secrets.astype(np.int64)),
        (digits.master, "secrets", np.asfortranarray(digits.master.secrets)),
        (digits.public, "b", digits.public.b[:-1]),
        (digits.public, "b", digits.public.b[:, :1]),
        (digits.public, "seed", bytes(63)),
        (ciphertext, "samples", 65),
        (ciphertext, "samples", 0),
        (ciphertext, "samples", 5000),
        (ciphertext, "blocks", ()),
        (ciphertext, "blocks", (block, block)),
        (ciphertext, "blocks", (Block(block.mask[0], block.rows),)),
        (ciphertext, "blocks", (Block(block.mask, block.rows[..., :32].copy()),)),
        (key, "keys", key.keys[:1]),
        (key, "keys", key.keys.view(np.uint64)),
        (key, "y", y[:1]),
        (key, "y", y + 128),
    ]
    for thing, name, value in wrong:
        with pytest.raises(ValueError, match="must"):
            dataclasses.replace(thing, **{name: value})
    for thing, name, value in [(digits.master, "secrets", [1]), (digits.public, "seed", "a" * 64), (key, "keys", None)]:
        with pytest.raises(TypeError, match=name):
            dataclasses.replace(thing, **{name: value})
    for thing in (digits.master, digits.public, ciphertext, key):
        with pytest.raises(ValueError, match="scheme"):
            dataclasses.replace(thing, instance=dataclasses.replace(digits.instance, scheme="pads"))
        with pytest.raises(TypeError, match="store its bytes"):
            thing.__reduce_ex__(2)


def test_arrays_in_them_are_read_only(digits: Made) -> None:
    x, y = vectors(np.random.default_rng(8), digits)
    ciphertext, key = digits.encrypt(x), SCHEME.derive_key(digits.master, y)
    (block,) = ciphertext.blocks
    for array in (digits.master.secrets, digits.public.a, digits.public.b, block.mask, block.rows, key.y, key.keys):
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert not closed(np.zeros(1)).flags.writeable
