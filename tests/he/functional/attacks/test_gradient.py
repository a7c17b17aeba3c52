import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.functional.attacks.elimination import rank
from he.functional.attacks.gradient import images_from_gradient
from he.functional.attacks.seen import Seen
from intnn.testing import int_arrays
from intnn.values.domain import IntDomain
from tests.he.functional.attacks.victims import images_of, training


@given(st.data())
def test_confirmed_images_are_right(data) -> None:
    units, batch, features = (data.draw(st.integers(1, 5)) for _ in range(3))
    errors = data.draw(int_arrays((units, batch), -127, 127))
    images = data.draw(int_arrays((batch, features), -8, 7))
    rebuilt = images_from_gradient(Seen(errors, (errors @ images).T, IntDomain(-8, 7)))
    assert np.array_equal(rebuilt.images[rebuilt.confirmed], images[rebuilt.confirmed])
    assert rebuilt.confirmed.all() == (rank(errors) == batch)
    assert rebuilt.images.min() >= -8
    assert rebuilt.images.max() <= 7


def test_the_first_gradient_gives_every_image_where_units_are_as_many_as_the_batch() -> None:
    images, labels, *_ = images_of("digits", 16)
    for sight in training(images, labels, 16, units=64, batch=32, updates=2)[:1]:
        assert rank(sight.gradient.keys) == 32
        rebuilt = images_from_gradient(sight.gradient)
        assert rebuilt.confirmed.all()
        assert np.array_equal(rebuilt.images, images[:32])


def test_a_gradient_of_fewer_units_leaves_most_of_its_batch_undetermined() -> None:
    images, labels, *_ = images_of("digits", 16)
    (sight,) = training(images, labels, 16, units=16, batch=32, updates=1)
    assert rank(sight.gradient.keys) <= 16
    rebuilt = images_from_gradient(sight.gradient)
    assert rebuilt.confirmed.sum() <= 16
    right = (rebuilt.images == images[:32]).all(axis=1)
    assert right[rebuilt.confirmed].all()
    assert not right.all()


def test_another_gradient_is_no_gradient_of_images() -> None:
    errors = np.array([[1, 0], [0, 2]])
    with pytest.raises(ValueError, match="come from"):
        images_from_gradient(Seen(errors, [[3, 5]], IntDomain(0, 7)))
