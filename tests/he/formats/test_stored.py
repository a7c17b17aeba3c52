"""Files of arrays: read whole, or mapped; written piece by piece."""

import tracemalloc

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from he.formats import stored
from he.formats.stored import ALIGNMENT, StoredError

ARRAYS = st.dictionaries(
    st.text("abc", min_size=1, max_size=3),
    st.sampled_from(stored.TYPES).flatmap(
        lambda dtype: arrays(
            dtype, array_shapes(min_dims=0, min_side=0), elements={"allow_nan": False} if "f" in dtype else None
        )
    ),
    max_size=4,
)


@given(ARRAYS, st.dictionaries(st.text(max_size=5), st.integers(-5, 5)))
def test_what_is_written_is_read_and_mapped(tmp_path_factory, content_arrays, content) -> None:
    path = tmp_path_factory.mktemp("stored") / "file"
    stored.write(path, "kind", content, content_arrays)
    data = path.read_bytes()
    assert blake3(data[:-32]).digest() == data[-32:]
    for read in (stored.read, stored.mapped):
        found, again = read(path, "kind")
        assert found == content
        assert again.keys() == content_arrays.keys()
        for name, array in content_arrays.items():
            assert again[name].dtype == array.dtype
            assert np.array_equal(again[name], array)
            assert not again[name].size or again[name].ctypes.data % ALIGNMENT == 0
            assert not again[name].flags.writeable


def test_arrays_in_any_order_of_memory(tmp_path) -> None:
    square = np.arange(12).reshape(3, 4)
    given_ = {"turned": square.T, "apart": square[:, ::2], "foreign": square.astype(">i8")}
    stored.write(tmp_path / "file", "kind", {}, given_)
    for read in (stored.read, stored.mapped):
        for name, array in read(tmp_path / "file", "kind")[1].items():
            assert np.array_equal(array, given_[name])


@pytest.mark.parametrize(
    ("version", "remedy"), [(2, "reads 3: make it anew$"), (4, "use a newer toolkit, or make it anew with this one")]
)
def test_another_version_is_named_before_anything_else(tmp_path, version, remedy, monkeypatch) -> None:
    path = tmp_path / "file"
    stored.write(path, "kind", {}, {"a": np.arange(100)})
    data = bytearray(path.read_bytes())
    data[8] = version
    path.write_bytes(data[:-9])
    monkeypatch.setattr(stored, "MAX_FILE_BYTES", 100)
    with pytest.raises(StoredError, match=remedy):
        stored.read(path, "kind", "make it anew")


def file_of(path, header) -> None:
    """A file with this header and no arrays, its digest right."""
    header += b" " * (-(20 + len(header)) % ALIGNMENT)
    data = b"HECIRC\0\0" + (3).to_bytes(4, "little") + len(header).to_bytes(8, "little") + header
    path.write_bytes(data + blake3(data).digest())


ITEMS = [
    b"[]",
    b"{}",
    b"[0]",
    b'{"":0}',
    b'{"":{}}',
    b"[[]]",
    b'{"":[]}',
    b'"ab"',
    b"300",
    b"[300,[]]",
    b'{"":{"":{}}}',
]


@pytest.mark.parametrize("item", ITEMS)
def test_a_header_takes_at_most_32_times_its_bytes_of_memory(tmp_path, item) -> None:
    """Python makes 64 bytes of the two of an empty list. As many of them as are allowed stand between spaces."""
    count, path = 50_000, tmp_path / "file"
    header = b'{"kind":"kind","arrays":[],"content":{"":[%s]}}'
    file_of(path, header % b",".join([item] * count))
    if (lists := item.count(b"[") + item.count(b"{")) * 8 > len(item) + 1:
        with pytest.raises(
            StoredError, match=rf"at most a list or an object for every 8 bytes, got {count * lists + 4}"
        ):
            stored.read(path, "kind")
        item += b" " * (8 * lists - len(item) - 1)
        file_of(path, header % b",".join([item] * count))
    tracemalloc.start()
    stored.read(path, "kind")
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 32 * path.stat().st_size


def test_what_would_not_be_read_is_not_written(tmp_path) -> None:
    with pytest.raises(StoredError, match="must have at most a list or an object"):
        stored.write(tmp_path / "file", "kind", {"": [[]] * 10_000}, {})
    assert not (tmp_path / "file").exists()


def test_a_mapped_file_is_checked_but_for_its_arrays(tmp_path) -> None:
    path = tmp_path / "file"
    stored.write(path, "kind", {}, {"a": np.arange(100)})
    data = bytearray(path.read_bytes())
    with pytest.raises(StoredError, match="not a other"):
        stored.mapped(path, "other")
    data[-100] ^= 1
    path.write_bytes(data)
    assert not np.array_equal(stored.mapped(path, "kind")[1]["a"], np.arange(100))
    with pytest.raises(StoredError, match="damaged"):
        stored.read(path, "kind")
    for wrong in (data[:50], data[:-64], b"", b"x" * 200, data[:8] + b"\7" + data[9:]):
        path.write_bytes(wrong)
        with pytest.raises(StoredError):
            stored.mapped(path, "kind")
