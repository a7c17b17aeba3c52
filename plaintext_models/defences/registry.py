"""All defences, as data, under the identifiers of the document that lists them. Importing this does not need torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

    from plaintext_models.data.datasets import Dataset
    from plaintext_models.defences.defence import Defended
    from plaintext_models.zoo.recipe import Recipe

#: What stands between an attacker and the published network's gradients: nothing; something flat, which `wrap` lets
#: them pass straight through; or a softmax without digits, behind which `Defended.target` has them.
Gradients = Literal["exact", "straight through", "lost"]


@dataclass(frozen=True)
class Entry:
    """A defence.

    Attributes:
        identifier: Its name in the thesis on encrypted and robust learning: T23.
        name: What it is called.
        source: The paper that it comes from.
        section: The section of the thesis that speaks of it.
        module: Its file in this room.
        gradients: Whether the defence hides them.
        random: Whether its answers are random.
        detects: Whether it turns images away.
    """

    identifier: str
    name: str
    source: str
    module: str
    section: str = "2.3"
    gradients: Gradients = "exact"
    random: bool = False
    detects: bool = False

    def defend(self, recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:
        """Train the network of a recipe with this defence, its numbers those that the module states.

        Args:
            recipe: The network and its training.
            dataset: Its training part is used.
            generator: Draws whatever the defence draws when it is asked; the training draws from the recipe's seed.
        """
        defended: Defended = import_module(f"plaintext_models.defences.{self.module}").defend(
            recipe, dataset, generator
        )
        return defended


_ALL = (
    Entry("T22", "contractive autoencoder", "Gu and Rigazio, arXiv:1412.5068", "contractive"),
    Entry("T23", "gradient regularisation", "Ross and Doshi-Velez, arXiv:1711.09404", "gradient_penalty"),
    Entry("T24", "noise on the logits", "Nguyen and Sinha, arXiv:1709.04447", "logit_noise", random=True),
    Entry("T25", "defensive distillation", "Papernot et al., arXiv:1511.04508", "distillation", gradients="lost"),
    Entry("T26", "feature denoising", "Xie et al., arXiv:1812.03411", "denoising"),
    Entry(
        "T28",
        "feature squeezing",
        "Xu et al., arXiv:1704.01155",
        "squeezing",
        gradients="straight through",
        detects=True,
    ),
    Entry("T29", "detectors and reformer", "Meng and Chen, arXiv:1705.09064", "magnet", detects=True),
    Entry("T30", "JPEG compression", "Dziugaite et al., arXiv:1608.00853", "jpeg", gradients="straight through"),
    Entry("T32", "random resizing and padding", "Xie et al., arXiv:1711.01991", "resizing", random=True),
    Entry("T33", "adversarial training", "Madry et al., arXiv:1706.06083", "adversarial"),
)

#: Every defence by its identifier.
DEFENCES: Mapping[str, Entry] = MappingProxyType({entry.identifier: entry for entry in _ALL})


def defence(identifier: str) -> Entry:
    """The defence of an identifier.

    Raises:
        ValueError: It is unknown; the message lists those that are known.
    """
    if identifier not in DEFENCES:
        raise ValueError(f"`identifier` must be one of {', '.join(DEFENCES)}, got {identifier!r}")
    return DEFENCES[identifier]
