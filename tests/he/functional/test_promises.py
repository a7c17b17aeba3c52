"""What every scheme of functional encryption promises, tried on all of them."""

import copy
import dataclasses
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.formats.messages import Kind, MessageError, open_message, seal_message
from he.functional.errors import MismatchError
from he.functional.instance import SCHEMES, Instance
from he.functional.scheme import Scope
from intnn import IntDomain
from tests.he.functional.made import Made, instances, made, made_for, matrices, products, vectors

KINDS = {
    "master_key": Kind.FUNCTIONAL_MASTER,
    "public_key": Kind.FUNCTIONAL_PUBLIC,
    "ciphertext": Kind.FUNCTIONAL_CIPHERTEXT,
    "functional_key": Kind.FUNCTIONAL_KEY,
}


@pytest.fixture(scope="module", params=SCHEMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def one(name: str) -> Made:
    return made(name)


@pytest.fixture(scope="module")
def things(one: Made) -> dict[str, object]:
    """One of each type, of one instance."""
    x, y = vectors(np.random.default_rng(1), one)
    ciphertext = one.encrypt(x)
    key = one.key(y, ciphertext)
    return {"master_key": one.master, "public_key": one.public, "ciphertext": ciphertext, "functional_key": key}


@settings(max_examples=30)
@given(st.data())
def test_products_are_exact(name: str, data: st.DataObject) -> None:
    one = made_for(data.draw(instances(name)))
    x, y = data.draw(matrices(one.instance))
    ciphertext = one.encrypt(x)
    found = one.decrypt(ciphertext, one.key(y, ciphertext))
    assert found.dtype == np.int64
    assert found.tolist() == products(x, y)


@pytest.mark.parametrize("domain", [IntDomain(0, 15), IntDomain(-128, 255), IntDomain(200, 255), IntDomain(-1, 0)])
def test_the_largest_products_are_exact(name: str, domain: IntDomain) -> None:
    one = made(name, 8, domain.lo, domain.hi)
    x = np.array([[end] * 8 for end in (domain.lo, domain.hi)])
    y = np.array([[sign * 127] * 8 for sign in (1, -1)])
    ciphertext = one.encrypt(x)
    found = one.decrypt(ciphertext, one.key(y, ciphertext))
    assert found.tolist() == products(x, y)


def test_vectors_of_keys_may_lie_in_any_order(one: Made) -> None:
    x, y = vectors(np.random.default_rng(6), one, keys=5)
    ciphertext = one.encrypt(x)
    for given_y in (y, np.asfortranarray(y), np.repeat(y, 2, axis=1)[:, ::2], y[::-1].copy()[::-1], y.astype("i2")):
        key = one.key(given_y, ciphertext)
        assert one.decrypt(ciphertext, key).tolist() == products(x, y)
        assert type(key).from_bytes(key.to_bytes()).y.tolist() == key.y.tolist() == y.tolist()


def test_all_crosses_as_bytes(one: Made, things: dict[str, object]) -> None:
    read = {}
    for which, thing in things.items():
        data = thing.to_bytes()
        kind = getattr(one.scheme.types, which)
        read[which] = kind.from_bytes(data)
        assert isinstance(thing, kind)
        assert read[which].instance == one.instance
        assert read[which].to_bytes() == data
    x, y = vectors(np.random.default_rng(1), one)
    there = Made(one.scheme, one.instance, read["master_key"], read["public_key"])
    for ciphertext in (things["ciphertext"], read["ciphertext"]):
        for key in (read["functional_key"], there.key(y, ciphertext)):
            assert there.decrypt(ciphertext, key).tolist() == products(x, y)
    assert read["ciphertext"].header == things["ciphertext"].header
    assert read["ciphertext"].samples == 3
    assert read["functional_key"].y.tolist() == y.tolist()
    assert not read["functional_key"].y.flags.writeable


def test_changing_what_was_given_changes_nothing(one: Made) -> None:
    x, y = vectors(np.random.default_rng(2), one)
    expected, given_x, given_y = products(x, y), x.copy(), y.copy()
    ciphertext = one.encrypt(given_x)
    key = one.key(given_y, ciphertext)
    given_x[:], given_y[:] = 0, 0
    assert key.y.tolist() == y.tolist()
    assert one.decrypt(ciphertext, key).tolist() == expected


def test_one_key_serves_any_samples_that_it_holds_for(one: Made, things: dict[str, object]) -> None:
    x, y = vectors(np.random.default_rng(1), one)
    expected = np.array(products(x, y))
    for samples in (slice(0, 1), slice(1, 3), slice(2, None), slice(-1, None), slice(None, -1), None):
        found = one.decrypt(things["ciphertext"], things["functional_key"], samples)
        assert found.tolist() == expected[samples or slice(None)].tolist()


@pytest.mark.parametrize("samples", [slice(0, 0), slice(2, 1), slice(0, 4), slice(3, 4), slice(-4, 2), slice(0, 3, 2)])
def test_samples_that_there_are_not_are_refused(one: Made, things: dict[str, object], samples: slice) -> None:
    with pytest.raises(ValueError, match="samples"):
        one.decrypt(things["ciphertext"], things["functional_key"], samples)


@pytest.mark.parametrize("samples", [2, "0:2", slice(0.0, 1.0)])
def test_samples_are_a_slice_of_integers(one: Made, things: dict[str, object], samples: object) -> None:
    with pytest.raises(TypeError):
        one.decrypt(things["ciphertext"], things["functional_key"], samples)


def test_vectors_of_keys_may_be_asked_for_one_by_one(one: Made) -> None:
    x, y = vectors(np.random.default_rng(3), one, keys=3)
    ciphertext = one.encrypt(x)
    single = [one.decrypt(ciphertext, one.key(row[None], ciphertext)) for row in y]
    assert np.hstack(single).tolist() == products(x, y)


def test_no_two_ciphertexts_or_instances_are_alike(one: Made) -> None:
    x, _ = vectors(np.random.default_rng(4), one)
    assert one.encrypt(x).to_bytes() != one.encrypt(x).to_bytes()
    master, public = one.scheme.setup(one.instance)
    assert master.to_bytes() != one.master.to_bytes()
    assert public.to_bytes() != one.public.to_bytes()


def test_a_master_key_is_neither_copied_nor_pickled(one: Made) -> None:
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            way(one.master)


# What does not belong together.


def test_what_belongs_to_another_instance_is_refused(one: Made, things: dict[str, object]) -> None:
    x, y = vectors(np.random.default_rng(5), one)
    other = made_for(dataclasses.replace(one.instance, id="0" * 32))
    ciphertext = other.encrypt(x)
    key = other.key(y, ciphertext)
    with pytest.raises(MismatchError, match="instance"):
        one.decrypt(things["ciphertext"], key)
    with pytest.raises(MismatchError, match="instance"):
        one.decrypt(ciphertext, things["functional_key"])


@pytest.mark.parametrize("change", [{"length": 5}, {"inputs": IntDomain(0, 14)}, {"key_limit": 126}])
def test_an_instance_under_the_id_of_another_is_refused(one: Made, things: dict[str, object], change: dict) -> None:
    other = made_for(dataclasses.replace(one.instance, **change))
    x, y = vectors(np.random.default_rng(6), other)
    with pytest.raises(MismatchError, match="instance"):
        one.decrypt(other.encrypt(x), things["functional_key"])
    with pytest.raises(MismatchError, match="instance"):
        one.decrypt(things["ciphertext"], other.key(y, things["ciphertext"]))


def test_a_key_of_another_authority_under_a_forged_id_is_refused(one: Made) -> None:
    x, y = vectors(np.random.default_rng(7), one, samples=4, keys=4)
    ciphertext, forger = one.encrypt(x), made_for(one.instance)
    with pytest.raises(MismatchError):
        one.decrypt(ciphertext, forger.key(y, ciphertext))


def test_what_another_scheme_made_is_refused(one: Made, things: dict[str, object]) -> None:
    other = made("pads" if one.scheme.name == "ddh" else "ddh")
    x, y = vectors(np.random.default_rng(8), other)
    ciphertext = other.encrypt(x)
    with pytest.raises(TypeError, match="ciphertext"):
        one.decrypt(ciphertext, things["functional_key"])
    with pytest.raises(TypeError, match="key"):
        one.decrypt(things["ciphertext"], other.key(y, ciphertext))
    with pytest.raises(TypeError, match="public_key"):
        one.scheme.encrypt(other.public, x)
    with pytest.raises(TypeError, match="master_key"):
        one.scheme.derive_key(other.master, y)


def test_an_instance_of_another_scheme_is_refused(one: Made) -> None:
    other = dataclasses.replace(one.instance, scheme="pads" if one.scheme.name == "ddh" else "ddh")
    with pytest.raises(ValueError, match="scheme"):
        one.scheme.setup(other)
    with pytest.raises(TypeError, match="Instance"):
        one.scheme.setup("instance")


# Vectors and scopes.

NOT_INTEGERS = [
    [[1.0, 2.0, 3.0, 4.0]],
    [[float("nan"), 1.0, 2.0, 3.0]],
    [[True, False, True, True]],
    [["a", "b", "c", "d"]],
    np.empty((0, 4)),
]
NO_VECTORS = [np.empty((0, 4), np.int64), [1, 2, 3, 4], [[1, 2, 3]], [[1, 2, 3, 4, 5]], [[[1, 2, 3, 4]]], 3]


@pytest.mark.parametrize("values", NOT_INTEGERS, ids=repr)
def test_what_holds_no_integers_is_refused(one: Made, things: dict[str, object], values: object) -> None:
    with pytest.raises(TypeError, match="`x`"):
        one.encrypt(values)
    with pytest.raises(TypeError, match="`y`"):
        one.key(values, things["ciphertext"])


@pytest.mark.parametrize("values", NO_VECTORS, ids=repr)
def test_what_has_another_shape_is_refused(one: Made, things: dict[str, object], values: object) -> None:
    with pytest.raises(ValueError, match="`x`"):
        one.encrypt(values)
    with pytest.raises(ValueError, match="`y`"):
        one.key(values, things["ciphertext"])


@pytest.mark.parametrize("value", [-1, 16, 2**40, -(2**63)])
def test_inputs_outside_the_domain_are_refused(one: Made, value: int) -> None:
    with pytest.raises(ValueError, match=r"`x` must lie in \[0, 15\]"):
        one.encrypt([[0, 1, 2, value]])


@pytest.mark.parametrize("value", [-128, 128, 2**40, -(2**63)])
def test_keys_beyond_the_limit_are_refused(one: Made, things: dict[str, object], value: int) -> None:
    with pytest.raises(ValueError, match=r"`y` must lie in \[-127, 127\]"):
        one.key([[0, 1, 2, value]], things["ciphertext"])


def test_scopes_are_asked_for_where_keys_have_one(one: Made) -> None:
    _, y = vectors(np.random.default_rng(9), one)
    scope = None if one.scheme.keys_are_scoped else Scope(b"header", 0, 1)
    with pytest.raises(ValueError, match="scope"):
        one.scheme.derive_key(one.master, y, scope)


def test_ciphertexts_have_a_header_where_keys_are_scoped(one: Made, things: dict[str, object]) -> None:
    header = things["ciphertext"].header
    assert bool(header) == one.scheme.keys_are_scoped
    assert len(header) <= 64


# Bytes.


def kind_of(one: Made, which: str) -> Callable[[bytes], object]:
    return getattr(one.scheme.types, which).from_bytes


@pytest.mark.parametrize("which", KINDS)
def test_a_damaged_message_is_refused(one: Made, things: dict[str, object], which: str) -> None:
    data, read, rng = things[which].to_bytes(), kind_of(one, which), np.random.default_rng(10)
    for place in rng.integers(0, len(data), 40).tolist():
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        for wrong in (bytes(damaged), data[:place], data[:place] + b"x" + data[place:]):
            with pytest.raises(MessageError):
                read(wrong)
    with pytest.raises(TypeError):
        read(data.decode("latin-1"))


@pytest.mark.parametrize("which", KINDS)
def test_a_message_of_another_kind_is_refused(one: Made, things: dict[str, object], which: str) -> None:
    for other, thing in things.items():
        if other != which:
            with pytest.raises(MessageError, match="kind"):
                kind_of(one, which)(thing.to_bytes())


@pytest.mark.parametrize("which", KINDS)
def test_parts_of_other_lengths_are_refused(one: Made, things: dict[str, object], which: str) -> None:
    """Their digest is right."""
    fields, parts = open_message(KINDS[which], things[which].to_bytes())
    for i, part in enumerate(map(bytes, parts)):
        for other in ([part[:-1]], [part + b"\0"], [part * 2], [part, part], []):
            changed = [piece for piece in (*parts[:i], *other, *parts[i + 1 :]) if len(piece)]
            with pytest.raises(MessageError):
                kind_of(one, which)(seal_message(KINDS[which], fields, changed))


@pytest.mark.parametrize("which", KINDS)
def test_a_header_that_does_not_fit_its_parts_is_refused(one: Made, things: dict[str, object], which: str) -> None:
    fields, parts = open_message(KINDS[which], things[which].to_bytes())
    changes = [{**fields, "more": 1}, {name: value for name, value in fields.items() if name != "instance"}]
    changes += [{**fields, "instance": {**fields["instance"], "length": length}} for length in (0, -4, 65537)]
    changes += [{**fields, "instance": value} for value in ({}, None, [], "instance")]
    changes += [{**fields, "instance": {**fields["instance"], "scheme": other}} for other in (*SCHEMES, "lwe", 3)]
    for name in fields.keys() - {"instance"}:
        changes += [{**fields, name: value} for value in (-1, fields[name] + 64, 2**40, 2**62, 1.0, None, "1")]
    for changed in changes:
        if changed != fields:
            with pytest.raises(MessageError):
                kind_of(one, which)(seal_message(KINDS[which], changed, parts))


@pytest.mark.parametrize("which", KINDS)
@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 65536])
def test_vectors_of_another_length_are_refused(one: Made, things: dict[str, object], which: str, length: int) -> None:
    """As bytes, unless all instances have keys of one size: then the key is none of this instance."""
    fields, parts = open_message(KINDS[which], things[which].to_bytes())
    message = seal_message(KINDS[which], {**fields, "instance": {**fields["instance"], "length": length}}, parts)
    if one.scheme.name == "pads" and which in ("master_key", "public_key"):
        assert kind_of(one, which)(message).instance != one.instance
    else:
        with pytest.raises(MessageError):
            kind_of(one, which)(message)


def test_vectors_beyond_the_limit_are_refused_in_bytes_too(one: Made) -> None:
    y = np.full((1, 4), 127)
    key = one.key(y, one.encrypt([[1, 2, 3, 4]]))
    fields, parts = open_message(Kind.FUNCTIONAL_KEY, key.to_bytes())
    lower = {**fields, "instance": {**fields["instance"], "key_limit": 126}}
    with pytest.raises(MessageError):
        kind_of(one, "functional_key")(seal_message(Kind.FUNCTIONAL_KEY, lower, parts))


def test_instances_are_compared_as_a_whole(one: Made) -> None:
    assert one.public.instance == Instance(one.scheme.name, 4, IntDomain(0, 15), 127, one.instance.id)
