import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.functional.attacks.seen import Rebuilt, Seen, nearest
from intnn.testing import int_arrays
from intnn.values.domain import IntDomain

KEYS = np.array([[1, -2, 3], [0, 5, -7]])
BITS = IntDomain(0, 1)


def test_what_was_seen_is_read_only_and_comes_back_from_storage() -> None:
    seen = Seen(KEYS, [[2, 5]], BITS)
    assert not seen.keys.flags.writeable
    assert not seen.products.flags.writeable
    again = pickle.loads(pickle.dumps(seen))
    assert np.array_equal(again.keys, KEYS)
    assert again.inputs == BITS


@pytest.mark.parametrize(
    ("keys", "products", "inputs", "error", "words"),
    [
        (KEYS, [[1, 2, 3]], BITS, ValueError, r"`products` must have shape \[samples, 2\], got \[1, 3\]"),
        (KEYS, [1, 2], BITS, ValueError, "`products` must have shape"),
        (KEYS, np.zeros((0, 2), int), BITS, ValueError, "`products` must have shape"),
        (KEYS[0], [[1]], BITS, ValueError, "`keys` must have shape"),
        (KEYS[:, :0], [[0, 0]], BITS, ValueError, "`keys` must have shape"),
        (np.ones((1, 2**16 + 1), int), [[0]], BITS, ValueError, "`keys` must have shape"),
        ([[32768]], [[0]], BITS, ValueError, "`keys` must lie in"),
        (KEYS * 1.0, [[1, 2]], BITS, TypeError, "`keys` must hold integers"),
        (KEYS, [[1.0, 2.0]], BITS, TypeError, "`products` must hold integers"),
        (KEYS, [[1, 2]], IntDomain(0, 256), ValueError, "`inputs` must lie in"),
    ],
)
def test_what_does_not_fit_is_refused(keys, products, inputs, error, words) -> None:
    with pytest.raises(error, match=words):
        Seen(keys, products, inputs)


@given(st.data())
def test_agreement_is_that_of_python_integers(data) -> None:
    n, length, samples = (data.draw(st.integers(1, 4)) for _ in range(3))
    keys = data.draw(int_arrays((n, length), -32767, 32767))
    images = data.draw(int_arrays((samples, length), -128, 255))
    products = [[sum(int(a) * int(b) for a, b in zip(x, y, strict=True)) for y in keys] for x in images]
    wrong = np.array(products)
    touched = data.draw(st.integers(0, samples - 1))
    wrong[touched, data.draw(st.integers(0, n - 1))] += data.draw(st.sampled_from([-1, 1]))
    assert Seen(keys, products, IntDomain(-128, 255)).agrees(images).all()
    assert Seen(keys, wrong, IntDomain(-128, 255)).agrees(images).tolist() == [i != touched for i in range(samples)]


def test_the_largest_products_agree_to_the_unit() -> None:
    keys, images = np.full((1, 2**16), 32767), np.full((1, 2**16), 255)
    product = 2**16 * 32767 * 255
    assert Seen(keys, [[product]], IntDomain(0, 255)).agrees(images).all()
    assert not Seen(keys, [[product - 1]], IntDomain(0, 255)).agrees(images).any()


def test_estimates_are_rounded_into_the_domain() -> None:
    seen = Seen([[1, 1]], [[2], [1]], IntDomain(0, 2))
    rebuilt = nearest(seen, np.array([[1.4, 0.6], [-3.0, 9.0]]))
    assert rebuilt.images.tolist() == [[1, 1], [0, 2]]
    assert rebuilt.confirmed.tolist() == [True, False]


@pytest.mark.parametrize("confirmed", [[True], [1, 0], [[True, True]]])
def test_every_image_is_confirmed_or_not(confirmed) -> None:
    with pytest.raises(ValueError, match="a bool for each"):
        Rebuilt(np.zeros((2, 3), int), confirmed)
