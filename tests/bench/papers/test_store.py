"""What is kept of runs and trainings: found again if nothing has changed, and never taken for something else."""

import json
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from bench.papers import store
from bench.papers.attacked import Attacked, FromRecipe
from bench.papers.experiment import Measured, Trained
from bench.papers.store import kept, loaded, making, run_key, training_key
from plaintext_models.evaluation.card import QUICK, Effort
from plaintext_models.evaluation.judge import Share
from plaintext_models.zoo.registry import RECIPES

DIGITS = loaded("digits", None)
RECIPE = replace(RECIPES["digits-mlp"], epochs=2)
LITTLE = Effort(2, 2, 1, 2, 1, 5, 2, 1)


def silent(_):
    pass


@dataclass(frozen=True)
class Line:
    """A training of moments that counts itself."""

    slope: float
    counted: str = ""

    def build(self, making):
        return nn.Linear(1, 1)

    def fit(self, making):
        CALLS.append(("fit", making.seed))
        module = self.build(making)
        nn.init.constant_(module.weight, self.slope + making.seed)
        return Trained(module.eval(), {"epochs": np.array([0.5, self.slope])})


@dataclass(frozen=True)
class Counted:
    slope: float
    figure: float = 2.5
    dataset: str = "digits"

    def measure(self, run):
        CALLS.append(("measure", run.seed))
        found = run.trained(Line(self.slope))
        images, labels = run.attacked()
        assert len(images) == len(labels) == run.images
        return Measured(
            {"share": Share(3, run.images), "number": self.figure or math.nan, "drawn": torch.rand(()).item()},
            {"weights": found.module.weight.detach().numpy(), "epochs": found.record["epochs"]},
        )


CALLS = []


def measured(keep, subject=Counted(2.0), seed=1):
    CALLS.clear()
    return kept(subject, DIGITS, LITTLE, 5, seed, keep=keep, report=silent), list(CALLS)


def test_a_run_is_made_once_and_a_training_once_for_all_runs(tmp_path):
    first, calls = measured(tmp_path)
    assert calls == [("measure", 1), ("fit", 1)]
    assert first.measured.arrays["weights"].item() == 3.0
    assert first.measured.figures["number"] == 2.5

    again, calls = measured(tmp_path)
    assert not calls
    assert again.key == first.key
    assert again.measured.figures == first.measured.figures
    assert all(np.array_equal(values, first.measured.arrays[name]) for name, values in again.measured.arrays.items())
    assert set(again.measured.arrays) == {"weights", "epochs"}
    assert again.arrays == first.arrays
    key, arrays = store.read_arrays(again.arrays)
    assert key == again.key
    assert set(arrays) == {"weights", "epochs"}

    other, calls = measured(tmp_path, Counted(2.0, figure=3.5))
    assert calls == [("measure", 1)]  # another run of the same network
    assert other.measured.arrays["epochs"].tolist() == [0.5, 2.0]
    assert measured(tmp_path, seed=2)[1] == [("measure", 2), ("fit", 2)]


def test_an_interrupted_run_is_made_again_to_the_same_bits(tmp_path):
    first, _ = measured(tmp_path)
    for path in tmp_path.glob("*.json"):
        path.unlink()
    again, calls = measured(tmp_path)
    assert calls == [("measure", 1)]
    assert again.measured.figures == first.measured.figures


def test_what_another_recipe_left_under_this_name_is_not_taken(tmp_path):
    first, _ = measured(tmp_path)
    run, arrays = first.arrays.with_suffix(".json"), first.arrays
    (network,) = tmp_path.glob("trained-*.arrays")
    stored = json.loads(run.read_text())
    assert {"digest", "seed", "command", "seconds"} <= set(stored)
    run.write_text(json.dumps(stored | {"digest": "0" * 64}))
    network.write_bytes(arrays.read_bytes())  # the run's digest, not the training's
    assert measured(tmp_path)[1] == [("measure", 1), ("fit", 1)]


@pytest.mark.parametrize("what", ["json", "figure", "arrays", "no arrays", "network"])
def test_damaged_files_are_named_with_the_remedy(tmp_path, what):
    first, _ = measured(tmp_path)
    run, arrays = first.arrays.with_suffix(".json"), first.arrays
    (network,) = tmp_path.glob("trained-*.arrays")
    if what == "json":
        run.write_text("{")
    elif what == "figure":
        run.write_text(run.read_text().replace("2.5", "2.6"))
    elif what == "arrays":
        content = bytearray(arrays.read_bytes())
        content[len(content) // 3] ^= 255
        arrays.write_bytes(content)
    elif what == "no arrays":
        arrays.unlink()
    else:
        run.unlink()
        network.write_bytes(network.read_bytes()[:-30])
    with pytest.raises(ValueError, match="delete it to run anew") as raised:
        measured(tmp_path)
    assert str(network if what == "network" else run) in str(raised.value)


def test_a_share_of_other_images_than_it_counts_is_damage(tmp_path):
    first, _ = measured(tmp_path)
    run = first.arrays.with_suffix(".json")
    stored = json.loads(run.read_text())
    stored["figures"]["share"]["which"] = "80"
    del stored["sha256"]
    run.write_text(json.dumps(stored | {"sha256": store._check(stored)}))  # not by a bad disk, but by a hand
    with pytest.raises(ValueError, match="must hold a finished run, got a damaged file; delete it to run anew"):
        measured(tmp_path)


def test_figures_are_finite(tmp_path):
    with pytest.raises(ValueError, match="`number` must be a finite number, got nan"):
        measured(tmp_path, Counted(2.0, figure=0.0))
    assert not list(tmp_path.glob("*.json"))


def test_whatever_decides_about_a_run_is_in_its_digest(monkeypatch):
    one = Attacked(RECIPE, 0.1, "T23")
    shorter = replace(DIGITS, test_images=DIGITS.test_images[:300], test_labels=DIGITS.test_labels[:300])
    changed = [
        (one, DIGITS, QUICK, 20, 1),
        (one, DIGITS, QUICK, 21, 0),
        (one, shorter, QUICK, 20, 0),
        (one, DIGITS, LITTLE, 20, 0),
        (one, DIGITS, None, 20, 0),
        (replace(one, radius=0.2), DIGITS, QUICK, 20, 0),
        (replace(one, defence="T24"), DIGITS, QUICK, 20, 0),
        (replace(one, defence=None), DIGITS, QUICK, 20, 0),
        (replace(one, recipe=replace(RECIPE, epochs=3)), DIGITS, QUICK, 20, 0),
    ]
    found = {run_key(*about) for about in [(one, DIGITS, QUICK, 20, 0), *changed]}
    assert len(found) == 1 + len(changed)
    training = FromRecipe(RECIPE)
    assert training_key(training, DIGITS, 0) == training_key(FromRecipe(RECIPE), shorter, 0)  # of the training part
    assert training_key(training, DIGITS, 0) != training_key(training, DIGITS, 1)
    before = training_key(training, DIGITS, 0)
    monkeypatch.setattr(store, "code", lambda _: "other code")
    assert run_key(one, DIGITS, QUICK, 20, 0) not in found
    assert training_key(training, DIGITS, 0) != before


def test_the_code_is_a_files_own_and_all_that_it_imports(monkeypatch):
    seen = []
    monkeypatch.setattr(store.sources, "digest", lambda path: seen.append(path.as_posix()) or path.name)
    store.code(Attacked)
    assert seen[0].endswith("bench/papers/attacked.py")
    assert any(path.endswith("plaintext_models/defences/jpeg.py") for path in seen)  # imported by its name
    monkeypatch.undo()
    files = {path.as_posix() for path in store.sources.sources(store.Path(store.inspect.getfile(Attacked)))}
    for part in ("plaintext_models/training/loop.py", "evaluation/trials.py", "nets/mlp.py", "values/lut.py"):
        assert any(path.endswith(part) for path in files), part


def test_a_recipes_network_comes_back_as_it_was(tmp_path):
    made, back = (making(DIGITS, 0, keep=tmp_path, report=silent).trained(FromRecipe(RECIPE)).module for _ in "ab")
    assert made is not back
    assert not back.training
    images = torch.from_numpy(DIGITS.test_images)
    assert torch.equal(made(images), back(images))
