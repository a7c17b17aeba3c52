"""How long the full versions of M's experiments take, by rule of thumb: passes through networks decide."""

from __future__ import annotations

from collections.abc import Iterable

from bench.papers.experiment import Setting
from bench.papers.masked import Head, Network
from bench.papers.masked_attacks import Seen
from bench.papers.masked_subjects import ADAPTIVE, FEWER, Swept, Transferred
from plaintext_models.evaluation.card import FULL

IMAGES, TESTS = 60_000, 10_000  # of MNIST
#: Milliseconds of one core (AMD EPYC, busy, 2026-11-27) that an image takes forward and back.
GATED, LARGE, MASKED, USUAL = 11.0, 10.0, 0.7, 0.25
BY_LAYERS = (0.02, 0.14, 0.3)  # of chapter 3


def full_hours(settings: Iterable[Setting], seeds: int) -> float:
    """Hours of one core, to one digit: for all trainings, and attacks by all means; all else is little beside them."""
    subjects = [one.subject for one in settings if isinstance(one.subject, Seen)]
    sources = [source for one in subjects if isinstance(one, Transferred) for source in one.sources.values()]
    networks = {repr(_network(one)): _network(one) for one in (*subjects, *sources)}  # each is trained once
    milliseconds = sum(_milliseconds(one) * _trained(one) for one in networks.values()) + sum(
        _milliseconds(_network(one)) * _attacked(one) for one in subjects if isinstance(one, Swept) and one.thorough
    )
    return float(f"{seeds * milliseconds / 3.6e6:.1g}")


def _network(one: Seen) -> Network:
    return one.network.network if isinstance(one.network, Head) else one.network


def _milliseconds(network: Network) -> float:
    options = network.options
    if options.get("masks", "").endswith("gates"):
        return GATED
    if not options.get("normalised", True):
        return BY_LAYERS[len(options["channels"])]
    if "dense" in options:
        return LARGE
    return MASKED if options.get("masks") in ("random", "dropconnect") else USUAL


def _trained(network: Network) -> float:
    """How often a training goes forward and back with an image."""
    late = 0.0 if network.late is None else network.late.steps * (1 - network.late.begin)
    return network.epochs * IMAGES * (1 + late)


def _attacked(one: Seen) -> float:
    """How often attacks by all means do, with a third for what only goes forward; see `masked_attacks.adaptive`."""
    drawn = one.view != "deterministic"
    gradients = FULL.steps * (2 * FULL.draws + 1 if drawn else 1)  # the network's, its surrogate's, and its twin's
    queries = FULL.queries * (FULL.draws / 5 if drawn else 1)
    return len(ADAPTIVE) * (TESTS // FEWER) * (gradients + queries / 3)
