import importlib
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import intnn
from intnn import Activation, Dense, Graph, IntDomain, IntNetwork
from intnn.convert import model as room
from intnn.convert.errors import ConversionError
from intnn.convert.model import graph_of
from tests.intnn.convert.onnx.models import Model

ROOT = Path(__file__).parents[3]
GRAPH = Graph((2,), (Dense(np.eye(2), np.zeros(2)),))


class Foreign:
    """A model of another library."""


Foreign.__module__ = "foreign.models.linear"


class Own(Foreign):
    """What a user derives from it."""


def convert(model, example):
    return Graph((len(example[0]),), (Activation("relu"),), type(model).__name__)


def register(monkeypatch, **targets):
    points = [EntryPoint(name, target, "intnn.converters") for name, target in targets.items()]
    monkeypatch.setattr(room, "_points", lambda: points)


def test_graphs_and_their_files(tmp_path):
    assert graph_of(GRAPH) is GRAPH
    for name in ("graph.npz", "graph.json"):
        GRAPH.save(tmp_path / name)
        assert graph_of(tmp_path / name).fingerprint == GRAPH.fingerprint
    model = Model((3,))
    path = model.save(tmp_path / "model.ONNX", model.add("Relu", "x"))
    for given in (path, str(path)):
        assert graph_of(given).nodes == (Activation("relu"),)


def test_estimators():
    assert graph_of(Ridge().fit(np.eye(3), np.arange(3.0))).name == "Ridge"


@pytest.mark.parametrize("model", [Foreign(), Own()])
def test_other_packages_add_converters(monkeypatch, model):
    register(monkeypatch, foreign=f"{__name__}:convert")
    monkeypatch.setattr(EntryPoint, "load", lambda self: convert)
    assert graph_of(model, np.zeros((1, 5))).input_shape == (5,)
    assert graph_of(model, np.zeros((1, 5))).name == type(model).__name__


def test_converters_of_files(monkeypatch, tmp_path):
    register(monkeypatch, pt2="plaintext_models:x")
    monkeypatch.setattr(EntryPoint, "load", lambda self: lambda path, example: Graph((1,), (Activation("tanh"),), path))
    assert graph_of("program.pt2").name == "program.pt2"


def test_what_nobody_converts(monkeypatch):
    register(monkeypatch, torch="nowhere.at.all:convert")
    for model, message in (
        (Foreign(), r"must be one of Graph; .*; 'torch'; got foreign\.models\.linear\.Foreign"),
        ("model.h5", "got a path that ends in 'h5'; convert it to ONNX"),
        ("model.pth", "got a path that ends in 'pth'; load the weights into the module"),
        ("model.joblib", "got a path that ends in 'joblib'; load the model, if you trust"),
        ({"0.weight": np.zeros(3)}, "got builtins.dict; load the weights into the module"),
        (Foreign, r"got the class foreign\.models\.linear\.Foreign; make an object of this class"),
        (b"onnx", "got builtins.bytes; pass the path of a file"),
        ("model", "got a path without a suffix; name a file with its suffix"),
        (None, "got builtins.NoneType; pass a trained model"),
        (np.zeros(3), r"got numpy\.ndarray"),
        (IntNetwork((2,), IntDomain(0, 1), (Dense(np.eye(2, dtype=int), np.zeros(2, int)),)), "is quantised already"),
    ):
        with pytest.raises(TypeError, match=message):
            graph_of(model)
    Foreign.__module__, name = "torch.nn", Foreign.__module__
    try:
        with pytest.raises(ConversionError, match=r"the converter for 'torch' must be importable: .*; install what it"):
            graph_of(Foreign())
    finally:
        Foreign.__module__ = name


def test_converters_that_return_something_else(monkeypatch):
    register(monkeypatch, foreign="x:y")
    monkeypatch.setattr(EntryPoint, "load", lambda self: lambda model, example: model)
    with pytest.raises(TypeError, match="the converter for 'foreign' must return a Graph, got Foreign"):
        graph_of(Foreign())


def test_this_package_registers_torch():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["intnn.converters"]
    assert points.keys() == {"torch", "pt2"}
    for target in points.values():
        module, name = target.split(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_the_package_loads_its_readers_when_they_are_asked_for():
    code = "import sys, intnn; print('intnn.convert' in sys.modules, callable(intnn.graph_of))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.split() == ["False", "True"]
    assert intnn.from_sklearn.__module__ == "intnn.convert.from_sklearn"
    with pytest.raises(AttributeError, match="has no attribute 'from_keras'"):
        intnn.from_keras  # noqa: B018
