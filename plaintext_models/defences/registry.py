"""All defences, as data, under the identifiers of the documents that list them. Importing this does not need torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

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
        identifier: Its name in the lists of the five documents (see `bench.tables.documents`): T23; of another form of
            it, with what tells that apart: T30-low-pass, C9-pca; a word for what the lists lack.
        name: What it is called.
        source: The paper that it comes from.
        section: The section of the document that speaks of it; for A, whose sections have no numbers, its paper's;
            "none" where no document has it.
        module: Its file in this room.
        gradients: Whether the defence hides them.
        random: Whether its answers are random.
        detects: Whether it turns images away.
        form: What the module is told about another form than the usual one; None for that.
    """

    identifier: str
    name: str
    source: str
    module: str
    section: str = "2.3"
    gradients: Gradients = "exact"
    random: bool = False
    detects: bool = False
    form: str | None = None

    def defend(self, recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:
        """Train the network of a recipe with this defence, its numbers those that the module states.

        Args:
            recipe: The network and its training.
            dataset: Its training part is used.
            generator: Draws whatever the defence draws when it is asked; the training draws from the recipe's seed.
        """
        defend = import_module(f"plaintext_models.defences.{self.module}").defend
        defended: Defended = defend(recipe, dataset, generator, *([] if self.form is None else [self.form]))
        return defended


_PENALTY = Entry("T23", "gradient regularisation", "Ross and Doshi-Velez, arXiv:1711.09404", "gradient_penalty")
_DENOISING = Entry("T26", "feature denoising, Gaussian", "Xie et al., arXiv:1812.03411", "denoising")
_JPEG = Entry("T30", "JPEG compression", "Dziugaite et al., arXiv:1608.00853", "jpeg", gradients="straight through")
_ADVERSARIAL = Entry("T33", "adversarial training, PGD", "Madry et al., arXiv:1706.06083", "adversarial")
_LINEAR = "Goodfellow et al., arXiv:1412.6572"  # the paper that A retells
_NOISE = Entry("A8", "training on noise, signs", _LINEAR, "noise", "6")
_UNITS = Entry(
    "M7", "binarised units", "Bengio et al., arXiv:1308.3432", "units", "2, 3", "straight through", random=True
)
_BINARY = Entry("M10", "binary weights", "Courbariaux et al., arXiv:1602.02830", "binary_weights", "2, 4")
_ADAPTIVE = Entry(
    "M5", "adaptive dropout", "Ba and Frey, NIPS 2013", "adaptive_dropout", "2, 4", "straight through", random=True
)
_GATES = Entry(
    "M23", "learnt stochastic masks", "Bengio et al., arXiv:1308.3432", "gates", "4", "straight through", random=True
)
_RANDOM = Entry("M44", "random masks", "Wan et al., ICML 2013", "random_masks", "4", "straight through", random=True)


def _form(entry: Entry, form: str, name: str, **changes: Any) -> Entry:
    """Another form of a defence."""
    identifier = f"{entry.identifier}-{form.replace(' ', '-')}"
    return replace(entry, identifier=identifier, form=form, name=name, **changes)


_ALL = (
    Entry("T22", "contractive autoencoder", "Gu and Rigazio, arXiv:1412.5068", "contractive"),
    _PENALTY,
    _form(_PENALTY, "adversarial", "the same with adversarial training"),
    Entry("T24", "noise on the logits", "Nguyen and Sinha, arXiv:1709.04447", "logit_noise", random=True),
    Entry("T25", "defensive distillation", "Papernot et al., arXiv:1511.04508", "distillation", gradients="lost"),
    _DENOISING,
    *(_form(_DENOISING, kind, f"the same, {kind}") for kind in ("dot product", "mean", "median")),
    _form(_DENOISING, "none", "the same network without it"),
    Entry("T27", "generator beside the classifier", "Lee et al., arXiv:1705.03387", "generator"),
    Entry(
        "T28",
        "feature squeezing",
        "Xu et al., arXiv:1704.01155",
        "squeezing",
        gradients="straight through",
        detects=True,
    ),
    Entry("T29", "detectors and reformer", "Meng and Chen, arXiv:1705.09064", "magnet", detects=True),
    _JPEG,
    _form(_JPEG, "low pass", "low-pass filter", gradients="exact"),
    Entry("T31", "foveation", "Luo et al., arXiv:1511.06292", "foveation", detects=True),
    Entry("T32", "random resizing and padding", "Xie et al., arXiv:1711.01991", "resizing", random=True),
    _ADVERSARIAL,
    _form(_ADVERSARIAL, "fgsm", "adversarial training, FGSM", source="Goodfellow et al., arXiv:1412.6572"),
    _form(_ADVERSARIAL, "mixed", "adversarial training, half PGD"),
    Entry("S10", "DropConnect", "Wan et al., ICML 2013", "dropconnect", "4", random=True),
    Entry("S12", "stochastic delta rule, decay", "Frazier-Logue and Hanson, arXiv:1808.03578", "delta_rule", "4"),
    Entry(
        "S14",
        "the same, deviations learnt",
        "Kingma and Welling, arXiv:1312.6114",
        "learnt_deviations",
        "5",
        random=True,
    ),
    Entry("A3", "training on turned images", _LINEAR, "turned", "4"),
    Entry("A5", "L1 decay of the first layer", _LINEAR, "lasso", "5"),
    _NOISE,
    _form(_NOISE, "uniform", "training on noise, uniform"),
    Entry("A9", "adversarial training at a hidden layer", _LINEAR, "places", "6"),
    Entry("A13", "ensemble", _LINEAR, "ensemble", "9"),
    Entry("C9-pca", "principal components", "Bhagoji et al., arXiv:1704.02654", "components", "models"),
    Entry("C9-autoencoder", "autoencoder, tied", "Vincent et al., JMLR, 2010", "tied", "models"),
    Entry("C9-convolutional", "convolutional autoencoder", "Masci et al., ICANN 2011", "convolutional", "models"),
    Entry("C9-noise", "additive noise, uniform", "Gu and Rigazio, arXiv:1412.5068", "additive", "models", random=True),
    Entry("C9-downsampling", "downsampling", "Guo et al., arXiv:1711.00117", "downsampling", "models"),
    Entry("C10-gan", "training on a generator's images", "Goodfellow et al., arXiv:1406.2661", "gan", "7"),
    Entry("C10-multi-task", "multi-task training", "Caruana, Machine Learning 28, 1997", "multi_task", "7"),
    _UNITS,
    _form(_UNITS, "hard", "the same, gradients of 1"),
    _form(_UNITS, "deterministic", "the same, rounded", random=False),
    _form(_UNITS, "reinforce", "the same, REINFORCE"),
    _BINARY,
    _form(_BINARY, "pgd", "the same with adversarial training", source="Galloway et al., arXiv:1711.00449"),
    _form(_BINARY, "stochastic", "the same, drawn", random=True),
    Entry(
        "M11",
        "stochastic activation pruning",
        "Dhillon et al., arXiv:1803.01442",
        "pruning",
        "2, 4",
        "straight through",
        random=True,
    ),
    _ADAPTIVE,
    _form(_ADAPTIVE, "mean", "the same, probabilities"),
    _GATES,
    _form(_GATES, "logistic", "the same, probabilities"),
    _form(_GATES, "shared", "the same, filters in common"),
    _form(_GATES, "signed", "the same, masks of -1 and 1"),
    _form(_GATES, "relu", "the same, ReLU behind them"),
    _form(_GATES, "one layer", "the same, one layer"),
    _form(_GATES, "shuffled", "the same, masks of others"),
    _RANDOM,
    _form(_RANDOM, "dropconnect", "the same, divided by what is kept"),
    Entry(
        "certified", "training for proofs, by intervals", "Gowal et al., arXiv:1810.12715", "certified", section="none"
    ),
    Entry(
        "stretching",
        "stretched contrast and adversarial training",
        "Madry et al., arXiv:1706.06083, appendix C",
        "stretching",
        "none",
        "straight through",
    ),
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
