"""From grey values to integers."""

from torch import Tensor, nn

from intnn.values.arrays import integer
from intnn.values.domain import IntDomain
from plaintext_models.training.qat.rounding import round_half_up


class InputQuantiser(nn.Module):
    """Round inputs in [0, 1] to ``bits`` bits, as `IntNetwork.quantise_input` will.

    Attributes:
        domain: The integers that it can give, [0, 2^bits - 1].
        scale: Integers per unit of the input, 2^bits - 1.

    Raises:
        ValueError: ``bits`` is outside [1, 8].
    """

    def __init__(self, bits: int):
        super().__init__()
        self.domain = IntDomain(0, 2 ** integer(bits, "bits", 1, 8) - 1)
        self.scale = float(self.domain.hi)

    def forward(self, images: Tensor) -> Tensor:
        """Floats of any shape to float32 integers; in float64 between, like the network's own."""
        return round_half_up((images.double() * self.scale).clamp(self.domain.lo, self.domain.hi)).float()
