"""Two steps of least squares on encrypted samples: batches, sums of products and totals together, as in the clear.

Samples lie in slots, a ciphertext for every feature, two classes in a ciphertext. Steps are those of the Chebyshev
iteration for X^T X W = X^T Y with fixed coefficients, so that everything is a polynomial in the data.
"""

import math

import numpy as np

from he.engines.rns.buffers import Buffers
from he.engines.rns.products import Products
from he.engines.rns.threads import Workers
from he.engines.rns.traces import Traces
from he.formats import compact
from he.kernels.passes import evaluate, switching
from he.kernels.tables.roots import factors
from he.parties.batch import BatchEncryptor
from he.readers.traces import packing_variance
from he.ring.params import Parameters
from he.ring.slots import packed_places, polynomial, trace_elements
from tests.he.seal_parties import SealParties

N, CHUNKS, FEATURES, PAIRS = 1024, 3, 6, 2
FIRST, SECOND, MIXED = 0.7, 1.0, 0.3  # W1 = FIRST G1, W2 = (FIRST + SECOND MIXED) G1 + SECOND G2
LOW, HIGH = 2.0**28, 2.0**38  # the scales of features and labels


def steps(x, y):
    """Both steps in the clear: the model [features, classes]."""
    first = x.T @ y / len(x)
    second = x.T @ (y - FIRST * x @ first) / len(x)
    return (FIRST + SECOND * MIXED) * first + SECOND * second


def test_two_steps_are_those_in_the_clear():
    rng, slots = np.random.default_rng(0), N // 2
    x, y = rng.normal(size=(CHUNKS * slots, FEATURES)), rng.uniform(-1, 1, (CHUNKS * slots, 2 * PAIRS))
    parties = SealParties(Parameters("ckks", N, (46, 38, 38, 38, 46), scale_bits=28, security="insecure"))
    _, second, third, fourth, _ = parties.parameters.primes
    tables, encryptor = parties.encoder.tables, BatchEncryptor(parties.parameters, parties.spectrum)
    count = FEATURES * PAIRS
    spread = 1 << (count - 1).bit_length()  # what expansion multiplies by
    gradient_scale = LOW * HIGH / fourth
    model_scale = gradient_scale * len(x) / FIRST * spread
    residual_scale = LOW * model_scale / third

    def sent(columns, level, scale):
        """Ciphertexts by chunk and column, as whoever trains reads them."""
        parts = columns.reshape(CHUNKS, slots, -1).transpose(0, 2, 1)
        form = encryptor.form(level, scale)
        return [[compact.read(data, form).residues for data in encryptor.encrypt(part, level, scale)] for part in parts]

    pairs = y[:, ::2] + 1j * y[:, 1::2]
    features, labels, again = sent(x, 4, LOW), sent(pairs, 4, HIGH), sent(pairs, 2, residual_scale)

    def combined(ciphertexts, numbers):
        level = ciphertexts[0].shape[1]
        weights = np.array([factors(numbers, [p] * len(numbers)) for p in parties.parameters.primes[:level]])
        result = np.empty((2, level, N), np.uint64)
        addresses = np.array([ciphertext.ctypes.data for ciphertext in ciphertexts])
        evaluate.scalar_products(tables, addresses, weights, result)
        return result

    with Workers(2) as workers:
        shared = parties.encoder, parties.keys(trace_elements(N), relinearisation=True), workers, Buffers()
        products, traces = Products.of(*shared), Traces(*shared)
        held = products.packed([lambda c=c: c for chunk in features for c in chunk], CHUNKS, FEATURES)
        by_feature = held.addresses.transpose(1, 0, 2, 3)
        gradient = traces.packed(products.sums(by_feature, labels), count)
        model = list(traces.expanded(gradient, count))
        rows = [model[i : i + PAIRS] for i in range(0, count, PAIRS)]
        forward = products.sums(held.addresses, rows)
        residuals = [[combined([c, next(forward)], [1, -1]) for c in chunk] for chunk in again]
        other = traces.packed(products.sums(by_feature, residuals), count)
    scale = LOW * residual_scale / second
    factor = round((FIRST + SECOND * MIXED) / SECOND * scale * second / gradient_scale)
    scaled, lowered = combined([np.ascontiguousarray(gradient[:, :2])], [factor]), np.empty((2, 1, N), np.uint64)
    switching.mod_down(tables, scaled, 1, lowered, 0, 2)
    whole = polynomial(parties.decrypt(combined([lowered, other], [1, 1]), scale)) * SECOND / len(x)
    places = packed_places(N, count)
    found = np.stack([whole[places], whole[places + slots]], axis=1).reshape(FEATURES, 2 * PAIRS)
    expected = steps(x, y)
    # Most of the error is what the last totals, at the lowest level and scale, get by being packed.
    error = math.sqrt(packing_variance(parties.parameters, 1)) / scale * SECOND / len(x)
    assert np.abs(found - expected).max() < 8 * error < 1e-3 * np.abs(expected).max()
