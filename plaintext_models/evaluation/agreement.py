"""Whether models make the same mistakes on the same images (Goodfellow et al., arXiv:1412.6572, section 8)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from plaintext_models.evaluation.judge import Share


@dataclass(frozen=True)
class Agreement:
    """How often one model answers as another does on images that were made against that other.

    Attributes:
        on_mistakes: Of the images that the other takes for a wrong class, those that this one takes for the same.
        both_wrong: Of the images that both take for a wrong class, those that they take for the same.
    """

    on_mistakes: Share
    both_wrong: Share


def agreement(answers: Tensor, others: Tensor, labels: Tensor) -> Agreement:
    """The agreement of a model with another.

    Args:
        answers: The classes that the model answers, [batch].
        others: Those that the other one answers, [batch].
        labels: The right ones, [batch].
    """
    same, misled = answers == others, others != labels
    both = misled & (answers != labels)
    return Agreement(
        Share(int((same & misled).sum()), int(misled.sum())), Share(int((same & both).sum()), int(both.sum()))
    )
