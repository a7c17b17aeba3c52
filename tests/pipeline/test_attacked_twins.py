"""A float network and the integers that it became: what fools one fools the other."""

import torch

from intnn import calibrate, quantise
from plaintext_models.attacks.ball.noise import random_noise
from plaintext_models.attacks.ball.pgd import pgd
from plaintext_models.attacks.black_box.transfer import transferred
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.bridge.export import to_graph
from plaintext_models.bridge.twin import integer_oracle, integer_target
from plaintext_models.data import datasets
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.judge import judge
from plaintext_models.nets.mlp import mlp
from plaintext_models.training.loop import train

RADIUS = 0.2


def test_a_white_box_attack_on_the_float_network_transfers_to_its_integer_twin():
    digits = datasets.load("digits")
    with deterministic(0):
        module = mlp(digits.input_shape, digits.classes, [32])
    train(module, digits, epochs=10, batch_size=64, learning_rate=5e-3, seed=0, progress=False)
    graph = to_graph(module, digits.input_shape)
    twin = quantise(graph, calibrate(graph, digits.train_images[:500]))
    images, goal = torch.from_numpy(digits.test_images[:100]), Goal(torch.from_numpy(digits.test_labels[:100]))
    victim = integer_oracle(twin)

    def onward(target, x, aims):
        return pgd(target, x, aims, Ball("linf", RADIUS), leave=False)

    broken = {
        "noise": random_noise(victim, images, goal, Ball("linf", RADIUS), draws=1),
        "float": transferred(Target(module), victim, images, goal, onward),
        "straight through": pgd(integer_target(twin), images, goal, Ball("linf", RADIUS)),
    }
    shares = {}
    for name, result in broken.items():
        verdict = judge(victim, images, goal, result, Ball("linf", RADIUS))
        assert verdict.complaints == ()
        shares[name] = float(verdict.broken.double().mean())
    assert shares["noise"] < 0.3
    assert shares["float"] > 0.8
    assert shares["straight through"] > 0.8
