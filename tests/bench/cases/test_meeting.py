"""The meeting point, with networks that are trained for a moment."""

from dataclasses import replace
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases import meeting, meetings
from bench.cases.meetings import FIELDS, MEETINGS, PRUNED
from bench.harness.rows import read
from intnn import Dense, IntDomain, IntNetwork, QuantConfig
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.norms import inside
from plaintext_models.bridge.integers import integer_twin
from plaintext_models.data import datasets
from plaintext_models.zoo.registry import RECIPES


@pytest.fixture
def field(monkeypatch):
    """Networks of few units, tables of few points."""
    sizes = QuantConfig(input_bits=1, table_points=57)
    small = {"epochs": 1, "options": {"hidden": (12,)}}
    short = replace(FIELDS["digits"], recipe=replace(FIELDS["digits"].recipe, **small), sizes=sizes)
    for module in (meeting, meetings):
        monkeypatch.setattr(module, "FIELDS", MappingProxyType({"digits": short}))
    name = short.certified
    recipe = replace(RECIPES[name], epochs=1, options={"hidden": (12,), "input_bits": 1})
    monkeypatch.setattr(meetings, "RECIPES", {name: recipe})
    return short


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def invoke(*arguments):
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["meeting", *map(str, arguments)])


def test_proofs_hold_for_averages_that_float32_rounds():
    pixels = torch.tensor([[[[0.8597005009651184, 0.8814577460289001], [0.8270781636238098, 0.8305624127388]]]])
    moved = torch.tensor([[[[0.9597017168998718, 0.9814589619636536], [0.9270793795585632, 0.9305636286735535]]]])
    assert inside(Ball("linf", 0.1), pixels, moved).all()
    mean, moved_mean = (meetings.DOWNSAMPLED(image).flatten(1).numpy() for image in (pixels, moved))
    scale = 2.0**40
    threshold = int(moved_mean.item() * scale)  # class 1 begins where the average can come to
    layers = (Dense(np.array([[0], [1]]), np.array([0, -threshold + 1])),)
    network = IntNetwork((1,), IntDomain(0, 1 << 40), layers, scale)
    assert network.predict(network.quantise_input(moved_mean)).tolist() == [1]
    assert not any(proved.any() for proved in meeting.proofs(network, mean, np.array([0]), 0.1).values())


def test_rows_table_and_picture(tmp_path, field):
    pytest.importorskip("matplotlib")
    some = "--defence", "noise at the client", "--defence", "certified", "--points", 57, "--images", 4
    result = invoke(*some, "--json", tmp_path / "r.json", "--plot", tmp_path / "r.svg")
    assert result.exit_code == 0, result.output
    random, certified = (envelope.row for envelope in read(tmp_path / "r.json"))
    assert (random["defence"], certified["defence"]) == ("noise at the client", "certified")
    assert random["certified"] is None
    assert certified["certified_by_intervals"] <= certified["certified"] <= certified["test_images"] == 360
    assert certified["proved"] <= certified["robust"]
    for row in (random, certified):
        assert row["robust"] <= row["clean"] <= row["images"] == 4
        assert row["units"] > 1
        assert row["encrypted_ms"] > 0
    for word in ("certified", "proved", "units", "noise at the client"):
        assert word in result.output
    assert "<svg" in (tmp_path / "r.svg").read_text()


def test_what_is_proved_no_attack_breaks(field, digits):
    module = MEETINGS["certified"].build(field, digits, 0)
    network = integer_twin(module, torch.from_numpy(digits.train_images), field.sizes)
    proved = meeting.proofs(network, digits.test_images, digits.test_labels, 0.02)
    rng = np.random.default_rng(0)
    right = np.ones(len(digits.test_labels), bool)
    for _ in range(20):
        moved = digits.test_images.astype(np.float64) + 0.02 * rng.choice([-1, 1], digits.test_images.shape)
        right &= network.predict(network.quantise_input(moved.clip(0, 1))) == digits.test_labels
    assert proved["intervals"].sum() > 0
    assert not (proved["intervals"] & ~proved["lines"]).any()
    assert not (proved["lines"] & ~right).any()


def test_a_proof_that_was_refuted_is_an_error():
    entries = [SimpleNamespace(radius=radius, broken=torch.tensor([True, False])) for radius in (0.1, 0.2)]
    card = SimpleNamespace(radius=0.1, entries=entries)
    meeting.require_unbroken(card, {"lines": np.array([False, True, True])})
    with pytest.raises(RuntimeError, match="proofs by lines must hold against every attack, got 1"):
        meeting.require_unbroken(card, {"lines": np.array([True, True, True])})


@pytest.mark.parametrize("name", MEETINGS)
def test_every_defence_has_an_integer_twin(name, field, digits):
    module = MEETINGS[name].build(field, digits, 0)
    front = MEETINGS[name].front or torch.nn.Identity()
    network = integer_twin(module, front(torch.from_numpy(digits.train_images[:200])), field.sizes)
    assert network.input_shape == ((1, 4, 4) if name == "downsampled" else (1, 8, 8))
    images = front(torch.from_numpy(digits.test_images[:2])).numpy()
    assert network.logits(network.quantise_input(images)).shape == (2, 10)


def test_most_weights_are_pruned(field, digits):
    module = MEETINGS["pruned"].build(field, digits, 0)
    weights = torch.cat([w.flatten() for name, w in module.named_parameters() if name.endswith("weight")])
    assert (weights == 0).double().mean().item() == pytest.approx(PRUNED, abs=0.01)
    assert not list(module.buffers())


def test_components_are_a_part_of_the_first_layer(field, digits):
    module = MEETINGS["principal components"].build(field, digits, 0)
    linear = [layer for layer in module if isinstance(layer, torch.nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in linear] == [(12, 64), (10, 12)]
    assert torch.linalg.matrix_rank(linear[0].weight) <= meetings.COMPONENTS


def test_noise_stays_in_the_range_of_images():
    images = torch.tensor([[0.0, 1.0, 0.5]]).expand(200, 3)
    moved = meeting.noise(0.3, torch.Generator().manual_seed(0), images)
    assert moved.min() == 0
    assert moved.max() == 1
    assert abs(moved[:, 2].mean() - 0.5) < 0.1


def test_missing_images_are_refused():
    result = invoke("--images", 361)
    assert result.exit_code != 0
    assert "`--images` must be at most 360, got 361" in result.output
