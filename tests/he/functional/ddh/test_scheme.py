import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.functional.ddh import scheme
from he.functional.ddh.group import ORDER, Points, added, joined, multiples, negated, scalar
from he.functional.ddh.objects import DdhCiphertext, DdhFunctionalKey, DdhMasterKey, DdhPublicKey
from he.functional.ddh.scheme import SCHEME, encrypted, inner_products
from he.functional.errors import FunctionalError, MismatchError
from he.functional.instance import Instance
from he.ring.params import ParameterError
from intnn import IntDomain
from tests.he.functional.ddh import curve
from tests.he.functional.made import made, products, vectors


def pairs(scalars: np.ndarray) -> list[list[int]]:
    """Pairs of numbers, as integers."""
    return [[int.from_bytes(bytes(number), "big") for number in pair] for pair in scalars]


def test_public_keys_hide_two_numbers_for_every_element() -> None:
    one = made("ddh", 3)
    h = decompressed(one.public.points.to_bytes()[:33])
    expected = [curve.add(curve.times(s), curve.times(t, h)) for s, t in pairs(one.master.scalars)]
    assert one.public.points.to_bytes() == curve.compressed(h, *expected)


@settings(max_examples=8)
@given(st.integers(1, ORDER - 1), st.lists(st.integers(-8, 8), min_size=2, max_size=2))
def test_a_ciphertext_is_what_the_paper_says(r: int, x: list[int]) -> None:
    one = made("ddh", 2)
    public = [decompressed(one.public.points.to_bytes()[i : i + 33]) for i in range(0, 99, 33)]
    masks = [curve.times(r, point) for point in public]
    rest = [curve.add(mask, curve.times(value)) for mask, value in zip(masks[1:], x, strict=True)]
    small = multiples([scalar(sign * value) for sign in (1, -1) for value in range(1, 9)])
    found = encrypted(one.public.points, np.array(x), small, scalar(r))
    assert found.to_bytes() == curve.compressed(curve.times(r), masks[0], *rest)


def decompressed(data: bytes) -> tuple[int, int]:
    x = int.from_bytes(data[1:], "big")
    y = pow(x**3 + 7, (curve.P + 1) // 4, curve.P)
    return x, y if y % 2 == data[0] % 2 else curve.P - y


@settings(max_examples=40)
@given(st.data())
def test_keys_are_inner_products_modulo_the_order(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 6))
    number = st.sampled_from([0, ORDER - 1]) | st.integers(0, ORDER - 1)
    secret = data.draw(st.lists(st.tuples(number, number), min_size=length, max_size=length))
    element = st.sampled_from([-32767, 32767]) | st.integers(-127, 127)
    y = data.draw(st.lists(st.lists(element, min_size=length, max_size=length), min_size=1, max_size=3))
    scalars = np.frombuffer(b"".join(scalar(v) for pair in secret for v in pair), np.uint8).reshape(length, 2, 32)
    expected = [[sum(a * b[i] for a, b in zip(row, secret, strict=True)) % ORDER for i in range(2)] for row in y]
    assert pairs(inner_products(np.array(y), scalars)) == expected


def test_keys_of_the_longest_vectors_are_exact() -> None:
    length = 65536
    scalars = np.frombuffer(scalar(-1) * 2 * length, np.uint8).reshape(length, 2, 32)
    found = inner_products(np.full((1, length), 32767), scalars)
    assert pairs(found) == [[-32767 * length % ORDER] * 2]
    limbs = np.full_like(scalars, 255)  # beyond the order: every limb as large as can be
    found = inner_products(np.full((1, length), -32767), limbs)
    assert pairs(found) == [[-32767 * length * (2**256 - 1) % ORDER] * 2]


def test_one_key_serves_several_ciphertexts() -> None:
    one = made("ddh")
    x, y = vectors(np.random.default_rng(0), one, samples=4)
    key = SCHEME.derive_key(one.master, y)
    for rows in (x[:1], x[1:]):
        assert one.decrypt(one.encrypt(rows), key).tolist() == products(rows, y)


def test_products_that_cancel_are_zero() -> None:
    one = made("ddh", 2, -5, 5)
    ciphertext = one.encrypt([[3, 3], [0, 0], [-5, 5]])
    y = np.array([[1, -1], [0, 0], [1, 1]])
    assert one.decrypt(ciphertext, one.key(y, ciphertext)).tolist() == [[0, 0, 6], [0, 0, 0], [-10, 0, 0]]


def test_a_product_out_of_range_is_refused() -> None:
    one = made("ddh", 2)
    ciphertext = one.encrypt([[0, 0]])  # 8 below the centre
    key = one.key([[127, 127]], ciphertext)
    assert one.instance.bound == 2 * 8 * 127
    assert one.decrypt(ciphertext, key).tolist() == [[0]]
    last = added(ciphertext.points[3:], multiples([scalar(-1)]))
    beyond = dataclasses.replace(ciphertext, points=joined([ciphertext.points[:3], last]))
    with pytest.raises(MismatchError, match="a product is beyond 2032"):
        one.decrypt(beyond, key)


def test_a_mixed_ciphertext_is_refused() -> None:
    """The points of one vector with the random number of another."""
    one = made("ddh", 2)
    ciphertext = one.encrypt([[1, 2], [1, 2]])
    mixed = joined([ciphertext.points[:2], ciphertext.points[6:]])
    with pytest.raises(MismatchError, match="beyond"):
        one.decrypt(DdhCiphertext(one.instance, mixed), one.key([[3, 4]], ciphertext))


def test_an_element_that_meets_its_own_mask_is_refused() -> None:
    one, r = made("ddh", 1), scalar(5)
    small = negated(multiples([scalar(5 * 7), scalar(-5 * 7)]))
    public = joined([one.public.points[:1], multiples([scalar(7)])])
    with pytest.raises(FunctionalError, match="infinity"):
        encrypted(public, np.array([1]), small, r)


def test_logarithms_must_be_within_reach() -> None:
    widest = Instance("ddh", 1024, IntDomain(-128, 128), 32767)
    assert widest.bound <= 2**32
    SCHEME.setup(dataclasses.replace(widest, length=1, inputs=IntDomain(-128, 255)))
    with pytest.raises(ParameterError, match="must be at most 2\\^32 for logarithms, got up to"):
        SCHEME.setup(dataclasses.replace(widest, length=1025))


def test_too_many_samples_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheme, "MOST_SAMPLES", 2)
    with pytest.raises(ValueError, match="at most 2 samples, got 3"):
        made("ddh", 1).encrypt([[0], [0], [0]])


def test_a_master_key_does_not_show_its_secret() -> None:
    one = made("ddh", 1)
    assert repr(one.master) == f"DdhMasterKey(instance={one.instance!r})"


ZEROS = np.zeros((2, 2, 32), np.uint8)
ORDERS = np.frombuffer(ORDER.to_bytes(32, "big") * 4, np.uint8).reshape(2, 2, 32)


def some(count: int) -> Points:
    return multiples([scalar(1)] * count)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda i: DdhMasterKey(i, ZEROS[:1]), ValueError),
        (lambda i: DdhMasterKey(i, ORDERS), ValueError),
        (lambda i: DdhMasterKey(i, ZEROS.astype(np.int64)), ValueError),
        (lambda i: DdhMasterKey(i, ZEROS.tobytes()), TypeError),
        (lambda i: DdhMasterKey("instance", ZEROS), TypeError),
        (lambda i: DdhMasterKey(dataclasses.replace(i, scheme="pads"), ZEROS), ValueError),
        (lambda i: DdhPublicKey(i, some(2)), ValueError),
        (lambda i: DdhPublicKey(i, ZEROS), TypeError),
        (lambda i: DdhPublicKey(dataclasses.replace(i, scheme="pads"), some(3)), ValueError),
        (lambda i: DdhCiphertext(i, some(0)), ValueError),
        (lambda i: DdhCiphertext(i, some(3)), ValueError),
        (lambda i: DdhCiphertext(i, some(5)), ValueError),
        (lambda i: DdhCiphertext(i, ZEROS), TypeError),
        (lambda i: DdhCiphertext(dataclasses.replace(i, scheme="pads"), some(4)), ValueError),
        (lambda i: DdhFunctionalKey(i, [[1, 2]], ZEROS), ValueError),
        (lambda i: DdhFunctionalKey(i, [[1, 2], [3, 400]], ZEROS), ValueError),
        (lambda i: DdhFunctionalKey(i, [[1, 2], [3, 4]], ORDERS), ValueError),
        (lambda i: DdhFunctionalKey(i, [[1, 2], [3, 4]], None), TypeError),
    ],
)
def test_what_cannot_be_is_not_made(make: Callable[[Instance], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        make(Instance("ddh", 2, IntDomain(0, 15)))


@pytest.mark.slow
def test_a_training_step_on_digits() -> None:
    """The products of a step with 64 hidden units and 32 images: keys for sums, then keys for gradients."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 17, (32, 64))
    for rows in (x, x.T):
        one = made("ddh", rows.shape[1], 0, 16)
        y = np.clip(np.rint(rng.normal(0, 40, (64, rows.shape[1]))), -127, 127).astype(np.int64)
        ciphertext = one.encrypt(rows)
        assert one.decrypt(ciphertext, one.key(y, ciphertext)).tolist() == products(rows, y)
