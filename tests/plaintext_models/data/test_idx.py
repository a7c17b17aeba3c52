"""The IDX parser against files that are right and files that are wrong in one way each."""

import gzip
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plaintext_models.data import idx
from plaintext_models.data.errors import DatasetError


def encode(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@given(
    array=hnp.arrays(np.uint8, hnp.array_shapes(max_dims=4, max_side=6, min_side=0)),
    compressed=st.booleans(),
)
def test_reads_what_was_written(tmp_path_factory, array, compressed):
    path = tmp_path_factory.mktemp("idx") / ("a.gz" if compressed else "a")
    path.write_bytes(gzip.compress(encode(array)) if compressed else encode(array))
    np.testing.assert_array_equal(idx.read(path, array.ndim), array)


GOOD = encode(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"\x00\x00\x0d\x03" + GOOD[4:], "must start with 00000803"),
        (b"\x00\x00\x08\x01" + GOOD[4:], "must start with 00000803"),
        (b"PK\x03\x04", "must start with 00000803"),
        (GOOD[:11], "truncated inside its header"),
        (GOOD[:-1], r"truncated: \(2, 3, 4\) needs 24 bytes of data, got 23"),
        (GOOD + b"\x00", "longer than its header says"),
        (GOOD[:4] + b"\xff" * 12 + GOOD[16:], f"truncated.*needs {math.prod([2**32 - 1] * 3)} bytes"),
    ],
)
def test_refuses(tmp_path, content, message):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message) as error:
        idx.read(path, 3)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    "damage", [lambda z: b"no gzip" + z, lambda z: z[:-9], lambda z: z[:20] + b"\xff" * 8 + z[28:]]
)
def test_refuses_damaged_gzip(tmp_path, damage):
    path = tmp_path / "a.gz"
    path.write_bytes(damage(gzip.compress(GOOD)))
    with pytest.raises(DatasetError, match=r"a\.gz"):
        idx.read(path, 3)


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        idx.read(tmp_path / "absent", 1)


def test_refuses_a_decompression_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "MAX_BYTES", 10)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(GOOD))
    with pytest.raises(DatasetError, match="at most 10 bytes"):
        idx.read(path, 3)
