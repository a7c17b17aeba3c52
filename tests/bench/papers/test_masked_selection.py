"""How the quick version of M is chosen: by its rules, on images that are neither trained on nor test images."""

from dataclasses import replace

import numpy as np
import pytest

from bench.papers import masked_selection
from bench.papers.experiment import Run
from bench.papers.masked import GATES as GATES_USED
from bench.papers.masked import LATE, Head, Late, Network
from bench.papers.masked_attacks import Seen
from bench.papers.masked_selection import best, choices, enough, held_out
from bench.papers.store import loaded, making
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.card import QUICK

DIGITS = loaded("digits", None)
GATES = Network(True, {"masks": "gates", "sides": (3, 3)}, 1, 1e-2, data="digits")
BINARY = Network(True, {"masks": "binary", "begin": 1, "units": "relu", "sides": (3, 3)}, 1, 1e-2, data="digits")


def test_held_out_images_are_not_trained_on_and_test_images_are_not_there(monkeypatch):
    monkeypatch.setattr(masked_selection, "HELD_OUT", 300)
    monkeypatch.setattr(masked_selection, "SMALL", 1000)
    found = held_out(DIGITS)
    assert np.array_equal(found.train_images, DIGITS.train_images[:1000])
    assert np.array_equal(found.test_images, DIGITS.train_images[-300:])
    assert np.array_equal(found.test_labels, DIGITS.train_labels[-300:])
    assert len(found.train_images) + len(found.test_images) <= len(DIGITS.train_images)


def test_rules_take_the_best_or_the_first_that_is_enough():
    assert best({"a": 0.5, "b": 0.7, "c": 0.7}) == "b"
    assert enough({"1": 0.5, "8": 0.9, "30": 0.99}) == "8"
    assert enough({"1": 0.5, "8": 0.8, "30": 0.85}) == "30"


def test_every_choice_is_among_its_values(monkeypatch, tmp_path):
    for name, value in {
        "HELD_OUT": 60,
        "ATTACKED": 20,
        "STEPS": 2,
        "RATES": (1e-4, 1e-2),
        "GAINS": (1.0, 30.0),
    }.items():
        monkeypatch.setattr(masked_selection, name, value)
    monkeypatch.setattr(masked_selection, "SCHEDULES", (Late(1), Late(2, 0.0, 0.5)))
    monkeypatch.setattr(masked_selection, "FAMILIES", {"gated networks": lambda: (Seen(GATES),)})
    monkeypatch.setattr(masked_selection, "HEADS", {"a gate": lambda: (Seen(Head(GATES, 1, 1e-2, 60)),)})
    monkeypatch.setattr(masked_selection, "seen", lambda name, _: Seen(GATES if name == "SGBN" else BINARY))
    monkeypatch.setitem(masked_selection.RADII, "digits", 0.1)
    made = making(held_out(DIGITS), 0, keep=tmp_path, report=lambda _: None)
    with deterministic(0):
        found = list(choices(Run(0, made.dataset, made.trained, made.report, 60, QUICK)))
    assert [one.what for one in found] == [
        "rate, gated networks",
        "gain of gates",
        "rate, a gate",
        "attacks in training",
    ]
    for one in found:
        assert len(one.scores) == 2
        assert one.chosen in one.scores
        assert all(0 <= score <= 1 for score in one.scores.values())
    assert found[0].scores["0.01"] > found[0].scores["0.0001"]  # five steps of the one, and of the other next to none
    assert found[0].chosen == "0.01"
    assert found[1].scores["30"] > found[1].scores["1"]  # the same gates, their numbers times 30


@pytest.mark.parametrize("late", masked_selection.SCHEDULES)
def test_schedules_are_those_of_a_training(late, monkeypatch):
    monkeypatch.setitem(masked_selection.RADII, "digits", 0.1)
    network = replace(BINARY, late=late)
    assert network.recipe(0).hardening.steps == late.steps
    assert network.recipe(0).hardening.begin == late.begin


def test_what_is_used_was_tried():
    for family in (*masked_selection.FAMILIES.values(), *masked_selection.HEADS.values()):
        assert {one.network.rate for one in family()} <= set(masked_selection.RATES)
        assert len({one.network.rate for one in family()}) == 1
    assert GATES_USED["gain"] in masked_selection.GAINS
    assert LATE[True] in masked_selection.SCHEDULES
