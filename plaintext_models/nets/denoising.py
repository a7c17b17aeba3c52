"""Blocks that denoise feature maps inside a network (Xie et al., arXiv:1812.03411, section 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from torch import Tensor, nn
from torch.nn import functional

from plaintext_models.nets.layers import medians

KINDS = ("gaussian", "dot product", "mean", "median")
WINDOW = 3  # of means and medians


class Denoising(nn.Module):
    """Maps denoised, then a 1 x 1 convolution, added to the maps as they were.

    Args:
        channels: How many maps there are.
        kind: "gaussian": the mean of all positions, weighted by exp(θ(x_i)ᵀφ(x_j) / √channels), θ and φ learnt and the
            weights of a position summing to 1; by torch's attention, which has a second derivative only under
            `sdpa_kernel(SDPBackend.MATH)`. "dot product": weighted by x_iᵀx_j over the number of positions. "mean" or
            "median": of 3 x 3 positions.

    Raises:
        ValueError: The kind is unknown.
    """

    def __init__(self, channels: int, kind: str) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"`kind` must be one of {', '.join(KINDS)}, got {kind!r}")
        self.kind = kind
        if kind == "gaussian":
            self.theta, self.phi = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)
        self.joined = nn.Conv2d(channels, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, channels, height, width] -> the same shape."""
        if self.kind == "gaussian":
            denoised = gaussian(maps, self.theta(maps), self.phi(maps))
        else:
            denoised = _PLAIN[self.kind](maps)
        return maps + self.joined(denoised)


def gaussian(maps: Tensor, theta: Tensor, phi: Tensor) -> Tensor:
    """Every position as the softmax-weighted mean of all, all [batch, channels, height, width]; once differentiable."""
    # torch's attention is several times as fast on copies whose channels come last
    asked, known, seen = (part.flatten(2).mT.unsqueeze(1).contiguous() for part in (theta, phi, maps))
    return functional.scaled_dot_product_attention(asked, known, seen).squeeze(1).mT.reshape(maps.shape)


def dot_product(maps: Tensor) -> Tensor:
    """Every position as the mean of all, each times its dot product with that position."""
    flat = maps.flatten(2)
    return (flat @ flat.mT @ flat / flat.shape[2]).reshape(maps.shape)  # channels x channels, not positions x positions


def mean(maps: Tensor) -> Tensor:
    """The mean of every 3 x 3 window, of what there is of it at the edges."""
    return functional.avg_pool2d(maps, WINDOW, 1, WINDOW // 2, count_include_pad=False)


_PLAIN: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"dot product": dot_product, "mean": mean, "median": partial(medians, side=WINDOW)}
)
