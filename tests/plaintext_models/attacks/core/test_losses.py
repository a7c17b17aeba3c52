"""Losses that attacks climb: values that can be read off, and where they push the logits."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plaintext_models.attacks.core.losses import LOSSES, cross_entropy, dlr, margin, others, targeted_dlr

LOGITS = torch.tensor([[4.0, 1.0, 3.0, 2.0], [0.0, 5.0, 1.0, 3.0]], dtype=torch.float64)
CLASSES = torch.tensor([0, 3])


def test_values():
    terms = [sum(math.exp(value) for value in row) for row in LOGITS.tolist()]
    expected = [math.log(terms[0]) - 4, math.log(terms[1]) - 3]
    assert cross_entropy(LOGITS, CLASSES).tolist() == pytest.approx(expected)
    assert margin(LOGITS, CLASSES).tolist() == [-1, 2]
    assert dlr(LOGITS, CLASSES).tolist() == [-1 / 2, 2 / 4]
    # towards the targets: (z_t - z_y) / (z_1 - (z_3 + z_4) / 2)
    assert targeted_dlr(LOGITS, CLASSES, torch.tensor([2, 0])).tolist() == [-1 / 2.5, -3 / 4.5]


def test_others_hide_the_class_itself():
    hidden = others(LOGITS, CLASSES)
    assert hidden.gather(1, CLASSES[:, None]).isneginf().all()  # below any mask, finfo.min included
    assert torch.equal(hidden[0, 1:], LOGITS[0, 1:])


@st.composite
def problems(draw):
    """Distinct logits, a class and a target an image."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    logits = 5 * torch.randn(6, draw(st.integers(4, 7)), generator=generator, dtype=torch.float64)
    classes = torch.randint(0, logits.shape[1], (6,), generator=generator)
    return logits, classes, (classes + draw(st.integers(1, 3))) % logits.shape[1]


def slope(loss, logits):
    leaf = logits.clone().requires_grad_()
    return torch.autograd.grad(loss(leaf).sum(), leaf)[0]


@pytest.mark.parametrize("name", LOSSES)
@given(problems())
def test_losses_grow_away_from_the_class(name, problem):
    logits, classes, _ = problem
    gradient = slope(lambda values: LOSSES[name](values, classes), logits)
    own = gradient.gather(1, classes[:, None]).squeeze(1)
    rival = gradient.gather(1, others(logits, classes).argmax(1)[:, None]).squeeze(1)
    # the ratio of a misclassified image grows as well where the spread shrinks; of the least class it may stand still
    right = logits.argmax(1) == classes if name == "dlr" else torch.ones_like(own, dtype=torch.bool)
    assert (own[right] < 0).all()
    assert (rival[right] > 0).all()


@given(problems())
def test_positive_beyond_the_boundary_only(problem):
    logits, classes, _ = problem
    wrong = logits.argmax(1) != classes
    assert torch.equal(margin(logits, classes) > 0, wrong)
    assert torch.equal(dlr(logits, classes) > 0, wrong)


@given(problems(), st.floats(0.1, 10), st.floats(-9, 9))
def test_ratios_know_neither_scale_nor_shift(problem, scale, shift):
    logits, classes, targets = problem
    changed = scale * logits + shift
    torch.testing.assert_close(dlr(changed, classes), dlr(logits, classes))
    torch.testing.assert_close(targeted_dlr(changed, classes, targets), targeted_dlr(logits, classes, targets))
    assert (dlr(logits, classes) >= -1 - 1e-9).all()


@given(problems())
def test_the_targeted_ratio_grows_towards_the_target(problem):
    logits, classes, targets = problem
    values = targeted_dlr(logits, classes, targets)
    reached = logits.scatter(1, targets[:, None], logits.amax(1, keepdim=True) + 1)
    first = logits.argmax(1) == classes
    assert (values[first] < 0).all()
    assert (targeted_dlr(reached, classes, targets)[first] > 0).all()
    gradient = slope(lambda logits: targeted_dlr(logits, classes, targets), logits)
    assert (gradient.gather(1, targets[:, None]).squeeze(1)[first] > 0).all()


def test_equal_logits_divide_nothing_by_zero():
    flat = torch.zeros(1, 4)
    assert dlr(flat, CLASSES[:1]).item() == 0
    assert targeted_dlr(flat, CLASSES[:1], CLASSES[1:]).item() == 0
    assert torch.isfinite(slope(lambda logits: dlr(logits, CLASSES[:1]), flat)).all()
