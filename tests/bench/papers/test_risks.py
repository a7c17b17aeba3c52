"""The standard and the robust risk: what is found of them, what bounds them, and where both are known exactly."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.papers import risks
from bench.papers.experiment import Run
from bench.papers.risks import Risks, bounded, found
from bench.papers.store import loaded, making
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.card import Effort
from plaintext_models.nets.mlp import mlp
from plaintext_models.zoo.registry import RECIPES

DIGITS = loaded("digits", None)
LITTLE = Effort(2, 2, 1, 2, 1, 5, 2, 1)


def some(count=20):
    return torch.from_numpy(DIGITS.test_images[:count]), torch.from_numpy(DIGITS.test_labels[:count])


def test_every_column_is_measured_and_the_lines_lie_above_one_another(tmp_path, monkeypatch):
    monkeypatch.setattr(risks, "STEPS", 5)
    given = making(DIGITS, 0, keep=tmp_path, report=lambda _: None)
    with deterministic(0):
        run = Run(given.seed, given.dataset, given.trained, given.report, 40, LITTLE)
        figures = Risks(replace(RECIPES["digits-mlp"], epochs=3)).measure(run).figures
    assert set(figures) == {column.name for column in risks.EXPERIMENTS["T42"].columns}
    for line in (risks.FOUND, risks.LEARNT, risks.ABOVE):
        values = [figures[f"{line} {radius:g}"] for radius in risks.RADII]
        assert values == sorted(values)
        assert values[0] < values[-1]
    for radius in risks.RADII:
        assert figures[f"{risks.FOUND} {radius:g}"] <= figures[f"{risks.ABOVE} {radius:g}"] + 1e-5
    assert figures[risks.PROVED].count <= figures[risks.REACHED].count <= figures[risks.CLEAN].count
    assert figures[risks.PROVED].n == figures[risks.REACHED].n == 40


def test_the_unattacked_figures_are_those_of_all_tests(tmp_path, monkeypatch):
    monkeypatch.setattr(risks, "STEPS", 1)
    few = making(
        replace(DIGITS, test_images=DIGITS.test_images[:30], test_labels=DIGITS.test_labels[:30]),
        0,
        keep=tmp_path,
        report=lambda _: None,
    )
    with deterministic(0):
        subject = Risks(replace(RECIPES["digits-mlp"], epochs=1))
        every = subject.measure(Run(0, few.dataset, few.trained, few.report, 30, LITTLE)).figures
    assert subject.unattacked(few).figures == {name: every[name] for name in (f"{risks.FOUND} 0", risks.CLEAN)}


def test_without_a_ball_both_are_the_loss():
    module = mlp((1, 8, 8), 10, (12,)).eval()
    images, labels = some()
    with torch.no_grad():
        losses = functional.cross_entropy(module(images), labels, reduction="none")
        right = module(images).argmax(1) == labels
    for values, holds in (found(module, images, labels, 0.0, 0), bounded(module, images, labels, 0.0)):
        torch.testing.assert_close(values, losses)
        assert torch.equal(holds, right)


@pytest.mark.parametrize("radius", [0.01, 0.1])
def test_of_two_classes_and_a_linear_map_both_are_the_closed_form(radius):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 2)).eval()
    images, labels = torch.rand(30, 1, 2, 3) * 0.6 + 0.2, torch.randint(2, (30,))  # no ball reaches 0 or 1
    with torch.no_grad():
        w, b = module[1].weight[0] - module[1].weight[1], module[1].bias[0] - module[1].bias[1]
        sign = 1 - 2.0 * labels
        worst = functional.softplus(radius * w.abs().sum() - sign * (images.flatten(1) @ w + b))
    for values, holds in (found(module, images, labels, radius, 0), bounded(module, images, labels, radius)):
        torch.testing.assert_close(values, worst, rtol=0, atol=1e-5)  # float32, and logits of about 1
        assert torch.equal(holds, worst < torch.log(torch.tensor(2.0)))


def test_no_point_of_a_ball_has_a_loss_above_the_bound():
    torch.manual_seed(1)
    module = mlp((1, 2, 2), 3, (8,)).eval()
    images, labels = torch.rand(10, 1, 2, 2), torch.randint(3, (10,))
    bound, proved = bounded(module, images, labels, 0.2)
    reached, stands = found(module, images, labels, 0.2, 0)
    assert (reached <= bound + 1e-6).all()
    assert (stands | ~proved).all()
    largest = torch.zeros(10)
    for _ in range(500):
        moved = (images + 0.2 * (2 * torch.rand(images.shape) - 1)).clamp(0, 1)
        with torch.no_grad():
            largest = largest.maximum(functional.cross_entropy(module(moved), labels, reduction="none"))
    assert (largest <= bound + 1e-6).all()
    assert (largest <= reached + 1e-2).all()  # a smooth loss of four pixels, climbed from four points
    assert (reached > found(module, images, labels, 0.0, 0)[0]).all()
