"""Images of nothing that a model is sure of (Nguyen et al., arXiv:1412.1897)."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import spread
from plaintext_models.attacks.core.grid import nearest_levels
from plaintext_models.attacks.core.losses import cross_entropy
from plaintext_models.attacks.core.norms import steepest
from plaintext_models.attacks.core.numbers import number, several
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.core.tensors import class_labels
from plaintext_models.determinism import generator

STRENGTH = 15  # of the polynomial mutation; the greater, the nearer do children stay
HALVING = 1000  # generations after which elements mutate half as often


@dataclass(frozen=True, eq=False)
class Rubbish:
    """Images that a model takes for something.

    Attributes:
        images: [wanted, *shape], one a wanted class, within the target's bounds and on its grid; the best there was
            where none is good.
        confidences: [wanted], softmax of the wanted class, on a forward of exactly these images.
        success: [wanted], whether the image is classified as wanted, as surely as wanted.
        queries: Images that the model saw.
        iterations: Generations, or steps.
    """

    images: Tensor
    confidences: Tensor
    success: Tensor
    queries: int
    iterations: int


@entrance
def evolved(
    target: Target,
    classes: Tensor,
    shape: tuple[int, ...],
    *,
    confidence: float = 0.99,
    population: int = 100,
    generations: int = 2000,
    rate: float = 0.1,
    seed: int = 0,
) -> Rubbish:
    """Let images of noise evolve: MAP-Elites on a direct encoding. It needs no gradient.

    There is a champion a class. Children mutate random champions, and each class takes the best of all for its own.

    Args:
        target: The model.
        classes: The wanted classes, [wanted], at least one.
        shape: The shape of an image.
        confidence: The softmax of the wanted class that is enough, above 0, below 1.
        population: How many children a generation has, from 1.
        generations: The most generations, from 0.
        rate: How often an element mutates at first, above 0, up to 1.
        seed: The seed of the evolution.

    Raises:
        TypeError: Where `Target.check` raises it.
        ValueError: A number is out of range, or no class is wanted; or where `Target.check` raises it.
    """
    integer(population, "population", 1)
    integer(generations, "generations", 0)
    number(rate, "rate", above=0, most=1)
    classes = class_labels(classes, "classes")
    champions, drawn = _noise(target, classes, shape, confidence, seed)
    low, high = target.limits(champions)
    with torch.no_grad():
        best = _sureness(target.logits(champions), classes)
    generation = 0
    while generation < generations and not bool((best.exp() >= confidence).all()):
        parents = champions[torch.randint(len(champions), (population,), generator=drawn, device=classes.device)]
        chance, draw = (
            torch.rand(parents.shape, generator=drawn, device=classes.device, dtype=torch.float32) for _ in range(2)
        )
        tail = (2 * torch.minimum(draw, 1 - draw)) ** (1 / (STRENGTH + 1))
        change = (high - low) * torch.where(draw < 0.5, tail - 1, 1 - tail)
        mutates = chance < rate / 2 ** (generation // HALVING)
        children = torch.where(mutates, parents + change, parents).clamp(low, high)
        children = nearest_levels(children, (low, high), target.levels)
        with torch.no_grad():
            top, which = target.logits(children).log_softmax(1)[:, classes].max(0)
        better = top > best
        champions, best = torch.where(spread(better, champions), children[which], champions), best.maximum(top)
        generation += 1
    return _judged(target, champions, classes, confidence, len(classes) + population * generation, generation)


@entrance
def ascended(
    target: Target,
    classes: Tensor,
    shape: tuple[int, ...],
    *,
    confidence: float = 0.99,
    steps: int = 500,
    step: float = 0.1,
    decay: float = 0.01,
    seed: int = 0,
) -> Rubbish:
    """Climb from noise along the gradient of the wanted class's log-probability, while the image fades to grey.

    Args:
        target: The model, differentiable.
        classes: The wanted classes, [wanted], at least one.
        shape: The shape of an image.
        confidence: The softmax of the wanted class that is enough, above 0, below 1.
        steps: The most steps, from 0.
        step: The Euclidean length of a step, in units of the bounds' width, positive.
        decay: The part of the distance from the middle of the bounds that a step takes away, from 0, below 1.
        seed: The seed of the noise.

    Raises:
        TypeError: The target has no gradients; or where `Target.check` raises it.
        ValueError: A number is out of range, or no class is wanted; or where `Target.check` raises it.
    """
    integer(steps, "steps", 0)
    number(step, "step", above=0)
    number(decay, "decay", least=0, below=1)
    classes = class_labels(classes, "classes")
    now, _ = _noise(target, classes, shape, confidence, seed)
    low, high = target.limits(now)
    rows, queries, count = torch.arange(len(classes), device=classes.device), 0, 0
    while count < steps and len(rows):
        wanted = functools.partial(_sureness, classes=classes[rows])
        gradient, logits = target.gradient(now[rows], wanted)
        queries += len(rows)
        left = wanted(logits).exp() < confidence
        rows, gradient = rows[left], gradient[left]
        faded = (1 - decay) * now[rows] + decay * (low + high) / 2
        now[rows] = (faded + step * (high - low) * steepest(gradient, "l2")).clamp(low, high)
        count += 1
    return _judged(target, now, classes, confidence, queries, count)


def _sureness(logits: Tensor, classes: Tensor) -> Tensor:
    return -cross_entropy(logits, classes)


def _noise(
    target: Target, classes: Tensor, shape: tuple[int, ...], confidence: float, seed: int
) -> tuple[Tensor, torch.Generator]:
    """Uniform images [wanted, *shape] to start from, on the grid, checked with everything else, and the generator."""
    number(confidence, "confidence", above=0, below=1)
    if classes.ndim != 1 or not len(classes):
        raise ValueError(f"`classes` must be [wanted], at least one, got {tuple(classes.shape)}")
    shape = tuple(integer(size, "shape", 1) for size in several(shape, "shape"))
    drawn = generator(seed, classes.device)
    uniform = torch.rand(len(classes), *shape, generator=drawn, device=classes.device, dtype=torch.float32)
    low, high = target.limits(uniform)
    noise = nearest_levels(low + (high - low) * uniform, (low, high), target.levels)
    target.check(noise, classes)
    return noise, drawn


def _judged(
    target: Target, images: Tensor, classes: Tensor, confidence: float, queries: int, iterations: int
) -> Rubbish:
    images = nearest_levels(images, target.limits(images), target.levels)
    with torch.no_grad():
        logits = target.logits(images)
    sure = _sureness(logits, classes).exp()
    return Rubbish(images, sure, (sure >= confidence) & (logits.argmax(1) == classes), queries, iterations)
