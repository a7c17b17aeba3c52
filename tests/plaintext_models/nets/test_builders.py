"""Architectures by name: what they make has the right shape, and what they cannot make is refused."""

import pytest
import torch
from torch import nn

from plaintext_models.nets.builders import BUILDERS, FLOAT, build

OPTIONS = {
    "mlp": {"hidden": (8,)},
    "cnn": {"channels": 2, "kernel": 3},
    "pooled_cnn": {},
    "stacked_cnn": {"channels": (3, 4), "dropout": (0.25, 0.5)},
    "strided_cnn": {},
    "resnet": {"channels": (2, 3), "denoise": "mean"},
    "maxout": {"hidden": (6, 5), "pieces": 3},
    "rbf": {"rank": 2},
    "dbm": {"hidden": (5, 4)},
    "logistic": {},
    "lstm": {"hidden": 5, "steps": 4},
    "masked_cnn": {"channels": (2, 3), "dense": 5, "masks": "gates", "gates": {"hidden": 4}},
    "table_mlp": {"hidden": 8, "points": 57, "input_bits": 2},
    "table_cnn": {"channels": 2, "kernel": 3, "points": 57, "input_bits": 2},
}
KINDS = ({"kind": "normal"}, {"kind": "delta rule"}, {"kind": "dropconnect", "convolutions": True})
RANDOM = {f"random_{name}": {**OPTIONS[name], "weights": KINDS[i % 3]} for i, name in enumerate(FLOAT)}
STRETCHED = {f"stretched_{name}": {**OPTIONS[name], "stretch": (0.3, 0.7)} for name in FLOAT}


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("shape", [(1, 10, 12), (3, 28, 28)])
def test_every_architecture_takes_its_images(name, shape):
    classes = 2 if name == "logistic" else 7
    module = build(name, shape, classes, **(OPTIONS | RANDOM | STRETCHED)[name])
    assert module(torch.rand(2, *shape)).shape == (2, classes)


def test_the_pooled_network_is_the_one_of_two_convolutions():
    module = build("pooled_cnn", (1, 28, 28), 10)
    assert sum(isinstance(layer, nn.Conv2d) for layer in module) == 2
    assert sum(parameter.numel() for parameter in module.parameters()) == 160 + 4640 + 80100 + 1010


def test_refuses():
    with pytest.raises(ValueError, match=r"`name` must be one of mlp, cnn, pooled_cnn, .*, got 'transformer'"):
        build("transformer", (1, 8, 8), 10)
    with pytest.raises(ValueError, match="`kernel` must fit the padded image"):
        build("pooled_cnn", (1, 4, 4), 10)
    with pytest.raises(TypeError, match="hidde"):
        build("mlp", (1, 8, 8), 10, hidde=(8,))
    with pytest.raises(ValueError, match="`classes` must be 2, got 10"):
        build("logistic", (1, 8, 8), 10)
    with pytest.raises(ValueError, match="`steps` must divide the 64 elements of an image, got 5"):
        build("lstm", (1, 8, 8), 10, hidden=3, steps=5)
