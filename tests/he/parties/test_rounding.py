"""Floats that are not rounded to the nearest: a right answer, or an error."""

import ctypes
import platform
from contextlib import contextmanager

import numpy as np
import pytest

from he import DecryptionError, RangeError, compile_approximate, compile_exact, connect, prepare
from he.testing import inputs, square_graph, table_network

MODES = {"down": 0x400, "up": 0x800, "towards zero": 0xC00}  # the numbers of Linux's C library on this family


@contextmanager
def rounded(mode):
    library = ctypes.CDLL("libm.so.6")
    assert library.fesetround(mode) == 0
    try:
        yield
    finally:
        library.fesetround(0)


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="the numbers of modes are this family's"
)
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize(
    ("network", "compile_for"), [(table_network(), compile_exact), (square_graph(), compile_approximate)]
)
def test_an_answer_made_in_another_mode_is_right_or_refused(network, compile_for, mode):
    circuit = compile_for(network, security="insecure")
    client, session = connect(prepare(circuit), threads=1)
    images = inputs(network, 1)
    request = client.encrypt(images)
    one, little = map(float, ("1", "1e-20"))  # which Python does not add up beforehand
    with rounded(mode):
        assert one + little > one or one - little < one
        answer = session.evaluate(request)
    try:
        found = client.decrypt(answer, request)
    except (DecryptionError, RangeError):
        return
    assert np.abs(found - network.logits(images)).max() <= circuit.interface.tolerance
