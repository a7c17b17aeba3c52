"""A defended network under the published attack, and under one who knows more."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from bench.papers import attacked
from bench.papers.attacked import ADAPTIVE, CLEAN, FLAGS, PUBLISHED, Attacked
from bench.papers.experiment import Run
from bench.papers.store import loaded, making
from plaintext_models.attacks.core.target import Target
from plaintext_models.defences.defence import Defended
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.card import Effort
from plaintext_models.evaluation.judge import Share
from plaintext_models.zoo.make import untrained
from plaintext_models.zoo.registry import RECIPES

IMAGES = 40
LITTLE = Effort(2, 2, 1, 2, 1, 5, 2, 1)


@pytest.mark.parametrize("found", [0, 15])
def test_who_knows_the_defence_may_take_the_published_attack_too(found, monkeypatch):
    dataset, nearest = loaded("digits", None), torch.full((IMAGES,), torch.inf)
    nearest[:found] = 0.05
    card = SimpleNamespace(clean=Share(1, 1), nearest=nearest, findings=("zero gradients", "ties"))
    monkeypatch.setattr(attacked, "evaluate", lambda *_, **__: card)
    run = Run(0, dataset, lambda _: None, lambda _: None, IMAGES, Effort())
    defended = Defended(Target(untrained(RECIPES["digits-mlp"], dataset)))
    figures = attacked.attacked(defended, run, 0.1)
    assert figures[CLEAN] == Share(1, 1)
    assert figures[FLAGS] == 2
    assert figures[PUBLISHED].count < IMAGES - found
    assert (figures[ADAPTIVE] == figures[PUBLISHED]) == (not found)
    assert figures[ADAPTIVE].count <= min(figures[PUBLISHED].count, IMAGES - found)


@pytest.mark.parametrize("defence", [None, "T29", "T30"])  # T29 has a detector
def test_the_unattacked_figure_is_the_clean_one_of_all_tests(defence, tmp_path):
    dataset = loaded("digits", None)
    few = making(
        replace(dataset, test_images=dataset.test_images[:IMAGES], test_labels=dataset.test_labels[:IMAGES]),
        0,
        keep=tmp_path,
        report=lambda _: None,
    )
    subject = Attacked(replace(RECIPES["digits-mlp"], epochs=1), 0.1, defence)
    with deterministic(0):
        measured = subject.measure(Run(0, few.dataset, few.trained, few.report, IMAGES, LITTLE)).figures
    assert subject.unattacked(few).figures == {CLEAN: measured[CLEAN]}
    assert 0 < measured[CLEAN].count < IMAGES
