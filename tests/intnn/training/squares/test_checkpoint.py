"""Stored variables come back, training goes on to the same bits, and what is not the plan's is refused."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from intnn.storage.document import Document, FormatError, read, write
from intnn.training.squares.checkpoint import KIND, load, save
from intnn.training.squares.plan import SquarePlan
from intnn.training.squares.step import NAMES, fit, gradients, updated

PLAN = SquarePlan(30, 4, 3, 3, 7, 5, 6, 10, 8, Fraction(1, 30), Fraction(1, 10))


def trained():
    rng = np.random.default_rng(0)
    x = rng.integers(-7, 8, (30, 4))
    x[:, -1] = 7
    labels, seen = rng.integers(0, 3, 30), []
    fit(PLAN, x, labels, 4, lambda _, state: seen.append(state))
    return x, labels, seen


@pytest.mark.parametrize("suffix", ["npz", "json"])
def test_training_goes_on_to_the_same_bits(tmp_path, suffix):
    x, labels, seen = trained()
    path = tmp_path / f"state.{suffix}"
    save(path, PLAN, seen[2], 3)
    state, steps = load(path, PLAN)
    assert steps == 3
    state = updated(PLAN, state, gradients(PLAN, x, labels, state.weights))
    assert all(np.array_equal(getattr(state, name), getattr(seen[3], name)) for name in NAMES)


def test_what_is_not_the_plans_is_refused(tmp_path):
    *_, state = trained()[2]
    path = tmp_path / "state.npz"
    save(path, PLAN, state, 4)
    with pytest.raises(FormatError, match="belongs to another"):
        load(path, replace(PLAN, first_rate=Fraction(1, 31)))
    with pytest.raises(ValueError, match="`state` must have `first` within"):
        save(path, replace(PLAN, first_limit=1), replace(state, first=state.first * 0 + (2 << 16)), 4)
    stored = read(path, KIND)
    large = {**stored.arrays, "second": stored.arrays["second"] + (7 << 16)}
    write(Document(KIND, stored.content, large), path)
    with pytest.raises(FormatError, match="must be variables of the plan: `state` must have `second` within"):
        load(path, PLAN)
    few = {name: values for name, values in stored.arrays.items() if name != "second"}
    write(Document(KIND, stored.content, few), path)
    with pytest.raises(FormatError, match="must be a number, beside first, second"):
        load(path, PLAN)
