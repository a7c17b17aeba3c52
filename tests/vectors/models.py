"""What attacks, training and evaluation compute on small models, as digests and counts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from he.testing import square_graph
from intnn import IntNetwork
from plaintext_models.attacks.ball.ascend import ascend
from plaintext_models.attacks.ball.auto import apgd, apgd_targeted
from plaintext_models.attacks.ball.least_likely import ilcm, one_step_least_likely
from plaintext_models.attacks.ball.noise import random_noise
from plaintext_models.attacks.ball.pgd import bim, fgsm, pgd
from plaintext_models.attacks.black_box.discrimination import discriminate, discriminate_by_substitute
from plaintext_models.attacks.black_box.square import square
from plaintext_models.attacks.black_box.substitute import substitute
from plaintext_models.attacks.black_box.transfer import cross_test, transfer_matrix, transferred
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.batches import in_batches
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.nearest.carlini_wagner import carlini_wagner
from plaintext_models.attacks.nearest.ddn import ddn
from plaintext_models.attacks.nearest.deepfool import deepfool
from plaintext_models.attacks.nearest.lbfgs import lbfgs
from plaintext_models.attacks.population.rubbish import ascended, evolved
from plaintext_models.attacks.population.universal import universal
from plaintext_models.attacks.population.upset import upset
from plaintext_models.attacks.sparse.few_pixel import few_pixel
from plaintext_models.attacks.sparse.jsma import jsma
from plaintext_models.attacks.sparse.local_search import local_search
from plaintext_models.bridge.export import to_graph, to_network
from plaintext_models.bridge.twin import float_twin, integer_oracle, integer_target
from plaintext_models.data import datasets
from plaintext_models.data.augment import RandomAffine
from plaintext_models.data.datasets import Dataset
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.card import Card, Effort
from plaintext_models.evaluation.runner import evaluate
from plaintext_models.nets.cnn import table_cnn
from plaintext_models.nets.mlp import mlp, table_mlp
from plaintext_models.training.loop import augmented, train
from plaintext_models.zoo import shipped
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Hardening
from plaintext_models.zoo.registry import RECIPES

EFFORT = Effort(6, 10, 2, 12, 2, 40, 10, 3)
SHAPE, CLASSES, IMAGES = (1, 6, 6), 5, 12

Attack = Callable[[Target, Tensor, Goal], AttackResult]


def machine() -> list[str]:
    """What sums of floats depend on: vectors made on another machine are not to be compared."""
    return [torch.__version__, torch.backends.cpu.get_cpu_capability()]


def models() -> dict[str, Any]:
    """Every attack on one network, three cards, four trainings, and what is exported."""
    with deterministic(3):
        return {
            "machine": machine(),
            "attacks": _attacks(),
            "others": _others(),
            "cards": _cards(),
            "training": _training(),
        }


def _net(seed: int, width: int = 24, shape: tuple[int, int, int] = SHAPE, classes: int = CLASSES) -> nn.Sequential:
    torch.manual_seed(seed)
    network = mlp(shape, classes, [width, 12], "relu").eval()
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.Linear):
                layer.weight *= 2
    return network


def _problem() -> tuple[Target, Tensor, Tensor]:
    network = _net(1).double()
    images = torch.rand(IMAGES, *SHAPE, dtype=torch.float64)
    labels = network(images).argmax(1)
    labels[0] = (labels[0] + 1) % CLASSES  # one is wrong to begin with
    return Target(network), images, labels


def _shipped() -> tuple[IntNetwork, Tensor]:
    network = shipped.load("digits-table-mlp")
    assert isinstance(network, IntNetwork)
    return network, torch.from_numpy(datasets.load("digits").test_images[:8])


def _digest(values: Tensor, places: int = 5) -> str:
    rounded = np.round(values.detach().double().numpy(), places) + 0.0
    return hashlib.sha256(rounded.astype("<f8").tobytes()).hexdigest()[:16]


def _state(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()[:16]


def _result(result: AttackResult) -> dict[str, Any]:
    return {
        "x_adv": _digest(result.x_adv),
        "success": "".join(str(int(s)) for s in result.success),
        "queries": " ".join(map(str, result.queries.tolist())),
        "iterations": " ".join(map(str, result.iterations.tolist())),
    }


def _within() -> dict[str, Attack]:
    """Attacks within a ball."""
    radii = {"linf": 0.5, "l2": 2.5, "l1": 10.0}
    result: dict[str, Attack] = {}

    def add(name: str, attack: Callable[..., AttackResult], norms: tuple[str, ...] = ("linf",), **options: Any) -> None:
        for norm in norms:
            result[f"{name}, {norm}"] = partial(attack, ball=Ball(norm, radii[norm]), **options)

    every = ("linf", "l2", "l1")
    add("fgsm", fgsm, every)
    add("bim", bim, every)
    add("pgd", pgd, every, steps=8, seed=4)
    add("pgd, restarts", pgd, every, steps=4, restarts=3, loss="margin", seed=5)
    add("pgd, onward", pgd, steps=6, leave=False, loss="dlr", seed=6)
    add("apgd", apgd, every, steps=12, restarts=2, seed=7)
    add("apgd, cross-entropy", apgd, steps=12, loss="cross-entropy", seed=8)
    add("random_noise", random_noise, every, draws=10, seed=9)
    add("square", square, ("linf", "l2"), steps=40, seed=10)
    return result


def _labels_alone() -> dict[str, Attack]:
    """Attacks that choose their targets themselves."""
    return {
        "ilcm": lambda target, images, goal: ilcm(target, images, Goal(goal.labels), Ball("l2", 4)),
        "one_step_least_likely": lambda target, images, goal: one_step_least_likely(
            target, images, Goal(goal.labels), Ball("linf", 0.8)
        ),
        "apgd_targeted": lambda target, images, goal: apgd_targeted(
            target, images, Goal(goal.labels), Ball("linf", 0.3), steps=10, classes=3, seed=2
        ),
    }


def _nearest() -> dict[str, Attack]:
    """Attacks that look for a short perturbation."""
    return {
        "deepfool, l2": lambda *a: deepfool(*a, "l2", steps=12),
        "deepfool, linf": lambda *a: deepfool(*a, "linf", steps=12, candidates=3),
        "ddn": lambda *a: ddn(*a, "l2", steps=20, seed=1),
        "carlini_wagner, l2": lambda *a: carlini_wagner(*a, "l2", rounds=4, steps=20),
        "carlini_wagner, l0": lambda *a: carlini_wagner(*a, "l0", rounds=4, steps=20),
        "carlini_wagner, linf": lambda *a: carlini_wagner(*a, "linf", rounds=4, steps=20, confidence=0.1),
        "lbfgs": lambda *a: lbfgs(*a, "l2", searches=2, steps=6),
        "jsma": lambda *a: jsma(*a, Ball("l0", 10), theta=0.8),
        "few_pixel": lambda *a: few_pixel(*a, Ball("l0", 2), population=20, generations=5, seed=3),
        "local_search": lambda *a: local_search(*a, Ball("l0", 16), chosen=2, seed=4),
    }


def _attacks() -> dict[str, Any]:
    target, images, labels = _problem()
    away, towards = Goal(labels), Goal(labels, (labels + 2) % CLASSES)
    both = _within() | _nearest()
    found = {name: _result(attack(target, images, away)) for name, attack in (both | _labels_alone()).items()}
    found |= {f"{name}, targeted": _result(attack(target, images, towards)) for name, attack in both.items()}
    return found


def _others() -> dict[str, Any]:
    """Attacks on many images, through other models, on integers, on training data, and images of nothing."""
    target, images, labels = _problem()
    goal, radius = Goal(labels), 0.5
    result: dict[str, Any] = {}

    def attack(target: Target, images: Tensor, goal: Goal) -> AttackResult:
        return pgd(target, images, goal, Ball("linf", radius), steps=5, seed=1)

    result["in_batches"] = _result(
        in_batches(pgd, target, images, goal, ball=Ball("linf", radius), batch_size=5, steps=5)
    )
    one = universal(target, images, goal, Ball("linf", radius), epochs=4, batch_size=5)
    result["universal"] = [_digest(one.perturbation), one.fooling_rate, _result(one.apply(target, images, goal))]
    floats, single = Target(_net(2)), images.float()
    made = upset(floats, single, Ball("linf", 0.3), hidden=8, epochs=4, batch_size=5, weight=0.01)
    result["upset"] = [_digest(made.perturbations), _result(made.attack(floats, single, goal))]
    learnt = substitute(floats, single, lambda: mlp(SHAPE, CLASSES, [8]), rounds=2, epochs=4, batch_size=8)
    found = learnt.attack(single, goal, attack)
    result["substitute"] = [learnt.queries, list(learnt.agreement), _result(found)]
    rival = Target(_net(5, 16).double())
    result["transferred"] = _result(transferred(rival, target, images, goal, attack))
    matrix = transfer_matrix({"a": target, "b": rival}, images, goal, attack)
    result["transfer_matrix"] = [matrix.rates.tolist(), matrix.counts.tolist()]
    crossed = cross_test(target, rival, images, goal, attack)
    result["cross_test"] = [crossed.accuracy.tolist(), crossed.agreement.tolist(), crossed.count]
    members = torch.arange(IMAGES) % 2 == 0
    for score in ("loss", "margin", "confidence", "correctness"):
        told = discriminate(target, images, labels, members, score=score)
        result[f"discriminate, {score}"] = [round(told.auc, 6), round(told.advantage, 6), told.queries]
    told = discriminate_by_substitute(floats, single, labels, members, lambda: mlp(SHAPE, CLASSES, [8]), epochs=5)
    result["discriminate_by_substitute"] = [round(told.auc, 6), told.queries]
    for name, rubbish in (
        ("evolved", evolved(floats, torch.arange(3), SHAPE, population=20, generations=15)),
        ("ascended", ascended(floats, torch.arange(3), SHAPE, steps=20)),
    ):
        result[name] = [_digest(rubbish.images), rubbish.success.tolist(), rubbish.queries, rubbish.iterations]
    noisy = Target(lambda x: target.logits(x + 0.01 * torch.randn_like(x)), stochastic=True)
    result["pgd, draws"] = _result(pgd(noisy, images, goal, Ball("linf", radius), steps=4, draws=3, restarts=2))
    result["ascend"] = _digest(
        ascend(target, images, goal, Ball("l2", 0.5), steps=5, generator=torch.Generator().manual_seed(3))
    )
    network, drawn = _shipped()
    inside = Goal(integer_oracle(network).logits(drawn).argmax(1))
    white, black = integer_target(network), integer_oracle(network)
    result["integer_target"] = _result(attack(white, drawn, inside))
    result["integer_oracle"] = _result(square(black, drawn, inside, Ball("linf", 0.2), steps=20))
    graph = square_graph()
    result["float_twin"] = _digest(float_twin(graph)(torch.rand(4, *graph.input_shape)))
    return result


def _card(card: Card) -> dict[str, Any]:
    return {
        "clean": card.clean.count,
        "verdict": card.verdict.count,
        "entries": [
            f"{e.name} ({e.kind}), radius {e.radius}: {e.robust.count} of {e.robust.n}, worst {e.worst.count}, "
            f"{e.queries} queries, broken {''.join(str(int(b)) for b in e.broken)}, {list(e.complaints)}"
            for e in card.entries
        ],
        "curve": [f"{point.radius}: {point.robust.count} of {point.robust.n}" for point in card.curve],
        "nearest": _digest(card.nearest.nan_to_num(posinf=-1.0)),
        "adversarial": _digest(card.adversarial),
        "findings": [[finding.name, finding.evidence] for finding in card.findings],
        "left_out": list(card.left_out),
    }


def _cards() -> dict[str, Any]:
    target, images, labels = _problem()
    network, drawn = _shipped()
    oracle = integer_oracle(network)
    noisy = Target(lambda x: target.logits(x + 0.02 * torch.randn_like(x)), stochastic=True)
    jumping = Target(lambda x: target.logits((x * 4).round() / 4 + 0 * x))  # no gradient anywhere
    few = Target(_net(6, classes=3).double())
    three = few.logits(images).argmax(1).detach()

    def detector(x: Tensor) -> Tensor:
        return x.flatten(1).std(1) - 0.3

    def fill(target: Target, images: Tensor, labels: Tensor, norm: Any, radius: float, **rest: Any) -> dict[str, Any]:
        rows = evaluate(target, images, labels, Ball(norm, radius), seed=2, effort=EFFORT, **rest)
        return _card(rows)

    rival = Target(_net(5, 16).double())
    return {
        "linf": fill(target, images, labels, "linf", 0.12, radii=(0.05, 0.2), transfer_from=[rival]),
        "l2": fill(target, images, labels, "l2", 0.6, radii=(0.3,)),
        "l1": fill(target, images, labels, "l1", 2.5, radii=(1.0, 4.0)),
        "flat": fill(target, images.flatten(1).reshape(IMAGES, 6, 6), labels, "linf", 0.12),
        "oracle": fill(oracle, drawn, oracle.logits(drawn).argmax(1), "linf", 0.1, radii=(0.05, 0.2)),
        "stochastic": fill(noisy, images, labels, "linf", 0.12, randomness_off=target),
        "detector": fill(target, images, labels, "linf", 0.12, detector=detector),
        "jumping": fill(jumping, images, labels, "linf", 0.12),
        "three classes": fill(few, images, three, "linf", 0.12),
    }


def _small() -> Dataset:
    digits = datasets.load("digits")
    parts = digits.train_images[:320], digits.train_labels[:320], digits.test_images[:40], digits.test_labels[:40]
    return Dataset("digits", digits.input_shape, digits.classes, *parts)


def _training() -> dict[str, Any]:
    data, result = _small(), dict[str, Any]()
    built = {
        "mlp": lambda: mlp(data.input_shape, data.classes, [12]),
        "table_mlp": lambda: table_mlp(data.input_shape, data.classes, hidden=12, points=57, input_bits=2, even=True),
        "table_cnn": lambda: table_cnn(data.input_shape, data.classes, channels=2, kernel=3, points=57, input_bits=2),
    }
    for name, build in built.items():
        torch.manual_seed(7)
        module = build()
        history = train(
            module,
            data,
            epochs=2,
            batch_size=32,
            learning_rate=5e-3,
            seed=1,
            weight_decay=0.1,
            batch=[augmented(RandomAffine(degrees=5, zoom=0.05, shear=0.05, shift=0.5))],
            progress=False,
        )
        exported = to_graph(module, data.input_shape, name) if name == "mlp" else to_network(module, name)
        logits = exported.logits(
            data.test_images if name == "mlp" else exported.quantise_input(data.test_images)  # type: ignore[union-attr]
        )
        result[name] = {
            "history": [asdict(epoch) for epoch in history],
            "state": _state(module),
            "logits": _digest(torch.from_numpy(logits)),
        }
    for name in ("digits-table-mlp", "digits-table-cnn", "digits-square-cnn"):
        result[name] = _state(make(replace(RECIPES[name], epochs=1), data))
    hardening = Hardening(Ball("linf", 0.15), steps=3)
    hardened = replace(RECIPES["digits-pgd-mlp"], epochs=3, batch_size=32, hardening=hardening, seed=5)
    result["adversarial"] = {"state": _state(make(hardened, data))}
    for name in ("digits-mlp", "digits-pgd-mlp"):
        result[name] = _state(make(replace(RECIPES[name], seed=3), data))
    return result
