"""A recipe: everything that determines a trained model, as data. Importing this does not need torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.data.augment import MirroredCrop, RandomAffine
from plaintext_models.proofs.schedule import Schedule

OPTIONS: Mapping[str, Any] = MappingProxyType({})

Kind = Literal["shipped", "attacked", "certified"]


@dataclass(frozen=True)
class Hardening:
    """The adversarial part of a training; see `plaintext_models.training.adversarial.attacked`.

    Attributes:
        ball: The ball around every image in which it is attacked.
        steps: How many steps of gradient ascent each attack takes, from 1.
        ramp: The fraction of the training, from 0 to 1, in which the radius grows from 0 to that of the ball.
        clean: The weight of the clean images' loss, from 0, where they have none, to below 1.
        random_start: Whether attacks start at a random point of the ball, and not at the image.
        begin: The fraction of the training, from 0 to 1, before which nothing is attacked.

    Raises:
        ValueError: A number is out of range.
    """

    ball: Ball
    steps: int
    ramp: float = 0.5
    clean: float = 0.0
    random_start: bool = True
    begin: float = 0.0

    def __post_init__(self) -> None:
        integer(self.steps, "steps", 1)
        if not 0 <= self.ramp <= 1:
            raise ValueError(f"`ramp` must be from 0 to 1, got {self.ramp}")
        if not 0 <= self.clean < 1:
            raise ValueError(f"`clean` must be from 0 to below 1, got {self.clean}")
        if not 0 <= self.begin <= 1:
            raise ValueError(f"`begin` must be from 0 to 1, got {self.begin}")


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a trained model on a given machine.

    The numbers of the stored networks were chosen on images held out of the training part (`--validate` of
    `plaintext_models.zoo.publish` repeats that measurement); the test part gave the figure in the manifest and had no
    say in anything else.

    Attributes:
        purpose: What the model is for, in a sentence.
        dataset: The name of the data set, one of `plaintext_models.data.names()`.
        network: The name of the architecture, a key of `plaintext_models.nets.builders.BUILDERS`.
        options: What the architecture takes beside the shape of an input and the number of classes.
        epochs: How many passes over the training images, from 1.
        learning_rate: The peak of the schedule, positive.
        batch_size: Images per step, from 1.
        weight_decay: The decay of the weights, decoupled from the gradient, not negative.
        gradient_limit: The greatest norm of the gradient of all weights, positive; None sets no limit.
        unit_variance: Whether the initial weights are scaled on images; see `plaintext_models.nets.initialise`.
        augment: Random changes of the training images, or None.
        hardening: The adversarial part of the training, or None.
        proofs: How the training learns from what intervals prove, or None.
        seed: Determines the initial weights and the training.
        kind: "shipped" where the network is stored with the package, "attacked" where it is trained when attacks
            are tried on it, "certified" where something is proved of its integers.

    Raises:
        ValueError: A number is out of range.
    """

    purpose: str
    dataset: str
    network: str
    options: Mapping[str, Any] = field(default_factory=lambda: OPTIONS)
    epochs: int = field(kw_only=True)
    learning_rate: float = field(kw_only=True)
    batch_size: int = field(default=128, kw_only=True)
    weight_decay: float = field(default=0.0, kw_only=True)
    gradient_limit: float | None = field(default=1.0, kw_only=True)
    unit_variance: bool = field(default=False, kw_only=True)
    augment: RandomAffine | MirroredCrop | None = field(default=None, kw_only=True)
    hardening: Hardening | None = field(default=None, kw_only=True)
    proofs: Schedule | None = field(default=None, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    kind: Kind = field(default="attacked", kw_only=True)

    def __post_init__(self) -> None:
        integer(self.epochs, "epochs", 1)
        integer(self.batch_size, "batch_size", 1)
        if not self.learning_rate > 0 or not self.weight_decay >= 0:
            raise ValueError(
                "`learning_rate` must be positive and `weight_decay` not negative, "
                f"got {self.learning_rate}, {self.weight_decay}"
            )
        if self.gradient_limit is not None and not self.gradient_limit > 0:
            raise ValueError(f"`gradient_limit` must be positive or None, got {self.gradient_limit}")
        if self.kind not in get_args(Kind):
            raise ValueError(f"`kind` must be one of {', '.join(get_args(Kind))}, got {self.kind!r}")
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    def canonical(self) -> str:
        """All fields as JSON, the same text for equal recipes: what a cache is keyed by.

        Raises:
            TypeError: An option is none of the values that JSON has.
        """
        return json.dumps(plain(self), sort_keys=True, allow_nan=False)


def plain(value: Any) -> Any:
    """A value of dataclasses, mappings and sequences as JSON has it, equal for equal values."""
    if is_dataclass(value) and not isinstance(value, type):
        return {"is": type(value).__name__} | {part.name: plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value
