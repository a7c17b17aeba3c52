"""What is dropped of activations: means are kept, and more is kept of what is larger."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.stochastic.activations import AdaptiveDropout, Pruning
from plaintext_models.stochastic.draws import draw_from, stilled
from plaintext_models.stochastic.modes import in_mode

DRAWS = 4000


@settings(max_examples=10)
@given(st.lists(st.floats(0, 3), min_size=2, max_size=6), st.sampled_from([0.5, 1.0, 2.0]), st.integers(0, 9))
def test_pruning_keeps_the_mean(values, share, seed):
    layer = Pruning(share)
    draw_from(layer, torch.Generator().manual_seed(seed))
    h = torch.tensor(values, dtype=torch.float64)
    found = layer(h.expand(DRAWS, -1))
    total = float(h.sum())
    for column, value in zip(found.T, values, strict=True):
        p = value / total if total else 0
        kept = 1 - (1 - p) ** max(1, round(share * len(values)))
        shares = (column != 0).double().mean().item()
        assert shares == pytest.approx(kept, abs=5 * (kept * (1 - kept) / DRAWS) ** 0.5 + 1e-9)
        if kept > 0.01:
            assert column.max().item() == pytest.approx(value / kept)
    with stilled(layer):
        assert layer(h[None]).tolist() == [values]


def test_pruning_that_is_off_and_maps_without_anything_in_them():
    maps = torch.rand(2, 3, 4, 4)
    assert Pruning(0.0)(maps) is maps
    assert not Pruning(1.0)(torch.zeros(2, 3, 4, 4)).any()


def test_gradients_of_pruning_take_the_draw_for_a_constant():
    layer, h = Pruning(), torch.rand(3, 10, requires_grad=True)
    pruned = layer(h)
    pruned.sum().backward()
    assert torch.allclose(h.grad * h.detach(), pruned.detach())


@pytest.mark.parametrize("a", [-0.5, 0.5, 2.0])
def test_adaptive_dropout_keeps_by_the_sigmoid(a):
    layer, x = AdaptiveDropout(), torch.full((DRAWS,), a, requires_grad=True)
    draw_from(layer, torch.Generator().manual_seed(0))
    p = torch.sigmoid(torch.tensor(a)).item()
    h = layer(x)
    assert set(h.unique().tolist()) <= {0.0, max(0.0, a)}
    assert h.mean().item() == pytest.approx(max(0.0, a) * p, abs=0.1)
    with stilled(layer):
        assert torch.allclose(layer(x), torch.relu(x) * p)
    assert torch.equal(AdaptiveDropout(random=False)(x), torch.relu(x) * torch.sigmoid(x))
    in_mode(layer, "gradient", "soft", x).sum().backward()
    assert x.grad.mean().item() == pytest.approx((a > 0) * (p + a * p * (1 - p)), abs=0.1)
