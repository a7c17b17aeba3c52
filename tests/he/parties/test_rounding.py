"""Floats that are not rounded to the nearest: a right answer, or an error."""

import ctypes
import platform
from contextlib import contextmanager

import pytest

from he import DecryptionError, compile_exact, connect, prepare
from he.testing import inputs, table_network

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
def test_an_answer_made_in_another_mode_is_right_or_refused(mode):
    network = table_network()
    client, session = connect(prepare(compile_exact(network, security="insecure")), threads=1)
    images = inputs(network, 1)
    request = client.encrypt(images)
    one, little = map(float, ("1", "1e-20"))  # which Python does not add up beforehand
    with rounded(mode):
        assert one + little > one or one - little < one
        answer = session.evaluate(request)
    try:
        found = client.decrypt(answer, request)
    except DecryptionError:
        return
    assert (found == network.logits(images)).all()
