"""Documents on disk: JSON and arrays, in an .npz archive or in one .json file, and never pickled.

A document's header holds its format, version, kind, content, the dtype and shape of every array, and a SHA-256 over
all of it and the arrays. A reader allocates nothing that the header has not announced and the limits below do not
allow, and accepts nothing whose hash differs.
"""

import errno
import hashlib
import io
import json
import math
import os
import secrets
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from intnn.values.arrays import Array

FORMAT = "intnn"
VERSION = 1
DTYPES = ("int64", "float64")
MAX_HEADER_BYTES = 1 << 24
MAX_ARRAY_BYTES = 1 << 30  # bytes of all arrays of one document together
MAX_FILE_BYTES = 1 << 32  # JSON needs up to 4 characters per byte of an array

HEADER = "header"
_MOST_LINKS = 40  # of one name, as Linux has it


class FormatError(ValueError):
    """A file is corrupt, of another format, or describes something that cannot exist.

    Attributes:
        field: The part of the file that is wrong.
    """

    def __init__(self, field: str, problem: str):
        super().__init__(f"`{field}` {problem}")
        self.field = field


@dataclass(frozen=True, eq=False)
class Document:
    """The content of a file.

    Attributes:
        kind: The name of the type that it describes.
        content: Anything that JSON can hold.
        arrays: The arrays by name, int64 or float64.
    """

    kind: str
    content: Mapping[str, Any]
    arrays: Mapping[str, Array]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything, in hexadecimal: equal documents have equal fingerprints, on any machine."""
        digest = hashlib.sha256(_compact(self._description()))
        for name in sorted(self.arrays):
            digest.update(_raw(self.arrays[name]))
        return digest.hexdigest()

    def header(self) -> dict[str, Any]:
        """The description that precedes the arrays in a file."""
        return {**self._description(), "sha256": self.fingerprint}

    def _description(self) -> dict[str, Any]:
        arrays = {name: {"dtype": a.dtype.name, "shape": list(a.shape)} for name, a in self.arrays.items()}
        return {
            "format": FORMAT,
            "version": VERSION,
            "kind": self.kind,
            "content": dict(self.content),
            "arrays": arrays,
        }


def write(document: Document, path: str | os.PathLike[str]) -> None:
    """Write a document to ``path``: an .npz archive or a .json file, by its suffix.

    The same document gives the same bytes. The file appears whole or not at all.

    Raises:
        ValueError: The suffix is neither .npz nor .json.
        FormatError: The document is larger than what `read` takes.
        OSError: The file cannot be written; one that was there before is untouched.
    """
    path = file_path(path)
    suffix = checked_suffix(path)
    _announced(document.header())  # before anything is encoded
    if suffix == ".json":
        data = {name: array.ravel().tolist() for name, array in document.arrays.items()}
        encoded = json.dumps({**document.header(), "data": data}, indent=None, allow_nan=False).encode()
    else:
        encoded = _archive(document)
    _require_at_most(MAX_FILE_BYTES, len(encoded), "file")
    write_atomically(path, encoded)


def read(path: str | os.PathLike[str], kind: str) -> Document:
    """Read a document of the given kind from an .npz or .json file.

    Raises:
        ValueError: The suffix is neither .npz nor .json.
        FormatError: The file is corrupt, foreign, of another kind or version, or larger than the limits.
        OSError: It cannot be read at all.
    """
    path = file_path(path)
    suffix = checked_suffix(path)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        _require_at_most(MAX_FILE_BYTES, size, "file")
        encoded = file.read(size)  # and no more: the file may grow, and a device has no end
    header, arrays = _read_json(encoded, kind) if suffix == ".json" else _read_archive(encoded, kind)
    document = Document(kind, header["content"], arrays)
    if document.fingerprint != header.get("sha256"):
        raise FormatError("sha256", "must be that of the file's content, got another; the file is corrupt")
    return document


def file_path(path: Any, name: str = "path") -> Path:
    """Return the path of a file; ``name`` is what messages call it.

    Raises:
        TypeError: It is neither a string nor a Path.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"`{name}` must be a string or a Path, got {type(path).__name__}; give the name of a file")
    return Path(path)


def write_atomically(path: Path, *pieces: bytes | memoryview, private: bool = False) -> None:
    """Replace the file at ``path`` by one of these pieces, one behind the other, or leave everything as it was.

    A symbolic link stays, and the file to which it leads is replaced. What is written stays so when the power fails.

    Args:
        path: The file.
        *pieces: What it holds.
        private: Whether its owner alone may read it, from its first moment on; else the process's umask says who may.

    Raises:
        OSError: The file cannot be written; see `require_place`. The message names it.
    """
    place = require_place(path)
    temporary = place.with_name(f".{place.name}.{secrets.token_hex(4)}.tmp")  # same directory: a rename, not a copy
    try:
        with open(
            temporary, "xb", opener=lambda name, flags: os.open(name, flags, 0o600 if private else 0o666)
        ) as file:
            file.writelines(pieces)
            file.flush()
            if private and os.name == "posix":
                os.fchmod(file.fileno(), 0o600)  # where the umask took the owner's own rights away
            os.fsync(file.fileno())
        temporary.replace(place)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = str(path)  # which a full disk does not tell
        raise
    sync_folder(place.parent)


def require_place(path: Path) -> Path:
    """Return where a file that is written to ``path`` stands: there, or where a symbolic link leads.

    Raises:
        OSError: Its folder does not exist, it is a folder, a device, a pipe or a socket, links lead in a circle, one
            stands for a file that a process has open, as /dev/stdout does: to replace that would not write to it; or
            one was made by another user in a folder like /tmp, who could choose so what is overwritten.
    """
    place = path
    for _ in range(_MOST_LINKS):
        if not place.is_symlink():
            break
        if place.parent.resolve().is_relative_to("/proc"):
            raise FileExistsError(
                f"{path} must be a file's own name, and stands for what a process has open; name a file"
            )
        if not _is_trusted(place):
            raise PermissionError(
                f"{place} is a link that another user made where everybody may write; choose another name"
            )
        place = place.parent / place.readlink()
    else:
        raise OSError(errno.ELOOP, "links lead in a circle; choose another name", str(path))
    if not place.parent.is_dir():
        raise FileNotFoundError(f"{place.parent} must be a folder that exists, to write {place.name}; make it first")
    if place.is_dir():
        raise IsADirectoryError(f"{path} must be a file, and it is a folder; choose another name")
    if place.exists() and not place.is_file():  # which would be gone, for all programs
        raise FileExistsError(f"{path} must be a file, and it is a device, a pipe or a socket; choose another name")
    return place


def _is_trusted(link: Path) -> bool:
    """Whether a link may be followed: the rule by which Linux protects those that are opened (protected_symlinks)."""
    if os.name != "posix":
        return True
    owner, folder = link.lstat().st_uid, link.parent.stat()
    is_shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    return not is_shared or owner in (os.geteuid(), folder.st_uid)


def sync_folder(folder: Path) -> None:
    """Return once the names in a folder are on the disk, where the system lets folders be opened and synchronised.

    Raises:
        OSError: The disk fails.
    """
    if os.name != "posix" or not os.access(folder, os.R_OK):
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # which says that the file system has no such call
            raise
    finally:
        os.close(descriptor)


def checked_suffix(path: Path, name: str = "path") -> str:
    """The suffix of a file's name, .npz or .json; a ValueError for any other."""
    if path.suffix not in (".npz", ".json"):
        raise ValueError(f"`{name}` must end in .npz or .json, got {path.name!r}")
    return path.suffix


def _require_at_most(limit: int, size: int, field: str) -> None:
    """Refuse what is too large, when it is written as when it is read."""
    if size > limit:
        raise FormatError(field, f"must have at most {limit} bytes, got {size}")


def _compact(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _raw(array: Array) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _archive(document: Document) -> bytes:
    members = {HEADER: np.frombuffer(_compact(document.header()), np.uint8), **document.arrays}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in members.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # a constant date: the bytes depend on the content alone
            entry.compress_type = zipfile.ZIP_DEFLATED
            data = _npy_prefix(array.dtype, array.shape) + _raw(array)
            if name == HEADER:
                _require_at_most(MAX_HEADER_BYTES, len(data), HEADER)
            archive.writestr(entry, data)
    return buffer.getvalue()


def _npy_prefix(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The .npy header, version 1.0; it is written here, so that a reader compares it instead of parsing it."""
    description = {"descr": dtype.newbyteorder("<").str, "fortran_order": False, "shape": shape}
    text = f"{description}".encode()
    padding = -(10 + len(text) + 1) % 64
    text += b" " * padding + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _read_archive(encoded: bytes, kind: str) -> tuple[dict[str, Any], dict[str, Array]]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(encoded))
    except Exception as error:  # a damaged directory surfaces as any of a dozen types
        raise FormatError("file", f"must be an .npz archive: {error}") from None
    with archive:
        if any(e.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for e in archive.infolist()):
            raise FormatError("file", "must be stored or deflated")  # other methods allocate before they yield a byte
        header_bytes = _member(archive, HEADER, MAX_HEADER_BYTES)
        prefix_length = 10 + int.from_bytes(header_bytes[8:10], "little")
        header = _parse_header(header_bytes[prefix_length:], kind)
        if header_bytes[:prefix_length] != _npy_prefix(np.dtype(np.uint8), (len(header_bytes) - prefix_length,)):
            raise FormatError(HEADER, "must be a one-dimensional uint8 array")
        names = sorted(entry.filename for entry in archive.infolist())
        if names != sorted(f"{name}.npy" for name in (HEADER, *header["arrays"])):
            raise FormatError("file", f"must hold the arrays of its header, got {names}")
        arrays = {}
        for name, (dtype, shape) in _announced(header).items():
            prefix = _npy_prefix(dtype, shape)
            expected = len(prefix) + dtype.itemsize * math.prod(shape)
            data = _member(archive, name, expected)
            if len(data) != expected or not data.startswith(prefix):
                raise FormatError(name, f"must be {dtype} of shape {shape} as the header says")
            values = np.frombuffer(data, dtype.newbyteorder("<"), offset=len(prefix))
            arrays[name] = values.astype(dtype, copy=False).reshape(shape)
    return header, arrays


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """At most ``limit`` bytes of a member, whatever size it claims."""
    try:
        with archive.open(f"{name}.npy") as file:
            data = file.read(limit + 1)
    except Exception as error:  # zlib.error, BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, ...
        raise FormatError(name, f"must be readable: {error}") from None
    if len(data) > limit:
        raise FormatError(name, f"must have at most {limit} bytes, got more")
    return data


def _read_json(encoded: bytes, kind: str) -> tuple[dict[str, Any], dict[str, Array]]:
    header = _parse_header(encoded, kind)
    data = header.pop("data", None)
    if not isinstance(data, dict) or data.keys() != header["arrays"].keys():
        raise FormatError("data", "must hold the arrays of the header")
    arrays = {}
    for name, (dtype, shape) in _announced(header).items():
        values, number = data[name], int if dtype.kind == "i" else float
        if not isinstance(values, list) or len(values) != math.prod(shape):
            raise FormatError(name, f"must be a list of {math.prod(shape)} numbers")
        if not all(type(value) is number for value in values):  # neither bools nor 1.0 for 1
            raise FormatError(name, f"must hold numbers of type {number.__name__} only")
        try:
            arrays[name] = np.array(values, dtype).reshape(shape)
        except OverflowError:
            raise FormatError(name, f"must fit {dtype}") from None
    return header, arrays


def _parse_header(encoded: bytes, kind: str) -> dict[str, Any]:
    try:
        header = json.loads(encoded, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise FormatError(HEADER, f"must be JSON: {error}") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise FormatError("format", f"must be {FORMAT!r}; the file was not written by this package")
    if header.get("version") != VERSION or type(header["version"]) is not int:
        raise FormatError("version", f"must be {VERSION}, got {header.get('version')!r}; write the file again")
    if header.get("kind") != kind:
        raise FormatError("kind", f"must be {kind!r}, got {header.get('kind')!r}")
    for name in ("content", "arrays"):
        if not isinstance(header.get(name), dict):
            raise FormatError(name, "must be a JSON object")
    return header


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _announced(header: Mapping[str, Any]) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """The dtype and shape of every array, checked against the limits before any of them is read."""
    announced, total = {}, 0
    for name, entry in header["arrays"].items():
        dtype, shape = (entry.get("dtype"), entry.get("shape")) if isinstance(entry, dict) else (None, None)
        if dtype not in DTYPES:
            raise FormatError(f"arrays.{name}.dtype", f"must be one of {DTYPES}, got {dtype!r}")
        if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape) or len(shape) > 8:
            raise FormatError(f"arrays.{name}.shape", f"must be a list of at most 8 sizes, got {shape!r}")
        total += np.dtype(dtype).itemsize * math.prod(shape)
        if total > MAX_ARRAY_BYTES:
            raise FormatError(f"arrays.{name}.shape", f"must keep all arrays within {MAX_ARRAY_BYTES} bytes")
        announced[name] = np.dtype(dtype), tuple(shape)
    return announced
