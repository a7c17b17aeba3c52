"""What is measured of drawn weights: on digits, in small, every figure that an experiment declares."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.papers import delta_rule, drawn_subjects
from bench.papers.drawn_training import DISTURBED, HELD_OUT, VALIDATION, VARIANCE, DrawnWeights
from bench.papers.experiment import Run
from bench.papers.store import loaded, making
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.nearest.deepfool import deepfool
from plaintext_models.evaluation.card import Effort
from plaintext_models.nets.mlp import mlp
from plaintext_models.zoo.registry import RECIPES

RECIPE = replace(RECIPES["digits-mlp"], epochs=5)
RECURRENT = replace(RECIPE, network="lstm", options={"hidden": 8, "steps": 8}, epochs=1)
RESIDUAL = replace(RECIPE, network="resnet", options={"channels": (2, 3)}, epochs=1)
NORMAL = DrawnWeights(RECIPE, {"kind": "normal", "fraction": 0.5}, None, drawn=True)
LITTLE = Effort(2, 2, 1, 2, 1, 5, 2, 3)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    given = making(loaded("digits", None), 0, keep=tmp_path_factory.mktemp("kept"), report=lambda _: None)
    return Run(given.seed, given.dataset, given.trained, given.report, 30, LITTLE)


def names(identifier):
    return {column.name for column in delta_rule.EXPERIMENTS[identifier].columns}


def test_a_record_has_every_epoch(run):
    record = run.trained(NORMAL).record
    assert {name: len(values) for name, values in record.items()} == {
        VALIDATION: 5,
        DISTURBED: 5,
        VARIANCE: 5,
        HELD_OUT: 2,
    }
    assert record[HELD_OUT].tolist() == [205, 205]  # a seventh of 1,437
    assert record[VALIDATION][-1] > record[VALIDATION][0]
    assert bool((record[DISTURBED] < record[VALIDATION]).all())


def test_a_training_is_restored_as_it_was(run):
    images = torch.from_numpy(run.dataset.test_images[:10])
    modules = (run.trained(NORMAL).module, NORMAL.fit(run).module)
    one, two = (NORMAL.defended(module, torch.Generator().manual_seed(1)).target for module in modules)
    assert torch.equal(one.logits(images), two.logits(images))


@pytest.mark.parametrize(
    ("identifier", "subject"),
    [
        ("S18", drawn_subjects.Accuracy(NORMAL, tests=100)),
        ("S18", drawn_subjects.Accuracy(NORMAL, 5, tests=100)),
        ("S18", drawn_subjects.Accuracy(DrawnWeights(RECURRENT, delta_rule.DECAY, 200), tests=100)),
        (
            "S21",
            drawn_subjects.Accuracy(
                DrawnWeights(RESIDUAL, {**delta_rule.learnable(0.5), "convolutions": True}, 200), tests=100
            ),
        ),
        ("S22", drawn_subjects.History(NORMAL, (VARIANCE, VALIDATION, DISTURBED))),
        ("S15", drawn_subjects.Voted(NORMAL)),
        ("S24", drawn_subjects.Claims(NORMAL, 5)),
        ("S16", drawn_subjects.Theorem("digits", 0.1)),
        ("S23", drawn_subjects.Pictures(DrawnWeights(RECIPE, part=600))),
    ],
)
def test_figures_are_those_that_are_declared(run, identifier, subject):
    measured = subject.measure(run)
    assert measured.figures
    assert set(measured.figures) <= names(identifier)
    assert set(measured.arrays) == set(delta_rule.EXPERIMENTS[identifier].pictures)


def test_the_table_of_attacks(run):
    figures = drawn_subjects.Attacks(NORMAL, quick=True).measure(run).figures
    assert set(figures) == names("S20")
    # on the boundary of one draw another one is right again; whoever averages over draws is not misled by that
    assert figures["FGSM, n = 10"].value > figures["adaptive 0.3"].value
    assert drawn_subjects.Attacks(NORMAL, quick=True).unattacked(run).figures == {"clean": figures["clean"]}
    assert figures["clean"].n == len(run.dataset.test_images)


def test_the_theorem_holds_by_drawing(run):
    figures = drawn_subjects.Theorem("digits", 0.1).measure(run).figures
    difference = abs(figures["closed form"] - figures["by drawing"])
    assert difference < 5 * figures["deviation of that"]  # five deviations of a mean of 5,000


def test_a_training_that_diverges_is_told(run):
    wild = DrawnWeights(RECIPE, {"kind": "delta rule", "growth": 1e4, "interval": 1}, 600)
    assert drawn_subjects.Stable(wild).measure(run).figures == {"epochs finished": 0}
    assert drawn_subjects.Stable(DrawnWeights(RECIPE, part=600)).measure(run).figures == {"epochs finished": 5}


def test_the_growing_step_takes_the_least_radius_that_fools():
    torch.manual_seed(0)
    target = Target(mlp((1, 3, 3), 3, (8,)).eval())
    images = torch.rand(20, 1, 3, 3)
    labels = torch.where(torch.arange(20) < 15, target.logits(images).argmax(1), 0)
    moved, fooled = drawn_subjects.growing(target, images, labels, levels=40)
    slope, logits = target.gradient(images, lambda z: torch.nn.functional.cross_entropy(z, labels, reduction="none"))
    for image in range(20):
        steps = [images[[image]]] + [
            (images[[image]] + k / 40 * slope[[image]].sign()).clamp(0, 1) for k in range(1, 41)
        ]
        wrong = [int(target.logits(step).argmax()) != int(labels[image]) for step in steps]
        assert bool(fooled[image]) == any(wrong)
        assert torch.allclose(moved[image], steps[int(np.argmax(wrong)) if any(wrong) else 40][0], atol=1e-6)
    assert bool(fooled[logits.argmax(1) != labels].all())


def test_who_stopped_at_one_draw_is_not_judged_by_another(run):
    target = NORMAL.defended(run.trained(NORMAL).module, torch.Generator().manual_seed(0)).target
    images, labels = run.attacked()
    found = deepfool(target, images, Goal(labels), "l2")
    stopped = drawn_subjects.stopped(found, images)
    assert stopped.all()  # DeepFool has no limit
    assert not found.success.all()  # on the boundary of one draw, a fresh one is fooled by chance
