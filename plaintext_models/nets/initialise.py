"""Initial weights from data."""

import torch
from torch import Tensor, nn


def unit_variance(module: nn.Sequential, images: Tensor) -> None:
    """Scale every hidden linear layer such that its outputs on ``images`` have variance one, in place.

    Layer-sequential unit-variance initialisation (Mishkin and Matas, ICLR 2016, algorithm 1) without its orthogonal
    start. Squares need it: twice the input is four times the output, layer after layer.

    Args:
        module: A flat chain; its last layer is left as it is.
        images: [batch, *input_shape], a few hundred.
    """
    with torch.no_grad():
        x = images
        for layer in list(module)[:-1]:
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                deviation = layer(x).std()
                layer.weight /= deviation
                if layer.bias is not None:
                    layer.bias /= deviation
            x = layer(x)
