"""Quantisation-aware layers: exact integers, and a bound that no input breaks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn.layers.nodes import Conv2d, Dense
from intnn.values.domain import IntDomain
from intnn.values.rounding import round_half_up as reference
from plaintext_models.bridge.export import to_network
from plaintext_models.data import datasets
from plaintext_models.nets.cnn import table_cnn
from plaintext_models.nets.mlp import table_mlp
from plaintext_models.training.loop import train
from plaintext_models.training.qat.bounded import BoundedConv2d, BoundedLinear, largest_scale
from plaintext_models.training.qat.quantiser import InputQuantiser
from plaintext_models.training.qat.rounding import round_half_up, straight_through
from plaintext_models.training.qat.table import TableActivation
from plaintext_models.training.qat.table_network import TableNetwork

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def table_networks(draw):
    """Random architectures with random, often extreme, parameters."""
    torch.manual_seed(draw(SEEDS))
    side, bits = draw(st.integers(3, 7)), draw(st.integers(1, 3))
    common = {
        "points": 2 * draw(st.integers(2**bits, 130)) + 1,
        "input_bits": bits,
        "levels": draw(st.integers(2, 40)),
        "even": draw(st.booleans()),
    }
    shape = (draw(st.integers(1, 2)), side, side)
    if draw(st.booleans()):
        network = table_mlp(shape, 4, hidden=draw(st.integers(1, 20)), **common)
    else:
        window = {
            "kernel": draw(st.integers(1, 3)),
            "stride": draw(st.integers(1, 2)),
            "padding": draw(st.integers(0, 1)),
        }
        network = table_cnn(shape, 4, channels=draw(st.integers(1, 4)), **window, **common)
    spread = draw(st.sampled_from([0.01, 1.0, 100.0]))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(spread).add_(torch.randn_like(parameter) * draw(st.sampled_from([0.0, 0.3])))
    return network


@given(table_networks(), SEEDS)
def test_export_gives_the_integers_of_the_module(module, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(16, *module.input_shape, generator=generator)
    network = to_network(module)
    expected = module.integers(images).detach()
    assert torch.equal(expected, expected.round())
    x = network.quantise_input(images.numpy())
    np.testing.assert_array_equal(module.quantiser(images).numpy(), x)
    np.testing.assert_array_equal(network.logits(x), expected.numpy())


@given(table_networks())
def test_no_input_leaves_a_tables_domain_or_the_logits(module):
    network = to_network(module)  # its constructor proves it; this repeats the proof on the worst inputs
    bounded = [layer for layer in module.layers if isinstance(layer, (BoundedLinear, BoundedConv2d))]
    linear = [layer for layer in network.layers if isinstance(layer, (Dense, Conv2d))]
    assert len(bounded) == len(linear) == 2
    for layer, exported in zip(bounded, linear, strict=True):
        rows = exported.weight.reshape(len(exported.weight), -1)
        for taps in (rows > 0, rows < 0):
            assert layer.sums.contains_array((rows * taps).sum(1) * layer.input_max + exported.bias)
    assert network.ranges[-1].magnitude <= 32767


@given(
    seed=SEEDS,
    input_max=st.integers(1, 20),
    reach=st.integers(20, 2000),
    spread=st.sampled_from([1e-3, 1.0, 1e3]),
    bias=st.sampled_from([0.0, 1.0, 1e3]),
)
def test_sums_stay_bounded_for_hostile_inputs(seed, input_max, reach, spread, bias):
    torch.manual_seed(seed)
    layer = BoundedLinear(30, 8, input_max, IntDomain(-reach, reach))
    with torch.no_grad():
        layer.weight.mul_(spread)
        layer.bias.copy_(torch.randn(8) * bias)
        weight, _ = layer.integers()
        # What maximises and what minimises each neuron.
        hostile = torch.cat([(weight > 0).float(), (weight < 0).float()]) * input_max
        assert layer(hostile).abs().max() <= reach


def test_the_budget_is_used():
    torch.manual_seed(0)
    layer = BoundedLinear(784, 64, 1, IntDomain(-120, 120))
    with torch.no_grad():
        weight, _ = layer.integers()
    # The signs share a scale, so one of them ends near its budget: weights of equal size take their step together.
    used = torch.maximum(weight.clamp(min=0).sum(1), weight.clamp(max=0).sum(1).abs())
    assert used.min() >= 0.95 * 120
    assert weight.abs().sum(1).min() > 120  # beyond what a bound on the L1 norm alone would allow


@given(seed=SEEDS, above=st.integers(0, 50), below=st.integers(0, 50), spread=st.sampled_from([1e-6, 1.0, 1e6]))
def test_largest_scale_fits_and_a_larger_one_does_not(seed, above, below, spread):
    rows = spread * torch.randn(5, 20, generator=torch.Generator().manual_seed(seed))
    scale = largest_scale(rows, torch.full((5,), float(above)), torch.full((5,), float(below)))

    def fits(s):
        rounded = torch.round(rows * s[:, None])
        return (rounded.clamp(min=0).sum(1) <= above) & (-rounded.clamp(max=0).sum(1) <= below)

    assert fits(scale).all()
    step = (max(above, below) + 1) / rows.abs().amax(1) / 2**14
    assert not fits(scale + 1.01 * step).any()


def test_largest_scale_of_nothing():
    scale = largest_scale(torch.zeros(2, 3), torch.tensor([5.0, 0.0]), torch.tensor([0.0, 5.0]))
    assert torch.isfinite(scale).all()


@given(st.lists(st.floats(-(2.0**20), 2.0**20, width=32), min_size=1, max_size=20))
def test_round_half_up_is_that_of_the_integer_network(values):
    x = torch.tensor(values, dtype=torch.float32)
    np.testing.assert_array_equal(round_half_up(x).numpy(), reference(x.numpy()))


def test_straight_through_is_exact_and_passes_the_gradient():
    smooth = torch.tensor([1e-8, 0.1], requires_grad=True)
    exact = torch.tensor([16777215.0, 3.0])
    result = straight_through(smooth, exact)
    assert torch.equal(result, exact)
    result.backward(torch.tensor([2.0, 5.0]))
    assert smooth.grad is not None
    assert smooth.grad.tolist() == [2.0, 5.0]


@given(bits=st.integers(1, 8), seed=SEEDS)
def test_quantiser_covers_its_domain(bits, seed):
    quantiser = InputQuantiser(bits)
    images = torch.rand(50, generator=torch.Generator().manual_seed(seed))
    x = quantiser(torch.cat([images, torch.tensor([0.0, 1.0])]))
    assert (x[-2], x[-1]) == (0, 2**bits - 1)
    assert quantiser.domain.contains_array(x.long().numpy())
    assert (x[:-2] - images * quantiser.scale).abs().max() <= 0.5 + 1e-5  # float32 rounding of the expectation


@pytest.mark.parametrize("even", [False, True])
def test_table_is_what_the_layer_does(even):
    domain = IntDomain(-30, 30)
    table = TableActivation(domain, 16, even)
    points = torch.arange(-30.0, 31.0)
    lut = table.lut()
    np.testing.assert_array_equal(table(points).detach().numpy(), lut.table)
    assert (lut.range.lo, lut.range.hi) == (0, 15)
    assert np.array_equal(lut.table, lut.table[::-1]) == even


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    network = table_cnn((1, 8, 8), 10, channels=4, kernel=3, points=57, input_bits=2)
    loss = torch.nn.functional.cross_entropy(network(torch.rand(32, 1, 8, 8)), torch.arange(32) % 10)
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_refusals():
    with pytest.raises(ValueError, match=r"`bits` must lie in \[1, 8\], got 9"):
        InputQuantiser(9)
    with pytest.raises(ValueError, match="`sums` must contain plus and minus `input_max` = 15"):
        BoundedLinear(4, 4, 15, IntDomain(-20, 14))
    with pytest.raises(ValueError, match="`sums` must have fewer than 16777216 points"):
        BoundedLinear(4, 4, 1, IntDomain(-(2**24), 2**24))
    with pytest.raises(TypeError, match="must end in a BoundedLinear, got Flatten"):
        TableNetwork((4,), InputQuantiser(1), [torch.nn.Flatten()])
    with pytest.raises(ValueError, match="`kernel` must fit"):
        table_cnn((1, 4, 4), 10, channels=1, kernel=5, points=57, input_bits=1)


@settings(max_examples=5)
@given(SEEDS)
def test_export_stays_exact_after_training(seed):
    torch.manual_seed(seed)
    digits = datasets.validation_split(datasets.load("digits"), 300)
    module = table_cnn((1, 8, 8), 10, channels=4, kernel=3, points=57, input_bits=2, even=bool(seed % 2))
    train(module, digits, epochs=1, batch_size=64, learning_rate=5e-3, seed=0, progress=False)
    network = to_network(module)
    x = network.quantise_input(digits.test_images)
    with torch.no_grad():
        expected = module.integers(torch.from_numpy(digits.test_images)).numpy()
    np.testing.assert_array_equal(network.logits(x), expected)
