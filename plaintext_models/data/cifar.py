"""The binary version of CIFAR-10: https://www.cs.toronto.edu/~kriz/cifar.html (section "Binary version")."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaintext_models.data.errors import DatasetError

SHAPE = (3, 32, 32)
CLASSES = 10
RECORD = 1 + 3 * 32 * 32  # a label, then the red, green and blue planes
TRAIN_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_FILE = "test_batch.bin"


def read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images uint8 [n, 3, 32, 32] and labels uint8 [n] of one file.

    Raises:
        DatasetError: The file cannot be read, is empty or no whole number of records, or a label is no class. The
            message names the file.
    """
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    if not content.size or content.size % RECORD:
        raise DatasetError(
            f"{path} must hold records of {RECORD} bytes, got {content.size} bytes; fetch the file again"
        )
    records = content.reshape(-1, RECORD)
    labels = records[:, 0]
    if labels.max() >= CLASSES:
        raise DatasetError(f"{path} must hold labels in [0, {CLASSES - 1}], got {labels.max()}")
    return records[:, 1:].reshape(-1, *SHAPE), labels
