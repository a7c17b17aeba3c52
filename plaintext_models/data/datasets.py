"""Data sets: the embedded digits, MNIST from files or a checked download, CIFAR-10 from files, generated shapes."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from intnn.values.value_object import ValueObject
from plaintext_models.data import cifar, idx, shapes
from plaintext_models.data.errors import DatasetError

__all__ = ["DATA_VARIABLE", "Dataset", "DatasetError", "load", "names", "validation_split"]

Images = NDArray[np.float32]
Labels = NDArray[np.int64]

DATA_VARIABLE = "INTNN_DATA"

MNIST_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST_SHA256 = MappingProxyType(
    {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    }
)


@dataclass(frozen=True, eq=False)
class Dataset(ValueObject):
    """Labelled images, split once and for all into a training and a held-out test part.

    Attributes:
        name: The name of the data set.
        input_shape: The shape of one image, (channels, height, width).
        classes: The number of classes.
        train_images: float32 [n, *input_shape] in [0, 1].
        train_labels: int64 [n] in [0, classes).
        test_images: The held-out images, in the same form.
        test_labels: The held-out labels, in the same form.

    Raises:
        DatasetError: Images or labels do not have these shapes, types and ranges, or a part is empty.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels

    def __post_init__(self) -> None:
        _require_part(self, "train", self.train_images, self.train_labels)
        _require_part(self, "test", self.test_images, self.test_labels)


def names() -> tuple[str, ...]:
    """The data sets that `load` knows."""
    return tuple(_LOADERS)


def load(name: str, data: str | os.PathLike[str] | None = None) -> Dataset:
    """Load a data set.

    Args:
        name: "digits" (8 x 8, 17 grey levels, embedded in scikit-learn; 1,437 training and 360 test images),
            "mnist" (28 x 28, 256 grey levels; 60,000 and 10,000) or "cifar10" (32 x 32, 3 x 256 levels; 50,000, and as
            many as the test file holds), or "shapes" (3 x 24 x 24, generated, of `plaintext_models.data.shapes`; 4,000
            and 1,000).
        data: A folder that holds MNIST's four IDX files, compressed or not, itself or in its sub-folder "mnist"; for
            CIFAR-10 its six binary files, itself or in "cifar-10-batches-bin". By default the folder that the
            variable INTNN_DATA names; without it, MNIST is downloaded once into the user's cache and checked by
            SHA-256.

    Raises:
        DatasetError: Unknown name; files missing and no network; a file is damaged or not what its name says.
    """
    if name not in _LOADERS:
        raise DatasetError(f"`name` must be one of {', '.join(_LOADERS)}, got {name!r}")
    return _LOADERS[name](data)


def validation_split(dataset: Dataset, count: int) -> Dataset:
    """Hold out training images instead of the test part, which then nobody sees.

    Hyper-parameters are chosen on this split.

    Args:
        dataset: The data set. It stays as it is.
        count: How many to hold out, at least one and not all; they are spread evenly over the classes.

    Returns:
        The other training images, and as test part those that are held out.

    Raises:
        DatasetError: ``count`` is out of range.
    """
    if not 0 < count < len(dataset.train_images):
        raise DatasetError(f"`count` must lie in [1, {len(dataset.train_images) - 1}], got {count}")
    parts = _hold_out(dataset.train_images, dataset.train_labels, count)
    return Dataset(f"{dataset.name} (validation)", dataset.input_shape, dataset.classes, *parts)


def _hold_out(images: Images, labels: Labels, count: int) -> tuple[Images, Labels, Images, Labels]:
    """Split off ``count`` images, equally spaced in the order of the classes.

    That is stratified, and needs no random generator whose stream another version could change.
    """
    held_out = np.zeros(len(labels), bool)
    held_out[np.argsort(labels, kind="stable")[np.arange(count) * len(labels) // count]] = True
    return images[~held_out], labels[~held_out], images[held_out], labels[held_out]


def _digits(data: str | os.PathLike[str] | None) -> Dataset:  # noqa: ARG001 - embedded: no folder needed
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DatasetError("the digits come with scikit-learn; install the extra `data`") from error
    bunch = load_digits()
    parts = _hold_out((bunch.images[:, None] / 16).astype(np.float32), bunch.target.astype(np.int64), 360)
    return Dataset("digits", (1, 8, 8), 10, *parts)


def _mnist(data: str | os.PathLike[str] | None) -> Dataset:
    folder = data if data is not None else os.environ.get(DATA_VARIABLE)
    files = _mnist_download() if folder is None else _mnist_files(Path(folder))
    parts = *_mnist_part(files, "train", 60_000), *_mnist_part(files, "t10k", 10_000)
    return Dataset("mnist", (1, 28, 28), 10, *parts)


def _mnist_part(files: Mapping[str, Path], part: str, count: int) -> tuple[Images, Labels]:
    image_file, label_file = files[f"{part}-images-idx3-ubyte.gz"], files[f"{part}-labels-idx1-ubyte.gz"]
    images, labels = idx.read(image_file, 3), idx.read(label_file, 1)
    if images.shape != (count, 28, 28):
        raise DatasetError(f"{image_file} must hold {(count, 28, 28)} pixels, got {images.shape}")
    if labels.shape != (count,):
        raise DatasetError(f"{label_file} must hold {count} labels, got {len(labels)}")
    if labels.max() > 9:
        raise DatasetError(f"{label_file} must hold labels in [0, 9], got {labels.max()}")
    return _scaled(images[:, None], labels)


def _mnist_files(folder: Path) -> dict[str, Path]:
    """The four files, compressed or not, in ``folder`` or ``folder``/mnist."""
    for candidate in (folder, folder / "mnist"):
        found = {
            name: path
            for name in MNIST_SHA256
            for path in (candidate / name.removesuffix(".gz"), candidate / name)
            if path.is_file()
        }
        if len(found) == len(MNIST_SHA256):
            return found
    raise DatasetError(f"{folder} does not hold MNIST. {_REMEDY}")


def _mnist_download() -> dict[str, Path]:
    try:
        import pooch
    except ImportError as error:
        raise DatasetError(f"no folder is given and no downloader installed (the extra `data`). {_REMEDY}") from error
    pooch.get_logger().setLevel("WARNING")
    cache = pooch.os_cache("intnn") / "mnist"
    try:
        return {
            name: Path(pooch.retrieve(MNIST_MIRROR + name, f"sha256:{digest}", name, cache))
            for name, digest in MNIST_SHA256.items()
        }
    except (OSError, ValueError) as error:  # no network, no space, or other bytes than expected
        raise DatasetError(f"MNIST could not be downloaded: {error}. {_REMEDY}") from error


def _cifar10(data: str | os.PathLike[str] | None) -> Dataset:
    folder = data if data is not None else os.environ.get(DATA_VARIABLE)
    wanted = (*cifar.TRAIN_FILES, cifar.TEST_FILE)
    candidates = [] if folder is None else [Path(folder), Path(folder) / "cifar-10-batches-bin"]
    found = next((place for place in candidates if all((place / name).is_file() for name in wanted)), None)
    if found is None:
        raise DatasetError(
            f"{folder or 'no folder'} does not hold CIFAR-10. Put the files {', '.join(wanted)} of its binary version "
            f"into a folder and name it by `--data FOLDER` or the environment variable {DATA_VARIABLE}."
        )
    train = [cifar.read(found / name) for name in cifar.TRAIN_FILES]
    images, labels = (np.concatenate(part) for part in zip(*train, strict=True))
    return Dataset(
        "cifar10", cifar.SHAPE, cifar.CLASSES, *_scaled(images, labels), *_scaled(*cifar.read(found / cifar.TEST_FILE))
    )


def _shapes(data: str | os.PathLike[str] | None) -> Dataset:  # noqa: ARG001 - generated: no folder needed
    side, classes = shapes.SIDE, len(shapes.SHAPES) * len(shapes.COLOURS)
    return Dataset("shapes", (3, side, side), classes, *shapes.single(4000, 0), *shapes.single(1000, 1))


def _scaled(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> tuple[Images, Labels]:
    return images.astype(np.float32) / np.float32(255), labels.astype(np.int64)


_REMEDY = (
    f"Put the files {', '.join(MNIST_SHA256)} (or the same without .gz) into a folder and name it "
    f"by `--data FOLDER` or the environment variable {DATA_VARIABLE}."
)
_LOADERS: Mapping[str, Callable[[str | os.PathLike[str] | None], Dataset]] = MappingProxyType(
    {"digits": _digits, "mnist": _mnist, "cifar10": _cifar10, "shapes": _shapes}
)


def _require_part(dataset: Dataset, part: str, images: Images, labels: Labels) -> None:
    shape, classes = dataset.input_shape, dataset.classes
    if images.dtype != np.float32 or images.ndim != 4 or images.shape[1:] != shape or not len(images):
        raise DatasetError(f"`{part}_images` must be float32 [n, {shape}], got {images.dtype} {images.shape}")
    if not (images.min() >= 0 and images.max() <= 1):  # false for NaN, too
        raise DatasetError(f"`{part}_images` must lie in [0, 1], got [{images.min()}, {images.max()}]")
    if labels.dtype != np.int64 or labels.shape != (len(images),):
        raise DatasetError(f"`{part}_labels` must be int64 [{len(images)}], got {labels.dtype} {labels.shape}")
    if labels.min() < 0 or labels.max() >= classes:
        raise DatasetError(f"`{part}_labels` must lie in [0, {classes}), got [{labels.min()}, {labels.max()}]")
