"""The one call, for models of every library."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import he
from he.circuit.residues import ResidueCircuit
from he.model.candidate import AFFORDABLE
from he.model.compile import PER_DOUBLING, exact_circuit
from intnn import (
    Activation,
    ConversionError,
    Dense,
    Graph,
    IntClassifier,
    IntDomain,
    LutActivation,
    calibrate,
    quantise,
)
from intnn.quantisation.tune import tune
from tests.he.model.networks import INSECURE, graph_of_layers, outputs_of

pytestmark = pytest.mark.filterwarnings("ignore:what is encrypted agrees")  # of weights at random


@pytest.fixture(scope="module")
def graph():
    return graph_of_layers(5, 8, 3, classes=["a", "b", "c"])


class TestModels:
    @pytest.mark.parametrize("exact", [True, False])
    def test_a_graph(self, graph, x, exact):
        compiled = he.compile(graph, x, exact=exact, **INSECURE)
        assert compiled.exact is exact
        assert compiled.classes == ["a", "b", "c"]
        assert compiled.graph is graph
        assert compiled.agreement >= 0.9
        found, wanted = outputs_of(compiled, x), graph.logits(x)
        assert np.mean(found.argmax(1) == wanted.argmax(1)) >= 0.9
        assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.98  # in the model's units
        assert compiled.fitting_seconds > 0
        assert compiled.compiling_seconds > 0
        assert (compiled.tuning is not None) is exact

    def test_the_path_that_agrees_best_for_its_price(self, graph, x):
        lines = []
        compiled = he.compile(graph, x, progress=lines.append, **INSECURE)
        each = [he.compile(graph, x, exact=exact, **INSECURE) for exact in (True, False)]
        worth = [c.agreement - PER_DOUBLING * np.log2(max(c.circuit.cost().total, AFFORDABLE)) for c in each]
        units = [c.circuit.cost().total for c in each]
        best = each[0] if (worth[0], -units[0]) > (worth[1], -units[1]) else each[1]
        assert compiled.exact is best.exact
        assert compiled.circuit.cost().total == best.circuit.cost().total
        text = compiled.explain()
        assert "exact, " in text
        assert "approximate, " in text
        assert "chosen: " in text
        assert lines

    def test_an_estimator_with_a_scaler(self, linear, iris):
        x, _ = iris
        for exact in (True, False):
            compiled = he.compile(linear, x, exact=exact, **INSECURE)
            found = np.array(compiled.classes)[outputs_of(compiled, x).argmax(1)]
            assert np.mean(found == linear.predict(x)) >= 0.98

    def test_a_torch_module_with_images(self):
        torch = pytest.importorskip("torch")
        torch.manual_seed(0)
        module = torch.nn.Sequential(
            torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.AvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(18, 3)
        )
        x = np.random.default_rng(0).random((620, 1, 8, 8)).astype(np.float32)
        graph = pytest.importorskip("plaintext_models.bridge.from_torch").from_torch(module, x[:1])
        compiled = he.compile(graph, x[:120], exact=False, **INSECURE)
        wanted = module(torch.from_numpy(x)).detach().numpy()
        found = outputs_of(compiled, x)[120:].argmax(1)
        assert np.mean(found == wanted[120:].argmax(1)) >= 0.85  # its classes are nearly tied: 0.89 at any degree

    def test_a_file(self, graph, x, tmp_path):
        graph.save(tmp_path / "g.npz")
        compiled = he.compile(tmp_path / "g.npz", x, exact=False, **INSECURE)
        assert compiled.classes == ["a", "b", "c"]

    def test_an_onnx_file(self, x, tmp_path):
        onnx = pytest.importorskip("onnx")
        weight = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
        ends = [
            onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [None, k]) for n, k in (("x", 5), ("y", 2))
        ]
        nodes = [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])]
        weights = [onnx.numpy_helper.from_array(weight, "w")]
        model = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
        opset = onnx.helper.make_opsetid("", 17)
        onnx.save(onnx.helper.make_model(model, opset_imports=[opset], ir_version=9), tmp_path / "m.onnx")
        compiled = he.compile(str(tmp_path / "m.onnx"), x, exact=True, **INSECURE)
        assert np.mean(outputs_of(compiled, x).argmax(1) == (x @ weight).argmax(1)) >= 0.98

    def test_an_integer_network_as_it_is(self, graph, x):
        network = quantise(graph, calibrate(graph, x))
        compiled = he.compile(network, x, **INSECURE)
        assert compiled.network is network
        assert compiled.agreement == 1.0
        integers = compiled.prepare(x[:20])
        assert (integers == network.quantise_input(x[:20])).all()
        assert (he.simulate(compiled.circuit, integers) == network.logits(integers)).all()
        with pytest.raises(ValueError, match="computes on integers"):
            he.compile(network, x, exact=False)

    def test_squares_behind_tables_go_to_one_modulus(self, graph, x):
        network = quantise(graph, calibrate(graph, x))
        assert any(isinstance(layer, LutActivation) for layer in network.layers)
        assert not isinstance(he.compile(network, x, **INSECURE).circuit, ResidueCircuit)


@pytest.fixture(scope="module")
def trained(iris):
    return IntClassifier((6,), epochs=3, scaling="minmax", random_state=0, backend="numpy").fit(*iris)


class TestIntClassifier:
    def test_its_own_scaling_is_the_client_s(self, trained, iris):
        x, _ = iris
        compiled = he.compile(trained, x, **INSECURE)
        assert compiled.classes == ["setosa", "versicolor", "virginica"]
        difference = compiled.prepare(x) - trained.scaling_(x)
        assert np.abs(difference).max() <= 1  # halves, which are rounded up or down after another sum
        assert np.mean(difference == 0) > 0.95
        clear = compiled.network.logits(compiled.prepare(x))
        same = (difference == 0).all(axis=1)
        assert (clear[same] == trained.decision_function(x[same])).all()
        assert (he.simulate(compiled.circuit, compiled.prepare(x[:2])) == clear[:2]).all()

    def test_probabilities_are_the_classifier_s(self, trained, iris):
        x, _ = iris
        model = he.EncryptedClassifier(trained, simulate=True, security="insecure").fit(x)
        assert np.allclose(model.predict_proba(x[::75]), trained.predict_proba(x[::75]))
        assert (model.predict(x[::75]) == trained.predict(x[::75])).all()

    def test_without_scaling(self):
        rng = np.random.default_rng(0)
        x = rng.integers(0, 16, (100, 4))
        trained = IntClassifier((5,), epochs=2, input_domain=(0, 15), random_state=0, backend="numpy")
        trained.fit(x, x.argmax(1))
        model = he.EncryptedClassifier(trained, simulate=True, security="insecure").fit(x)
        assert (model.predict(x[:3]) == trained.predict(x[:3])).all()

    def test_it_must_be_fitted(self, iris):
        with pytest.raises(ValueError, match="call `fit` first"):
            he.compile(IntClassifier(), iris[0])


def test_an_integer_network_that_scales_features_leaves_it_to_the_client():
    """What `tune` makes for features of many sizes: the client scales, and the service has integers."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)) * [1, 100, 0.01]
    scaling = {"least": x.min(0).tolist(), "step": ((x.max(0) - x.min(0)) / 15).tolist()}
    graph = Graph((3,), (Dense(rng.normal(size=(2, 3)), np.zeros(2)),))
    plain = quantise(graph, calibrate(graph, x / np.abs(x).max(0)))
    network = replace(plain, input_domain=IntDomain(0, 15), metadata={**plain.metadata, "scaling": scaling})
    compiled = he.compile(network, x, **INSECURE)
    integers = network.quantise_input(x)
    assert np.abs(compiled.prepare(x) - integers).max() <= 1
    assert np.mean(compiled.prepare(x) == integers) > 0.95
    client, _ = he.connect(compiled.circuit, threads=1)
    assert (client.prepare(compiled.inputs.scaled(x)) == compiled.prepare(x)).all()


class TestRefusals:
    def test_samples(self, graph, x):
        for samples, kind, message in (
            ((x[:, :4]), ValueError, "shape"),
            (x[0], ValueError, "shape"),
            ((x * 255).astype(np.uint8), TypeError, "uint8"),
            (np.where(x > 0.99, np.nan, x), ValueError, "finite"),
            (np.where(x > 0.99, np.inf, x), ValueError, "finite"),
            (x[:0], ValueError, "at least one"),
            (x[:4], ValueError, "at least 5"),
            (x.astype(complex), TypeError, "`samples`"),
            ([["a"] * 5] * 9, TypeError, "`samples`"),
        ):
            with pytest.raises(kind, match=message):
                he.compile(graph, samples)

    def test_options(self, graph, x):
        for options, message in (
            ({"max_units": 0}, "max_units"),
            ({"max_units": -1.0}, "max_units"),
            ({"packing": "fast"}, "packing"),
            ({"images": 0}, "images"),
            ({"security": "none"}, "^`security`"),
        ):
            with pytest.raises(ValueError, match=message):
                he.compile(graph, x, **options)
        with pytest.raises(TypeError, match="`exact` must be True, False or None"):
            he.compile(graph, x, exact="yes")

    def test_models(self, x):
        with pytest.raises(TypeError, match="`model` must be one of"):
            he.compile(object(), x)
        with pytest.raises(TypeError, match="'txt'"):
            he.compile("model.txt", x)
        with pytest.raises((OSError, ConversionError)):
            he.compile("nowhere.onnx", x)

    def test_one_class(self, x):
        from sklearn.linear_model import LogisticRegression
        from sklearn.neural_network import MLPClassifier

        with pytest.raises(ConversionError, match="fitted"):
            he.compile(LogisticRegression(), x)
        with pytest.raises((ConversionError, ValueError)):
            he.compile(MLPClassifier(3, tol=1.0).fit(x, np.zeros(len(x))), x)

    def test_too_few_units_name_every_path(self, graph, x):
        with pytest.raises(he.ParameterError, match=r"exact.*approximate"):
            he.compile(graph, x, max_units=0.01, **INSECURE)

    def test_a_cheaper_network_where_an_estimate_was_too_low(self, graph, x, monkeypatch):
        real = exact_circuit
        tuning = tune(graph, x)
        tuning = replace(tuning, chosen=tuning.trials[-1])
        asked = []

        def refuse_once(network, options):
            asked.append(network)
            if len(asked) == 1:
                raise he.ParameterError("too dear")
            return real(network, options)

        monkeypatch.setattr("he.model.compile.tune", lambda *_, **__: tuning)
        monkeypatch.setattr("he.model.compile.exact_circuit", refuse_once)
        compiled = he.compile(graph, x, exact=True, **INSECURE)
        assert asked[0] is tuning.chosen.network
        assert asked[1] is compiled.network
        by_network = {id(trial.network): trial.units for trial in tuning.trials}
        assert by_network[id(compiled.network)] < tuning.chosen.units

    def test_a_single_feature(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(200, 1)) * 30 + 5
        graph = Graph((1,), (Dense(np.array([[0.1], [-0.1]]), np.array([-0.5, 0.5])),))
        for exact in (True, False):
            compiled = he.compile(graph, x, exact=exact, **INSECURE)
            assert np.mean(outputs_of(compiled, x).argmax(1) == graph.predict(x)) >= 0.98


@settings(max_examples=4, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 3),
    st.sampled_from(["relu", "tanh", "square"]),
    st.integers(0, 999),
    st.floats(-50, 50),
    st.floats(0.01, 100),
)
def test_outputs_follow_the_model_for_features_of_any_size(inputs, outputs, activation, seed, middle, size):
    """Whatever units features have, both paths give the model's outputs in the model's units."""
    rng = np.random.default_rng(seed)
    x = middle + size * rng.normal(size=(150, inputs))
    graph = graph_of_layers(inputs, 4, outputs, activation=activation, seed=seed)
    first = Dense(graph.nodes[0].weight / size, graph.nodes[0].bias - graph.nodes[0].weight.sum(1) * middle / size)
    graph = Graph((inputs,), (first, *graph.nodes[1:]), metadata={"task": "regression"})
    wanted = graph.logits(x)
    for exact in (True, False):
        compiled = he.compile(graph, x, exact=exact, **INSECURE)
        found = outputs_of(compiled, x)
        error = np.square(found - wanted).mean(0) / np.maximum(wanted.var(0), 1e-12)
        assert compiled.agreement > 0.8
        assert error.mean() < 0.25


@pytest.mark.parametrize("exact", [True, False])
def test_logits_of_another_shape_have_no_outputs(graph, x, exact):
    compiled = he.compile(graph, x, exact=exact, **INSECURE)
    logits = he.simulate(compiled.circuit, compiled.prepare(x[:2]))
    assert (compiled.outputs(logits.tolist()) == compiled.outputs(logits)).all()
    for wrong in (logits[:, :2], logits[0], logits[:, :, None], 3):
        with pytest.raises(ValueError, match=r"`logits` must have shape \(batch, 3\), as `decrypt` returns, got \("):
            compiled.outputs(wrong)


def test_a_budget_is_refused_once_and_by_the_name_that_it_has_here(graph, x):
    with pytest.raises(he.ParameterError) as refusal:
        he.compile(graph, x, max_units=0.01, **INSECURE)
    assert "`max_units` must be at least" in str(refusal.value)
    assert "`budget`" not in str(refusal.value)
    assert str(refusal.value).count("polynomials of degrees 2:") == 1


class TestWhatSamplesSay:
    """Where samples do not show how far the model's answers are kept, that is said."""

    @pytest.fixture
    def signs(self):
        """A model of two classes: whether features add up to more than two and a half."""
        layers = Dense(np.ones((4, 5)), np.array([-2.0, -2.5, -3.0, -1.5])), Activation("tanh")
        return Graph((5,), (*layers, Dense(np.ones((1, 4)), np.zeros(1))), metadata={"task": "classification"})

    def test_samples_of_all_kinds_are_no_reason_to_warn(self, signs, x):
        with warnings.catch_warnings(action="error"):
            assert he.compile(signs, x, exact=False, **INSECURE).agreement >= 0.97

    def test_few_samples_say_little(self, signs, x):
        with pytest.warns(UserWarning, match="but 30 samples say little of other inputs"):
            he.compile(signs, x[:30], exact=False, **INSECURE)

    def test_a_sign_that_no_sample_has_is_not_known(self, signs, x):
        with pytest.warns(UserWarning, match="gives 1 of its 2 answers to none of the samples"):
            he.compile(signs, x[signs.logits(x)[:, 0] > 0], exact=False, **INSECURE)

    def test_a_class_that_no_sample_has_is_not_known(self, signs, x):
        either = replace(signs, nodes=(*signs.nodes[:-1], Dense(np.array([[1.0], [-1.0]]) * np.ones(4), np.zeros(2))))
        with pytest.warns(UserWarning, match="gives 1 of its 2 answers to none of the samples"):
            he.compile(either, x[either.logits(x).argmax(axis=1) == 0], exact=False, **INSECURE)


def test_a_long_search_says_what_it_tries(graph, x, capsys, monkeypatch):
    monkeypatch.setattr("he.model.compile.PATIENCE", 600.0)
    he.compile(graph, x, exact=False, **INSECURE)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("he.model.compile.PATIENCE", 0.0)
    he.compile(graph, x, exact=False, **INSECURE)
    assert "approximate, polynomials of degrees" in capsys.readouterr().err


def test_a_module_is_refused_under_the_names_of_the_arguments():
    with pytest.raises(ValueError, match=r"`model` must run on a batch like `samples`.* in `1` \(Linear\)$"):
        he.compile(nn.Sequential(nn.ReLU(), nn.Linear(5, 2)), np.zeros((9, 6)))
