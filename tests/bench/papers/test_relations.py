"""Questions about pictures, in moments: what is counted, and that an attack goes through both networks."""

from dataclasses import replace

import pytest
import torch

from bench.papers import relations
from bench.papers.experiment import Run
from bench.papers.relations import Answered, Answerer, EndToEnd, Extractor, asked, features
from bench.papers.store import making
from plaintext_models.data import datasets
from plaintext_models.data.shapes import relational
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.card import QUICK
from plaintext_models.nets.denoising import Denoising

SHAPES = datasets.load("shapes")
FEW = replace(SHAPES, train_images=SHAPES.train_images[:128], train_labels=SHAPES.train_labels[:128])
ANSWERER = Answerer(Extractor(epochs=1), 64, 1)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(relations, "TESTS", 60)
    monkeypatch.setattr(relations, "STEPS", 2)
    given = making(FEW, 0, keep=tmp_path, report=lambda _: None)
    with deterministic(0):
        yield Run(given.seed, given.dataset, given.trained, given.report, 20, QUICK)


def test_every_column_is_measured(run):
    found = Answered(ANSWERER).measure(run).figures
    assert set(found) == {column.name for column in relations.EXPERIMENTS["T41"].columns}
    assert found["answers"].n == 60
    assert found["answers"].count == found["on the shape itself"].count + found["on another shape"].count
    assert found["on the shape itself"].n + found["on another shape"].n == 60
    weaker, stronger = found["attacked 0.02"], found["attacked 0.1"]
    assert stronger.count <= weaker.count <= weaker.n == 20


def test_end_to_end_is_both_networks_one_behind_the_other(run):
    extractor, answerer = run.trained(ANSWERER.extractor).module, run.trained(ANSWERER).module
    pictures, questions, _ = map(torch.from_numpy, relational(6, 3))
    apart = answerer(asked(features(extractor)(pictures), questions))
    for i, question in enumerate(questions):
        whole = EndToEnd(extractor, answerer, question)
        torch.testing.assert_close(whole(pictures[i : i + 1]), apart[i : i + 1])
        moved = pictures[i : i + 1].requires_grad_()
        (gradient,) = torch.autograd.grad(whole(moved).amax(), moved)
        assert gradient.abs().max() > 0


def test_denoising_is_behind_the_last_stage_and_a_part_of_the_features(run):
    plain, denoising = (Extractor(denoise=kind).build(run) for kind in (None, "gaussian"))
    assert [type(part) for part in plain] == [type(part) for part in denoising if not isinstance(part, Denoising)]
    blocks = [i for i, part in enumerate(features(denoising)) if isinstance(part, Denoising)]
    assert blocks == [len(plain) - 3]
    maps = features(denoising)(torch.rand(2, 3, 24, 24))
    assert maps.shape == features(plain)(torch.rand(2, 3, 24, 24)).shape
    assert torch.autograd.grad(maps.sum(), denoising[blocks[0]].theta.weight)[0].abs().max() > 0
