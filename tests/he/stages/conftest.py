"""A model, and a folder of an exchange."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from he import Family, compile_exact
from he.stages import client, server
from he.stages.model import save_model
from he.testing import inputs
from tests.he.stages.exchange import NETWORK, POLICY, SALT


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model with a circuit for one image and one for four, prepared."""
    path = tmp_path_factory.mktemp("models") / "model"
    circuits = [compile_exact(NETWORK, images=images, security="insecure", salt=SALT) for images in (1, 4)]
    save_model(path, NETWORK, Family(tuple(circuits)))
    server.prepare(path, 1)
    return path


@pytest.fixture(scope="module")
def done(model, tmp_path_factory):
    """A folder in which six images have been answered, and not been decrypted."""
    folder = tmp_path_factory.mktemp("exchange") / "io"
    client.keygen(folder, model, 6, POLICY)
    np.save(folder / "images.npy", inputs(NETWORK, 6))
    assert client.encrypt(folder, model, folder / "images.npy", POLICY) == 2
    assert server.evaluate(folder, model, 1) == 2
    return folder


@pytest.fixture
def exchange(done, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(done, tmp_path / "io"))
