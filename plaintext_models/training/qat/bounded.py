"""Linear layers whose integer sums cannot leave a given interval, whatever the input.

Accumulator-aware quantisation (A2Q: Colbert, Pappalardo and Petri-Koenig, ICCV 2023; A2Q+: Colbert et al., ICML 2024)
bounds the L1 norm of every neuron's weights. Here the inputs are unsigned, so the positive weights alone decide how
large a sum can get and the negative ones how small: each sign has a budget of its own, and a neuron that uses both has
twice the L1 norm that the magnitude of the input alone would allow.
"""

import math

import torch
from torch import Tensor, nn

from intnn.values.arrays import integer
from intnn.values.domain import IntDomain
from plaintext_models.training.qat.rounding import round_half_up, straight_through

# The centred residues modulo 65537, with one to spare on either side.
LOGITS = IntDomain(-32767, 32767)

EXACT = 1 << 24  # float32 holds every integer up to here
BISECTIONS = 14  # far finer than weights of a few dozen steps can tell
SMALLEST = 1e-30  # instead of a largest weight of zero


class _Bounded(nn.Module):
    """Integer weights and biases, trained through float ones.

    Args:
        shape: The shape of the weights, [out, ...].
        input_max: Inputs are the integers from 0 to this.
        sums: The interval that holds every sum; zero must be one of its inner points.
        is_shared: Whether all neurons are multiplied by one scale, which keeps what they are to each other.

    Raises:
        ValueError: ``sums`` cannot hold a weight of either sign, or is too wide for exact float32 sums.
    """

    def __init__(self, shape: tuple[int, ...], input_max: int, sums: IntDomain, is_shared: bool):
        super().__init__()
        self.input_max, self.sums, self.is_shared = integer(input_max, "input_max", 1), sums, is_shared
        if min(-sums.lo, sums.hi) < input_max:
            raise ValueError(f"`sums` must contain plus and minus `input_max` = {input_max}, got {sums}")
        if sums.size >= EXACT:
            raise ValueError(f"`sums` must have fewer than {EXACT} points, got {sums.size}")
        fan_in = math.prod(shape[1:])
        self.weight = nn.Parameter(torch.randn(shape) / math.sqrt(fan_in))
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        # Integer steps per unit of a float weight in an untrained neuron that just fills its budget: the expected sum
        # of the positive ones among n normal weights of variance 1/n is sqrt(n / 2 pi). The unit of the bias.
        self.unit = min(-sums.lo, sums.hi) / input_max / math.sqrt(fan_in / (2 * math.pi))

    def integers(self) -> tuple[Tensor, Tensor]:
        """Weights and biases as float tensors of integers, with gradients.

        Every neuron's weights are multiplied by the largest scale at which their rounded values stay within the budget
        of either sign: a bounded sum has no resolution to spare, and what follows learns its own slope. With one scale
        for all, it is the least of these.
        """
        bias = round_half_up((self.bias * self.unit * self.input_max).clamp(self.sums.lo, self.sums.hi))
        rows = self.weight.flatten(1)
        with torch.no_grad():
            above = torch.floor((self.sums.hi - bias) / self.input_max)
            below = torch.floor((bias - self.sums.lo) / self.input_max)
            scale = largest_scale(rows, above, below)[:, None]
            scale = scale.min() if self.is_shared else scale
            exact = torch.round(rows * scale)
        return straight_through(rows * scale, exact).view_as(self.weight), bias


class BoundedLinear(_Bounded):
    """A dense layer on unsigned integers.

    Args:
        inputs: Width of the input.
        outputs: Number of neurons.
        input_max: Inputs are the integers from 0 to this.
        sums: The interval that holds every output.
        is_shared: Whether all neurons have one scale.
    """

    def __init__(self, inputs: int, outputs: int, input_max: int, sums: IntDomain, is_shared: bool = False):
        super().__init__((outputs, inputs), input_max, sums, is_shared)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, inputs] -> [batch, outputs], all integers."""
        return nn.functional.linear(x, *self.integers())


class BoundedConv2d(_Bounded):
    """A convolution of unsigned integers with a square window and zero padding.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        kernel: The side of the window.
        input_max: Inputs are the integers from 0 to this.
        sums: The interval that holds every output.
        stride: Step of the window.
        padding: How many zeros are put on all four sides.
        is_shared: Whether all channels have one scale.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        input_max: int,
        sums: IntDomain,
        stride: int = 1,
        padding: int = 0,
        is_shared: bool = False,
    ):
        super().__init__((outputs, inputs, kernel, kernel), input_max, sums, is_shared)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """[batch, inputs, h, w] -> [batch, outputs, h', w'], all integers."""
        return nn.functional.conv2d(x, *self.integers(), self.stride, self.padding)


def largest_scale(rows: Tensor, above: Tensor, below: Tensor) -> Tensor:
    """The largest scale s of every row w such that round(s w) keeps within its budgets.

    The sum of the positive ones among the rounded values may be at most ``above``, that of the negative ones at least
    ``-below``. Both only grow with s, so bisection finds it; what is returned was checked, however few the steps.

    Args:
        rows: [n, taps].
        above: [n], integers, at least 0.
        below: [n], integers, at least 0.

    Returns:
        [n], at least 0; accurate to 2^-14 of the scale at which the largest weight alone breaks the larger budget.
    """
    positive, negative = rows.clamp(min=0), rows.clamp(max=0)

    def keeps(scale: Tensor) -> Tensor:
        column = scale[:, None]
        up, down = torch.round(positive * column).sum(1), torch.round(negative * column).sum(1)
        return (up <= above) & (-down <= below)

    low = torch.zeros_like(above)
    high = (torch.maximum(above, below) + 1) / rows.abs().amax(1).clamp(min=SMALLEST)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        good = keeps(middle)
        low, high = torch.where(good, middle, low), torch.where(good, high, middle)
    return low
