"""What circuits take: integers or floats of the right shape, range and number, computed in the clear."""

import numpy as np
import pytest

from he import InputError, compile_exact, connect, simulate
from he.testing import inputs, square_graph, table_network
from intnn import Conv2d, Flatten, IntDomain, IntNetwork

INTEGERS, FLOATS = inputs(table_network(), 3), inputs(square_graph(), 3)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (INTEGERS.astype(float), "`images` must be of an integer dtype, got float64; use Client.prepare for floats"),
        (INTEGERS.astype(bool), "`images` must be of an integer dtype, got bool"),
        (INTEGERS.astype(object), "`images` must be of an integer dtype, got object"),
        (INTEGERS[:, :4], r"`images` must have shape \[batch, 5\], got \(3, 4\)"),
        (INTEGERS[0], r"`images` must have shape \[batch, 5\], got"),
        (INTEGERS[None], r"`images` must have shape \[batch, 5\], got \(1, 3, 5\)"),
        (INTEGERS[:0], "`images` must hold one image or more, got none"),
        (INTEGERS * 2, r"`images` must lie in \[0, 1\] and hold no NaN"),
        (INTEGERS * 0 - 1, r"`images` must lie in \[0, 1\] and hold no NaN, got -1 at index \(0, 0\)$"),
        (INTEGERS.astype(np.uint64) + np.uint64(2**64 - 1), r"`images` must lie in \[0, 1\]"),
    ],
)
def test_wrong_integers_are_refused(exact, images, message):
    for use in (
        exact.client.encrypt,
        lambda x: simulate(exact.circuit, x),
    ):
        with pytest.raises(InputError, match=message):
            use(images)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.ones((1, 1, 4, 4), int), "`images` must be of a float dtype, got int64"),
        (FLOATS.astype(complex), "`images` must be of a float dtype, got complex128"),
        (FLOATS.reshape(3, 16), r"`images` must have shape \[batch, 1, 4, 4\], got \(3, 16\)"),
        (FLOATS[:0], "`images` must hold one image or more, got none"),
        (FLOATS + 1, r"`images` must lie in \[0.0, 1.0\] and hold no NaN"),
        (FLOATS * np.nan, r"`images` must lie in \[0.0, 1.0\] and hold no NaN, got nan at index \(0, 0, 0, 0\); scale"),
        (np.full_like(FLOATS, np.inf), r"`images` must lie in \[0.0, 1.0\]"),
    ],
)
def test_wrong_floats_are_refused(approximate, images, message):
    for use in (
        approximate.client.encrypt,
        lambda x: simulate(approximate.circuit, x),
    ):
        with pytest.raises(InputError, match=message):
            use(images)


def test_a_batch_that_is_too_large_is_refused_by_the_client(party):
    network = square_graph() if party.circuit.parameters.scheme == "ckks" else table_network()
    with pytest.raises(InputError, match="`images` must hold at most 4 images a batch, got 5; make several batches"):
        party.client.encrypt(inputs(network, 5))


def test_a_circuit_for_one_image_says_so():
    client, _ = connect(compile_exact(table_network(), security="insecure"))
    with pytest.raises(InputError, match="`images` must hold one image a batch, got 2; make several batches"):
        client.encrypt(inputs(table_network(), 2))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_any_integer_dtype_will_do(exact, dtype):
    assert np.array_equal(simulate(exact.circuit, INTEGERS.astype(dtype)), table_network().logits(INTEGERS))


def test_a_network_of_flattened_maps_orders_its_outputs_as_the_network_does():
    """Channels, rows, columns, C order; and 3 * 2 * 2 = 12 outputs in a period of 16."""
    rng = np.random.default_rng(3)
    conv = Conv2d(rng.integers(-3, 4, (3, 2, 2, 2)), rng.integers(-3, 4, 3))
    network = IntNetwork((2, 3, 3), IntDomain(0, 3), (conv, Flatten()))
    x = inputs(network, 3)
    circuit = compile_exact(network, images=3, security="insecure")
    assert (circuit.interface.output.width, circuit.interface.output.outputs) == (16, 12)
    assert np.array_equal(simulate(circuit, x), network.logits(x))
