"""Signs that attacks fail for want of gradients and not of adversarial examples.

Athalye, Carlini and Wagner, "Obfuscated gradients give a false sense of security" (arXiv:1802.00420, section 3.1), and
Carlini et al., "On evaluating adversarial robustness" (arXiv:1902.06705, section 5). None of them proves a robustness
wrong; each says that the figures are not to be believed before it is explained.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from plaintext_models.attacks.core.answers import are_probabilities
from plaintext_models.attacks.core.norms import TINY, lengths

FEW = 0.01  # of the points, which chance may explain
LEAST = 3  # points; one or two of a hundred are no sign


@dataclass(frozen=True)
class Finding:
    """A red flag.

    Attributes:
        name: What is wrong.
        evidence: The figures that say so.
    """

    name: str
    evidence: str


def one_step_beats_many(one: Tensor, many: Tensor) -> Finding | None:
    """Images [batch] that one large step breaks and many small ones do not."""
    return _beats("one step beats many", "one step", "many steps", one, many)


def black_box_beats_white_box(black: Tensor, white: Tensor) -> Finding | None:
    """Images [batch] that queries alone break, and no attack that has the gradients."""
    return _beats("black box beats white box", "queries alone", "all attacks with gradients", black, white)


def transfer_beats_direct(transferred: Tensor, direct: Tensor) -> Finding | None:
    """Images [batch] that examples of another model break, and a direct attack does not."""
    return _beats("transfer beats direct attack", "examples of other models", "the direct attack", transferred, direct)


def surrogate_beats_own(by_surrogates: Tensor, by_own: Tensor) -> Finding | None:
    """Images [batch] that other backward passes of the same model break, and nothing before them does."""
    strong = "all attacks before, its own gradients among them"
    return _beats("surrogate beats own gradients", "other backward passes", strong, by_surrogates, by_own)


def accuracy_stays(standing: Tensor) -> Finding | None:
    """Images [batch] that stand attacks without any limit but the bounds, where every image can become any other."""
    return _many("accuracy does not fall to 0", standing, "stand attacks that may move everywhere within the bounds")


def probabilities(logits: Tensor) -> Finding | None:
    """Logits [batch, classes] that look like probabilities: a softmax flattens the slopes that attacks follow."""
    if not are_probabilities(logits):
        return None
    return Finding(
        "answers are probabilities", f"all {len(logits)} answers are from 0 and sum to 1; leave out the softmax"
    )


def zero_gradients(gradients: Tensor) -> Finding | None:
    """Gradients [batch, *shape] of the loss by the images, of which many are zero."""
    return _many("zero gradients", lengths(gradients, "linf") < TINY, "have no gradient of the cross-entropy")


def ties(logits: Tensor) -> Finding | None:
    """Logits [batch, classes] of which two are the largest, as where a class occurs twice: every margin is 0 then."""
    first, second = logits.topk(2, 1).values.unbind(1)
    return _many(
        "classes tie", first == second, "have two classes of the same logit, the largest, and no slope between"
    )


def _beats(name: str, weak: str, strong: str, broken: Tensor, by_strong: Tensor) -> Finding | None:
    """What a weaker attack breaks and a stronger one does not, image by image: totals could hide it."""
    extra = broken & ~by_strong
    return _many(name, extra, f"are broken by {weak} ({int(broken.sum())}), not by {strong} ({int(by_strong.sum())})")


def _many(name: str, mask: Tensor, what: str) -> Finding | None:
    count, n = int(mask.sum()), len(mask)
    if count < LEAST or count <= FEW * n:
        return None
    return Finding(name, f"{count} of {n} images {what}")
