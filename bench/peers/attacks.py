"""Attacks of foolbox and pyautoattack, with the parameters that `bench attacks` gives ours."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any

from torch import Tensor, nn

from bench.peers.missing import UnavailableError

Attack = Callable[[nn.Module, Tensor, Tensor, float], Tensor]  # network, images, labels, radius -> what was found


def foolbox(name: str, *, ball: bool, **parameters: Any) -> Attack:
    """An attack of foolbox (Rauber et al., JOSS 2020) on images from 0 to 1; without `ball` it has no radius."""

    def run(module: nn.Module, images: Tensor, labels: Tensor, radius: float) -> Tensor:
        library = _library("foolbox")
        model = library.PyTorchModel(module, bounds=(0, 1), device=images.device)
        attack = getattr(library.attacks, name)(**parameters)
        _, found, _ = attack(model, images, labels, epsilons=radius if ball else None)
        return found

    return run


def pyautoattack(*attacks: str) -> Attack:
    """Attacks of pyautoattack (AutoAttack: Croce and Hein, arXiv:2003.01690) for Linf, one after the other.

    Its standard version if none is named. One restart each, as in that version, and one batch, as with the others.
    """

    def run(module: nn.Module, images: Tensor, labels: Tensor, radius: float) -> Tensor:
        chosen = {"version": "custom", "attacks": list(attacks)} if attacks else {"version": "standard"}
        runner = _library("pyautoattack").AutoAttack(module, eps=radius, norm="Linf", seed=0, **chosen)
        runner.apgd.n_restarts = 1
        tracer = sys.gettrace()  # the library sets one of its own, and leaves none behind
        try:
            return runner.run_standard_evaluation(images, labels, batch_size=len(images))[0]
        finally:
            sys.settrace(tracer)

    return run


def installed(name: str) -> str:
    """A library and its version.

    Raises:
        UnavailableError: It is not installed.
    """
    _library(name)
    return f"{name} {version(name)}"


def _library(name: str) -> Any:
    """By name: neither users nor type checkers need to have it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what old libraries say of new ones is not for our users
            return import_module(name)
    except ImportError:
        raise UnavailableError(f"{name} is not installed") from None
