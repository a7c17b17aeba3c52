"""Images and logits in files: what is read is what was written."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from he import InputError
from he.stages.images import read_images, write_logits

LARGE = [[3 << 90, -(1 << 80) - 1], [0, (1 << 63) + 1]]


@pytest.mark.parametrize(
    "logits", [np.array([[2**62 + 1, -3]]), np.array([[0.1, -1e300]]), np.array([[1 / 3, 2.0]], np.float32)]
)
def test_numbers_are_there_again(tmp_path, logits):
    write_logits(tmp_path / "logits.npy", logits)
    found = np.load(tmp_path / "logits.npy")
    assert found.dtype == logits.dtype
    assert (found == logits).all()
    write_logits(tmp_path / "logits.txt", logits)
    assert (np.loadtxt(tmp_path / "logits.txt", logits.dtype, ndmin=2) == logits).all()


def test_integers_beyond_int64_have_all_digits_as_text_and_are_rounded_as_an_array(tmp_path):
    logits = np.array(LARGE, object)
    write_logits(tmp_path / "logits.txt", logits)
    rows = (tmp_path / "logits.txt").read_text().splitlines()
    assert [[int(number) for number in row.split()] for row in rows] == LARGE
    with pytest.warns(UserWarning, match="rounded to float64; text has all digits"):
        write_logits(tmp_path / "logits.npy", logits)
    found = np.load(tmp_path / "logits.npy", allow_pickle=False)
    assert found.tolist() == [[float(number) for number in row] for row in LARGE]


def test_python_integers_that_int64_holds_are_not_rounded(tmp_path):
    """As a network that is computed modulo several primes gives them, whose other logits may be longer."""
    logits = np.array([[(1 << 63) - 1, -(1 << 63)]], object)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_logits(tmp_path / "logits.npy", logits)
    found = np.load(tmp_path / "logits.npy", allow_pickle=False)
    assert found.dtype == np.int64
    assert found.tolist() == logits.tolist()


def test_logits_are_written_where_the_warning_is_an_error(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="rounded"):
            write_logits(tmp_path / "logits.npy", np.array(LARGE, object))
    assert np.load(tmp_path / "logits.npy").shape == (2, 2)


def spec_of(*shape):
    return SimpleNamespace(shape=shape)  # all that is read of an input


@pytest.mark.parametrize(
    ("shape", "stored"),
    [
        ((1, 4, 4), (3, 1, 4, 4)),
        ((1, 4, 4), (3, 4, 4)),  # without the axis of one channel
        ((1, 4, 4), (3, 16)),
        ((1, 4, 4), (1, 4, 4)),  # one image alone
        ((1, 4, 4), (16,)),
        ((5,), (5, 1)),  # as text with a number to a line
        ((5,), (3, 5)),
        ((5,), (5,)),
        ((1,), (3,)),
        ((1,), (3, 1)),
    ],
)
def test_images_lie_in_an_array_of_their_shape_or_in_rows(tmp_path, shape, stored):
    values = np.random.default_rng(0).random(stored)
    np.save(tmp_path / "images.npy", values)
    found = read_images(tmp_path / "images.npy", spec_of(*shape))
    assert found.shape[1:] == shape
    assert found.ravel().tolist() == values.ravel().tolist()
    np.savetxt(tmp_path / "images.txt", found.reshape(len(found), -1))
    assert read_images(tmp_path / "images.txt", spec_of(*shape)).tolist() == found.tolist()


@pytest.mark.parametrize(
    ("shape", "stored"),
    [
        ((1, 4, 4), (2, 1, 8, 8)),  # as many values as eight images
        ((1, 4, 4), (2, 64)),
        ((1, 4, 4), (32,)),
        ((1, 4, 4), (1, 2, 8)),
        ((3, 4, 4), (2, 4, 4, 3)),  # channels last
        ((6,), (4, 3)),
        ((6,), (2, 2, 3)),
        ((5,), ()),
    ],
)
def test_arrays_of_another_shape_are_no_images(tmp_path, shape, stored):
    np.save(tmp_path / "images.npy", np.zeros(stored))
    with pytest.raises(InputError, match=r"must hold images \[n, .* or as rows of text: an array of shape"):
        read_images(tmp_path / "images.npy", spec_of(*shape))


def test_rows_of_text_with_too_many_numbers_are_no_images(tmp_path):
    np.savetxt(tmp_path / "images.txt", np.zeros((2, 32)))
    with pytest.raises(InputError, match=r"an array of shape \(2, 32\)"):
        read_images(tmp_path / "images.txt", spec_of(1, 4, 4))
