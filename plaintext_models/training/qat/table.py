"""An activation that is a lookup table while it is trained."""

import torch
from torch import Tensor, nn

from intnn.values.arrays import integer
from intnn.values.domain import IntDomain
from intnn.values.lut import Lut
from plaintext_models.training.qat.rounding import straight_through


class TableActivation(nn.Module):
    """A saturating line on integers, z -> round(clip(slope z + offset)), with slope and offset learned.

    An even table takes |z| for z. It classifies as well, and costs far less on ciphertexts: on points symmetric around
    zero its interpolating polynomial has no odd powers.

    Args:
        domain: The integers that may come in.
        levels: The values are the integers from 0 to ``levels - 1``; at least 2.
        even: Whether the table reads |z|.
    """

    # A worst-case bound is far from what inputs reach: start by saturating at a quarter of the domain.
    STEEPNESS = 4.0

    def __init__(self, domain: IntDomain, levels: int, even: bool = False):
        super().__init__()
        self.domain, self.levels, self.even = domain, integer(levels, "levels", 2, 1 << 15), even
        self.slope = nn.Parameter(torch.tensor(self.STEEPNESS))  # in units of the whole range over half the domain
        self.offset = nn.Parameter(torch.tensor(0.0))  # in units of the whole range

    def forward(self, z: Tensor) -> Tensor:
        """Look every element up in `values`; the gradient is that of the clipped line."""
        index = z.detach().long() - self.domain.lo
        return straight_through(self._line(z), self.values()[index])

    def values(self) -> Tensor:
        """The table: float integers [domain.size]."""
        with torch.no_grad():
            points = torch.arange(self.domain.lo, self.domain.hi + 1, dtype=torch.float32)
            return torch.round(self._line(points))

    def lut(self) -> Lut:
        """The table as a value."""
        return Lut(self.domain, self.values().long().numpy(), "saturating |x|" if self.even else "saturating relu")

    def _line(self, z: Tensor) -> Tensor:
        top = self.levels - 1
        x = z.abs() if self.even else z
        return (x * (self.slope * top / self.domain.hi) + self.offset * top).clamp(0, top)
