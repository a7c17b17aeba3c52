"""Filters of their own for every image: against convolutions one by one, and what gates make of images."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from plaintext_models.stochastic.binarised import Binarised
from plaintext_models.stochastic.convolve import convolve
from plaintext_models.stochastic.draws import stilled
from plaintext_models.stochastic.gates import Asinh, Gate, MaskedConv2d, RandomGate
from plaintext_models.stochastic.modes import in_mode


@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(0, 99),
)
def test_every_image_is_convolved_with_its_own_filters(batch, incoming, outgoing, side, stride, padding, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(batch, incoming, 7, 6, generator=generator, dtype=torch.float64)
    filters = torch.randn(batch, outgoing, incoming, side, side, generator=generator, dtype=torch.float64)
    one_by_one = torch.cat(
        [functional.conv2d(x[None], w, stride=stride, padding=padding) for x, w in zip(images, filters, strict=True)]
    )
    assert torch.allclose(convolve(images, filters, stride, padding), one_by_one)


def gated(**options):
    torch.manual_seed(0)
    layer = MaskedConv2d(
        2, 3, 3, 2, 1, lambda beside: Gate(beside, (6, 6), between=Asinh(), hidden=8, last=Binarised("hard"), **options)
    )
    return layer.eval(), torch.rand(5, 2, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("options", [{}, {"rank": 2}, {"stride": 2}, {"stride": 2, "shared": True}])
def test_masks_have_the_shape_of_the_filters_and_depend_on_the_image(options):
    layer, images = gated(**options)
    masks = layer.gate(images)
    assert masks.shape == (5, *layer.weight.shape)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    with stilled(layer):
        masks = layer.gate(images)
        assert not torch.allclose(masks[0], masks[1])
        one_by_one = torch.cat(
            [
                functional.conv2d(x[None], layer.weight * mask, layer.bias, 2, 1)
                for x, mask in zip(images, masks, strict=True)
            ]
        )
        assert torch.allclose(layer(images), one_by_one, atol=1e-6)  # sums of 18 float32 products


def test_shared_gates_have_no_filters_of_their_own():
    (own, _), (shared, images) = gated(stride=2), gated(stride=2, shared=True)
    assert shared.gate.weight is shared.weight
    counts = [sum(p.numel() for p in one.parameters()) for one in (own, shared)]
    assert counts[0] - counts[1] == shared.weight.numel() + shared.bias.numel()
    with torch.no_grad(), stilled(shared):
        before = shared.gate(images)
        shared.weight += 1
        assert not torch.allclose(before, shared.gate(images))


def test_masks_of_other_images():
    layer, images = gated()
    seen = []
    layer.exchange.register_forward_hook(lambda _, given, taken: seen.append((given[0], taken)))
    with stilled(layer):
        layer(images)
        in_mode(layer, "shuffled", True, images)
    (same, unchanged), (given, taken) = seen
    assert torch.equal(same, unchanged)
    assert not torch.equal(given, taken)
    assert torch.equal(given.flatten(1).sum(1).sort().values, taken.flatten(1).sum(1).sort().values)


@pytest.mark.parametrize("scaled", [False, True])
def test_random_masks_keep_a_part_of_every_images_weights(scaled):
    gate, images = RandomGate(nn.Conv2d(4, 8, 5), 0.6, scaled=scaled), torch.zeros(50, 4, 8, 8)
    masks, factor = gate(images), 1 / 0.6 if scaled else 1
    assert masks.unique().tolist() == pytest.approx([0, factor])
    assert masks.mean().item() / factor == pytest.approx(0.6, abs=0.01)  # 40,000 of them: four deviations
    assert not torch.equal(masks[0], masks[1])
    with stilled(gate):
        assert gate(images).unique().tolist() == pytest.approx([0.6 * factor])


def test_a_keep_probability_of_none_is_refused():
    with pytest.raises(ValueError, match="`keep`"):
        RandomGate(nn.Conv2d(1, 1, 3), 0.0)
