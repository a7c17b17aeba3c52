"""Compiled networks give the same bits on processors older than this one, and when they come from one or go to one."""

import pickle

import numpy as np

from intnn import Dense, IntDomain, IntNetwork
from tests.older_processors import output_on, with_older_processors

CHECK = """
import pickle
from pathlib import Path
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
network, compiled, x = pickle.loads(Path({sent!r}).read_bytes())
for got in (network.logits(x, "numba"), compiled.logits(x)):
    assert np.array_equal(got, network.logits(x)), got
Path({returned!r}).write_bytes(pickle.dumps((network, compiled)))
print("equal")
"""


@with_older_processors
def test_older_processors_give_the_same_bits(isa, features, tmp_path):
    rng = np.random.default_rng(1)
    network = IntNetwork((16,), IntDomain(0, 255), (Dense(rng.integers(-128, 128, (40, 16)), np.arange(40)),))
    x = rng.integers(0, 256, (5, 16))
    logits = network.logits(x, "numba")
    sent, returned = tmp_path / "sent", tmp_path / "returned"
    sent.write_bytes(pickle.dumps((network, network.compiled, x)))
    program = CHECK.format(name=isa.name, sent=str(sent), returned=str(returned))
    assert output_on(isa, features, program, tmp_path / "kernels").strip() == "equal"
    # What ran on the one processor is stored as if it had run on none: so it is between any two.
    here = pickle.loads(pickle.dumps((network, network.compiled)))
    again, compiled = pickle.loads(returned.read_bytes())
    assert pickle.dumps((again, compiled)) == pickle.dumps(here)
    for got in (again.logits(x, "numba"), compiled.logits(x)):
        assert np.array_equal(got, logits)
