"""The command for a model of one's own: embedded models, files, and what it refuses."""

import numpy as np
import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases.own_models import MODELS
from bench.cases.registry import CASES
from bench.harness.rows import read
from bench.report.own import OwnRow
from intnn import Activation, Dense, Graph

pytestmark = pytest.mark.filterwarnings("ignore:what is encrypted agrees")  # of weights at random


def invoke(*arguments):
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["own", *map(str, arguments)])


def rows_of(path):
    return [envelope.row for envelope in read(path)]


def files(folder, x, y=None):
    """Samples and labels as the options that name them."""
    np.save(folder / "x.npy", x)
    options = ["--samples", folder / "x.npy"]
    if y is not None:
        np.save(folder / "y.npy", y)
        options += ["--labels", folder / "y.npy"]
    return options


def little_graph(outputs=3, **metadata):
    rng = np.random.default_rng(0)
    layers = Dense(rng.normal(size=(6, 4)), rng.normal(size=6)), Activation("relu")
    return Graph((4,), (*layers, Dense(rng.normal(size=(outputs, 6)), rng.normal(size=outputs))), metadata=metadata)


def test_an_embedded_model(tmp_path):
    pytest.importorskip("matplotlib")
    outputs = ("--json", tmp_path / "own.json", "--plot", tmp_path / "own.svg", "--plot-dir", tmp_path / "plots")
    result = invoke("--model", "iris-mlp", "--images", 2, "--threads", 1, *outputs)
    assert result.exit_code == 0, result.output
    exact, approximate = rows = rows_of(tmp_path / "own.json")
    assert [row["way"] for row in rows] == ["exact", "approximate"]  # too few samples to adapt to
    for row in rows:
        assert row["refused"] == ""
        assert row["agreement"] >= 0.97
        assert row["accuracy"] >= 0.9
        assert row["encrypted"] == 2
        assert row["threads"] == 1
        for name in ("units", "seconds", "estimated_seconds", "fitting_seconds", "compiling_seconds", "key_bytes"):
            assert row[name] > 0
    assert exact["off"] == exact["simulated_off"] == exact["bound"] == 0
    assert exact["plain_moduli"]
    assert 0 < approximate["off"] <= approximate["bound"]
    assert approximate["plain_moduli"] is None
    assert sum(trial["chosen"] for trial in exact["tried"]) == 1
    for words in ("Concrete ML", "2,160", "470", "2/2 equal", "2/2 in bound", "iris-mlp, 4-100-3"):
        assert words in result.output
    assert "WRONG" not in result.output
    assert max(map(len, result.output.splitlines())) <= 80 + len(str(tmp_path))  # the paths that were written
    drawn = {path.name for path in (tmp_path / "plots").iterdir()}
    assert drawn == {"iris-mlp-floats.svg", "iris-mlp-exact-tuning.svg"} | {
        f"iris-mlp-{way}-{what}.svg" for way in ("exact", "approximate") for what in ("network", "circuit")
    }
    assert (tmp_path / "own.svg").read_text().startswith("<?xml")


def test_a_model_from_onnx_with_one_output_and_labels(tmp_path):
    onnx = pytest.importorskip("onnx")
    rng = np.random.default_rng(1)
    w, b = rng.normal(size=(5, 1)).astype(np.float32), np.float32([0.1])
    node = onnx.helper.make_node("Gemm", ["x", "w", "b"], ["z"])
    end = onnx.helper.make_node("Sigmoid", ["z"], ["y"])
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, size])
        for name, size in (("x", 5), ("y", 1))
    ]
    weights = [onnx.numpy_helper.from_array(array, name) for array, name in ((w, "w"), (b, "b"))]
    graph = onnx.helper.make_graph([node, end], "g", ends[:1], ends[1:], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "model.onnx")
    x = rng.normal(size=(200, 5))
    y = (x @ w + b)[:, 0] > 0
    result = invoke(
        "--model", tmp_path / "model.onnx", *files(tmp_path, x, y.astype(int)), "--json", tmp_path / "own.json"
    )
    assert result.exit_code == 0, result.output
    for row in rows_of(tmp_path / "own.json"):
        assert row["model"] == "model.onnx"
        assert row["measure"] == "same signs"
        assert (row["n_samples"], row["n_test"]) == (160, 40)
        assert row["float_accuracy"] == 1.0
        assert row["accuracy"] == row["agreement"] >= 0.9
        assert row["off"] <= row["bound"]


def test_a_regression_without_labels_on_test_samples_of_its_own(tmp_path):
    little_graph(1, task="regression").save(tmp_path / "g.npz")
    rng = np.random.default_rng(2)
    np.save(tmp_path / "t.npy", rng.random((30, 4)))
    given = files(tmp_path, rng.random((300, 4)))
    result = invoke("--model", tmp_path / "g.npz", *given, "--test-samples", tmp_path / "t.npy", "--json",
                    tmp_path / "own.json")  # fmt: skip
    assert result.exit_code == 0, result.output
    for row in rows_of(tmp_path / "own.json"):
        assert row["measure"] == "R squared"
        assert row["float_accuracy"] is row["accuracy"] is None
        assert row["n_test"] == 30
        assert row["agreement"] > 0.9


def test_a_single_score_of_a_file_is_told_to_be_one_of_classes(tmp_path):
    graph, x = little_graph(1), np.random.default_rng(3).random((300, 4))
    graph.save(tmp_path / "g.npz")
    y = (graph.logits(x)[:, 0] > 0).astype(int)
    given = files(tmp_path, x, y)
    outputs = ("--json", tmp_path / "own.json", "--images", 1)
    result = invoke("--model", tmp_path / "g.npz", *given, "--task", "classification", *outputs)
    assert result.exit_code == 0, result.output
    for row in rows_of(tmp_path / "own.json"):
        assert row["measure"] == "same signs"
        assert row["float_accuracy"] == 1.0
        assert row["accuracy"] == row["agreement"] > 0.9


def test_what_no_way_can_do_is_a_row_that_says_why(tmp_path, monkeypatch):
    from bench.cases import own
    from he import ParameterError

    def refuse(*args, **kwargs):
        raise ParameterError("the noise needs [more] than there is")

    monkeypatch.setattr(own, "compile_model", refuse)
    little_graph().save(tmp_path / "g.json")
    result = invoke("--model", tmp_path / "g.json", *files(tmp_path, np.random.default_rng(0).random((50, 4))),
                    "--json", tmp_path / "own.json")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert all(row["refused"] == "the noise needs [more] than there is" for row in rows_of(tmp_path / "own.json"))
    assert "refused: exact: the noise needs [more] than there is" in result.output.replace("\n", "")


def test_a_wrong_answer_is_loud(tmp_path, monkeypatch):
    from bench.cases import own

    monkeypatch.setattr(own, "_difference", lambda found, expected: 3.0)
    little_graph().save(tmp_path / "g.json")
    result = invoke("--model", tmp_path / "g.json", *files(tmp_path, np.random.default_rng(0).random((50, 4))))
    assert result.exit_code == 0, result.output
    assert result.output.count("WRONG") == 4  # in the table and below it, for both ways


def test_many_samples_are_adapted_to(tmp_path):
    pytest.importorskip("torch")
    little_graph().save(tmp_path / "g.npz")
    given = files(tmp_path, np.random.default_rng(3).random((6300, 4)))
    about = ("--images", 1, "--threads", 1, "--json", tmp_path / "own.json")
    result = invoke("--model", tmp_path / "g.npz", *given, *about)
    assert result.exit_code == 0, result.output
    rows = {row["way"]: row for row in rows_of(tmp_path / "own.json")}
    assert list(rows) == ["exact", "approximate", "exact, adapted", "approximate, adapted"]
    for way, row in rows.items():
        assert (row["adapting_seconds"] is not None) == way.endswith("adapted")
        assert row["refused"] or row["agreement"] > 0.85
    result = invoke("--model", tmp_path / "g.npz", *given, *about, "--no-adapt")
    assert len(rows_of(tmp_path / "own.json")) == 2


class TestOptions:
    def test_help_names_every_model(self):
        result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["own", "--help"])
        assert all(name in result.output for name in MODELS)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--model", "mnist"), "iris-mlp"),
            (("--model", "nowhere.onnx"), "nowhere.onnx"),
            (("--model", "iris-mlp", "--images", 0), "--images"),
            (("--model", "iris-mlp", "--images", 39), "1 to 38"),
            (("--model", "iris-mlp", "--threads", 0), "--threads"),
            (("--model", "mnist-mlp", "--data", "/nowhere"), "MNIST"),
            (("--model", "iris-mlp", "--samples", "x.npy"), "its own data"),
            (("--plot-dir", "pyproject.toml"), "folder"),
        ],
    )
    def test_bad_arguments_are_a_line(self, arguments, message):
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert message in result.output.replace("\n", "")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (None, "--samples"),
            (np.zeros((0, 4)), "empty"),
            (np.array([object()]), "--samples"),
            (np.zeros((20, 5)), "shape"),
            (np.full((20, 4), np.nan), "finite"),
            (np.zeros((20, 4), np.uint8), "uint8"),
        ],
    )
    def test_bad_samples_are_a_line(self, content, message, tmp_path):
        little_graph().save(tmp_path / "g.npz")
        given = () if content is None else files(tmp_path, content)
        result = invoke("--model", tmp_path / "g.npz", *given)
        assert result.exit_code == 2, result.output
        assert message in result.output.replace("\n", "")

    def test_labels_must_be_those_of_the_model(self, tmp_path):
        little_graph(classes=["a", "b", "c"]).save(tmp_path / "g.npz")
        x = np.random.default_rng(0).random((50, 4))
        for labels, message in ((np.array(["a", "d"] * 25), "'d'"), (np.array(["a"]), "label for each")):
            result = invoke("--model", tmp_path / "g.npz", *files(tmp_path, x, labels))
            assert result.exit_code == 2
            assert message in result.output.replace("\n", "")


def test_rows_are_those_of_the_case():
    assert CASES["own"].implementation().OwnJob
    assert OwnRow("m", "s", "exact", "same class", 1, 1, None, None).is_as_promised
