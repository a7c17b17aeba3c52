"""Two phases of training, compression and capacity, on a few digits: what they record, share and count."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.papers import capacity, compressed, plasticity
from bench.papers.capacity import Capacity, Depths, Memory
from bench.papers.compressed import Distilled, Narrower, Pruned, Quantised
from bench.papers.experiment import Run
from bench.papers.phases import Budget, Clean, Hardened, Network, fooled, right, searched
from bench.papers.plasticity import Epochs, TwoPhases
from bench.papers.store import loaded, making
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.card import Effort
from plaintext_models.evaluation.judge import Share

DIGITS = loaded("digits", None)
LITTLE = Effort(2, 2, 1, 2, 1, 5, 2, 1)
BUDGET = Budget(256, 60, 8, 2, 2, 5, 16, 1e-2)
SHALLOW, DEEP = (Clean(Network((6,) * depth, 16, (0.0, 0.0)), BUDGET) for depth in (2, 3))


def silent(_):
    pass


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that keeps its trainings for all tests."""
    given = making(DIGITS, 0, keep=tmp_path_factory.mktemp("keep"), report=silent)
    return Run(given.seed, given.dataset, given.trained, given.report, 20, LITTLE)


@pytest.fixture(autouse=True)
def fewer(monkeypatch):
    """Fewer points of every curve, and fewer epochs of random labels."""
    monkeypatch.setattr(compressed, "REMOVED", (0.0, 0.9))
    monkeypatch.setattr(compressed, "BITS", (2.0, 8.0))
    monkeypatch.setattr(compressed, "WIDTHS", (0.5, 1.0))
    monkeypatch.setattr(capacity, "DEPTHS", (1, 2))
    monkeypatch.setattr(capacity, "EPOCHS", 10)
    for module in (capacity, compressed):
        monkeypatch.setitem(module.RADII, "digits", 0.1)
    with deterministic(0):  # as all runs are
        yield


def names(experiment):
    return {column.name for column in experiment.columns}


def test_the_phases_follow_one_another_and_record_every_epoch(run):
    first, second = run.trained(SHALLOW), run.trained(Hardened(SHALLOW, 0.1, SHALLOW))
    assert [len(first.record[part]) for part in ("training", "held-out")] == [8, 8]
    assert [len(second.record[part]) for part in ("training", "held-out")] == [2, 2]
    assert second.record["radius"] == 0.1
    held_out = right(first.module, *BUDGET.validation(run))
    assert held_out.n == 60
    assert first.record["held-out"][-1] == held_out.value
    assert first.record["training"][-1] > 0.3  # a tenth is chance
    no_steps = Hardened(replace(SHALLOW, budget=replace(BUDGET, rate=1e-12)), 0.1, SHALLOW)
    before = run.trained(no_steps.before).module.state_dict()
    after = run.trained(no_steps).module.state_dict()
    assert all(torch.allclose(value, after[name]) for name, value in before.items())


def test_nothing_is_trained_on_what_is_held_out():
    few = making(DIGITS, 0, keep=None, report=silent)
    (images, labels), (others, their) = BUDGET.training(few), BUDGET.validation(few)
    assert len(images) == len(labels) == 256
    assert np.array_equal(torch.cat([images, others]).numpy(), DIGITS.train_images[:316])
    assert np.array_equal(torch.cat([labels, their]).numpy(), DIGITS.train_labels[:316])


def test_the_radius_that_is_searched_fools_as_many_as_it_should(run):
    radius = searched(run, SHALLOW)
    module, (images, labels) = run.trained(SHALLOW).module, BUDGET.validation(run)
    below, above = (fooled(module, images, labels, radius + change, BUDGET.attack, 0) for change in (-0.05, 0.05))
    assert below.value < 0.56 < above.value
    assert above.n == right(module, images, labels).count


def test_nothing_is_fooled_where_nothing_is_right(run):
    images, _ = run.attacked()
    module = run.trained(SHALLOW).module
    wrong = (module(images).argmax(1) + 1) % 10
    assert fooled(module, images, wrong, 0.1, 2, 0) == Share(0, 0)


def test_the_table_has_all_its_columns_and_epochs_are_joined(run):
    subject = TwoPhases(DEEP, SHALLOW, 0.1, "digits")
    found = subject.measure(run).figures
    assert subject.unattacked(run).figures == {plasticity.TEST: found[plasticity.TEST]}
    assert set(found) == names(plasticity.EXPERIMENTS["T46"])
    assert found["radius"] == 0.1
    assert found["test"].n == len(DIGITS.test_images)
    assert found["train"].n == 256
    joined = Epochs(SHALLOW, SHALLOW, "digits").measure(run).figures
    assert set(joined) <= names(plasticity.EXPERIMENTS["T47"])
    assert len(joined) == 2 * 3 * 10
    record = run.trained(SHALLOW).record["training"]
    assert [joined[f"training, 0.3 {i}"].value for i in range(1, 9)] == pytest.approx(record, abs=1 / 256)


@pytest.mark.parametrize("module", [plasticity, capacity])
def test_what_is_smaller_is_said_with_the_numbers_of_the_quick_version(module):
    quick = module.QUICK
    for words in (
        f"{quick.images:,} training images",
        f"{quick.adversarial} adversarial epochs",
        f"{quick.steps} steps",
    ):
        assert words in module.SMALLER


@pytest.mark.parametrize(
    ("subject", "line", "xs"),
    [
        (Pruned(SHALLOW, "curvature", dataset="digits"), "removed", (0, 0.9)),
        (Pruned(SHALLOW, "at random", True, "digits"), "removed", (0, 0.9)),
        (Quantised(SHALLOW, dataset="digits"), "bits", (2, 8)),
        (Narrower(SHALLOW, True, "digits"), "width", (0.5, 1)),
    ],
)
def test_compressed_networks_are_judged_at_every_size(run, subject, line, xs):
    found = subject.measure(run).figures
    assert set(found) == {f"{name} {x:g}" for name in (line, f"{line}, attacked") for x in xs}
    assert set(found) <= names(compressed.EXPERIMENTS["T44"])
    whole = right(run.trained(SHALLOW).module, *map(torch.from_numpy, (DIGITS.test_images, DIGITS.test_labels)))
    if isinstance(subject, Pruned) and not subject.retrained:
        assert found["removed 0"] == whole
    if isinstance(subject, Quantised):
        assert abs(found["bits 8"].count - whole.count) <= 8  # of 360
    assert all(found[f"{line}, attacked {x:g}"].n == 20 for x in xs)


def test_a_student_learns_its_teachers_answers(run):
    student = run.trained(Distilled(SHALLOW, DEEP)).module
    images, _ = BUDGET.training(run)
    teacher = run.trained(DEEP).module(images).argmax(1)
    assert (student(images).argmax(1) == teacher).double().mean() > 0.3  # a tenth is chance


def test_capacity_is_of_labels_that_mean_nothing(run):
    memory = Memory(SHALLOW.network, BUDGET)
    images, labels = memory.random(run)
    true = BUDGET.training(run)[1]
    assert (labels == true).double().mean() < 0.3
    assert torch.equal(labels, memory.random(run)[1])
    assert memory.fitted(run) == right(run.trained(memory).module, images, labels)
    found = Capacity(replace(memory, removed=0.9, bits=2), "digits").measure(run).figures
    assert set(found) == names(capacity.EXPERIMENTS["T48"])
    assert found[capacity.CAPACITY].value < memory.fitted(run).value


def test_every_depth_is_measured(run):
    found = Depths(2, 8, replace(BUDGET, clean=1, adversarial=1), "digits").measure(run).figures
    assert set(found) == {name for name in names(capacity.EXPERIMENTS["T45"]) if not name.endswith(" 3")}
