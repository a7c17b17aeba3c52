"""What is measured of what stands in front of networks: on digits, in small, every figure that is declared."""

from dataclasses import replace

import pytest
import torch

from bench.papers import course
from bench.papers.experiment import Run
from bench.papers.reactive import Crossed, Geometry, Growing, Judged, Magnitudes, Model, Rebuilt, aims
from bench.papers.reactive_training import Universal
from bench.papers.store import loaded, making
from plaintext_models.evaluation.card import Effort

NETWORK = replace(course.SMALL, epochs=3)
CONTROL, NOISE = Model(NETWORK), Model(NETWORK, "noise", 0.2)
LITTLE = Effort(2, 2, 1, 2, 1, 5, 2, 3)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    given = making(loaded("digits", None), 0, keep=tmp_path_factory.mktemp("kept"), report=lambda _: None)
    return Run(given.seed, given.dataset, given.trained, given.report, 20, LITTLE)


def names(identifier):
    return {column.name for column in course.EXPERIMENTS[identifier].columns}


@pytest.mark.parametrize(
    ("identifier", "subject", "missing"),
    [
        ("C1", Geometry(CONTROL), set()),
        ("C2", Rebuilt(Model(NETWORK, "autoencoder")), set()),
        ("C3", Rebuilt(Model(NETWORK, "convolutional")), set()),
        ("C13", Judged(CONTROL), {"cost", "gain", "adaptive, one draw"}),
        ("C13", Judged(NOISE), set()),
        ("C14", Crossed(NOISE, Model(NETWORK, "PCA")), set()),
    ],
)
def test_figures_are_those_that_are_declared(run, identifier, subject, missing):
    assert set(subject.measure(run).figures) == names(identifier) - missing


@pytest.mark.parametrize("model", [CONTROL, NOISE])
def test_the_unattacked_figure_is_that_of_original_images(run, model):
    subject = Judged(model)
    assert subject.unattacked(run).figures == {"original": subject.measure(run).figures["original"]}


def test_curves_are_those_that_are_declared(run):
    few = Magnitudes(CONTROL, course.MAGNITUDES[:2]).measure(run)
    assert set(few.figures) == {f"{line} {one}" for line in ("original", "universal", "adaptive") for one in (0, 1)}
    assert set(few.figures) <= names("C16")
    assert set(few.arrays) == set(course.EXPERIMENTS["C16"].pictures)
    for shown in few.arrays.values():
        assert shown.shape == (7, 8, 8)
        assert 0 <= shown.min() <= shown.max() <= 1
    assert set(Growing(CONTROL, (0.5,)).measure(run).figures) <= names("C6")


def test_both_ways_agree_and_energy_is_shared_out(run):
    figures = Geometry(CONTROL).measure(run).figures
    assert figures["ways differ by"] < 1e-9
    assert 1 < figures["components for 99 %"] < 64
    for name in course.MOVES:
        assert sum(figures[f"{name} {band}"] for band in range(1, 9)) == pytest.approx(100)
    assert figures["clean, beyond"] == pytest.approx(1, abs=0.5)


def test_the_perturbation_stays_in_its_ball_and_is_the_same_for_all(run):
    moved = run.trained(Universal(NETWORK, 0.1)).module
    assert 0 < moved.move.abs().max() <= 0.1 + 1e-6
    images = torch.full((2, 1, 8, 8), 0.5)
    assert torch.allclose(moved(images) - images, moved.move.expand_as(images), atol=1e-6)


def test_no_image_is_moved_towards_its_own_class(run):
    labels = torch.arange(10).repeat(20)
    goal = aims(labels, run)
    assert set((goal.targets - labels).remainder(10).tolist()) == set(range(1, 10))
