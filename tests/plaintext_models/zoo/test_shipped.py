"""The stored networks: unaltered, as accurate as recorded, and loadable without torch."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from plaintext_models.data import datasets
from plaintext_models.zoo import manifest, shipped
from plaintext_models.zoo.errors import ShippedNetworkError

NAMES = ("digits-square-cnn", "digits-table-cnn", "digits-table-mlp")
NAMES += ("mnist-small-cnn", "mnist-square-cnn", "mnist-table-cnn", "mnist-table-mlp")
# Held-out accuracy that a network must have to be shipped.
LEAST = {
    "digits": 0.96,
    "mnist-square-cnn": 0.985,
    "mnist-small-cnn": 0.985,
    "mnist-table-cnn": 0.98,
    "mnist-table-mlp": 0.975,
}


@pytest.fixture
def folder(tmp_path):
    for name in ("digits-table-mlp.npz", manifest.FILE_NAME):
        shutil.copy(shipped.FOLDER / name, tmp_path)
    return tmp_path


def test_names():
    assert shipped.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_reaches_its_recorded_accuracy(name):
    record, network = shipped.record(name), shipped.load(name)
    assert record.test_accuracy >= LEAST.get(name, LEAST.get(record.dataset))
    if record.dataset == "mnist" and datasets.DATA_VARIABLE not in os.environ:
        pytest.skip("needs MNIST's files: set INTNN_DATA to their folder")
    dataset = datasets.load(record.dataset)
    images = dataset.test_images
    answers = network.predict(network.quantise_input(images) if isinstance(network, IntNetwork) else images)
    assert len(answers) == record.test_images
    assert int((answers == dataset.test_labels).sum()) == record.test_correct


@pytest.mark.parametrize("name", NAMES)
def test_fits_the_encrypted_paths(name):
    network = shipped.load(name)
    if isinstance(network, Graph):
        kinds = [type(node).__name__ for node in network.nodes]
        assert kinds == ["Conv2d", "Activation", "Flatten", "Dense", "Activation", "Dense"]
        return
    tables = [layer.lut for layer in network.layers if type(layer).__name__ == "LutActivation"]
    assert [lut.domain.size for lut in tables] == list(shipped.record(name).table_points)
    for lut in tables:
        assert lut.table.tolist() == lut.table[::-1].tolist()  # even: half the interpolating polynomial vanishes
    assert all(limits.magnitude <= 32767 for limits in network.ranges)


def test_files_are_small():
    sizes = [path.stat().st_size for path in shipped.FOLDER.iterdir()]
    assert sum(sizes) < 3_000_000


def test_a_changed_file_is_refused(folder):
    path = folder / "digits-table-mlp.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ShippedNetworkError, match="must have the SHA-256"):
        shipped.load("digits-table-mlp", folder)


def test_another_network_under_its_name_is_refused(folder):
    shutil.copy(shipped.FOLDER / "digits-table-cnn.npz", folder / "digits-table-mlp.npz")
    with pytest.raises(ShippedNetworkError, match="must have the SHA-256"):
        shipped.load("digits-table-mlp", folder)


def test_a_missing_file_is_reported(folder):
    (folder / "digits-table-mlp.npz").unlink()
    with pytest.raises(ShippedNetworkError, match="cannot be read"):
        shipped.load("digits-table-mlp", folder)


def test_unknown_name():
    with pytest.raises(ShippedNetworkError, match=r"`name` must be one of digits-square-cnn, .*, got 'resnet'"):
        shipped.load("resnet")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-5],
        lambda text: "[]",
        lambda text: text.replace('"test_correct"', '"correct"'),
        lambda text: json.dumps({"digits-table-mlp": {**json.loads(text)["digits-table-mlp"], "seed": "0"}}),
        lambda text: json.dumps({"digits-table-mlp": {**json.loads(text)["digits-table-mlp"], "more": 0}}),
    ],
)
def test_a_damaged_manifest_is_refused(folder, damage):
    path = folder / manifest.FILE_NAME
    path.write_text(damage(path.read_text()))
    with pytest.raises(ShippedNetworkError, match="must be a manifest of networks"):
        shipped.load("digits-table-mlp", folder)


def test_unknown_kind_is_refused(folder):
    path = folder / manifest.FILE_NAME
    path.write_text(path.read_text().replace("IntNetwork", "Pickle"))
    with pytest.raises(ShippedNetworkError, match="`kind` of digits-table-mlp must be one of IntNetwork, Graph"):
        shipped.load("digits-table-mlp", folder)


def test_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from plaintext_models import data, zoo\n"
        "print(*[len(zoo.load(name).shapes) for name in zoo.names()])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(result.stdout.split()) == len(NAMES)
