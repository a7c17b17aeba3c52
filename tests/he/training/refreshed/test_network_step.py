"""An encrypted step of a network is that of its clear twin, for samples in one block and in several."""

import numpy as np
import pytest

from he.parties.cipher import PairCipher
from he.readers.traces import packing_variance
from he.readers.variance import NORMAL_TAIL
from he.training.arithmetic import Arithmetic, read, written
from he.training.block import Block
from he.training.head import targets
from he.training.refreshed.network import SquareNetwork, gradients
from he.training.refreshed.network_step import EncryptedWeights, packed_descents
from he.training.refreshed.trainer import EncryptedSamples
from tests.he.training.made import CLASSES, FEATURES
from tests.he.training.refreshed.made import blocks, keys, plan, white

ERROR = 3 * NORMAL_TAIL  # deviations of what packing adds; what was there before adds less than as much


def drawn(seed):
    generator = np.random.default_rng(seed)
    return SquareNetwork.dense(
        generator.normal(size=(FEATURES + 1, 4)) / 3, generator.normal(size=(5, CLASSES)).clip(-2, 2) / 3
    )


def pairs(first, second):
    """Both layers as pairs, zeros behind the last class."""
    return np.concatenate([first.reshape(-1, 2), np.pad(second, [(0, 0), (0, 1)]).reshape(-1, 2)])


class Run:
    """One plan's samples and operations, and what an owner does with weights."""

    def __init__(self, count):
        self.plan = plan(count)
        secret, evaluation = keys(self.plan)
        self.arithmetic, self._cipher = Arithmetic(self.plan, evaluation, 1), PairCipher(secret)
        features, own = [], []
        for message in blocks(self.plan):
            parts = zip(Block.from_bytes(message, self.plan).ciphertexts, self.plan.block_forms, strict=True)
            values = [read(part, form) for part, form in parts]
            features += [lambda x=x: x for x in values[: self.plan.features]]
            own.append(values[self.plan.features :])
        self.samples = EncryptedSamples(self.arithmetic.matrix(features, self.plan.features), own)

    def fresh(self, network):
        numbers = pairs(network.first, network.second) * self.plan.fresh_scales
        return read(self._cipher.encrypt_packed(numbers, self.plan.fresh_form), self.plan.fresh_form)

    def worn(self, ciphertext):
        data = written(ciphertext, self.plan.worn_form)
        return self._cipher.decrypt_packed(data, self.plan.worn_form, self.plan.weights)

    @property
    def error(self):
        return ERROR * np.sqrt(packing_variance(self.plan.parameters, 1))


@pytest.mark.parametrize("count", [300, 512, 900])
def test_descents_are_the_twins_gradients_negated(count):
    run, network = Run(count), drawn(count)
    weights = EncryptedWeights.expanded(run.arithmetic, run.fresh(network), run.plan)
    descents = run.worn(packed_descents(run.arithmetic, run.samples, weights, run.plan))
    x, labels = white(run.plan)
    twin, scales = gradients(network, x, targets(labels, CLASSES)), run.plan.scales
    wanted = pairs(twin.first * scales.first_gradient, twin.second * scales.second_gradient)
    assert np.abs(descents + wanted).max() < run.error < 1e-4 * np.abs(wanted).max()
