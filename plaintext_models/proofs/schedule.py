"""How a training for proofs goes on. Importing this does not need torch."""

from __future__ import annotations

from dataclasses import dataclass

from plaintext_models.attacks.core.numbers import number


@dataclass(frozen=True)
class Schedule:
    """How a training for proofs goes on; shares are of all its steps, from 0 to 1.

    Attributes:
        radius: The radius of the Linf ball in the end, from 0.
        warm: In this share from the start there is no ball.
        ramp: In the share that follows, the radius grows to its end.
        clean: The weight of the clean loss in the end, which falls to it from 1 as the radius grows.

    Raises:
        ValueError: A number is out of range.
    """

    radius: float
    warm: float = 0.05
    ramp: float = 0.5
    clean: float = 0.3

    def __post_init__(self) -> None:
        number(self.radius, "radius", least=0)
        number(self.warm, "warm", least=0, most=1)
        number(self.ramp, "ramp", least=0, most=1 - self.warm)
        number(self.clean, "clean", least=0, most=1)

    def at(self, share: float) -> tuple[float, float]:
        """Radius and weight of the clean loss when a share of the steps has been taken."""
        grown = min(1.0, max(0.0, share - self.warm) / self.ramp) if self.ramp else float(share >= self.warm)
        return self.radius * grown, 1 - (1 - self.clean) * grown
