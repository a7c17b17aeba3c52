"""Encrypted gradients of a network are those of its clear twin, for samples in one block and in several."""

import math
from functools import cache

import numpy as np
import pytest

from he.formats.compact import Form
from he.parties.cipher import PairCipher
from he.parties.keys import SecretKey
from he.readers.variance import deviation_at_root, rounding_variance
from he.training.arithmetic import Arithmetic, read, written
from he.training.head import targets
from he.training.network import NetworkDescent, SquareNetwork, gradients, with_ones
from he.training.network_plan import SECOND, NetworkPlan
from he.training.network_step import EncryptedSamples, EncryptedWeights, encrypted_gradients

FEATURES, CLASSES = 4, 3


@cache
def run(samples):
    """A plan in an insecure ring, and what encrypts and computes under one key."""
    plan = NetworkPlan(samples, FEATURES, CLASSES, NetworkDescent(3, 1, 0.1, 0.1), "insecure", 1024)
    secret = SecretKey.generate(plan.parameters)
    return plan, PairCipher(secret), Arithmetic(plan, secret.keys_of(plan.key_elements, "0" * 64), 1)


def encrypted(plan, cipher, numbers, scale):
    """A value at the top level; numbers are one for all slots, or one for each of the first."""
    slots = np.zeros((1, plan.block_samples))
    slots[0, : np.size(numbers) if np.ndim(numbers) else None] = numbers
    form = Form(plan.parameters.data_primes, plan.parameters.poly_modulus_degree, True, scale, seeded=True)
    (made,) = cipher.encrypt(slots, form)
    return read(made, form)


def decrypted(plan, cipher, packed, scale, shape):
    """Numbers that are packed in one ciphertext, at level 1."""
    form = Form.result(plan.parameters, 1, scale)
    (one,) = packed
    return cipher.decrypt_packed(written(one, form), form, math.prod(shape))[:, 0].reshape(shape)


def matrix(values, made):
    return [[made(value) for value in row] for row in values]


@pytest.mark.parametrize("samples", [300, 512, 900])
def test_gradients_are_those_of_the_twin(samples):
    plan, cipher, arithmetic = run(samples)
    generator, scales = np.random.default_rng(samples), plan.scales
    white = with_ones(generator.normal(size=(samples, FEATURES - 1)).clip(-3, 3))
    y = targets(generator.integers(0, CLASSES, samples), CLASSES)
    network = SquareNetwork(generator.normal(size=(FEATURES, 3)) / 3, generator.normal(size=(4, CLASSES)) / 3)

    def value(scale, level=None):
        def made(numbers):
            whole = encrypted(plan, cipher, numbers, scale)
            return whole if level is None else arithmetic.lowered(whole, level)

        return made

    parts = [slice(at, at + plan.block_samples) for at in range(0, samples, plan.block_samples)]
    columns = [[*map(value(scales.sample), white[part].T)] for part in parts]
    given = EncryptedSamples(
        arithmetic.matrix([lambda x=x: x for row in columns for x in row], FEATURES),
        [[*map(value(scales.sample), y[part].T)] for part in parts],
    )
    weights = EncryptedWeights(
        matrix(network.first, value(scales.first)),
        matrix(network.second[:-1], value(scales.second, SECOND)),
        matrix(network.second[-1:], value(scales.bias, SECOND)),
    )
    found, twin = encrypted_gradients(arithmetic, given, weights, scales), gradients(network, white, y)
    first = decrypted(plan, cipher, found.first, scales.first_gradient, twin.first.shape)
    second = decrypted(plan, cipher, found.second, scales.second_gradient, (3, CLASSES))
    bias = decrypted(plan, cipher, found.bias, scales.bias_gradient, (CLASSES,))
    # A rounding's deviation, of as many slots together; twenty of them, for key switches, errors before, and tails.
    N = plan.parameters.poly_modulus_degree
    allowed = 20 * deviation_at_root(N, rounding_variance(N)) * np.sqrt(plan.block_samples)
    assert np.abs(first - twin.first).max() < allowed / scales.first_gradient < 1e-3
    assert np.abs(second - twin.second[:-1]).max() < allowed / scales.second_gradient < 1e-3
    assert np.abs(bias - twin.second[-1]).max() < allowed / scales.bias_gradient < 1e-3
    assert min(np.abs(twin.first).max(), np.abs(twin.second).max()) > 0.01
