"""Keys for several special primes as they travel: what was written is read, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.formats import hybrid
from he.formats.seal_bridge import SealDataError
from he.formats.seal_bytes import CiphertextArray, expanded
from he.kernels.passes.evaluate import inverse
from he.kernels.tables.chain import chain
from he.ring.gadget import Gadget
from he.ring.packed import word_bits
from he.ring.primes import ntt_primes
from he.ring.scheme import Scheme

N = 1024
CHAIN = ntt_primes((36, 22, 50, 30, 41), N)
SCHEMES = st.sampled_from(list(Scheme))


@st.composite
def gadgets(draw):
    level = draw(st.integers(1, len(CHAIN) - 1))
    return Gadget(N, CHAIN, level, draw(st.integers(1, len(CHAIN) - level)))


def digits_of(gadget, scheme, seed=0):
    rng = np.random.default_rng(seed)
    rows = [[[rng.integers(0, p, N, np.uint64) for p in gadget.primes]] for _ in gadget.groups]
    seeds = rng.integers(0, 2**64, (len(rows), 8), np.uint64)
    return [CiphertextArray(np.array(r), scheme.ntt_form, 1.0, s) for r, s in zip(rows, seeds, strict=True)]


@settings(max_examples=25)
@given(gadgets(), SCHEMES, st.integers(0, 2**32))
def test_a_key_is_read_as_it_was_written(gadget, scheme, seed):
    digits = digits_of(gadget, scheme, seed)
    data = hybrid.write(digits, gadget, scheme)
    assert len(data) == hybrid.key_bytes(gadget) == len(digits) * (sum(map(word_bits, gadget.primes)) * N // 8 + 64)
    found = hybrid.read(data, gadget, scheme)
    assert found.shape == (len(digits), 2, len(gadget.primes), N)
    tables = chain(N, gadget.primes).tables
    if not scheme.ntt_form:
        for digit, half, prime in np.ndindex(found.shape[:3]):
            inverse(tables, found[digit, half, prime], prime)
    for key, digit in zip(found, digits, strict=True):
        assert np.array_equal(key[0], digit.residues[0])
        # The seed names rows of all primes, of which the gadget's are taken.
        whole = expanded(replace(digit, residues=np.zeros((1, len(CHAIN), N), np.uint64)), CHAIN)
        assert np.array_equal(key[1], whole.residues[1, list(gadget.indices)])


@settings(max_examples=15)
@given(st.lists(st.tuples(st.sampled_from([1, 3, 2047]), gadgets()), max_size=4), SCHEMES)
def test_keys_one_behind_the_other_are_read_one_by_one(keys, scheme):
    parts = [hybrid.write(digits_of(gadget, scheme, i), gadget, scheme) for i, (_, gadget) in enumerate(keys)]
    data = b"".join(parts)
    found = list(hybrid.read_all(data, keys, scheme))
    assert [(element, gadget) for element, gadget, _ in found] == keys
    for (_, gadget, key), part in zip(found, parts, strict=True):
        assert np.array_equal(key, hybrid.read(part, gadget, scheme))
    for wrong in (data + b"\0", data[:-1], data[64:]):
        if len(wrong) != len(data):
            with pytest.raises(SealDataError, match=rf"{len(keys)} keys must have {len(data)} bytes, got {len(wrong)}"):
                list(hybrid.read_all(wrong, keys, scheme))


@settings(max_examples=60)
@given(gadgets(), SCHEMES, st.data())
def test_damaged_bytes_are_read_as_a_key_or_refused(gadget, scheme, data):
    whole = bytearray(hybrid.write(digits_of(gadget, scheme), gadget, scheme))
    kind = data.draw(st.sampled_from(["cut", "longer", "flip"]))
    if kind == "cut":
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    elif kind == "longer":
        damaged = whole + data.draw(st.binary(min_size=1, max_size=80))
    else:
        damaged = whole
        for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=20)):
            damaged[place] ^= data.draw(st.integers(1, 255))
    try:
        found = hybrid.read(bytes(damaged), gadget, scheme)
    except SealDataError:
        return
    assert kind == "flip"
    assert (found < np.array(gadget.primes, np.uint64)[:, None]).all()
    assert found.shape == (len(gadget.groups), 2, len(gadget.primes), N)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_every_digit_must_have_residues_below_their_primes(scheme):
    gadget = Gadget(N, CHAIN, 3, 2)
    sound = hybrid.write(digits_of(gadget, scheme), gadget, scheme)
    form = hybrid.digit_form(gadget, scheme)
    starts = np.cumsum([0, *(word_bits(p) * N // 8 for p in gadget.primes)])[:-1]
    for digit in range(len(gadget.groups)):
        for start in starts:
            data, place = bytearray(sound), digit * form.bytes + start
            data[place : place + 8] = b"\xff" * 8
            with pytest.raises(SealDataError, match="below their primes"):
                hybrid.read(bytes(data), gadget, scheme)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_only_digits_of_the_gadget_are_written(scheme):
    gadget = Gadget(N, CHAIN, 3, 2)
    digits = digits_of(gadget, scheme)
    for wrong in (digits[:1], [*digits, digits[0]], []):
        with pytest.raises(SealDataError, match="a key for 2 digits must have as many"):
            hybrid.write(wrong, gadget, scheme)
    first = digits[0]
    for change in (
        {"residues": first.residues[:, :-1]},
        {"residues": np.concatenate([first.residues] * 2)},
        {"ntt": not first.ntt},
        {"seed": None},
    ):
        with pytest.raises(SealDataError, match="it must have the form"):
            hybrid.write([replace(first, **change), digits[1]], gadget, scheme)
