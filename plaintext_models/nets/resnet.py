"""A small residual network (He et al., arXiv:1512.03385), with denoising blocks where they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from plaintext_models.nets.denoising import Denoising


class Residual(nn.Module):
    """Two convolutions of 3 x 3 with batch normalisation, added to the maps as they were.

    Args:
        incoming: How many maps come in.
        outgoing: How many go out.
        stride: The step of the first convolution; where it is not 1, or the numbers of maps differ, the maps as they
            were go through a 1 x 1 convolution.
    """

    def __init__(self, incoming: int, outgoing: int, stride: int = 1) -> None:
        super().__init__()
        self.changed = nn.Sequential(
            nn.Conv2d(incoming, outgoing, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outgoing),
            nn.ReLU(),
            nn.Conv2d(outgoing, outgoing, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outgoing),
        )
        same = stride == 1 and incoming == outgoing
        self.kept = nn.Identity() if same else nn.Conv2d(incoming, outgoing, 1, stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, incoming, height, width] -> [batch, outgoing, height / stride, width / stride]."""
        return nn.functional.relu(self.changed(maps) + self.kept(maps))


def resnet(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    channels: Sequence[int] = (16, 32),
    blocks: int = 1,
    halve: bool = False,
    denoise: str | None = None,
) -> nn.Sequential:
    """A convolution, stages of residual blocks, the mean over positions, and a linear map.

    Args:
        input_shape: (channels, height, width).
        classes: Number of outputs.
        channels: The maps of every stage; from the second on, a stage begins with a stride of 2.
        blocks: Residual blocks of a stage, from 1.
        halve: Whether the first convolution is 4 x 4 with a stride of 2, for a quarter of all later work, and not
            3 x 3.
        denoise: The kind of the `Denoising` block that ends every stage; None for none.
    """
    kernel, stride = (4, 2) if halve else (3, 1)
    layers: list[nn.Module] = [nn.Conv2d(input_shape[0], channels[0], kernel, stride, 1), nn.ReLU()]
    incoming = channels[0]
    for stage, outgoing in enumerate(channels):
        for block in range(blocks):
            layers.append(Residual(incoming, outgoing, 2 if stage and not block else 1))
            incoming = outgoing
        if denoise is not None:
            layers.append(Denoising(outgoing, denoise))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(incoming, classes))
