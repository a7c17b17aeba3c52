"""A black box whose training data nobody knows: find images like them, train a proxy on these, attack that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from plaintext_models.attacks.black_box.discrimination import SCORES
from plaintext_models.attacks.black_box.substitute import Substitute, substitute
from plaintext_models.attacks.core.attack import Attack
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.core.tensors import tensor


@dataclass(frozen=True, eq=False)
class WithoutData:
    """What an attacker found who has neither the model nor its data.

    Attributes:
        kept: [pool], which images of the pool were taken for training images.
        threshold: The confidence, in nats from minus infinity to 0, above which they were.
        substitute: The proxy network.
        result: What its adversarial examples do to the victim.
        queries: Answers that the attacker took from the victim, those of the verdict not counted.
    """

    kept: Tensor
    threshold: float
    substitute: Substitute
    result: AttackResult
    queries: int


@entrance
def without_data(
    victim: Target,
    images: Tensor,
    goal: Goal,
    attack: Attack,
    factory: Callable[[], nn.Module],
    pool: Tensor,
    **training: Any,
) -> WithoutData:
    """Discriminator, proxy data, proxy network, transfer: an attack on a victim by its answers alone.

    The discriminator learns without labels, since the attacker has none: the victim's log-confidences in a pool of
    images are split in two where the groups differ most from each other (Otsu's threshold), and the surer group is
    taken for images like those that the victim was trained on. A proxy is trained on the victim's answers to them, as
    `substitute` does, and attacked; what is found there is tried on the victim.

    Args:
        victim: An oracle will do; of its answers the softmax is used.
        images: What is to be misclassified, [batch, *shape], within the bounds.
        goal: What is to be reached, for every image.
        attack: The attack to use on the proxy.
        factory: Makes the proxy, untrained; see `substitute`.
        pool: Images [pool, *shape] from anywhere, within the bounds, at least 2.
        training: More arguments of `substitute`.

    Raises:
        TypeError: Where `substitute` raises it.
        ValueError: There are fewer than 2 images in the pool; or where `Target.require` or `substitute` raises it.
    """
    pool = tensor(pool, "pool").to(images.device)
    victim.require(pool)
    if len(pool) < 2:
        raise ValueError(f"`pool` must have at least 2 images, got {len(pool)}")
    labels = torch.zeros(len(pool), dtype=torch.int64, device=pool.device)
    scores = SCORES["confidence"](victim.check(pool, labels), labels)
    threshold = parting(scores)
    kept = scores > threshold
    made = substitute(victim, pool[kept], factory, **training)
    return WithoutData(kept, threshold, made, made.attack(images, goal, attack), len(pool) + made.queries)


def parting(values: Tensor) -> float:
    """The value above which others belong to a group of their own: the split of greatest variance between the groups.

    Otsu, "A threshold selection method from gray-level histograms" (1979), without a histogram. Below all values, so
    that none is left out, where all are equal.

    Args:
        values: Numbers [n], n from 1.
    """
    ordered = values.double().sort().values
    n, below = len(ordered), torch.arange(1, len(ordered), dtype=torch.float64, device=values.device)
    sums = ordered.cumsum(0)
    apart = sums[:-1] / below - (sums[-1] - sums[:-1]) / (n - below)
    between = torch.where(ordered[1:] > ordered[:-1], below * (n - below) * apart.square(), 0)
    if not between.any():
        return float(ordered[0]) - 1
    return float(ordered[between.argmax()])
