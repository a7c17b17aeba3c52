"""Images and logits in files, as numbers: `.npy`, or text with a row for each."""

from __future__ import annotations

import io
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
        values = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path, ndmin=2)
        return values.reshape(-1, *spec.shape)
    except (ValueError, EOFError) as error:
        shape = ", ".join(map(str, spec.shape))
        raise InputError(f"{path} must hold images [n, {shape}] in a .npy file, or as rows of text: {error}") from error


def write_logits(path: Path, logits: np.ndarray) -> None:
    """Write logits [n, outputs] to a file, whole or not at all.

    Raises:
        OSError: if it cannot be written.
    """
    buffer = io.BytesIO()
    if path.suffix == ".npy":
        np.save(buffer, logits, allow_pickle=False)
    else:
        np.savetxt(buffer, logits, fmt="%.17g")
    write_atomically(path, buffer.getvalue())
