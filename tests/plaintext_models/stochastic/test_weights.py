"""Weights that are drawn: their laws, what is learnt behind them, and the rule by which deviations grow."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from plaintext_models.nets.mlp import mlp
from plaintext_models.nets.recurrent import LSTM
from plaintext_models.stochastic.draws import draw_from, drawing, drawings, expected, stilled, twin
from plaintext_models.stochastic.weights import KINDS, DeltaRule, DropConnect, Normal, randomise, variance, xavier

MANY = 20_000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def layer(kind, **options):
    """A dense layer of known weights, its draws from a generator of its own."""
    module = nn.Linear(3, 2)
    with torch.no_grad():
        module.weight.copy_(torch.arange(6.0).reshape(2, 3) - 2)
        module.bias.copy_(torch.tensor([0.5, -0.5]))
    randomise(module, kind, **options)
    draw_from(module, generator())
    return module.eval()


def draws(module):
    with torch.no_grad():
        return torch.stack([module.weight for _ in range(MANY)])


def test_dropconnect_keeps_a_weight_or_drops_it():
    module = layer("dropconnect", drop=0.3)
    original, drawn = module.parametrizations.weight.original, draws(module)
    assert bool(((drawn == 0) | (drawn == original)).all())
    dropped = (drawn == 0)[:, original != 0].double().mean(0)
    # 5 deviations of a share of 20,000
    assert bool((dropped - 0.3).abs().max() < 5 * math.sqrt(0.3 * 0.7 / MANY))
    with stilled(module):
        assert torch.allclose(module.weight, 0.7 * original)
    assert len(list(drawings(module))) == 1  # the bias is no connection


def test_normal_weights_have_the_mean_and_the_deviation_that_are_learnt():
    module = layer("normal", fraction=0.5)
    law, drawn = module.parametrizations.weight[0], draws(module)
    assert torch.allclose(law.deviation, torch.full((2, 3), 0.5 * math.sqrt(2 / 5)))
    spread, error = law.deviation[0, 0].item(), 5 / math.sqrt(MANY)
    assert bool((drawn.mean(0) - module.parametrizations.weight.original).abs().max() < error * spread)
    assert bool((drawn.std(0) - spread).abs().max() < error * spread)
    with stilled(module):
        assert torch.equal(module.weight, module.parametrizations.weight.original)
    assert len(list(drawings(module))) == 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_gradients_of_normal_weights_are_those_of_the_reparameterisation(seed):
    law, mean = Normal(torch.zeros(2, 3)), torch.randn(2, 3, generator=generator(seed), requires_grad=True)
    law.generator = generator(seed)
    outward = torch.randn(2, 3, generator=generator(seed + 1))
    (law(mean) * outward).sum().backward()
    noise = torch.randn(2, 3, generator=generator(seed))
    assert torch.equal(mean.grad, outward)
    assert torch.allclose(law.free.grad, outward * noise * torch.sigmoid(law.free.detach()))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0, 1), st.floats(0.1, 1), st.integers(1, 3), st.integers(1, 3))
def test_the_delta_rule_is_that_of_the_report(seed, growth, decay, interval, period):
    start, inputs = torch.randn(2, 3, generator=generator(seed)), torch.randn(4, 3, generator=generator(seed + 1))
    law = DeltaRule(start, growth=growth, decay=decay, interval=interval, period=period, fraction=0.3).train()
    law.generator, again = generator(seed + 2), generator(seed + 2)
    deviation = torch.full((2, 3), 0.3 * math.sqrt(2 / 5))
    for number in range(1, 6):
        (inputs @ law(start.requires_grad_()).T).square().sum().backward()
        weight = (start.detach() + deviation * torch.randn(2, 3, generator=again)).requires_grad_()
        (inputs @ weight.T).square().sum().backward()
        if number % interval == 0:
            deviation = deviation + growth * weight.grad.abs()
        if number % period == 0:
            deviation = deviation * decay
        assert torch.allclose(law.deviation, deviation, rtol=1e-4)  # two orders of float32 sums


def test_without_growth_and_deviations_the_delta_rule_is_plain_training():
    plain, ruled = mlp((1, 2, 3), 2, (4,)), mlp((1, 2, 3), 2, (4,))
    ruled.load_state_dict(plain.state_dict())
    randomise(ruled, "delta rule", growth=0, fraction=0)
    images = torch.rand(5, 1, 2, 3)
    assert torch.equal(plain(images), ruled(images))


def test_attacks_do_not_teach():
    module = layer("delta rule").eval()
    before = variance(module)
    drawing(module, generator()).gradient(torch.rand(4, 3), lambda logits: logits[:, 0])
    assert variance(module) == before
    module.train()(torch.rand(4, 3)).sum().backward()
    assert variance(module) != before


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_and_its_twin(kind):
    module, images = mlp((1, 2, 3), 4, (8,)).eval(), torch.rand(5, 1, 2, 3)
    randomise(module, kind)
    random, still = drawing(module, generator(3)), twin(module)
    assert random.stochastic
    assert not still.stochastic
    first, second = random.logits(images), random.logits(images)
    assert not torch.equal(first, second)
    draw_from(module, generator(3))
    assert torch.equal(random.logits(images), first)
    assert torch.equal(still.logits(images), expected(module, images))
    assert torch.equal(still.logits(images), still.logits(images))
    assert not any(part.still for part in drawings(module))


def test_a_recurrent_network_draws_once_a_sequence():
    module, seen = LSTM((1, 4, 4), 3, hidden=5, steps=4).eval(), []
    randomise(module, "dropconnect")
    module.recurrent.register_forward_hook(lambda layer, *_: seen.append(layer.weight.clone()))
    module(torch.rand(2, 1, 4, 4))
    module(torch.rand(2, 1, 4, 4))
    assert all(torch.equal(weight, seen[0]) for weight in seen[:4])
    assert all(torch.equal(weight, seen[4]) for weight in seen[4:])
    assert not torch.equal(seen[0], seen[4])


def test_the_sum_of_variances():
    module = mlp((1, 2, 2), 2, (3,))
    randomise(module, "normal", fraction=0.5)
    parts = [part for part in module.modules() if isinstance(part, nn.Linear)]
    sizes = [(weight, weight.numel()) for part in parts for weight in (part.weight, part.bias)]
    assert variance(module) == pytest.approx(sum(n * (0.5 * xavier(weight)) ** 2 for weight, n in sizes), rel=1e-5)


def test_refuses():
    with pytest.raises(ValueError, match="`kind` must be one of dropconnect, normal, delta rule, got 'cauchy'"):
        randomise(nn.Linear(2, 2), "cauchy")
    with pytest.raises(ValueError, match="`drop` must be from 0, below 1, got 1"):
        DropConnect(torch.zeros(2, 2), drop=1)
    with pytest.raises(ValueError, match="`decay` must be above 0, up to 1, got 0"):
        DeltaRule(torch.zeros(2, 2), decay=0)
    with pytest.raises(ValueError, match="`fraction` must be a number above 0, got 0"):
        Normal(torch.zeros(2, 2), fraction=0)
