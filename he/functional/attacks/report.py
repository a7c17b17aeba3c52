"""What a protocol has revealed, computed by running the attacks on what a trainer saw of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from he.functional.attacks.elimination import rank
from he.functional.attacks.forward import images_by_least_squares, images_from_forward_keys
from he.functional.attacks.gradient import images_from_gradient
from he.functional.attacks.programme import images_by_neighbours, images_by_programme, prices
from he.functional.attacks.ridge import images_by_ridge
from he.functional.attacks.seen import Rebuilt, Seen
from he.functional.attacks.sights import Sight
from intnn.estimator.classifier import IntClassifier
from intnn.values.arrays import Array, IntArray, array, frozen, integers
from intnn.values.domain import IntDomain
from intnn.values.value_object import ValueObject


@dataclass(frozen=True, eq=False)
class Truth(ValueObject):
    """The hidden images, which no attack sees, and what reads them.

    Attributes:
        images: int64 [samples, features].
        labels: Their classes [samples].
        judge: A network that reads originals: see `he.functional.attacks.judge`.

    Raises:
        TypeError: The images are no integers.
        ValueError: There is not one label for every image.
    """

    images: IntArray
    labels: Array
    judge: IntClassifier

    def __post_init__(self) -> None:
        images, labels = integers(self.images, "images"), array(self.labels, "labels")
        if images.ndim != 2 or labels.shape != images.shape[:1]:
            shapes = f"{list(images.shape)} and {list(labels.shape)}"
            raise ValueError(f"`images` and `labels` must have shapes [samples, features] and [samples], got {shapes}")
        object.__setattr__(self, "images", frozen(images))
        object.__setattr__(self, "labels", frozen(labels))


@dataclass(frozen=True)
class Attempt(ValueObject):
    """How far one attack has come.

    Attributes:
        attack: Its name.
        share_rebuilt: The share of images that are right in every pixel, in [0, 1].
        psnr_db: The peak signal-to-noise ratio, 10 log10((hi - lo)^2 / mean squared error), in dB; infinite where all
            images are right.
        judge_accuracy: The share of rebuilt images in which the judge reads the right class, in [0, 1].
    """

    attack: str
    share_rebuilt: float
    psnr_db: float
    judge_accuracy: float

    def __str__(self) -> str:
        exact, legible = 100 * self.share_rebuilt, 100 * self.judge_accuracy
        return f"{self.attack}: {exact:.1f} % exact, {self.psnr_db:.1f} dB, {legible:.1f} % legible"


@dataclass(frozen=True)
class Revealed(ValueObject):
    """How much the attacks have found: a lower bound of what is revealed, since a better attack may find more.

    Attributes:
        rank: The rank of the keys that were seen.
        length: The length of their vectors: keys of this rank determine every sample.
        images: The number of images that every attack was tried on.
        attempts: What the attacks have found, one by one.
        share_rebuilt: The share of images that one attack or the other has rebuilt in every pixel, in [0, 1].
        judge_accuracy_originals: The share of the originals in which the judge reads the right class, in [0, 1].
        updates: The number of updates that it took: 1 where every batch's own gradient, or its own sums, were enough,
            or else all that were watched; 0 where all keys are given out before training.
        public_only_accuracy: The accuracy that public images alone train to, if it was measured.
    """

    rank: int
    length: int
    images: int
    attempts: tuple[Attempt, ...]
    share_rebuilt: float
    judge_accuracy_originals: float
    updates: int = 0
    public_only_accuracy: float | None = None

    @property
    def psnr_db(self) -> float:
        """The best attack's ratio, in dB."""
        return max(attempt.psnr_db for attempt in self.attempts)

    @property
    def judge_accuracy(self) -> float:
        """The largest share of legible images that an attack has reached, in [0, 1]."""
        return max(attempt.judge_accuracy for attempt in self.attempts)

    @property
    def sentence(self) -> str:
        """What was found, in words that follow from the numbers.

        "Every training image" is said of batches that were rebuilt whole, as others are by their own updates; samples
        of images are counted.
        """
        when = {0: "", 1: " after update 1 of its batch"}.get(self.updates, f" after {self.updates} updates")
        if self.share_rebuilt == 1 and self.updates:
            return f"reveals every training image{when}"
        rebuilt = f"{round(self.share_rebuilt * self.images)} of {self.images} training images"
        return f"reveals {rebuilt} exactly{when}, and {100 * self.judge_accuracy:.0f} % of them legibly"

    def __str__(self) -> str:
        lines = [f"keys of rank {self.rank} of {self.length}: {self.sentence}", *map(str, self.attempts)]
        if self.public_only_accuracy is not None:
            lines.append(f"public images alone train to {100 * self.public_only_accuracy:.1f} %")
        return "\n".join(lines)


def revealed_by_products(
    seen: Seen, public: ArrayLike, truth: Truth, shape: tuple[int, int], public_only: float | None = None
) -> Revealed:
    """What the projection protocol reveals: few products of every sample.

    Args:
        seen: The projection as keys, and the products of the samples to try: a linear programme takes up to half a
            second for each.
        public: Images of the same kind that anybody has, int64 [n, features].
        truth: The same samples.
        shape: Height and width of an image, for the attack that compares neighbours.
        public_only: What `public_only_accuracy` has measured.

    Raises:
        ValueError: Samples and truth differ in number or length, or an attack refuses what it is given.
        ImportError: SciPy is not installed.
    """
    mean = seen.inputs.require(public, "public").mean(axis=0)
    decoded = images_by_ridge(seen, public)
    expected = decoded.images.astype(np.float64)
    found = {
        "linear programme": images_by_programme(seen, prices(mean, seen.inputs)),
        "linear programme, reweighted": images_by_programme(seen, prices(expected, seen.inputs)),
        "neighbours": images_by_neighbours(seen, *shape),
        "ridge decoder": decoded,
    }
    return _report(seen, found, truth, public_only_accuracy=public_only)


def revealed_by_training(
    sights: Sequence[Sight],
    truth: Truth,
    forward: Callable[[IntArray], IntArray] | None = None,
) -> Revealed:
    """What the faithful protocol reveals of the images of its first updates.

    A batch's own update gives its images where the first layer is as wide as the batch, by the gradient, or as samples
    are long, by the sums. Where it is narrower, and forward keys hold for all samples, these are a projection of
    every sample, whose rank grows with the updates: `revealed_by_products` says what that reveals, which may be more.

    Args:
        sights: The first updates. What several of them tell of one batch is put together.
        truth: The images of their batches, one batch behind the other as they came first.
        forward: Where keys hold for all samples (RLWE, DDH): a function of keys [keys, features] that gives the
            products of all images of the truth, [samples, keys], as the trainer can decrypt them.

    Raises:
        ValueError: There is no update, updates and truth differ in number or length, or an attack refuses what it is
            given.
    """
    if not sights:
        raise ValueError("`sights` must hold an update, got none")
    batches = _by_batch(sights)
    found = {
        "gradient": _joined([images_from_gradient(batch.gradient) for batch in batches]),
        "sums": _joined([images_by_least_squares(batch.forward) for batch in batches]),
    }
    enough = len(batches) == len(sights) and any(np.array_equal(own.images, truth.images) for own in found.values())
    if forward is not None and len(sights) > 1:
        keys = np.concatenate([sight.forward.keys for sight in sights])
        seen = Seen(keys, forward(keys), sights[0].forward.inputs)
        found["forward keys"] = images_from_forward_keys(seen, len(sights[0].forward.keys))
    worst = min((batch.gradient for batch in batches), key=lambda gradient: rank(gradient.keys))
    return _report(worst, found, truth, updates=1 if enough else len(sights))


def psnr_db(images: IntArray, truth: IntArray, inputs: IntDomain) -> float:
    """10 log10((hi - lo)^2 / mean squared error) in dB, over all pixels of all images; infinite where all are right."""
    error = float(np.square((images - truth).astype(np.float64)).mean())
    return 10 * math.log10((inputs.size - 1) ** 2 / error) if error else math.inf


def _by_batch(sights: Sequence[Sight]) -> list[Sight]:
    """All that was seen of every batch, whatever the update."""
    batches: dict[int | Sight, list[Sight]] = {}
    for sight in sights:
        batches.setdefault(sight if sight.batch is None else sight.batch, []).append(sight)
    return [
        Sight(_together([sight.forward for sight in of]), _together([sight.gradient for sight in of]))
        for of in batches.values()
    ]


def _together(seen: list[Seen]) -> Seen:
    """What was seen of the same samples with several keys."""
    keys, products = np.concatenate([each.keys for each in seen]), [each.products for each in seen]
    return Seen(keys, np.concatenate(products, axis=1), seen[0].inputs)


def _joined(parts: list[Rebuilt]) -> Rebuilt:
    """What was rebuilt of several batches, one behind the other."""
    return Rebuilt(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "confirmed")))


def _report(
    seen: Seen,
    found: dict[str, Rebuilt],
    truth: Truth,
    updates: int = 0,
    public_only_accuracy: float | None = None,
) -> Revealed:
    attempts, exact = [], []
    for attack, rebuilt in found.items():
        if rebuilt.images.shape != truth.images.shape:
            shapes = f"{list(rebuilt.images.shape)} and {list(truth.images.shape)}"
            raise ValueError(f"`truth` must hold the images that were seen, got shapes {shapes}")
        right = (rebuilt.images == truth.images).all(axis=1)
        exact.append(right)
        ratio = psnr_db(rebuilt.images, truth.images, seen.inputs)
        legible = float(truth.judge.score(rebuilt.images, truth.labels))
        attempts.append(Attempt(attack, float(right.mean()), ratio, legible))
    share = float(np.any(exact, axis=0).mean())
    originals = float(truth.judge.score(truth.images, truth.labels))
    number, length = len(truth.images), seen.keys.shape[1]
    return Revealed(rank(seen.keys), length, number, tuple(attempts), share, originals, updates, public_only_accuracy)
