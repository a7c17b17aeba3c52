"""Logits in files: what is read again is what was written."""

import warnings

import numpy as np
import pytest

from he.stages.images import write_logits

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
