"""The trade-off between agreement and cost."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from intnn import (
    Activation,
    Add,
    Dense,
    Graph,
    IntDomain,
    IntNetwork,
    IntPolynomial,
    QuantConfig,
    Scale,
    calibrate,
    quantise,
)
from intnn.approximation.measure import Measure
from intnn.convert.from_sklearn import from_sklearn
from intnn.quantisation.price import estimated_units
from intnn.quantisation.tune import FIRST_BITS, POINTS, TABLE_BITS, tune

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def silent(_):
    """No word of progress."""


@pytest.fixture(scope="module")
def digits():
    """A float network 64-64-10 on half of the digits, and the other half."""
    x, y = load_digits(return_X_y=True)
    model = MLPClassifier((64,), solver="lbfgs", alpha=1.0, max_iter=50, random_state=0)
    return from_sklearn(model.fit(x[::2] / 16, y[::2])), x[::2] / 16, x[1::2] / 16, y[1::2]


@pytest.fixture(scope="module")
def tuned(digits):
    """The tuning of it, and what it said on the way."""
    lines = []
    return tune(digits[0], digits[1], progress=lines.append), lines


def test_a_first_quantise_keeps_the_accuracy(digits, tuned):
    graph, _, x, y = digits
    tuning, _ = tuned
    network = tuning.chosen.network
    accuracy, wanted = (
        (predicted == y).mean() for predicted in (network.predict(network.quantise_input(x)), graph.predict(x))
    )
    assert accuracy > max(0.95, wanted - 0.01)
    assert network.metadata["classes"] == graph.metadata["classes"]
    assert tuning.chosen.units < 12


def test_twice_the_price_buys_a_quarter_of_a_point(tuned):
    tuning, _ = tuned
    assert tuning.measure == "same class"
    assert [trial.units for trial in tuning.trials] == sorted(trial.units for trial in tuning.trials)
    assert tuning.chosen in tuning.trials
    for trial in tuning.trials:
        doublings = np.log2(1.1 * max(trial.units, 4) / max(tuning.chosen.units, 4))  # a tenth for being made anew
        assert trial.under_strain <= tuning.chosen.under_strain + 0.0025 * doublings + 1e-12
    assert {trial.form for trial in tuning.trials} == {"squares", "tables"}


def test_it_says_what_it_tries_and_prints_as_a_table(tuned):
    tuning, lines = tuned
    begun = [line for line in lines if line.startswith("trying ")]
    assert begun[2].endswith(f": network 3 of at most {2 * len(FIRST_BITS) + len(POINTS) * len(TABLE_BITS)}")
    assert sum(": same class " in line for line in lines) == len(tuning.trials) <= len(begun)
    rows = str(tuning).splitlines()
    assert len(rows) == len(tuning.trials) + 2
    assert sum(row.startswith(">") for row in rows) == 1
    assert f"{100 * tuning.chosen.agreement:.1f} %" in next(row for row in rows if row.startswith(">"))


def test_the_curve_is_a_picture(tuned, tmp_path):
    tuned[0].draw(tmp_path / "curve.svg")
    picture = (tmp_path / "curve.svg").read_text()
    assert picture.startswith("<?xml")
    tuned[0].draw(tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == picture
    with pytest.raises(ValueError, match="`path` must end in"):
        tuned[0].draw(tmp_path / "curve.txt")


def small():
    """A network of a few neurons, and samples of it."""
    rng = np.random.default_rng(0)
    nodes = (
        Dense(rng.normal(size=(6, 4)), rng.normal(size=6)),
        Activation("relu"),
        Dense(rng.normal(size=(3, 6)), np.zeros(3)),
    )
    return Graph((4,), nodes), rng.normal(size=(60, 4))


def test_a_price_of_ones_own_and_a_budget_decide():
    graph, x = small()
    assert tune(graph, x, budget=4.5, progress=silent).chosen.units <= 4.5
    with pytest.raises(ValueError, match=r"`budget` must be at least \d+\.\d, the price of the cheapest network"):
        tune(graph, x, budget=0.5, progress=silent)
    by_points = tune(graph, x, price=lambda network: float(network.intervals[-1].magnitude), progress=silent)
    assert [t.units for t in by_points.trials] == [float(t.network.intervals[-1].magnitude) for t in by_points.trials]


def test_networks_of_features_of_all_sizes_agree():
    x, y = load_iris(return_X_y=True)
    x = x * np.array([1000.0, 1.0, 0.001, 1.0])
    graph = from_sklearn(make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y))
    network = quantise(graph, x)
    assert (network.predict(network.quantise_input(x)) == graph.predict(x)).mean() > 0.99
    assert set(network.metadata["scaling"]) == {"least", "step"}


def test_a_sample_far_from_all_others_does_not_spoil_what_was_measured_without_it():
    """It is held out, and would widen the ranges of a network that is made anew with it."""
    graph, x = small()
    x = np.tile(x, (5, 1))
    far = x.copy()
    far[5, 1] = 1e6
    tuning = tune(graph, far, progress=silent)
    network = tuning.chosen.network
    reached = (network.predict(network.quantise_input(x)) == graph.predict(x)).mean()
    assert tuning.chosen.agreement > 0.9
    assert reached > tuning.chosen.agreement - 0.03


def test_a_regression_is_measured_by_what_it_explains():
    x, y = load_diabetes(return_X_y=True)
    model = make_pipeline(
        StandardScaler(),
        MLPRegressor(hidden_layer_sizes=(10,), max_iter=200, solver="lbfgs", alpha=30.0, random_state=0),
    )
    graph = from_sklearn(model.fit(x[:200], y[:200]))
    tuning = tune(graph, x[:200], progress=silent)
    assert tuning.measure == "R squared"
    wanted, given = graph.logits(x[200:]), tuning.chosen.network.real_logits(x[200:])
    assert 1 - np.square(given - wanted).sum() / np.square(wanted - wanted.mean()).sum() > 0.9


def test_one_output_of_a_classifier_is_a_sign():
    x, y = load_digits(return_X_y=True)
    graph = from_sklearn(LogisticRegression(max_iter=500).fit(x[:400] / 16, y[:400] % 2))
    tuning = tune(graph, x[:400] / 16, progress=silent)
    assert tuning.measure == "same signs"
    assert tuning.chosen.agreement > 0.99
    assert tuning.chosen.network.metadata["classes"] == [0, 1]


def test_branches_become_squares_and_no_tables():
    rng = np.random.default_rng(0)
    nodes = (
        Dense(rng.normal(size=(8, 4)), np.zeros(8)),
        Activation("relu"),
        Dense(rng.normal(size=(8, 8)) / 3, np.zeros(8)),
        Add(),
        Dense(rng.normal(size=(3, 8)), np.zeros(3)),
    )
    graph = Graph((4,), nodes, inputs=((-1,), (0,), (1,), (2, 1), (3,)))
    tuning = tune(graph, rng.normal(size=(400, 4)), progress=silent)
    assert {trial.form for trial in tuning.trials} == {"squares"}
    assert tuning.chosen.agreement > 0.9


def test_what_no_form_serves_is_refused_by_name():
    nodes = (
        Dense(np.eye(2), np.zeros(2)),
        Activation("polynomial", (0.0, 1.0, 0.0, 1.0)),
        Scale(np.ones(1), np.ones(1)),
        Activation("relu"),
    )
    graph = Graph((2,), nodes)
    with pytest.raises(ValueError, match=r"`graph.nodes\[\d\]` must"):
        tune(graph, np.random.default_rng(0).random((100, 2)), progress=silent)


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        (np.full((30, 2), np.nan), ValueError, "`samples` must be finite"),
        (np.ones((9, 2)), ValueError, "`samples` must hold at least 10 rows, got 9"),
        (np.ones((30, 3)), ValueError, r"`samples` must have shape \(batch, 2\)"),
        (np.ones((30, 2), np.uint8), TypeError, "`samples` must hold floats, got dtype uint8"),
    ],
)
def test_bad_samples_are_refused(samples, error, message):
    graph = Graph((2,), (Dense(np.eye(2), np.zeros(2)), Activation("relu"), Dense(np.eye(2), np.zeros(2))))
    with pytest.raises(error, match=message):
        quantise(graph, samples)


def test_constant_samples_and_weights_of_zero_are_no_trouble():
    zeros = Graph((2,), (Dense(np.zeros((3, 2)), np.zeros(3)), Activation("relu"), Dense(np.zeros((2, 3)), np.ones(2))))
    for samples in (np.ones((20, 2)), np.random.default_rng(0).random((20, 2))):
        assert quantise(zeros, samples).real_logits(samples) == pytest.approx(np.ones((20, 2)), abs=0.1)


def test_quantise_goes_by_what_it_is_given(digits):
    graph, x, *_ = digits
    config = QuantConfig(input_bits=2, table_points=57)
    for source in (x[:100], calibrate(graph, x[:100])):
        network = quantise(graph, source, config)
        assert network.layers[-2].lut.domain.size == 57
    with pytest.raises(TypeError, match="`budget` and `price` must be left out where `config` is given"):
        quantise(graph, x, config, budget=3.0)


@pytest.mark.parametrize(
    ("bits", "depth", "units"), [(20, 1, 3.0), (34, 1, 6.0), (40, 1, 6.0), (52, 2, 48.8), (64, 2, 51.8)]
)
def test_prices_are_those_of_the_cheapest_split(bits, depth, units):
    layers = (*[IntPolynomial((0, 0, 1))] * depth, Dense([[0]], np.array([(1 << bits - 1) - 1], object)))
    assert estimated_units(IntNetwork((1,), IntDomain(0, 0), layers)) == pytest.approx(units)


def test_measures_follow_the_task():
    one, two = (
        Graph((2,), (Dense(np.ones((n, 2)), np.zeros(n)),), "", {"task": task} if task else {})
        for n, task in ((1, None), (2, None))
    )
    x = np.random.default_rng(0).random((10, 2))
    assert Measure.of(one, x).name == "R squared"
    assert Measure.of(two, x).name == "same class"
    for graph in (one, two):
        assert Measure.of(graph, x)(graph) == 1.0
