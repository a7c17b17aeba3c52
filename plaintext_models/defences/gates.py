"""M23, learnt stochastic masks: beside every convolution a module sees the image and masks the filters (SGBN).

The networks of a doctoral thesis on learnt stochastic weight masking (2019), chapter 4. Masks are 0 and 1, drawn in
training and afterwards; their gradient is 1 whatever the probability is (Bengio et al., arXiv:1308.3432). An attacker
takes that of the probabilities, means over draws, or the network without draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch

from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.masked import SIZES, Masked, defended
from plaintext_models.stochastic.modes import shuffled
from plaintext_models.zoo.recipe import Recipe

#: The forms that `defend` knows, as options of `masked_cnn`.
FORMS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "gates": {"masks": "gates"},
        "logistic": {"masks": "logistic gates"},
        "shared": {"masks": "gates", "gates": {"shared": True}},
        "signed": {"masks": "signed gates"},
        "relu": {"masks": "gates", "units": "relu"},
        "one layer": {"masks": "gates"},
        "shuffled": {"masks": "gates"},
    }
)


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator, form: str = "gates") -> Defended:
    """Gates of a form.

    "logistic" masks are probabilities, "shared" gates have the filters that they mask, "signed" masks are -1 and 1,
    "relu" has a dense layer that is not binarised, "one layer" one convolution; "shuffled" takes masks of other images.
    """
    options = {**FORMS[form], **(_one_layer(recipe.dataset) if form == "one layer" else {})}
    module = Masked(options).train(recipe, dataset)
    found = defended(module, generator)
    return replace(found, target=shuffled(module), surrogates=()) if form == "shuffled" else found


def _one_layer(dataset: str) -> Mapping[str, Any]:
    sizes = SIZES[dataset]
    return {name: sizes[name][:1] for name in ("channels", "sides", "strides")} | {"begin": 0}
