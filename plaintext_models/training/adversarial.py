"""Adversarial training: every step learns from what an attack makes of its batch (Madry et al., arXiv:1706.06083)."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from intnn.values.arrays import integer
from plaintext_models.attacks.ball.ascend import ascend
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.training.loop import Batch, BatchHook, LossHook


def attacked(
    module: nn.Module, ball: Ball, *, steps: int, ramp: float = 0.5, random_start: bool = True, begin: float = 0.0
) -> BatchHook:
    """The hook that moves the images of every batch to where projected gradient ascent leads in a ball around them.

    The module is attacked in evaluation mode and goes on to train in the mode that it had.

    Args:
        module: The module that is trained, for images in [0, 1].
        ball: The ball that the attack uses in the end; its norm is "l1", "l2" or "linf".
        steps: How many steps each attack takes, from 1.
        ramp: In this fraction of the training, from 0 to 1, the radius grows from 0 to that of the ball: with all of
            it from the start, MNIST may never be learnt.
        random_start: Whether each attack starts at a random point of the ball, and not at the image.
        begin: The fraction of the training, from 0 to 1, before which nothing is attacked.

    Raises:
        ValueError: A number is out of range.
    """
    integer(steps, "steps", 1)
    number(ramp, "ramp", least=0, most=1)
    number(begin, "begin", least=0, most=1)
    radius = ball.require_one_radius()

    def moved(batch: Batch) -> Tensor:
        past = batch.step - begin * batch.steps
        if past < 0:
            return batch.images
        share = min(1.0, past / (ramp * batch.steps)) if ramp else 1.0
        mode = module.training
        module.eval()
        try:
            return ascend(
                Target(module),
                batch.images,
                Goal(batch.labels),
                Ball(ball.norm, radius * share),
                steps=steps,
                generator=batch.generator,
                random_start=random_start,
            )
        finally:
            module.train(mode)

    return moved


def mixed(module: nn.Module, loss: LossHook, clean: float) -> LossHook:
    """A loss on the clean images and on what took their place, weighted (Goodfellow et al., arXiv:1412.6572, sec. 6).

    Args:
        module: The module that is trained.
        loss: The loss of either.
        clean: The weight of the clean images' loss, from 0 to 1; the other loss has the rest.

    Raises:
        ValueError: The weight is out of range.
    """
    number(clean, "clean", least=0, most=1)

    def both(logits: Tensor, batch: Batch) -> Tensor:
        if batch.images is batch.clean:
            return loss(logits, batch)
        undisturbed = loss(module(batch.clean), replace(batch, images=batch.clean))
        return clean * undisturbed + (1 - clean) * loss(logits, batch)

    return both
