"""A backend and a layer of one's own, each tested in ten lines with `intnn.testing`."""

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from intnn.ops import numpy_
from intnn.testing import backends_agree, int_arrays, int_inputs, int_networks, layer_keeps_its_promises


def dense(x, w, b):
    return np.einsum("ni,oi->no", x, w.astype(x.dtype)) + b.astype(x.dtype)


#: A backend: numpy's operations, but for the dense layers.
my_backend = SimpleNamespace(**{**vars(numpy_), "dense": dense})


class Negate:
    """A layer: the opposite of every value."""

    def output_shape(self, shape):
        return shape

    def apply(self, x, ops):
        return -x


@given(st.data())
def test_my_backend_gives_the_bits_of_plain_integers(data):
    network = data.draw(int_networks())
    backends_agree(network, data.draw(int_inputs(network)), [my_backend])


@given(int_arrays((3, 2, 2), -9, 9))
def test_my_layer_keeps_the_promises_of_a_layer(x):
    layer_keeps_its_promises(Negate(), x)
