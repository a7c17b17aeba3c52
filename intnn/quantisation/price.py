"""What an integer network costs on ciphertexts, estimated without a compiler.

The unit is the one in which `he` prices its circuits: a SEAL rotation at N = 8192, 1.5 to 4 ms. The figures were
measured by compiling networks for MNIST, 784-10, 784-128-10 and 784-128-64-10, for one image at 128 bits of security.
Deeper networks are guessed, and other shapes of layers are not looked at: it is an order among networks of one shape.
Who has `he` at hand compiles instead.
"""

from collections.abc import Mapping

import numpy as np

from intnn.layers.nodes import IntPolynomial, LutActivation
from intnn.network.network import IntNetwork

Prices = Mapping[int, Mapping[int, float]]

# Units by squares in a row and the most bits of outputs, of which a plaintext modulus holds 48.
SQUARES: Prices = {
    0: {30: 0.7, 48: 0.8},
    1: {20: 3.0, 26: 4.4, 34: 7.5, 48: 8.6},
    2: {24: 19.0, 26: 24.4, 34: 25.9, 36: 28.6, 48: 29.5},
}
# Units by tables in a row and points of the largest; between them, lines through logarithms.
TABLES: Prices = {
    1: {29: 27.0, 57: 35.0, 121: 62.0, 241: 90.0, 361: 232.0, 511: 335.0, 1023: 516.0, 2047: 775.0, 4095: 1121.0},
    2: {29: 251.0, 57: 390.0, 121: 671.0, 241: 851.0},
}
DEEPER = 3.5  # times as much for each activation in a row beyond two: guessed


def estimated_units(network: IntNetwork) -> float:
    """The estimated price of one answer.

    A network of polynomials is evaluated modulo one prime, or modulo several where the outputs have more bits than one
    can hold; the price is that of the cheapest split. A network with tables is evaluated modulo 65537.
    """
    points = [layer.lut.domain.size for layer in network.layers if isinstance(layer, LutActivation)]
    depth = sum((layer.degree - 1).bit_length() for layer in network.layers if isinstance(layer, IntPolynomial))
    if points:
        measured, deeper = _measured(TABLES, len(points))
        known = np.interp(np.log(max(points)), np.log(list(measured)), np.log(list(measured.values())))
        return float(np.exp(known)) * deeper * DEEPER**depth
    bits = network.intervals[-1].magnitude.bit_length() + 1
    measured, deeper = _measured(SQUARES, depth)
    return deeper * min(price * -(-bits // most) for most, price in measured.items())


def _measured(prices: Prices, depth: int) -> tuple[Mapping[int, float], float]:
    """What was measured at a depth, and by how much the depth goes beyond it."""
    return prices[min(depth, 2)], DEEPER ** max(depth - 2, 0)
