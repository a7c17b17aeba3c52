"""Telling the images that a model was trained on from others (Yeom, arXiv:1709.01604; Shokri, arXiv:1610.05820)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from plaintext_models.attacks.black_box.substitute import substitute
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.losses import Loss, cross_entropy, margin
from plaintext_models.attacks.core.target import Target


def _confidence(logits: Tensor, _: Tensor) -> Tensor:
    return logits.log_softmax(1).amax(1)


def _correctness(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(1) == labels).to(logits.dtype)


#: What an attacker takes for a sign of membership. "confidence" needs no labels, "correctness" no logits.
SCORES: dict[str, Loss] = {
    "loss": lambda logits, labels: -cross_entropy(logits, labels),
    "margin": lambda logits, labels: -margin(logits, labels),
    "confidence": _confidence,
    "correctness": _correctness,
}


@dataclass(frozen=True, eq=False)
class Discrimination:
    """How well scores tell members of the training set from others.

    Attributes:
        scores: [batch], the greater the more likely a member.
        members: [batch], bool, the truth.
        queries: Answers that the attacker took from the victim.
    """

    scores: Tensor
    members: Tensor
    queries: int

    @property
    def auc(self) -> float:
        """Probability that a member scores above another image, ties counting half; 0.5 is chance."""
        hits, alarms = self._roc()
        return float(torch.trapezoid(hits, alarms))

    @property
    def advantage(self) -> float:
        """Largest true less false positive rate of any threshold, from 0 to 1: what this score gives away at most."""
        hits, alarms = self._roc()
        return float((hits - alarms).max())

    @property
    def threshold(self) -> float:
        """The threshold of that advantage; found on a model that the attacker trained himself, of use on the victim."""
        hits, alarms = self._roc()
        return float(self.scores.unique().flip(0)[(hits - alarms)[1:].argmax()])

    def advantage_at(self, threshold: float) -> float:
        """True less false positive rate, from -1 to 1, of an attacker who takes scores from the threshold for members.

        Yeom's attacker, who is told the mean training loss, uses its negative as a threshold of the score "loss".
        """
        taken = (self.scores >= threshold).double()
        return float(taken[self.members].mean() - taken[~self.members].mean())

    def _roc(self) -> tuple[Tensor, Tensor]:
        """True and false positive rates [1 + different scores], as the threshold falls."""
        values, which = self.scores.unique(return_inverse=True)
        zero = torch.zeros(1, dtype=torch.float64, device=values.device)
        hits, alarms = (
            torch.cat(
                [zero, torch.bincount(which[part], minlength=len(values)).flip(0).cumsum(0).double() / part.sum()]
            )
            for part in (self.members, ~self.members)
        )
        return hits, alarms


@entrance
def discriminate(
    target: Target, images: Tensor, labels: Tensor, members: Tensor, *, score: str = "loss"
) -> Discrimination:
    """Score images by a model's answers.

    Args:
        target: The victim, an oracle will do; or what the attacker has in its place.
        images: Candidates [batch, *shape], within the bounds.
        labels: Their classes, [batch].
        members: Which of them the victim was trained on, bool [batch]; some, not all. Only the measures use it.
        score: One of `SCORES`.

    Raises:
        TypeError: `members` are not bools; or where `Target.check` raises it.
        ValueError: Another score, or no member, or nothing but members; or where `Target.check` raises it.
    """
    if score not in SCORES:
        raise ValueError(f"`score` must be one of {', '.join(SCORES)}, got {score!r}")
    if members.dtype != torch.bool:
        raise TypeError(f"`members` must be bools, got {members.dtype}")
    if members.shape != labels.shape or members.all() or not members.any():
        raise ValueError(
            f"`members` must be [batch], some of them true, got {tuple(members.shape)} with {int(members.sum())} true"
        )
    return Discrimination(SCORES[score](target.check(images, labels), labels), members.clone(), len(images))


@entrance
def discriminate_by_substitute(
    victim: Target,
    images: Tensor,
    labels: Tensor,
    members: Tensor,
    factory: Callable[[], nn.Module],
    *,
    known: Tensor | None = None,
    probabilities: bool = True,
    epochs: int = 100,
    score: str = "loss",
    seed: int = 0,
) -> Discrimination:
    """Train a substitute on the victim's answers, and score images by the substitute's own.

    What the victim gives away goes through the labels it hands out: soft ones say more than classes.

    Args:
        victim: An oracle will do.
        images: See `discriminate`.
        labels: See `discriminate`.
        members: See `discriminate`.
        factory: Makes the substitute; see `substitute`.
        known: Images [n, *shape] to ask the victim about; by default the candidates.
        probabilities: See `substitute`.
        epochs: See `substitute`.
        score: One of `SCORES`.
        seed: See `substitute`.

    Raises:
        TypeError: Where `discriminate` raises it.
        ValueError: Where `discriminate` or `substitute` raises it.
    """
    made = substitute(
        victim,
        images if known is None else known,
        factory,
        rounds=1,
        probabilities=probabilities,
        epochs=epochs,
        seed=seed,
    )
    return replace(discriminate(made.target, images, labels, members, score=score), queries=made.queries)
