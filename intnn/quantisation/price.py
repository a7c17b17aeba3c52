"""What an integer network costs on ciphertexts, estimated without a compiler.

The unit is the one in which `he` prices its circuits: a SEAL rotation at N = 8192, about 2 ms. The figures were
measured by compiling networks for MNIST, 784-128-10 and 784-128-64-10, for one image at 128 bits of security. Prices
between them are interpolated, prices beyond them are guesses, and other shapes of layers are not looked at: it is an
order among networks of one shape. Who has `he` at hand compiles instead.
"""

import numpy as np

from intnn.layers.nodes import IntPolynomial, LutActivation
from intnn.network.network import IntNetwork

# Bits of the plaintext modulus, and units, by the number of squares in a row.
SQUARES = {
    0: ((17, 34, 45), (1.0, 2.0, 3.0)),  # guessed
    1: ((20, 27, 34, 39), (3.0, 4.4, 7.5, 9.3)),
    2: ((25, 26, 34, 36), (17.5, 17.5, 26.0, 32.2)),
}
# Points of a table, and units, by the number of tables in a row.
TABLES = {
    1: ((29, 57, 121, 241, 431, 511, 1023, 2047, 4095), (28.5, 36, 46, 69, 108, 266, 316, 506, 754)),
    2: ((29, 57, 121, 241, 511), (300, 382, 513, 752, 1059)),
}
DEEPER = 3.5  # times as much for each activation in a row beyond two: guessed


def estimated_units(network: IntNetwork) -> float:
    """The estimated price of one answer.

    A network of polynomials is evaluated modulo one prime or several, whose product its outputs need; the price is that
    of the cheapest split. A network with tables is evaluated modulo 65537.
    """
    points = [layer.lut.domain.size for layer in network.layers if isinstance(layer, LutActivation)]
    depth = sum((layer.degree - 1).bit_length() for layer in network.layers if isinstance(layer, IntPolynomial))
    if points:
        return _interpolated(TABLES, len(points), max(points)) * DEEPER**depth
    bits = network.intervals[-1].magnitude.bit_length() + 1
    widest = SQUARES[min(depth, 2)][0][-1]
    fewest = -(-bits // widest)
    return min(parts * _interpolated(SQUARES, depth, -(-bits // parts)) for parts in range(fewest, 2 * fewest + 1))


def _interpolated(measured: dict[int, tuple[tuple[float, ...], tuple[float, ...]]], depth: int, size: float) -> float:
    """The price at a size, by straight lines between logarithms, at a depth that may be beyond what was measured."""
    sizes, prices = measured[min(depth, 2)]
    known = np.exp(np.interp(np.log(size), np.log(sizes), np.log(prices)))
    return float(known) * DEEPER ** max(depth - 2, 0)
