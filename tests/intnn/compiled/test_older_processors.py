"""Compiled networks give the same bits on processors older than this one."""

from tests.older_processors import output_on, with_older_processors

CHECK = """
import numpy as np
from intnn import *
from intnn.machine.host import instruction_set
rng = np.random.default_rng(0)
byte = IntDomain(-128, 127)
assert instruction_set().name == {name!r}, instruction_set().name
table = lambda: LutActivation(Lut(byte, rng.integers(-128, 128, 256)))
conv = lambda o, i: Conv2d(rng.integers(-128, 128, (o, i, 3, 3)), rng.integers(-9, 9, o), 1, 1)
dense = lambda o, i: Dense(rng.integers(-128, 128, (o, i)), rng.integers(-9, 9, o))
network = IntNetwork((2, 9, 9), byte, (
    conv(5, 2), SumPool2d(2), Requantise(rng.integers(1, 99, 5), 14, byte), table(),
    conv(40, 5), Requantise(rng.integers(-99, 99, 40), 15, byte), table(), Flatten(),
    dense(33, 640), Requantise(rng.integers(2**20, 2**24, 33), 40, byte), dense(10, 33)))
assert network.compiled is not None
for batch in (1, 13):
    x = rng.integers(-128, 128, (batch, 2, 9, 9))
    x[0] = -128
    assert np.array_equal(network.logits(x, "numba"), network.logits(x))
print("equal")
"""


@with_older_processors
def test_older_processors_give_the_same_bits(isa, features, tmp_path):
    assert output_on(isa, features, CHECK.format(name=isa.name), tmp_path).strip() == "equal"
