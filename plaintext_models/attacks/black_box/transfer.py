"""Adversarial examples of one model on another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from intnn.values.arrays import instance
from plaintext_models.attacks.core.attack import Attack
from plaintext_models.attacks.core.derived import widened
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal, conclude, start
from plaintext_models.attacks.core.target import Target


@entrance
def transferred(source: Target, victim: Target, images: Tensor, goal: Goal, attack: Attack) -> AttackResult:
    """Attack one model, and judge what is found, or the clean image where that failed, on another.

    Returns:
        The victim's result. `queries` are forwards of the victim, which takes none before the verdict; `iterations` are
        the attack's on the source.

    Raises:
        ValueError: The models' bounds differ; or where `start` raises it.
    """
    require_alike(source, victim)
    active, queries, iterations = start(victim, images, goal)
    found = images.clone()
    if active.any():
        result = instance(attack(source, images[active], goal[active]), AttackResult, "attack(...)")
        found[active], iterations[active] = result.x_adv, result.iterations
    return conclude(victim, images, found, goal, queries, iterations)


@entrance
def clipped_after(
    target: Target,
    images: Tensor,
    goal: Goal,
    attack: Attack,
    *,
    bounds: tuple[float | Sequence[float], float | Sequence[float]],
) -> AttackResult:
    """Attack a model as if images knew no bounds, and clip what is found in the end.

    So did papers whose attack adds up its steps and clips once. What `attack` finds on `derived.widened` itself are the
    figures of those that did not clip at all.

    Args:
        target: The model.
        images: [batch, *shape], within its bounds.
        goal: What is to be reached, for every image.
        attack: The attack; let it go on (`leave=False`), since what just fools before clipping may not after it.
        bounds: The bounds that it works within, wider than the target's.

    Returns:
        The target's result, judged after clipping; the clean image where that is not enough. `queries` are of the
        attack.

    Raises:
        ValueError: The images do not lie within `bounds`; or where `start` raises it.
    """
    active, queries, iterations = start(target, images, goal)
    found = images.clone()
    if active.any():
        wide = widened(target, bounds)
        result = instance(attack(wide, images[active], goal[active]), AttackResult, "attack(...)")
        found[active], queries[active], iterations[active] = result.x_adv, result.queries, result.iterations
    return conclude(target, images, found, goal, queries, iterations)


@dataclass(frozen=True, eq=False)
class TransferMatrix:
    """How often the adversarial examples of every source fool every victim.

    Attributes:
        sources: Names of the models attacked, the rows.
        victims: Names of the models judged, the columns.
        rates: [sources, victims] from 0 to 1, of the images that both classify rightly; NaN where there is none.
        counts: [sources, victims], how many such images there are.
    """

    sources: tuple[str, ...]
    victims: tuple[str, ...]
    rates: Tensor
    counts: Tensor


@entrance
def transfer_matrix(
    sources: Mapping[str, Target],
    images: Tensor,
    goal: Goal,
    attack: Attack,
    *,
    victims: Mapping[str, Target] | None = None,
) -> TransferMatrix:
    """Attack every source once, and try what it found on every victim.

    An image on which the attack failed counts as one that did not transfer: all rates say how often a victim is fooled.

    Args:
        sources: The models to attack, by name, at least one.
        images: [batch, *shape], within the bounds of all.
        goal: What is to be reached, for every image.
        attack: The attack to use on every source, which must give what it needs.
        victims: The models to try; by default the sources, with the attack's own success rates on the diagonal.

    Raises:
        TypeError: A model is not a `Target`, or has no name; or `attack` is none.
        ValueError: No model, or models whose bounds differ; or where `start` raises it.
    """
    judged = sources if victims is None else victims
    for name, models in (("sources", sources), ("victims", judged)):
        if not isinstance(models, Mapping):
            raise TypeError(f'`{name}` must be models by name, {{"a": Target(model)}}, got {type(models).__name__}')
    if not sources or not judged:
        raise ValueError(f"`sources` and `victims` must name a model each, got {tuple(sources)} and {tuple(judged)}")
    require_alike(*sources.values(), *judged.values())
    rates, counts = [], []
    rights = [_answers(model, images, goal) == goal.labels for model in judged.values()]
    for source in sources.values():
        moved = instance(attack(source, images, goal), AttackResult, "attack(...)").x_adv
        right = _answers(source, images, goal) == goal.labels
        for victim, also in zip(judged.values(), rights, strict=True):
            both = right & also
            with torch.no_grad():
                fooled = goal.reached(victim.logits(moved)) & both
            counts.append(both.sum())
            rates.append(fooled.sum().double() / both.sum())
    shape = len(sources), len(judged)
    return TransferMatrix(
        tuple(sources), tuple(judged), torch.stack(rates).reshape(shape), torch.stack(counts).reshape(shape)
    )


@dataclass(frozen=True, eq=False)
class CrossTest:
    """Two models, a and b, on each other's adversarial examples.

    Attributes:
        accuracy: [3, 2] of all images: a and b (columns) on the clean ones, on those made against a, against b (rows).
        agreement: [3], how often a and b answer the same, on the same rows.
        rates: [2, 2], success rates as in `TransferMatrix`, made against a and b (rows), tried on a and b (columns).
        count: Images that both classify rightly; the rates off the diagonal are of these.
    """

    accuracy: Tensor
    agreement: Tensor
    rates: Tensor
    count: int


@entrance
def cross_test(model_a: Target, model_b: Target, images: Tensor, goal: Goal, attack: Attack) -> CrossTest:
    """Attack two models, say a float one and its integer version, and try both on what was found on either.

    Args:
        model_a: A model.
        model_b: Another, of the same bounds.
        images: [batch, *shape], within them.
        goal: What is to be reached, for every image.
        attack: The attack to use on both.

    Raises:
        ValueError: The models' bounds differ; or where `start` raises it.
    """
    models = {"a": model_a, "b": model_b}
    made: dict[int, AttackResult] = {}

    def once(target: Target, images: Tensor, goal: Goal) -> AttackResult:
        return made.setdefault(id(target), attack(target, images, goal))

    matrix = transfer_matrix(models, images, goal, once)
    sets = [images, *(made[id(model)].x_adv for model in models.values())]
    answers = torch.stack([torch.stack([_answers(model, part, goal) for model in models.values()]) for part in sets])
    return CrossTest(
        (answers == goal.labels).double().mean(2),
        (answers[:, 0] == answers[:, 1]).double().mean(1),
        matrix.rates,
        int(matrix.counts[0, 1]),
    )


def _answers(model: Target, images: Tensor, goal: Goal) -> Tensor:
    return model.check(images, goal.labels).argmax(1)


def require_alike(first: Target, *rest: Target) -> None:
    """Raise ValueError for models that do not take the same images."""
    for model in (first, *rest):
        if not isinstance(model, Target):
            raise TypeError(f"all models must be Targets, got {type(model).__name__}; wrap it: Target(model)")
        for name in ("bounds", "levels"):
            one, other = getattr(first, name), getattr(model, name)
            if one != other:
                raise ValueError(f"all models must have the same {name}, got {one} and {other}")
