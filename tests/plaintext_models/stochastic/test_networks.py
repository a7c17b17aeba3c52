"""Networks with masks: what they are made of, which of them draw, and toys that learn |x|."""

import pytest
import torch

from plaintext_models.stochastic import toy
from plaintext_models.stochastic.binarised import Binarised, PlusMinus
from plaintext_models.stochastic.draws import drawings, stilled
from plaintext_models.stochastic.gates import Gate, MaskedConv2d
from plaintext_models.stochastic.heads import GateClassifier
from plaintext_models.stochastic.modes import set_share
from plaintext_models.stochastic.networks import MASKS, masked_cnn

SMALL = {"channels": (3, 4), "sides": (3, 3), "dense": 6}
IMAGES = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def small(**options):
    torch.manual_seed(0)
    return masked_cnn((1, 8, 8), 5, **{**SMALL, **options}).eval()


def weights(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("masks", MASKS)
def test_masks_are_of_every_convolution_from_the_first_that_is_meant(masks):
    module = small(masks=masks, begin=1, units="relu", gates={"hidden": 7} if masks.endswith("gates") else {})
    logits = module(IMAGES)
    assert logits.shape == (4, 5)
    assert not isinstance(module[0], MaskedConv2d)
    again = module(IMAGES)
    drawn = masks in ("gates", "signed gates", "random", "dropconnect", "drawn binary")
    assert torch.equal(logits, again) != drawn
    with stilled(module):
        assert torch.equal(module(IMAGES), module(IMAGES))


def test_the_document_networks_have_its_numbers_of_weights():
    with torch.device("meta"):
        sgbn = masked_cnn((1, 28, 28), 10, masks="gates")
        control = masked_cnn((1, 28, 28), 10, channels=(64, 128), dense=6952)
    # the document has no strides and paddings; those of 43.7 million weights would be unlike each other
    assert weights(sgbn) == pytest.approx(43.7e6, rel=0.08)
    assert weights(control) == pytest.approx(43.9e6, rel=0.01)
    first, second = (part.gate for part in sgbn if isinstance(part, MaskedConv2d))
    assert (first.shape, second.shape) == ((32, 1, 5, 5), (64, 32, 5, 5))


def test_factored_gates_have_far_fewer_weights():
    whole, factored = (small(masks="gates", gates={"rank": rank}) for rank in (None, 2))
    assert weights(factored) < weights(whole)
    assert factored[0].gate.dense[-1].out_features == 2 * (3 + 9)


def test_binary_weights_are_those_behind_the_first_layer():
    module = small(masks="binary", begin=1, units="relu")
    signs = [part.weight.unique().tolist() for part in module if hasattr(part, "parametrizations")]
    assert signs == [[-1.0, 1.0], [-1.0, 1.0]]
    assert all(not part.random for part in drawings(module) if isinstance(part, PlusMinus))


def test_units_and_pruning():
    module = small(pruning=0.0, units="deterministic")
    logits = module(IMAGES)
    assert torch.equal(logits, module(IMAGES))
    set_share(module, 0.5)
    assert not torch.equal(logits, module(IMAGES))
    assert any(isinstance(part, Binarised) and not part.random for part in module)
    assert len(small(dense=None)) + 2 == len(small())
    assert any(isinstance(part, torch.nn.Dropout) for part in small(dropout=0.5))


@pytest.mark.parametrize("name", ["units", "masks", "activation"])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(ValueError, match=rf"`{name}` must be one of .*, got 'other'"):
        small(**{name: "other"})


def test_gates_as_classifiers_learn_nothing_but_the_last_layer():
    module = small(masks="gates", gates={"hidden": 7})
    with pytest.raises(ValueError, match="`number` must be from 0 to 1, got 2"):
        GateClassifier(module, 2, 5)
    head = GateClassifier(module, 1, 5).train()
    assert head(IMAGES).shape == (4, 5)
    assert {name for name, p in head.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}
    assert head.head.training
    assert not any(part.training for part in (head, *head.gate.modules(), *head.before.modules())[1:])
    assert isinstance(head.gate, Gate)
    assert all(p.requires_grad for p in module.parameters())


class TestToy:
    @pytest.mark.parametrize("masks", ["none", "binarised", "logistic"])
    def test_it_learns_and_watches_its_gates(self, masks):
        found = toy.fit(masks, runs=4, iterations=300, marks=(0, 300))
        assert found.losses.shape == (300, 4)
        assert (found.losses[-50:].mean(0) < found.losses[:50].mean(0)).all()
        assert found.gates.shape == ((0,) if masks == "none" else (2, 4, toy.POINTS, 2))

    def test_runs_share_nothing(self):
        module = toy.ToyNetwork(3, "logistic", sees_weights=True)
        x = torch.linspace(-1, 1, 5)
        before = module(x)
        assert module.gate.shape == (3, 4, 2)
        with torch.no_grad():
            module.second[1] += 1
        after = module(x)
        assert torch.equal(before[[0, 2]], after[[0, 2]])
        assert not torch.equal(before[1], after[1])

    def test_points_are_split_by_seed(self):
        x, train, test = toy.points(1)
        assert (len(train), len(test)) == (210, 90)
        assert sorted([*train.tolist(), *test.tolist()]) == list(range(300))
        assert (x[0], x[-1]) == (-1, 1)

    def test_an_unknown_mask_lists_the_known_ones(self):
        with pytest.raises(ValueError, match="`masks` must be one of none, binarised, logistic, got 'all'"):
            toy.ToyNetwork(1, "all")
