"""The file format of circuits and prepared circuits: a JSON header, and arrays that are used where they lie.

A file holds, in this order: magic (6 bytes and 2 of padding), version (4 bytes), length of the header (8), header,
arrays, and the digest of all before it (`he.formats.digest`). Every array begins at a multiple of 64 bytes. The header
states the kind of the file, its content, and the name, type, shape and offset of every array. Numbers are
little-endian.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from he.formats.digest import DIGEST_BYTES, hasher
from he.formats.header import parsed
from he.formats.limits import require_at_most
from intnn.storage.document import file_path, write_atomically

MAGIC = b"HECIRC"
VERSION = 3
ALIGNMENT = 64
MAX_HEADER_BYTES = 1 << 28
MAX_FILE_BYTES = 1 << 33
SPARE_LISTS, LIST_BYTES = 1000, 8  # lists and objects that a header may have, and one more for so many bytes of it
TYPES = ("uint8", "int32", "int64", "uint64", "float64")
_PREFIX = struct.Struct("<6s2xIQ")


class StoredError(ValueError):
    """A stored file is damaged, foreign, too large, of another version, circuit or engine, or not for this machine."""


def write(
    path: str | os.PathLike[str], kind: str, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write a file, whole or not at all.

    Args:
        path: the file.
        kind: the kind of the file, which `read` checks.
        content: any content that JSON can hold.
        arrays: arrays of the types in `TYPES`, by name.

    Raises:
        StoredError: if the machine is big-endian, or `read` would refuse the file: it is too large, or an array is of
            another type.
        OSError: if the file cannot be written; a file that was there stays as it was.
    """
    _require_little_endian()
    places, at = [], 0
    for name, array in arrays.items():
        if array.dtype.name not in TYPES:
            raise StoredError(f"array `{name}` must be of a type among {', '.join(TYPES)}, got {array.dtype}")
        places.append(at)
        at += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    table = [[name, a.dtype.name, a.shape, at] for (name, a), at in zip(arrays.items(), places, strict=True)]
    header = json.dumps({"kind": kind, "content": dict(content), "arrays": table}, separators=(",", ":")).encode()
    header += b" " * (-(_PREFIX.size + len(header)) % ALIGNMENT)
    size = _PREFIX.size + len(header) + at
    _require_sizes(path, len(header), size + DIGEST_BYTES)
    _require_few_lists(path, header)
    pieces: list[bytes | memoryview] = [_PREFIX.pack(MAGIC, VERSION, len(header)), header]
    for array in arrays.values():  # which lie in the pieces, and are not copied
        little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
        pieces += [little.reshape(-1).view(np.uint8).data, bytes(-array.nbytes % ALIGNMENT)]
    hashed = hasher()
    for piece in pieces:
        hashed.update(piece)
    write_atomically(file_path(path), *pieces, hashed.digest())


def read(
    path: str | os.PathLike[str], kind: str, again: str = "store it again"
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the content and the arrays of a file; the arrays are read-only and not copied.

    Args:
        path: the file.
        kind: the kind that it must have.
        again: what can be done about a file of another version.

    Raises:
        StoredError: if the file is damaged, foreign, or of another kind or version, or the machine is big-endian.
        OSError: if the file cannot be read.
    """
    _require_little_endian()
    with file_path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _PREFIX.size + DIGEST_BYTES:
            raise StoredError(f"{path} is too short for a stored circuit: it was truncated, or is another file")
        _require_version(path, file.read(_PREFIX.size), again)
        _require_sizes(path, 0, size)
        file.seek(0)
        data = _aligned(size)
        if file.readinto(data) != size:
            raise StoredError(f"{path} became shorter while it was read; read it again")
    data = data.toreadonly()  # and so are the arrays, which lie in it
    _require_version(path, data, again)  # once more: it may have changed meanwhile
    if hasher().update(data[:-DIGEST_BYTES]).digest() != data[-DIGEST_BYTES:]:
        raise StoredError(f"{path} is damaged or truncated: its digest does not match; store it again")
    return _opened(path, data, kind)


def mapped(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the content and the arrays of a file that is mapped: the system reads what is used, and drops it again.

    The digest is not checked, which would read all of it: this is for files that nobody else writes, and whose damage
    does no more than to spoil results that are checked elsewhere. A file may be replaced or unlinked while it is
    mapped, and must not be shortened.

    Raises:
        StoredError: as `read`, but for damage in arrays.
        OSError: if the file cannot be read.
    """
    _require_little_endian()
    with file_path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _PREFIX.size + DIGEST_BYTES:
            raise StoredError(f"{path} is too short for a stored circuit: it was truncated, or is another file")
        data = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
    _require_version(path, data, "store it again")
    return _opened(path, data, kind)


def _opened(path: str | os.PathLike[str], data: memoryview, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the content and the arrays that lie in the bytes of a file."""
    size, (_, _, length) = len(data), _PREFIX.unpack_from(data)
    start, end = _PREFIX.size + length, len(data) - DIGEST_BYTES
    _require_sizes(path, length, size)
    if start > end:
        raise StoredError(f"the header of {path} is longer than the file")
    written = bytes(data[_PREFIX.size : start])
    _require_few_lists(path, written)
    try:
        header = parsed(written)
        if header["kind"] != kind:
            raise StoredError(f"{path} holds a {header['kind']}, not a {kind}")
        arrays = {name: _array(data, start, end, name, *entry) for name, *entry in header["arrays"]}
        content = header["content"]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, StoredError):
            raise
        raise StoredError(f"the header of {path} is malformed: {error!r}") from error
    if not isinstance(content, dict):
        raise StoredError(f"the header of {path} is malformed: its content is no object")
    return content, arrays


def _require_version(path: str | os.PathLike[str], data: bytes | memoryview, again: str) -> None:
    """Check how a file begins, before anything else of it is looked at."""
    magic, version, _ = _PREFIX.unpack_from(data)
    if magic != MAGIC:
        raise StoredError(f"{path} is no circuit that this toolkit has stored")
    if version != VERSION:
        remedy = again if version < VERSION else f"use a newer toolkit, or {again} with this one"
        raise StoredError(f"{path} has version {version} of the format, this toolkit reads {VERSION}: {remedy}")


def _aligned(size: int) -> memoryview:
    """Return memory of so many bytes at an address that is a multiple of `ALIGNMENT`."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].data


def _array(data: memoryview, start: int, end: int, name: str, dtype: str, shape: list[int], place: int) -> np.ndarray:
    sizes = isinstance(name, str) and isinstance(shape, list) and all(type(side) is int and side >= 0 for side in shape)
    if dtype not in TYPES or not sizes or type(place) is not int or place < 0:
        raise ValueError(f"an array must have a name, a type, a shape and a place, got {dtype!r}, {shape!r}, {place!r}")
    count = math.prod(shape)
    if start + place + count * np.dtype(dtype).itemsize > end:
        raise ValueError(f"an array must lie within the file, got {shape} at {place}")
    return np.frombuffer(data, dtype, count, start + place).reshape(shape)


def _require_sizes(path: str | os.PathLike[str], header: int, whole: int) -> None:
    for what, size, most in ((f"the header of {path}", header, MAX_HEADER_BYTES), (f"{path}", whole, MAX_FILE_BYTES)):
        require_at_most(most, size, what, StoredError, "compile a smaller network, or for fewer images")


def _require_few_lists(path: str | os.PathLike[str], header: bytes) -> None:
    """Refuse a header of little but lists and objects, each of which takes 64 to 200 bytes of memory when it is read.

    What is not refused takes at most 32 times its bytes; headers of circuits take 8 to 12 times theirs, and have at
    least 12 bytes for each list.
    """
    if (count := header.count(b"[") + header.count(b"{")) > len(header) // LIST_BYTES + SPARE_LISTS:
        raise StoredError(
            f"the header of {path} must have at most a list or an object for every {LIST_BYTES} bytes, got {count} in "
            f"{len(header)}: no circuit has as many; store it again"
        )


def _require_little_endian() -> None:
    if sys.byteorder != "little":
        raise StoredError("the processor must be little-endian to use stored circuits, got big-endian; compile it here")
