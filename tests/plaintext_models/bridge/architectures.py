"""Modules as people write them, and random ones of a grammar."""

import torch
from hypothesis import reject
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from plaintext_models.bridge.from_torch import from_torch

ACTIVATIONS = (
    nn.ReLU, lambda: nn.ReLU(inplace=True), nn.ReLU6, lambda: nn.LeakyReLU(0.2), lambda: nn.ELU(0.7), nn.SELU,
    lambda: nn.CELU(1.5), nn.GELU, lambda: nn.GELU("tanh"), nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Softplus,
    lambda: nn.Softplus(2.0), lambda: nn.Hardtanh(-0.5, 2.0), nn.Hardsigmoid, nn.Hardswish, nn.LogSigmoid, nn.PReLU,
    nn.RReLU, nn.Mish, nn.Softsign, lambda: Call(torch.square),
    lambda: Call(lambda x: x * x + 0.5 * x), lambda: Call(lambda x: x**3),
    lambda: Call(lambda x: x.clamp(min=-0.3)), lambda: Call(lambda x: x * torch.sigmoid(x)), lambda: Call(torch.abs),
    lambda: Call(lambda x: torch.minimum(x, torch.full_like(x, 0.4))), nn.Identity, lambda: nn.Dropout(0.5),
)  # fmt: skip


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Residual(nn.Module):
    """x + body(x), or x - body(x)."""

    def __init__(self, body, sign=1):
        super().__init__()
        self.body, self.sign = body, sign

    def forward(self, x):
        return x + self.body(x) if self.sign > 0 else x - self.body(x)


class Branches(nn.Module):
    """Several bodies of one input, concatenated along the channels."""

    def __init__(self, *bodies):
        super().__init__()
        self.bodies = nn.ModuleList(bodies)

    def forward(self, x):
        return torch.cat([body(x) for body in self.bodies], 1)


class LeNet5(nn.Module):
    """LeCun et al. (1998), with its layers called as functions."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, 400)
        x = F.dropout(F.relu(self.fc1(x)), 0.5, self.training)
        return F.log_softmax(self.fc3(F.relu(self.fc2(x))), dim=1)


class BasicBlock(nn.Module):
    """The block of a ResNet."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu, self.down = nn.ReLU(inplace=True), None
        if stride > 1 or inputs != outputs:
            self.down = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x if self.down is None else self.down(x)
        return self.relu(y)


def resnet():
    stem = (nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
    blocks = (BasicBlock(4, 4, 1), BasicBlock(4, 8, 2))
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(8, 10))


def depthwise(inputs, outputs, stride):
    """The block of MobileNet."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs), nn.ReLU6(),
        nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU6(),
    )  # fmt: skip


def mobilenet():
    body = (depthwise(4, 8, 1), depthwise(8, 6, 2), Call(lambda x: x.mean((2, 3))))
    return nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 4, 3, 2), nn.Hardswish(), *body, nn.Linear(6, 5))


def vgg():
    def part(inputs, outputs):
        return nn.Conv2d(inputs, outputs, 3, padding="same"), nn.ReLU(True)

    features = nn.Sequential(*part(3, 4), *part(4, 4), nn.MaxPool2d(2), *part(4, 8), nn.MaxPool2d(2))
    head = nn.Sequential(nn.Linear(8 * 16, 16), nn.ReLU(True), nn.Dropout(), nn.Linear(16, 10))
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(4), nn.Flatten(1), head, nn.Softmax(1))


def sequence():
    return nn.Sequential(
        nn.Conv1d(2, 6, 5, stride=2, padding=2), nn.BatchNorm1d(6), nn.GELU(), nn.MaxPool1d(2),
        nn.Conv1d(6, 6, 3, dilation=2, padding="same", groups=3), nn.SiLU(), nn.AvgPool1d(3, 2, 1),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip


def inception():
    pooled = nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.Conv2d(3, 2, 1))
    deep = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 5, padding=2))
    block = Branches(nn.Conv2d(3, 2, 1), nn.Conv2d(3, 3, (1, 3), padding=(0, 1)), deep, pooled)
    return nn.Sequential(block, nn.ELU(), nn.Conv2d(11, 4, 3, stride=(2, 1)), nn.Flatten(), nn.Linear(4 * 3 * 6, 2))


class Mixer(nn.Module):
    """Dense layers along features and along patches, by turns, as in MLP-Mixer."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 6, 4, 4)
        self.channels = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 6))
        self.tokens = nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 4))
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x + self.channels(x)
        x = x + self.tokens(x.transpose(1, 2)).transpose(1, 2)
        return self.head(x.mean(1))


def gelu_mlp():
    return nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Linear(8, 1), nn.Sigmoid())


def autoencoder():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.Tanh(), nn.Linear(3, 16), nn.Unflatten(1, (1, 4, 4)))


class OptionA(nn.Module):
    """The shortcut without weights of He et al. (arXiv:1512.03385): every other pixel, and channels of zeros."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 4, 3, 2, 1), nn.Linear(64, 3)

    def forward(self, x):
        short = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1))
        return self.head(F.relu(self.conv(x) + short).flatten(1))


#: Modules by name, with the shape of an input.
ZOO = {
    "lenet5": (LeNet5, (1, 28, 28)), "resnet": (resnet, (3, 12, 12)), "mobilenet": (mobilenet, (3, 16, 16)),
    "vgg": (vgg, (3, 16, 16)), "sequence": (sequence, (2, 40)), "inception": (inception, (3, 8, 8)),
    "mixer": (Mixer, (1, 8, 8)), "gelu_mlp": (gelu_mlp, (12,)), "autoencoder": (autoencoder, (1, 4, 4)),
    "option_a": (OptionA, (2, 8, 7)),
}  # fmt: skip


def trained(module):
    """As if it had been trained: running statistics are not what they begin as."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2.0)
            layer.weight.data.uniform_(-1.5, 1.5)
            layer.bias.data.normal_()
    return module


@st.composite
def image_layers(draw, channels, depth):
    """Layers of images [channels, 6, 7] that keep their sides, and the number of channels behind them."""
    layers = []
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.integers(0, 5 if depth else 3))
        if kind == 0:
            outputs, groups = channels * draw(st.integers(1, 2)), draw(st.sampled_from([1, channels]))
            kernel, gaps = (draw(st.integers(1, 3)), draw(st.integers(1, 4))), draw(st.integers(1, 2))
            bias = draw(st.booleans())
            layers.append(nn.Conv2d(channels, outputs, kernel, 1, "same", gaps, groups, bias))
            channels = outputs
        elif kind == 1:
            layers.append(nn.BatchNorm2d(channels))
        elif kind == 2:
            layers.append(draw(st.sampled_from(ACTIVATIONS))())
        elif kind == 3:
            layers.append(draw(st.sampled_from(_movements(channels)))())
        else:
            body, width = draw(image_layers(channels, depth - 1))
            if kind == 4 and width == channels:
                layers.append(Residual(body, draw(st.sampled_from([1, -1]))))
            else:
                layers.append(Branches(body, nn.Identity()))
                channels += width
    return nn.Sequential(*layers), channels


def _movements(channels):
    return (
        lambda: Call(lambda x: x.flip(1)),
        lambda: Call(lambda x: torch.cat(x.split(1, 1)[::-1], 1)),
        lambda: Call(lambda x: 2 * x[:, [0] * channels] - 1),
        lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        lambda: nn.MaxPool2d((3, 1), 1, (1, 0)),
        lambda: Call(lambda x: x - torch.linspace(-1, 1, 7).expand(6, 7)),
        lambda: Call(lambda x: x.contiguous(memory_format=torch.channels_last) / 3.0),
    )


@st.composite
def random_modules(draw):
    """A module, and the shape of its input: images that end in dense layers."""
    torch.manual_seed(draw(st.integers(0, 2**32 - 1)))
    inputs = draw(st.integers(1, 3))
    body, channels = draw(image_layers(inputs, 2))
    down = draw(st.sampled_from([
        lambda: (nn.Conv2d(channels, 2, 3, (2, 1), (1, 0)), 2 * 3 * 5), lambda: (nn.AvgPool2d(2), channels * 9),
        lambda: (nn.MaxPool2d(2, ceil_mode=True), channels * 12),
        lambda: (nn.AvgPool2d(2, ceil_mode=True), channels * 12),
        lambda: (nn.AdaptiveAvgPool2d((3, 1)), channels * 3), lambda: (Call(lambda x: x.mean(3)), channels * 6),
        lambda: (Call(lambda x: x.permute(0, 2, 3, 1)), channels * 42), lambda: (Call(lambda x: x[:, :1, ::2]), 21),
        lambda: (Call(lambda x: x.amax((2, 3))), channels), lambda: (Call(lambda x: x.sum(1)), 42),
    ]))  # fmt: skip
    pool, features = down()
    head = (nn.Linear(features, 3), draw(st.sampled_from(ACTIVATIONS))(), nn.Linear(3, draw(st.integers(1, 4))))
    module = nn.Sequential(body, pool, nn.Flatten(), *head)
    return trained(module).train(draw(st.booleans())), (inputs, 6, 7)


def taken(module, example):
    """The graph of a random module; one that sums what it has turned round before is refused, and so rejected here."""
    try:
        return from_torch(module, example)
    except ValueError as refusal:
        if "elements in another order" in str(refusal):
            reject()
        raise
