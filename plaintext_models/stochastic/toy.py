"""The smallest gated network: y = |x| by two hidden units, whose weights to the output a gate masks for every x.

All runs are trained at once, as the first axis of every weight: they share nothing but the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from intnn.values.arrays import integer
from plaintext_models.determinism import deterministic
from plaintext_models.stochastic.binarised import Binarised

Masks = Literal["none", "binarised", "logistic"]

POINTS, TRAINED_ON = 300, 210


class ToyNetwork(nn.Module):
    """Several networks 1-2-1, tanh units, linear output, with biases; their weights are Xavier's, drawn by torch.

    Args:
        runs: How many.
        masks: What a gate, a perceptron that sees the hidden units, makes masks of: "none", there is no gate.
        sees_weights: Whether the gate sees the weights that it masks, too.

    Raises:
        ValueError: The masks are of another kind.
    """

    def __init__(self, runs: int, masks: Masks, *, sees_weights: bool = False) -> None:
        super().__init__()
        if masks not in get_args(Masks):
            raise ValueError(f"`masks` must be one of {', '.join(get_args(Masks))}, got {masks!r}")
        self.sees_weights = sees_weights
        self.first, self.first_bias = _xavier(runs, 1, 2), nn.Parameter(torch.zeros(runs, 1, 2))
        self.second, self.second_bias = _xavier(runs, 2, 1), nn.Parameter(torch.zeros(runs, 1))
        self.gate: nn.Parameter | None = None
        if masks != "none":
            self.gate = _xavier(runs, 4 if sees_weights else 2, 2)
            self.gate_bias = nn.Parameter(torch.zeros(runs, 1, 2))
            self.last = Binarised("hard") if masks == "binarised" else nn.Sigmoid()

    def hidden(self, x: Tensor) -> Tensor:
        """The hidden units [runs, n, 2] of inputs [n]."""
        return torch.tanh(x[:, None] @ self.first + self.first_bias)

    def numbers(self, hidden: Tensor) -> Tensor:
        """What is behind the masks [runs, n, 2], given the hidden units [runs, n, 2]."""
        assert self.gate is not None
        if self.sees_weights:
            hidden = torch.cat([hidden, self.second.mT.expand(-1, hidden.shape[1], -1)], 2)
        return hidden @ self.gate + self.gate_bias

    def forward(self, x: Tensor) -> Tensor:
        """Inputs [n] to outputs [runs, n]."""
        hidden = self.hidden(x)
        masks = 1.0 if self.gate is None else self.last(self.numbers(hidden))
        return (hidden * masks * self.second.mT).sum(2) + self.second_bias


@dataclass(frozen=True, eq=False)
class ToyRun:
    """What training some networks gave.

    Attributes:
        module: The networks.
        losses: Mean squared errors on the training points before every iteration, [iterations, runs].
        test_losses: Of the networks in the end, on the other points, [runs].
        gates: The probabilities behind the masks of all points, at the iterations that were asked for, [marks, runs,
            points, 2]; empty where there is no gate.
    """

    module: ToyNetwork
    losses: Tensor
    test_losses: Tensor
    gates: Tensor


def points(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """All x [300] from -1 to 1, and which of them train [210] and test [90]."""
    order = torch.randperm(POINTS, generator=torch.Generator().manual_seed(seed))
    return torch.linspace(-1, 1, POINTS), order[:TRAINED_ON], order[TRAINED_ON:]


def fit(
    masks: Masks,
    *,
    sees_weights: bool = False,
    runs: int = 30,
    iterations: int = 5000,
    marks: tuple[int, ...] = (),
    seed: int = 0,
) -> ToyRun:
    """Train by Adam on all training points at once, rate 1e-3, squared error.

    Args:
        masks: See `ToyNetwork`.
        sees_weights: See `ToyNetwork`.
        runs: How many networks.
        iterations: How many steps, from 1.
        marks: After how many steps gates are looked at, increasing.
        seed: Determines initial weights, points and draws.
    """
    integer(iterations, "iterations", 1)
    with deterministic(seed):
        module = ToyNetwork(runs, masks, sees_weights=sees_weights)
        x, train, test = points(seed)
        optimiser = torch.optim.Adam(module.parameters(), 1e-3)
        losses, gates = torch.empty(iterations, runs), []
        for step in range(iterations + 1):
            if step in marks and module.gate is not None:
                with torch.no_grad():
                    gates.append(torch.sigmoid(module.numbers(module.hidden(x))))
            if step == iterations:
                break
            errors = (module(x[train]) - x[train].abs()).square().mean(1)
            losses[step] = errors.detach()
            optimiser.zero_grad()
            errors.sum().backward()
            optimiser.step()
        with torch.no_grad():
            tested = (module(x[test]) - x[test].abs()).square().mean(1)
    return ToyRun(module.eval(), losses, tested, torch.stack(gates) if gates else torch.empty(0))


def _xavier(runs: int, incoming: int, outgoing: int) -> nn.Parameter:
    reach = math.sqrt(6 / (incoming + outgoing))
    return nn.Parameter((2 * torch.rand(runs, incoming, outgoing) - 1) * reach)
