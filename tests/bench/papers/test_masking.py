"""What is measured of M's networks, on small ones and digits: every subject gives its columns, and they agree."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.nn import functional

from bench.papers import masked_subjects, masked_toy
from bench.papers.experiment import Run
from bench.papers.masked import Head, Network
from bench.papers.masked_attacks import Seen, adaptive, fgsm, right
from bench.papers.masked_kinds import ADDED, KINDS, VIEWS, chapter_3, coloured, seen
from bench.papers.masked_subjects import (
    CLUSTERED,
    CONFIDENT,
    DISTANCES,
    GATED,
    SLOPED,
    SPREAD,
    STEPPED,
    SWEPT,
    Clustered,
    Confident,
    Distances,
    Gated,
    Sloped,
    Spread,
    Stepped,
    Swept,
    Transferred,
    transfer,
)
from bench.papers.store import loaded, making
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.target import Target
from plaintext_models.defences.defence import Defended
from plaintext_models.evaluation.card import Effort
from plaintext_models.stochastic.reinforce import units
from plaintext_models.stochastic.toy import fit

GATES = Network(True, {"masks": "gates", "sides": (3, 3), "gates": {"hidden": 16}}, 4, 1e-2, data="digits")
PLAIN = replace(GATES, options={"units": "relu", "sides": (3, 3)})
TOLD = replace(GATES, options={"units": "reinforce", "sides": (3, 3)}, epochs=2)
TOLD_DENSE = replace(TOLD, options={"units": "reinforce", "channels": (), "sides": (), "strides": ()})
LITTLE = Effort(3, 2, 1, 2, 1, 20, 2, 3)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    dataset = loaded("digits", None)
    keep = tmp_path_factory.mktemp("keep")
    given = making(dataset, 0, keep=keep, report=lambda _: None)
    return Run(0, dataset, given.trained, given.report, 80, LITTLE)


@pytest.mark.parametrize(
    ("subject", "columns"),
    [
        (Swept(GATES), SWEPT),
        (Swept(PLAIN, "deterministic"), SWEPT),
        (Swept(TOLD_DENSE), SWEPT),
        (Confident(TOLD), CONFIDENT),
        (Stepped(PLAIN, "deterministic"), STEPPED),
        (Transferred(PLAIN, "deterministic", {"SGBN": Seen(GATES)}), transfer({"SGBN": Seen(GATES)})),
        (Gated(GATES), GATED),
        (Sloped(GATES), SLOPED),
        (Spread(PLAIN, "deterministic"), SPREAD),
        (Distances(PLAIN, "deterministic"), DISTANCES),
        (Clustered(PLAIN, "deterministic"), CLUSTERED),
        (Swept(Head(GATES, 1, 1e-2, 60), thorough=False), SWEPT),
    ],
)
def test_every_subject_gives_its_columns(subject, columns, run, monkeypatch):
    monkeypatch.setattr(masked_subjects, "ADAPTIVE", (0.1,))
    monkeypatch.setattr(masked_subjects, "RADII", (0.1, 0.3))
    figures = subject.measure(run).figures
    assert figures
    assert set(figures) <= {column.name for column in columns}


def test_the_unattacked_figure_is_the_clean_one_of_all_tests(run):
    every = replace(run, images=len(run.dataset.test_images))
    for subject in (Swept(PLAIN, "deterministic", thorough=False), Swept(GATES, thorough=False)):
        assert subject.unattacked(run).figures == {"clean": subject.measure(every).figures["clean"]}


def test_neighbours_are_no_more_independent_than_the_images_that_they_are_of(run):
    found = Clustered(PLAIN, "deterministic").measure(run).figures["neighbours of its class"]
    assert found.n == run.images


@pytest.mark.parametrize("masks", ["none", "binarised"])
def test_toys_give_their_columns(masks, run, monkeypatch):
    monkeypatch.setattr(masked_toy, "MARKS", (0, 20))
    monkeypatch.setattr(masked_toy, "WATCHED", (0, 19))
    monkeypatch.setattr(masked_toy, "fit", partial(fit, iterations=20))
    figures = masked_toy.Toy(masks, runs=2).measure(run).figures
    columns = {column.name for column in masked_toy.TOY}
    assert set(figures) - columns == {"training error 19", *(name for name in figures if "gates at 20 " in name)}
    assert ("p1 0" in figures) == (masks != "none")


def test_everything_breaks_more_than_one_step_and_the_majority_stands_as_long(run):
    module, defended = Seen(GATES).defended(run)
    images, labels = run.attacked()
    assert len(defended.surrogates) == 1
    assert defended.randomness_off is not None
    moved = fgsm(module, defended.target, images, labels, 0.1)
    assert ((moved - images).abs() <= 0.1 + 1e-6).all()
    stepped = right(defended.target, moved, labels)
    once, majority = adaptive(defended, images, labels, Ball("linf", 0.1), run)
    assert once.count <= majority.count + 0.1 * majority.n
    assert majority.count < stepped.count < right(defended.target, images, labels).count


def test_units_without_a_gradient_are_attacked_by_what_they_learn_from(run):
    module, defended = Seen(TOLD).defended(run)
    images, labels = run.attacked()
    assert units(module)
    moved = fgsm(module, defended.target, images, labels, 0.2)
    assert (moved != images).flatten(1).any(1).all()
    assert right(defended.target, moved, labels).count < right(defended.target, images, labels).count


def test_steps_go_as_far_as_each_reading_lets_them(run):
    figures = Stepped(PLAIN, "deterministic").measure(run).figures
    reached = {reading: figures[f"BIM 0.1, {reading}, Linf reached"] for reading in masked_subjects.READINGS}
    assert reached["radius of the step"] == pytest.approx(0.1, abs=1e-6)
    assert reached["radius 0.3"] == pytest.approx(0.3, abs=1e-6)
    assert reached["no ball"] > 0.9
    shares = [figures[f"BIM, {reading} 0.1"].count for reading in masked_subjects.READINGS]
    assert shares[0] <= shares[2]


@pytest.mark.parametrize(("radius", "beyond"), [(None, True), (0.3, False)])
def test_gradients_are_taken_where_the_steps_have_led(radius, beyond):
    seen = []

    def model(images):
        seen.append(images.detach())
        return images.flatten(1)

    images, labels = torch.full((1, 1, 1, 2), 0.9), torch.tensor([1])
    moved = masked_subjects._ten_steps(Target(model), images, labels, 0.1, radius)
    assert bool((seen[-1] > 1).any()) == beyond
    assert moved.tolist() == [[[[1.0, 0.0]]]] if beyond else moved.amin() > 0.5


@pytest.mark.parametrize("quick", [True, False])
def test_networks_that_share_a_training_have_equal_ones(quick):
    assert seen("SAP", quick).network == seen("CNN-BIN", quick).network
    assert seen("SAP", quick).view == "pruned"
    assert seen("SGBN, shuffled", quick).network == seen("SGBN", quick).network
    names = [*KINDS, *VIEWS, "BNN with PGD", f"CNN{ADDED}"]
    fixed = {name for name in names if seen(name, quick).view == "deterministic"}
    assert fixed == {"CNN", "BNN", "BNN with PGD", f"CNN{ADDED}"}
    assert seen("BNN with PGD", quick).network.late is not None
    assert chapter_3(quick, 1) == chapter_3(quick, 1)


def test_the_attacker_does_not_know_the_draws_that_he_is_judged_by(run, monkeypatch):
    logits = {}

    def noted(name, target, images):
        with torch.no_grad():
            logits[name] = target.logits(images)

    def attack(module, target, images, labels, radius):
        noted("attacker", target, images)
        return images

    def judged(target, images, labels):
        noted("judge", target, images)

    monkeypatch.setattr(masked_subjects, "fgsm", attack)
    monkeypatch.setattr(masked_subjects, "right", judged)
    Transferred(GATES, sources={"itself": Seen(GATES)}).measure(run)
    assert not torch.equal(logits["attacker"], logits["judge"])


def test_one_draw_is_not_the_worst_of_several(run):
    generator, images = torch.Generator().manual_seed(0), torch.rand(800, 1, 8, 8)

    def coin(images):  # wrong every fourth time, whatever it is asked
        wrong = (torch.rand(len(images), generator=generator) < 0.25).long()
        return functional.one_hot(wrong, 2).float() + 0 * images.sum((1, 2, 3))[:, None]

    defended = Defended(Target(coin, stochastic=True))
    once, _ = adaptive(defended, images, torch.zeros(len(images), dtype=torch.long), Ball("linf", 0.1), run)
    assert 0.7 < once.value < 0.8  # 0.75, with a deviation of 0.015


def test_attacks_in_training_are_the_documents():
    for found, epochs, steps in ((seen("BNN with PGD", False), 25, 40), (coloured("BNN with PGD"), 40, 20)):
        recipe = found.network.recipe(0)
        assert (recipe.epochs, recipe.hardening.steps) == (epochs, steps)
        assert epochs * (1 - recipe.hardening.begin) == pytest.approx(5)


def test_a_training_is_the_same_again_and_in_the_masks_of_the_run(run):
    one, two = (Seen(GATES).defended(run)[1].target for _ in range(2))
    images, _ = run.attacked()
    with torch.no_grad():
        assert torch.equal(one.logits(images), two.logits(images))


def test_the_best_run_is_that_of_the_training_points(run, monkeypatch):
    def two_runs(masks, **rest):
        found = fit(masks, **rest | {"iterations": 20})
        return replace(found, losses=found.losses * 0 + torch.tensor([2.0, 1.0]), test_losses=torch.tensor([0.1, 0.2]))

    monkeypatch.setattr(masked_toy, "WATCHED", (0, 19))
    monkeypatch.setattr(masked_toy, "fit", two_runs)
    assert masked_toy.Toy("none", runs=2).measure(run).figures["test error, best run"] == pytest.approx(0.2)
