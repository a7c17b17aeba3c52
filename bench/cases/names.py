"""The names that options choose among, each from its registry. Those of models load torch when asked."""

from __future__ import annotations

from plaintext_models import shipped


def shipped_networks() -> tuple[str, ...]:
    """The networks that come with the package."""
    return shipped.names()


def shipped_datasets() -> tuple[str, ...]:
    """The data sets that have shipped networks."""
    return tuple(sorted({shipped.record(name).dataset for name in shipped.names()}))


def trained_models() -> tuple[str, ...]:
    """The float models that are trained here for attacks on them."""
    from bench.cases.robustness import MODELS

    return tuple(MODELS)


def attacked_datasets() -> tuple[str, ...]:
    """The data sets that those models classify."""
    from bench.cases.robustness import MODELS

    return tuple(dict.fromkeys(model.dataset for model in MODELS.values()))


def attacks() -> tuple[str, ...]:
    """The attacks that are timed beside another library's."""
    from bench.cases.attacks import PAIRINGS

    return tuple(PAIRINGS)


def norms() -> tuple[str, ...]:
    """The lengths that a perturbation is measured by."""
    from plaintext_models.attacks.norms import NORMS

    return NORMS
