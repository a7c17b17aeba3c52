"""The compiled step on other processors than this one, and what is in its code."""

import re

from tests.older_processors import output_on, with_older_processors

CHECK = """
import numpy as np
from intnn import IntDomain
from intnn.training.blind import BlindStep
from intnn.training.cpu import step as training_step
from intnn.training.cpu.update import update_by
from intnn.machine.host import instruction_set
from intnn.training.ops import numpy_
from intnn.training.cpu.compiled import CompiledStep
from intnn.training.plan import Convolution, Hidden, plan
from intnn.training.step import ArrayStep, Descent, Rate, initialise
assert instruction_set().name == {name!r}, instruction_set().name
rng, domain = np.random.default_rng(0), IntDomain(-128, 127)
layers = (Convolution(19, 3, 2, 1, 3, "tanh"), Convolution(7, 2, 1, 1, 2), Hidden(9))
layout = plan(layers, (3, 20, 21), domain, 11)
start = initialise(layout, 0)
rest = layout, start, 5, Descent(3, 12)
ours, definition = CompiledStep(*rest), ArrayStep(*rest, numpy_)
for number in range(2):
    x, labels = rng.integers(0, 256, (5, 20, 21, 3)), rng.integers(0, 11, 5)
    ours.inputs[...] = definition.inputs[...] = x
    assert np.array_equal(*(s.step(labels, Rate(90, 12), (3, number)) for s in (ours, definition)))
    for a, b in zip(ours.state(), definition.state(), strict=True):
        assert all(np.array_equal(getattr(a, f), getattr(b, f)) for f in vars(a))
dense = plan((37,), (50,), domain, 11)
rest = dense, initialise(dense, 0), 5, Descent(3, 12)
blind, definition = BlindStep(*rest), ArrayStep(*rest, numpy_)
x, labels = rng.integers(-128, 128, (5, 50)), rng.integers(0, 11, 5)
definition.inputs[...] = x.reshape(definition.inputs.shape) + 128
logits, errors = blind.begin(x @ blind.weights.T, labels, Rate(90, 12), (3, 0))
blind.finish(errors.T @ x)
assert np.array_equal(logits, definition.step(labels, Rate(90, 12), (3, 0)))
for a, b in zip(blind.state(), definition.state(), strict=True):
    assert all(np.array_equal(getattr(a, f), getattr(b, f)) for f in vars(a))
print("equal")
for kernel in (training_step.step, training_step.begin, update_by):
    print(*kernel.inspect_llvm().values())
"""


@with_older_processors
def test_older_processors_train_to_the_same_bits_without_a_float(isa, features, tmp_path):
    verdict, _, code = output_on(isa, features, CHECK.format(name=isa.name), tmp_path).partition("\n")
    assert verdict == "equal"
    assert "add" in code
    floats = re.findall(r"\b(?:f(?:add|sub|mul|div)|[su]itofp|fpto[su]i|double|float)\b.*", code)
    assert not floats, floats[:3]
