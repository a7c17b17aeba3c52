"""Encrypted models have scikit-learn's habits, and the answers of the models that they were made of."""

import copy

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.svm import LinearSVC

import he
from he import EncryptedClassifier, EncryptedRegressor
from intnn import Activation, Dense, Graph
from tests.he.model.test_inputs import Table

INSECURE = {"security": "insecure", "threads": 1}


@pytest.mark.parametrize("exact", [True, False])
class TestEncrypted:
    """What is computed on ciphertexts is what the circuit computes in the clear, and what the model says."""

    def test_classes(self, linear, iris, exact):
        x, y = iris
        model = EncryptedClassifier(linear, exact=exact, **INSECURE).fit(x)
        clear = EncryptedClassifier(linear, exact=exact, simulate=True, **INSECURE).fit(x)
        assert model.compiled_.exact is exact
        assert list(model.classes_) == ["setosa", "versicolor", "virginica"]
        some = x[::25]
        if exact:
            assert (model.decision_function(some) == clear.decision_function(some)).all()
        assert np.allclose(model.decision_function(some), clear.decision_function(some), atol=0.2)
        assert (model.predict(some) == linear.predict(some)).mean() >= 0.8
        assert clear.score(x, y) >= linear.score(x, y) - 0.02
        assert np.mean(clear.predict(x) == linear.predict(x)) >= 0.99

    def test_two_classes(self, binary, iris, exact):
        x, _ = iris
        model = EncryptedClassifier(binary, exact=exact, **INSECURE).fit(x)
        clear = EncryptedClassifier(binary, exact=exact, simulate=True, **INSECURE).fit(x)
        assert clear.decision_function(x).shape == (150,)
        assert list(clear.classes_) == ["no", "yes"]
        assert np.mean(clear.predict(x) == binary.predict(x)) >= 0.99
        assert np.abs(clear.predict_proba(x) - binary.predict_proba(x)).max() < 0.15
        assert (model.predict(x[:2]) == binary.predict(x[:2])).all()

    def test_numbers(self, ridge, iris, exact):
        x, _ = iris
        model = EncryptedRegressor(ridge, exact=exact, **INSECURE).fit(x[:, :3])
        clear = EncryptedRegressor(ridge, exact=exact, simulate=True, **INSECURE).fit(x[:, :3])
        wanted = ridge.predict(x[:, :3])
        assert np.abs(clear.predict(x[:, :3]) - wanted).max() < 0.25
        assert clear.score(x[:, :3], x[:, 3]) >= ridge.score(x[:, :3], x[:, 3]) - 0.02
        assert np.allclose(model.predict(x[:2, :3]), clear.predict(x[:2, :3]), atol=0.1)


@pytest.fixture(scope="module")
def fitted(perceptron, iris):
    return EncryptedClassifier(perceptron, simulate=True, **INSECURE).fit(*iris)


class TestHabits:
    def test_a_table_has_the_columns_that_the_model_was_trained_on(self, linear, iris):
        x, _ = iris
        names = ["length", "width", "length of petals", "width of petals"]
        model = copy.deepcopy(linear)
        model[0].feature_names_in_ = np.array(names, object)
        encrypted = EncryptedClassifier(model, exact=False, simulate=True, **INSECURE).fit(Table(x, names))
        assert (encrypted.predict(Table(x, names)) == encrypted.predict(x)).all()
        with pytest.raises(ValueError, match=r"`x` must have the columns .* got 'width of petals' in the place of"):
            encrypted.predict(Table(x[:, ::-1], names[::-1]))
        with pytest.raises(ValueError, match="`samples` must have the columns"):
            clone(encrypted).fit(Table(x[:, ::-1], names[::-1]))

    def test_probabilities_sum_to_one(self, fitted, perceptron, iris):
        probabilities = fitted.predict_proba(iris[0])
        assert probabilities.shape == (150, 3)
        assert np.allclose(probabilities.sum(1), 1)
        assert (probabilities >= 0).all()
        assert (fitted.classes_[probabilities.argmax(1)] == fitted.predict(iris[0])).all()

    def test_parameters(self, perceptron):
        model = EncryptedClassifier(perceptron, exact=True, max_units=9.0)
        assert model.get_params()["model"] is perceptron
        assert model.get_params()["max_units"] == 9.0
        assert model.set_params(exact=False).exact is False
        with pytest.raises(ValueError, match="`depth` must be one of"):
            model.set_params(depth=2)

    def test_a_clone_is_not_fitted_but_its_model_is_trained(self, fitted, iris):
        copy = clone(fitted)
        assert copy.get_params() == fitted.get_params()
        with pytest.raises(NotFittedError):
            copy.predict(iris[0])
        assert (copy.fit(iris[0]).predict(iris[0]) == fitted.predict(iris[0])).all()

    def test_kinds(self, fitted, ridge):
        assert is_classifier(fitted)
        assert is_regressor(EncryptedRegressor(ridge))
        assert not is_classifier(EncryptedRegressor(ridge))

    def test_not_fitted(self, perceptron, iris):
        model = EncryptedClassifier(perceptron)
        for method in (model.predict, model.predict_proba, model.decision_function):
            with pytest.raises(NotFittedError, match="call `fit` first"):
                method(iris[0])

    def test_features(self, fitted, iris):
        assert fitted.n_features_in_ == 4
        whole = np.rint(iris[0]).astype(int)  # tables of features have integers
        assert (fitted.predict(whole) == fitted.predict(whole.astype(float))).all()
        assert (fitted.predict(iris[0].tolist()) == fitted.predict(iris[0])).all()
        for x, kind, message in (
            (iris[0][:, :3], ValueError, "shape"),
            (iris[0][0], ValueError, "shape"),
            (iris[0][:0], ValueError, "`x`"),
            (np.full((1, 4), np.nan), ValueError, "finite"),
            (np.zeros((1, 4), np.uint8), TypeError, "uint8"),
        ):
            with pytest.raises(kind, match=message):
                fitted.predict(x)

    def test_what_lies_far_outside_has_an_answer_or_is_refused_by_name(self, fitted):
        assert fitted.predict(np.full((1, 4), 1e6)).shape == (1,)

    @pytest.mark.filterwarnings("ignore:what is encrypted agrees")  # few of its answers are given
    def test_rows_beside_those_that_are_refused_are_answered(self):
        """By every method, as if those were not there."""
        rng = np.random.default_rng(3)
        x, corners = 0.5 + 0.05 * rng.normal(size=(199, 6)), rng.choice([0.0, 1.0], (30, 6))
        layers = [Dense(rng.normal(size=(6, 6)), rng.normal(size=6) / 4) for _ in range(4)]
        graph = Graph((6,), tuple(node for layer in layers for node in (layer, Activation("relu")))[:-1])
        model = EncryptedClassifier(graph, exact=False, simulate=True, **INSECURE).fit(x)
        shares = he.simulate_guards(model.compiled_.circuit, model.compiled_.prepare(corners)).max(axis=1)
        far = corners[[shares.argmax()]]
        for method in (model.predict, model.decision_function, model.predict_proba):
            wanted = method(x[:20])
            with pytest.raises(he.RangeError) as refusal:
                method(np.insert(x[:20], [0, 7, 20], far, axis=0))
            assert refusal.value.images == (0, 8, 22)
            assert (refusal.value.answers == wanted).all()
            with pytest.raises(he.RangeError) as refusal:
                method(far)
            assert refusal.value.answers is None

    def test_distances_are_no_probabilities(self, iris):
        model = EncryptedClassifier(LinearSVC(max_iter=5000).fit(*iris), simulate=True, **INSECURE).fit(iris[0])
        with pytest.raises(AttributeError, match="no probabilities"):
            model.predict_proba(iris[0])
        assert model.predict(iris[0]).shape == (150,)

    def test_a_number_is_no_class(self, ridge, iris):
        with pytest.raises(ValueError, match="EncryptedRegressor"):
            EncryptedClassifier(ridge, simulate=True, **INSECURE).fit(iris[0][:, :3])


@pytest.mark.filterwarnings("ignore:what is encrypted agrees")  # few of its answers are given
def test_one_against_the_rest(iris):
    """Each class has a logistic function of its own, as `OneVsRestClassifier` and MLPs of several labels have."""
    weight = np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0]])
    graph = Graph((4,), (Dense(weight, -np.ones(3)),), metadata={"link": "logistic", "classes": [1, 2, 3]})
    model = EncryptedClassifier(graph, exact=False, simulate=True, **INSECURE).fit(iris[0])
    each = 1 / (1 + np.exp(-graph.logits(iris[0])))
    assert np.allclose(model.predict_proba(iris[0]), each / each.sum(1, keepdims=True), atol=0.05)


def test_a_sigmoid_of_one_output_decides_between_two(iris):
    graph = Graph((4,), (Dense(np.array([[0.0, 0, 1, 1]]), np.array([-5.0])),), metadata={"link": "logistic"})
    model = EncryptedClassifier(graph, exact=True, simulate=True, **INSECURE).fit(iris[0])
    assert list(model.classes_) == [0, 1]
    assert np.mean(model.predict(iris[0]) == (graph.logits(iris[0])[:, 0] > 0)) >= 0.98


def test_many_at_a_time(linear, iris):
    model = EncryptedClassifier(linear, exact=False, packing="throughput", **INSECURE).fit(iris[0])
    assert model.compiled_.circuit.interface.images > 1
    assert np.mean(model.predict(iris[0]) == linear.predict(iris[0])) >= 0.99


class TestWhatTheModelDoesNotSay:
    """A module or a file has outputs, and nothing says whether they are classes."""

    @pytest.fixture
    def one_score(self):
        return Graph((4,), (Dense(np.array([[0.0, 0, 1, 1]]), np.array([-5.0])),))

    @pytest.mark.parametrize("exact", [True, False])
    def test_a_single_score_decides_between_two(self, one_score, iris, exact):
        model = EncryptedClassifier(one_score, exact=exact, simulate=True, **INSECURE).fit(iris[0])
        assert list(model.classes_) == [0, 1]
        assert model.compiled_.decision == "signs"
        assert np.mean(model.predict(iris[0]) == (one_score.logits(iris[0])[:, 0] > 0)) >= 0.98
        assert model.predict_proba(iris[0]).shape == (150, 2)

    def test_several_numbers_are_no_classes(self, iris):
        graph = Graph((4,), (Dense(np.eye(3, 4) + 0.5, np.zeros(3)), Activation("tanh"), Dense(np.eye(3), np.ones(3))))
        x = iris[0] / 10
        model = EncryptedRegressor(graph, exact=True, simulate=True, **INSECURE).fit(x)
        assert model.compiled_.decision == "values"
        assert model.compiled_.tuning.measure == "R squared"
        assert np.abs(model.predict(x) - graph.logits(x)).max() < 0.1

    @pytest.mark.parametrize(("link", "outputs"), [("logistic", 1), ("softmax", 3)])
    def test_a_regression_gives_what_its_model_ends_in(self, iris, link, outputs):
        graph = Graph((4,), (Dense(np.eye(outputs, 4), -np.ones(outputs)),), metadata={"link": link})
        model = EncryptedRegressor(graph, exact=False, simulate=True, **INSECURE).fit(iris[0])
        wanted = np.exp(graph.logits(iris[0]))
        wanted /= wanted.sum(1, keepdims=True) if outputs > 1 else 1 + wanted
        assert np.allclose(model.predict(iris[0]).reshape(wanted.shape), wanted, atol=0.02)

    def test_the_other_task(self, ridge, perceptron, one_score, iris):
        for kind, model, other in (
            (EncryptedClassifier, ridge, "EncryptedRegressor"),
            (EncryptedRegressor, perceptron, "EncryptedClassifier"),
        ):
            with pytest.raises(ValueError, match=f"`model` must be .*{other}"):
                kind(model, **INSECURE).fit(iris[0][:, : 3 if model is ridge else 4])
        with pytest.raises(ValueError, match="`task` must be one of"):
            he.compile(one_score, iris[0], task="ranking")


@pytest.mark.filterwarnings("ignore:what is encrypted agrees")  # few of its answers are given
@pytest.mark.parametrize("multilabel", [False, True])
def test_a_sigmoid_of_each_output_is_left_to_the_client(iris, multilabel):
    """Else probabilities would be taken for scores, of which all are positive."""
    torch = pytest.importorskip("torch")
    from_torch = pytest.importorskip("plaintext_models.bridge.from_torch").from_torch
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Sigmoid())
    meaning = {"multilabel": True} if multilabel else {}
    graph = from_torch(module, iris[0][:1], **meaning)
    model = EncryptedClassifier(graph, exact=False, simulate=True, **INSECURE).fit(iris[0])
    each = module(torch.tensor(iris[0], dtype=torch.float32)).detach().numpy()
    wanted = each if multilabel else each / each.sum(1, keepdims=True)
    assert np.allclose(model.predict_proba(iris[0]), wanted, atol=0.05)
    assert np.mean(model.predict(iris[0]) == (each > 0.5 if multilabel else each.argmax(1))) > 0.95


def test_a_weak_agreement_is_said():
    """A wave of many periods is no polynomial of a low degree."""
    x = np.linspace(0, 1, 300)[:, None]
    steps = np.arange(16) / 16
    wave = Dense((-1.0) ** np.arange(16)[None] * 64, np.array([-1.0]))
    graph = Graph((1,), (Dense(np.full((16, 1), 400.0), -400 * steps), Activation("sigmoid"), wave))
    with pytest.warns(UserWarning, match=r"agrees with the model by .*% \(on samples held out\) only"):
        EncryptedClassifier(graph, exact=False, simulate=True, **INSECURE).fit(x)
