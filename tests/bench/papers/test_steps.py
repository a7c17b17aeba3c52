"""What is measured of one step of the gradient's sign: on digits, in small, every figure that is declared."""

from dataclasses import replace

import pytest

from bench.papers import linear, steps
from bench.papers.experiment import Run
from bench.papers.fitted import ByLikelihood, ByPrediction, Fitted, WorstCase
from bench.papers.store import loaded, making
from plaintext_models.evaluation.card import Effort
from plaintext_models.zoo.registry import RECIPES

SMALL = replace(RECIPES["digits-mlp"], epochs=5)
SOFTMAX = Fitted(SMALL)
MAXOUT = Fitted(replace(SMALL, network="maxout", options={"hidden": (16, 16), "pieces": 2}), part=600)
RADIAL = Fitted(replace(SMALL, network="rbf", options={}, learning_rate=1e-2), ByLikelihood())
MACHINE = Fitted(replace(SMALL, network="dbm", options={"hidden": (16, 16)}), ByPrediction())
LOGISTIC = Fitted(replace(SMALL, network="logistic", options={}, epochs=40), classes=(3, 7))
LITTLE = Effort(2, 2, 1, 2, 1, 5, 2, 3)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    given = making(loaded("digits", None), 0, keep=tmp_path_factory.mktemp("kept"), report=lambda _: None)
    return Run(given.seed, given.dataset, given.trained, given.report, 30, LITTLE)


def names(identifier):
    return {column.name for column in linear.EXPERIMENTS[identifier].columns}


@pytest.mark.parametrize(
    ("identifier", "subject"),
    [
        ("A2", steps.OneStep(SOFTMAX)),
        ("A5", steps.OneStep(MAXOUT, learnt=True)),
        ("A7", steps.OneStep(MAXOUT, SOFTMAX)),
        ("A10", steps.OneStep(RADIAL)),
        ("A3", steps.Turning(SOFTMAX, linear.ANGLES)),
        ("A11", steps.Agreeing(MAXOUT, SOFTMAX, RADIAL)),
        ("A12", steps.Tracing(SOFTMAX, linear.DISTANCES)),
        ("A13", steps.Together(SOFTMAX, 2)),
        ("A13", steps.Together(MACHINE, 1)),
        ("A14", steps.Nothing(SOFTMAX)),
    ],
)
def test_figures_are_those_that_are_declared(run, identifier, subject):
    missing = {"one member", "one member, clipped"} if subject == steps.Together(MACHINE, 1) else set()
    assert set(subject.measure(run).figures) == names(identifier) - missing


@pytest.mark.parametrize("training", [SOFTMAX, LOGISTIC])
def test_the_unattacked_figure_is_the_error_of_all_tests(run, training):
    subject = steps.OneStep(training)
    few, every = (replace(run, images=images) for images in (30, 360))
    found = subject.unattacked(few).figures
    assert found == {"error": subject.measure(every).figures["error"]}
    assert found["error"].n == (360 if training == SOFTMAX else sum(run.dataset.test_labels % 4 == 3))  # 3 and 7


def test_the_activation_grows_as_predicted(run):
    figures = steps.Growth(LOGISTIC).measure(run).figures
    assert figures["growth"] == pytest.approx(figures["radius x mean weight x size"], rel=1e-4)


def test_the_worst_case_is_trained_against(run):
    plain, hardened = (
        steps.OneStep(replace(LOGISTIC, how=how)).measure(run).figures["error clipped"].value
        for how in (LOGISTIC.how, WorstCase(0.25))
    )
    assert plain > hardened


def test_noise_is_nothing_to_radial_functions(run):
    figures = steps.Nothing(RADIAL).measure(run).figures
    assert figures["error"].value < 0.01
    assert "confidence" not in figures or figures["confidence"] > 50


def test_members_differ_by_their_seeds(run):
    one, two = (run.trained(replace(SOFTMAX, member=member)).module for member in (0, 1))
    assert not all((a == b).all() for a, b in zip(one.parameters(), two.parameters(), strict=True))
