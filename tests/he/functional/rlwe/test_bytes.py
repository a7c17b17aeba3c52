"""The bytes of the lattice scheme: packed without gaps, and within their ranges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.formats.messages import Kind, MessageError, open_message, seal_message
from he.functional.rlwe import parameters as module
from he.functional.rlwe.types import Block, RlweCiphertext, RlweFunctionalKey, RlweMasterKey, RlwePublicKey
from he.functional.scheme import Bound
from tests.he.functional.made import Made, made, vectors


@pytest.fixture(scope="module")
def one() -> Made:
    return made("rlwe", 3)


def parts_of(thing: Bound) -> list[bytes]:
    data = thing.to_bytes()
    return [bytes(part) for part in open_message(Kind(data[6:7]), data)[1]]


def test_what_is_packed_has_as_many_bits_as_it_needs(one: Made) -> None:
    p = one.public.parameters
    x, y = vectors(np.random.default_rng(1), one, samples=70, keys=2)
    ciphertext, key = one.encrypt(x), one.scheme.derive_key(one.master, y)
    bits, kept = (sum(q.bit_length() for q in primes) for primes in (p.primes, p.kept_primes))
    assert list(map(len, parts_of(one.public))) == [64, 3 * p.N * bits // 8]
    assert list(map(len, parts_of(ciphertext))) == [p.N * kept // 8, 3 * 128 * kept // 8]
    assert list(map(len, parts_of(one.master))) == [3 * p.N * (2 * p.secrets.bound + 1).bit_length() // 8]
    assert list(map(len, parts_of(key))) == [2 * 2 * 3, 2 * p.N * (2 * p.key_bound + 1).bit_length() // 8]


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 64, 65, 4096, 4097]))
def test_extreme_values_cross_as_they_are(one: Made, seed: int, samples: int) -> None:
    rng, p, instance = np.random.default_rng(seed), one.public.parameters, one.instance

    def extremes(bound: int, *shape: int) -> np.ndarray:
        return rng.choice([-bound, 0, bound], shape)

    def residues(primes: tuple[int, ...], *shape: int) -> np.ndarray:
        rows = [rng.choice(np.array([0, 1, q // 2, q - 1], np.uint64), (shape[0], shape[1])) for q in primes]
        return np.stack(rows, axis=1)

    master = RlweMasterKey(instance, extremes(p.secrets.bound, 3, p.N).astype(np.int32))
    assert (RlweMasterKey.from_bytes(master.to_bytes()).secrets == master.secrets).all()
    public = RlwePublicKey(instance, rng.bytes(64), residues(p.primes, 3, p.N))
    found = RlwePublicKey.from_bytes(public.to_bytes())
    assert (found.b == public.b).all()
    assert (found.a == public.a).all()
    counts = [min(p.N, samples - at) for at in range(0, samples, p.N)]
    blocks = [
        Block(residues(p.kept_primes, 1, p.N)[0], residues(p.kept_primes, 3, p.coefficients(count))) for count in counts
    ]
    read = RlweCiphertext.from_bytes(RlweCiphertext(instance, samples, tuple(blocks)).to_bytes())
    assert read.samples == samples
    for ours, theirs in zip(blocks, read.blocks, strict=True):
        assert (ours.mask == theirs.mask).all()
        assert (ours.rows == theirs.rows).all()
    key = RlweFunctionalKey(instance, extremes(127, 2, 3), extremes(p.key_bound, 2, p.N))
    again = RlweFunctionalKey.from_bytes(key.to_bytes())
    assert (again.keys == key.keys).all()
    assert (again.y == key.y).all()


def test_what_is_out_of_its_range_is_refused(one: Made) -> None:
    """Parts in which all bits are set: no residue of a prime, and no integer within a bound."""
    x, y = vectors(np.random.default_rng(2), one)
    for thing, at, match in (
        (one.public, 1, "below their primes"),
        (one.encrypt(x), 0, "below their primes"),
        (one.encrypt(x), 1, "below their primes"),
        (one.master, 0, r"within \+-"),
        (one.scheme.derive_key(one.master, y), 1, r"within \+-"),
    ):
        data = thing.to_bytes()
        fields, parts = open_message(Kind(data[6:7]), data)
        changed = [bytes(part) for part in parts]
        for wrong in (b"\xff" * len(changed[at]), changed[at][:-8] + b"\xff" * 8):
            message = seal_message(Kind(data[6:7]), fields, [*changed[:at], wrong, *changed[at + 1 :]])
            with pytest.raises(MessageError, match=match):
                type(thing).from_bytes(message)


def test_integers_beyond_their_bounds_are_refused(one: Made) -> None:
    """Kernels and messages would hold others in their place: 2^31 - 1 as -1, in limbs of secrets up to 2^16."""
    p, instance, y = one.public.parameters, one.instance, np.array([[127, 0, 0]])
    for bound, kind, make in (
        (p.secrets.bound, np.int32, lambda secrets: RlweMasterKey(instance, secrets)),
        (p.key_bound, np.int64, lambda keys: RlweFunctionalKey(instance, y, keys)),
    ):
        for beyond in (bound + 1, -bound - 1, np.iinfo(kind).max, np.iinfo(kind).min):
            integers = np.zeros((3 if kind is np.int32 else 1, p.N), kind)
            integers[0, -1] = beyond
            with pytest.raises(ValueError, match=rf"must lie within \+-{bound}, got larger ones"):
                make(integers)


def test_an_instance_without_parameters_is_refused(one: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    data = one.public.to_bytes()
    monkeypatch.setattr(module, "RING_DEGREES", (1024,))
    monkeypatch.setattr(module, "_derived", module._derived.__wrapped__)
    with pytest.raises(MessageError, match="holds what cannot be: no ring"):
        RlwePublicKey.from_bytes(data)


def test_nothing_is_made_of_parts_for_other_instances(one: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """The most samples that a header can claim are not even listed."""
    fields, parts = open_message(Kind.FUNCTIONAL_CIPHERTEXT, one.encrypt([[1, 2, 3]]).to_bytes())
    claimed = seal_message(Kind.FUNCTIONAL_CIPHERTEXT, {**fields, "samples": 1 << 32}, parts)
    with pytest.raises(MessageError, match=f"{1 << 32} samples must have two parts for every"):
        RlweCiphertext.from_bytes(claimed)
    unpacked = []
    monkeypatch.setattr("he.functional.rlwe.types.unpacked", lambda *given: unpacked.append(given))
    fields["samples"] = 65
    with pytest.raises(MessageError, match="the parts of the message must have"):
        RlweCiphertext.from_bytes(seal_message(Kind.FUNCTIONAL_CIPHERTEXT, fields, parts))
    assert not unpacked
