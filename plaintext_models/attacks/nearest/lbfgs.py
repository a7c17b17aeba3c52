"""Box-constrained L-BFGS, the first of the attacks (Szegedy et al., arXiv:1312.6199)."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import require_norm
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal, conclude, start
from plaintext_models.attacks.core.losses import others
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.nearest.carlini_wagner import FACTOR, Bracket, linear_model
from plaintext_models.attacks.nearest.deepfool import beyond, box_around

FLAT = 1e-3  # margin; by less a softmax changes no more than float32's last digits: logits are then made larger


@entrance
def lbfgs(
    target: Target,
    images: Tensor,
    goal: Goal,
    norm: Literal["l2"],
    *,
    searches: int = 6,
    steps: int = 30,
    memory: int = 10,
) -> AttackResult:
    """Minimise |δ|² + c · loss within the box by a quasi-Newton method, and search for the least c that is enough.

    The loss is -log p of the target, as in the paper; without targets, -log(1 - p) of the label. One image at a time,
    in float64 but for the model: slow, exact to the model's rounding. The nearest image that was evaluated wins.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: What is to be reached, for every image.
        norm: In which the perturbation is to be short: "l2".
        searches: The most constants that are tried, from 1.
        steps: The most steps of the optimiser for one constant, from 1; each takes a forward and a backward, or a few.
        memory: How many pairs of steps and gradients make the approximate Hessian, from 1.

    Raises:
        TypeError: The target has no gradients; or where `start` raises it.
        ValueError: A number is out of range; or where `start` raises it.
        ImportError: SciPy is not installed.
    """
    from scipy.optimize import minimize  # for this attack alone

    require_norm(norm, ("l2",))
    integer(searches, "searches", 1)
    integer(steps, "steps", 1)
    integer(memory, "memory", 1)
    active, queries, iterations = start(target, images, goal)
    found, ends = images.clone(), [torch.as_tensor(end).to(images) for end in target.limits(images)]
    box = list(zip(*(end.expand(images.shape[1:]).flatten().tolist() for end in ends), strict=True))
    for row in active.nonzero():
        _, constants, shortfall = linear_model(target, images[row], goal[row])
        unit = (shortfall / FLAT).clamp_max(1)
        bracket = Bracket(FACTOR * constants * unit, shortfall / unit)
        problem = _Problem(target, images[row], goal[row], unit)
        queries[row] += 1
        for _ in range(searches):
            problem.constant, problem.reached = bracket.constants.item(), False
            result = minimize(
                problem,
                problem.clean,
                jac=True,
                method="L-BFGS-B",
                bounds=box,
                options={"maxiter": steps, "maxcor": memory},
            )
            queries[row] += result.nfev
            iterations[row] += result.nit
            first = torch.zeros_like(row)
            if not bracket.split(first, torch.full_like(first, problem.reached, dtype=torch.bool)).item():
                break
        found[row] = problem.best
    return conclude(target, images, found, goal, queries, iterations, box_around(target))


class _Problem:
    """What is minimised, as SciPy asks for it; keeps the nearest adversarial image that it is asked about.

    Attributes:
        clean: The image, float64, flat.
        constant: c.
        best: [1, *shape].
        reached: Whether any point since this was last set to False reached the goal.
    """

    def __init__(self, target: Target, image: Tensor, goal: Goal, unit: Tensor) -> None:
        self._target, self._goal, self.best, self._unit = target, goal, image, unit
        self.clean: NDArray[np.float64] = image.cpu().double().numpy().reshape(-1)
        self.constant, self.reached = 0.0, False
        self._least = np.inf

    def __call__(self, point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        moved = torch.from_numpy(point).to(self.best).reshape(self.best.shape)
        gradient, logits = self._target.gradient(moved, partial(_surprise, goal=self._goal, unit=self._unit))
        delta = point - self.clean
        size = float(delta @ delta)
        if (beyond(self._goal, logits) > 0).item():
            self.reached = True
            if size < self._least:
                self._least, self.best = size, moved
        loss = size + self.constant * _surprise(logits, self._goal, self._unit).item()
        return loss, 2 * delta + self.constant * gradient.cpu().double().numpy().reshape(-1)


def _surprise(logits: Tensor, goal: Goal, unit: Tensor) -> Tensor:
    """-log of the probability of what is wanted, nats; of logits in a unit in which the softmax is not flat."""
    logits = logits / unit
    wanted = others(logits, goal.classes) if goal.targets is None else logits.gather(1, goal.classes[:, None])
    return logits.logsumexp(1) - wanted.logsumexp(1)
