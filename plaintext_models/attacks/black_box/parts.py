"""Parts of a network as networks of their own: a gate, or any other module, with a head that makes classes of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from intnn.values.arrays import instance, integer
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.core.tensors import class_labels, tensor
from plaintext_models.determinism import deterministic


class Part(nn.Module):
    """What a part of a network computes of images, and a head behind it.

    In a `Target` it is a source of adversarial examples like any other model: for `transferred`, or for the card's
    `transfer_from`. Its gradient is that of the part alone, whatever the network does with what the part says.

    Args:
        whole: The network, which is asked as it is.
        name: The part, as `nn.Module.get_submodule` knows it; if it is called several times, the last call counts.
        head: Maps what the part gives, flattened to [batch, features], to logits; None to take that for logits.

    Raises:
        TypeError: `whole` or `head` is no module.
        ValueError: There is no such part.
    """

    def __init__(self, whole: nn.Module, name: str, head: nn.Module | None = None) -> None:
        super().__init__()
        self.whole = instance(whole, nn.Module, "whole")
        self.head = nn.Identity() if head is None else instance(head, nn.Module, "head")
        try:
            whole.get_submodule(name)
        except AttributeError as error:
            known = ", ".join(known for known, _ in whole.named_modules() if known)
            raise ValueError(f"`name` must be one of {known}, got {name!r}") from error
        self.name = name
        self.train(whole.training)

    def features(self, images: Tensor) -> Tensor:
        """What the part gives for images [batch, *shape], as [batch, features].

        Raises:
            TypeError: The part gives something else than one tensor.
            ValueError: The network does not call the part.
        """
        seen: list[object] = []

        def note(_: nn.Module, __: tuple[object, ...], output: object) -> None:
            seen.append(output)

        with self.whole.get_submodule(self.name).register_forward_hook(note):
            self.whole(images)
        if not seen:
            raise ValueError(f"`name` must be a part that the network calls, got {self.name!r}")
        return instance(seen[-1], Tensor, f"what {self.name} gives").flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [batch, classes]."""
        logits: Tensor = self.head(self.features(images))
        return logits


@entrance
def headed(
    whole: nn.Module,
    name: str,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int = 20,
    batch_size: int = 64,
    learning_rate: float = 1e-2,
    seed: int = 0,
) -> Part:
    """A part with a linear head that is trained to tell the classes by what the part gives; the part stays as it is.

    Args:
        whole: The network, in evaluation mode.
        name: See `Part`.
        images: What the head is trained on, [batch, *shape].
        labels: Their classes, [batch].
        epochs: How many passes over the images, from 1.
        batch_size: Images of one step, from 1.
        learning_rate: The learning rate of Adam, positive.
        seed: The seed of the head, of the order of the images, and of what the network draws.

    Raises:
        TypeError: Where `Part` raises it.
        ValueError: A number is out of range, or the network is in training mode; or where `Part` raises it.
    """
    for argument, value in (("epochs", epochs), ("batch_size", batch_size)):
        integer(value, argument, 1)
    number(learning_rate, "learning_rate", above=0)
    integer(seed, "seed")
    images, labels = tensor(images, "images"), class_labels(labels, "labels")
    part = Part(whole, name)
    Target(part)  # which says so if it is in training mode
    with deterministic(seed):
        with torch.no_grad():
            features = part.features(images[:1]).shape[1]
        part.head = nn.Linear(features, int(labels.max()) + 1).to(images)
        optimiser = torch.optim.Adam(part.head.parameters(), learning_rate)
        for _ in range(epochs):
            for batch in torch.randperm(len(images)).to(images.device).split(batch_size):
                with torch.no_grad():
                    seen = part.features(images[batch])
                optimiser.zero_grad()
                functional.cross_entropy(part.head(seen), labels[batch]).backward()
                optimiser.step()
    return part.eval()
