"""The IDX file format of the MNIST distribution: http://yann.lecun.com/exdb/mnist (section "FILE FORMATS")."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaintext_models.data.errors import DatasetError

UNSIGNED_BYTE = 0x08
MAX_BYTES = 1 << 28  # of one decompressed file; MNIST's largest has 47 million


def read(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, compressed by gzip if its name ends in .gz.

    Args:
        path: The file.
        dimensions: How many axes it must have, 1 to 255.

    Raises:
        DatasetError: The file cannot be read, is no IDX file of unsigned bytes, has other dimensions, or holds less
            or more than its header says. The message names the file.
    """
    content = _content(path)
    if content[:4] != bytes([0, 0, UNSIGNED_BYTE, dimensions]):
        raise DatasetError(
            f"{path} must start with 0000{UNSIGNED_BYTE:02x}{dimensions:02x}, the mark of {dimensions}-dimensional "
            f"IDX bytes, got {content[:4].hex() or 'an empty file'}; fetch the file again"
        )
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DatasetError(f"{path} is truncated inside its header; fetch the file again")
    shape = tuple(np.frombuffer(content, ">u4", dimensions, 4).tolist())
    expected, got = math.prod(shape), len(content) - start
    if got != expected:
        problem = "truncated" if got < expected else "longer than its header says"
        raise DatasetError(
            f"{path} is {problem}: {shape} needs {expected} bytes of data, got {got}; fetch the file again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read: {error}; fetch the file again") from error
    if len(content) > MAX_BYTES:
        raise DatasetError(f"{path} must hold at most {MAX_BYTES} bytes, got more; fetch the file again")
    return content
