"""Data sets: what they hold, and what a user sees when files are missing or wrong."""

import dataclasses
import os
import socket
import struct
from pathlib import Path

import numpy as np
import pytest

from plaintext_models.data import cifar, datasets
from plaintext_models.data.datasets import Dataset, DatasetError

FILES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.fixture
def folder(tmp_path):
    """A folder of right shapes and blank contents, as sparse files."""
    for name, shape in FILES.items():
        write(tmp_path / name, shape)
    return tmp_path


def write(path, shape, first=b""):
    header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    with path.open("wb") as file:
        file.write(header + first)
        file.truncate(len(header) + int(np.prod(shape)))


def test_digits(digits):
    assert (len(digits.train_labels), len(digits.test_labels)) == (1437, 360)
    assert digits.train_images.shape == (1437, 1, 8, 8)
    assert digits.train_images.dtype == np.float32
    assert set(np.unique(digits.train_images * 16)) == set(range(17))


def test_digits_are_split_by_class_and_without_overlap(digits):
    counts = np.bincount(digits.test_labels) / np.bincount(np.r_[digits.train_labels, digits.test_labels])
    assert np.abs(counts - 0.2).max() < 0.01  # one image of the 174 to 183 of a class is 0.6 %
    train, test = ({image.tobytes() for image in part} for part in (digits.train_images, digits.test_images))
    assert len(train) + len(test) == 1797
    assert not train & test


def test_digits_do_not_depend_on_the_global_generator(digits):
    np.random.seed(1)  # noqa: NPY002 - the very generator that must not matter
    np.testing.assert_array_equal(datasets.load("digits").test_images, digits.test_images)


def test_validation_split_never_shows_the_test_part(digits):
    split = datasets.validation_split(digits, 300)
    assert (len(split.train_labels), len(split.test_labels)) == (1137, 300)
    shown = {image.tobytes() for part in (split.train_images, split.test_images) for image in part}
    assert shown == {image.tobytes() for image in digits.train_images}


@pytest.mark.parametrize("count", [0, 1437])
def test_validation_split_refuses_an_empty_part(digits, count):
    with pytest.raises(DatasetError, match=r"`count` must lie in \[1, 1436\]"):
        datasets.validation_split(digits, count)


def test_unknown_name():
    with pytest.raises(DatasetError, match="must be one of digits, mnist, cifar10, shapes, got 'cifar'"):
        datasets.load("cifar")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_images": lambda d: d.test_images.astype(np.float64)}, "`test_images` must be float32"),
        ({"train_images": lambda d: d.train_images[:, 0]}, "`train_images` must be float32"),
        ({"train_images": lambda d: d.train_images[:0]}, "`train_images` must be float32"),
        ({"train_images": lambda d: d.train_images * 2}, r"`train_images` must lie in \[0, 1\]"),
        ({"test_images": lambda d: d.test_images * np.float32("nan")}, r"`test_images` must lie in \[0, 1\]"),
        ({"test_labels": lambda d: d.test_labels[:-1]}, r"`test_labels` must be int64 \[360\]"),
        ({"test_labels": lambda d: d.test_labels.astype(np.int32)}, "`test_labels` must be int64"),
        ({"train_labels": lambda d: d.train_labels + 1}, r"`train_labels` must lie in \[0, 10\)"),
    ],
)
def test_dataset_refuses(digits, change, message):
    with pytest.raises(DatasetError, match=message):
        dataclasses.replace(digits, **{name: f(digits) for name, f in change.items()})


@pytest.mark.parametrize("sub", [".", "mnist"])
def test_mnist_from_files(folder, tmp_path, sub):
    write(folder / "t10k-labels-idx1-ubyte", (10_000,), bytes([7, 2, 1]))
    write(folder / "t10k-images-idx3-ubyte", (10_000, 28, 28), bytes([0, 255, 51]))
    if sub != ".":
        (tmp_path / sub).mkdir()
        for name in FILES:
            (folder / name).rename(tmp_path / sub / name)
    mnist = datasets.load("mnist", tmp_path)
    assert mnist.test_labels[:4].tolist() == [7, 2, 1, 0]
    assert mnist.test_images[0, 0, 0, :3].tolist() == [0.0, 1.0, np.float32(0.2)]
    assert (mnist.train_images.shape, mnist.input_shape) == ((60_000, 1, 28, 28), (1, 28, 28))


@pytest.mark.parametrize(
    ("name", "shape", "first", "message"),
    [
        ("train-images-idx3-ubyte", (59_999, 28, 28), b"", r"must hold \(60000, 28, 28\) pixels"),
        ("t10k-images-idx3-ubyte", (10_000, 28, 27), b"", r"must hold \(10000, 28, 28\) pixels"),
        ("train-labels-idx1-ubyte", (59_999,), b"", "must hold 60000 labels, got 59999"),
        ("t10k-labels-idx1-ubyte", (10_000,), b"\x0a", r"must hold labels in \[0, 9\], got 10"),
        ("t10k-labels-idx1-ubyte", (10_000, 1), b"", "must start with 00000801"),
    ],
)
def test_mnist_refuses_a_wrong_file(folder, name, shape, first, message):
    write(folder / name, shape, first)
    with pytest.raises(DatasetError, match=message) as error:
        datasets.load("mnist", folder)
    assert str(folder / name) in str(error.value)


def test_mnist_missing_file_names_all_four_and_the_remedy(folder, monkeypatch):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    monkeypatch.setenv(datasets.DATA_VARIABLE, str(folder))
    with pytest.raises(DatasetError, match="does not hold MNIST") as error:
        datasets.load("mnist")
    assert all(word in str(error.value) for word in (*FILES, "--data", "INTNN_DATA"))


def test_mnist_without_network_names_the_remedy(monkeypatch, tmp_path):
    def unreachable(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.delenv(datasets.DATA_VARIABLE, raising=False)
    monkeypatch.setattr(socket, "create_connection", unreachable)
    monkeypatch.setattr(socket.socket, "connect", unreachable)
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("pooch.os_cache", lambda name: Path(tmp_path) / name)
    with pytest.raises(DatasetError, match="could not be downloaded") as error:
        datasets.load("mnist")
    assert all(word in str(error.value) for word in (*FILES, "--data", "INTNN_DATA"))
    assert not list(tmp_path.rglob("*ubyte*"))


@pytest.mark.skipif("INTNN_DATA" not in os.environ, reason="needs MNIST's files: set INTNN_DATA to their folder")
def test_mnist_is_mnist():
    mnist = datasets.load("mnist")
    assert isinstance(mnist, Dataset)
    assert mnist.test_labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(mnist.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def write_cifar(folder, records=2):
    for name in (*cifar.TRAIN_FILES, cifar.TEST_FILE):
        content = np.arange(records * cifar.RECORD, dtype=np.int64).reshape(records, -1) % 251
        content[:, 0] = np.arange(records) % 10
        (folder / name).write_bytes(content.astype(np.uint8).tobytes())


@pytest.mark.parametrize("sub_folder", [".", "cifar-10-batches-bin"])
def test_cifar10(tmp_path, sub_folder):
    folder = tmp_path / sub_folder
    folder.mkdir(exist_ok=True)
    write_cifar(folder)
    loaded = datasets.load("cifar10", tmp_path)
    assert loaded.train_images.shape == (10, 3, 32, 32)
    assert loaded.test_labels.tolist() == [0, 1]
    # Row 1 begins at byte 3073; its red plane one later.
    assert loaded.train_images[1, 0, 0, 0] == np.float32((3074 % 251) / 255)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "records of 3073 bytes"),
        (lambda path: path.write_bytes(b""), "records of 3073 bytes, got 0"),
        (lambda path: path.write_bytes(b"\x0a" + path.read_bytes()[1:]), "labels in \\[0, 9\\], got 10"),
    ],
)
def test_a_damaged_cifar10_file_is_named(tmp_path, spoil, message):
    write_cifar(tmp_path)
    spoil(tmp_path / "data_batch_3.bin")
    with pytest.raises(DatasetError, match=f"data_batch_3.bin.*{message}"):
        datasets.load("cifar10", tmp_path)


def test_a_folder_without_cifar10_is_refused_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.delenv(datasets.DATA_VARIABLE, raising=False)
    for folder in (tmp_path, None):
        with pytest.raises(DatasetError, match=r"does not hold CIFAR-10\. Put the files"):
            datasets.load("cifar10", folder)
