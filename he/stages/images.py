"""Images and logits in files, as numbers: `.npy`, or text with a row for each."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from he.circuit.inputs import InputError, InputSpec
from intnn.storage.document import write_atomically


def read_images(path: Path, spec: InputSpec) -> np.ndarray:
    """Return the images [n, *shape] of a file; rows of text are images whose numbers lie one behind the other.

    Raises:
        InputError: if the file holds no images of this shape.
        OSError: if it cannot be read.
    """
    try:
        values = _read_array(path) if path.suffix == ".npy" else np.loadtxt(path, ndmin=2)
        if values.dtype.kind not in "iuf":
            raise ValueError(f"floats or integers are due, got {values.dtype}")
        return _images(values, spec.shape)
    except ValueError as error:
        shape = ", ".join(map(str, spec.shape))
        raise InputError(f"{path} must hold images [n, {shape}] in a .npy file, or as rows of text: {error}") from error


def _images(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the images [n, *shape] of an array. That it has as many values is not enough: others have, too.

    Raises:
        ValueError: if it holds neither images, nor one alone, nor a row for each.
    """

    def long(axes: Sequence[int]) -> list[int]:
        return [length for length in axes if length != 1]  # an axis of one value may be there or not

    due = long(shape), long([math.prod(shape)])
    if not values.size or long(values.shape) in due or (values.ndim and long(values.shape[1:]) in due):
        return values.reshape(-1, *shape)
    raise ValueError(f"an array of shape {values.shape} is none of these")


def write_logits(path: Path, logits: np.ndarray) -> None:
    """Write logits [n, outputs] to a file, whole or not at all.

    Text has all digits of integers. A `.npy` file has int64 where that holds them; larger ones, as of networks that are
    computed modulo several primes, are rounded to float64.

    Raises:
        OSError: if it cannot be written.

    Warns:
        UserWarning: if integers are rounded.
    """
    buffer = io.BytesIO()
    if logits.dtype == object and all(-(1 << 63) <= logit < 1 << 63 for logit in logits.flat):
        logits = logits.astype(np.int64)
    is_rounded = path.suffix == ".npy" and logits.dtype == object
    if path.suffix == ".npy":
        np.save(buffer, logits.astype(np.float64) if is_rounded else logits, allow_pickle=False)
    else:
        np.savetxt(buffer, logits, fmt="%.17g" if logits.dtype.kind == "f" else "%d")
    write_atomically(path, buffer.getvalue())
    if is_rounded:  # last, since a warning may be an error
        warnings.warn(f"{path} has logits beyond int64, rounded to float64; text has all digits", stacklevel=2)


def _read_array(path: Path) -> np.ndarray:
    with path.open("rb") as file:  # which `np.load` would take for an archive or a pickle if it began like one
        return np.lib.format.read_array(file, allow_pickle=False)
