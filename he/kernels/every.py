"""Every kernel that an engine or a message calls, once, on the smallest ring: who has called all has compiled all."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from he.kernels.passes import (
    bits,
    encrypt,
    evaluate,
    expand,
    functional,
    hybrid,
    inner,
    product,
    shorts,
    span,
    switching,
    tensors,
    traces,
    windows,
)
from he.kernels.tables.chain import chain
from he.kernels.tables.factors import Factors
from he.kernels.tables.gadgets import gadget_tables
from he.kernels.tables.roots import factors
from he.kernels.tables.windows import window_tables
from he.ring.gadget import Gadget
from he.ring.primes import ntt_primes
from he.ring.slots import permutation
from intnn.values.arrays import Array

N, LEVEL, T = 64, 2, 257


def calls() -> dict[str, Callable[[], object]]:
    """By their names all kernels, with arguments of the types that they are called with. Results are of no interest.

    What an engine reads from a file it may not write, which is another type to Numba: such kernels occur twice.
    """
    primes = ntt_primes((30,) * (LEVEL + 1), N)
    auxiliary = product.auxiliary_primes(N, primes, T)
    tables, special = chain(N, (*primes, *auxiliary)).tables, LEVEL
    scaling = product.scaling(primes[:LEVEL], auxiliary[: LEVEL + 1], T)
    first, second, third = _zeros(3, LEVEL, N), _zeros(3, LEVEL, N), _zeros(3, LEVEL, N)
    extended, high, digits = _zeros(2, LEVEL + 1, N), _zeros(3, LEVEL + 1, N), _zeros(LEVEL + 1, LEVEL, N)
    x, y, out, centred = first[:2], second[:2], third[:2], _zeros(LEVEL, N)
    addresses = np.array([x.ctypes.data, y.ctypes.data])
    key = _factors(primes, LEVEL, 2).addresses
    plaintexts = _factors(primes[:LEVEL], 2)
    pairs, panel = plaintexts.addresses[None, :, None].repeat(2, 2), _zeros(*tensors.panel_shape(1))
    wide = _zeros(3, 2 * LEVEL + 1, N)
    sums_of_products, lower = _zeros(1, 1, 3, LEVEL, N), _zeros(2, LEVEL - 1, N)
    constants = np.array([factors((1, 1), (p, p)) for p in primes[:LEVEL]])
    weights, rows = _zeros(LEVEL, 1, 2, 4), _zeros(4, 2, LEVEL, N)
    order, places = permutation(N, 3), np.arange(LEVEL)
    packed = bytes(N * primes[0].bit_length() // 8)
    small, sums, real = np.zeros((2, N), np.int64), np.zeros((1, 2, N)), np.zeros((2, N))
    received, samples = _fixed(first), _fixed(small)
    return {
        "forward": lambda: evaluate.forward(tables, x[0, 0], 0),
        "inverse": lambda: evaluate.inverse(tables, x[0, 0], 0),
        "pack factors": lambda: Factors.packed(x, primes[:LEVEL]),
        "uniform": lambda: expand.uniform(_zeros(8), np.array(primes[:1]), _zeros(1, 512)),
        "rotate": lambda: switching.rotate(tables, x, centred, key, special, order, extended, 0, 1),
        "scaled": lambda: product.scaled(tables, scaling, x[0], high[0], LEVEL + 1),
        "plain_products": lambda: evaluate.plain_products(tables, addresses, plaintexts.addresses, places, out),
        "tensor_products": lambda: tensors.tensor_products(
            tables, pairs, addresses[:, None], 0, 0, panel, sums_of_products
        ),
        "tensor_sum": lambda: tensors.tensor_sum(tables, pairs[0], addresses, 0, 0, first),
        "extend_polynomial": lambda: product.extend_polynomial(tables, scaling.up, x[0], LEVEL + 1, high[0]),
        "mod_down": lambda: switching.mod_down(tables, extended, special, out, 0, 1),
        "switch": lambda: switching.switch(tables, x[1], centred, key, special, extended, 0, 1),
        "rotate_digits": lambda: switching.rotate_digits(tables, x, digits, key, special, order, extended),
        "decompose": lambda: switching.decompose(tables, x[1], centred, special, True, digits, 0, 1),
        "square_parts": lambda: evaluate.square_parts(tables, x, y, constants, 0, third),
        "matrix_products": lambda: evaluate.matrix_products(tables, addresses, weights, 0, 0, rows),
        "matrix_products, stored": lambda: evaluate.matrix_products(tables, addresses, _fixed(weights), 0, 0, rows),
        "multiply": lambda: evaluate.multiply(tables, x, y, 0, third),
        "scalar_products": lambda: evaluate.scalar_products(tables, addresses, constants, out),
        "to_centred": lambda: switching.to_centred(tables, x[1], centred, 0, 1),
        "sum_rows": lambda: evaluate.sum_rows(tables, addresses, places, out),
        "add_rows": lambda: evaluate.add_rows(tables, x, y, LEVEL - 1, out),
        "add_rows, stored": lambda: evaluate.add_rows(tables, x, _fixed(y), LEVEL - 1, out),
        "add_extended": lambda: evaluate.add_extended(tables, x, constants[:, 0].copy(), extended),
        "add_constants": lambda: evaluate.add_constants(tables, x[0], _zeros(LEVEL, 2)),
        "scale_row": lambda: evaluate.scale_row(tables, x[0, 0], 0, 1, 0, out[0, 0]),
        "with keys, add_image": lambda: traces.add_image(tables, x, key, special, order, out),
        "with keys, merge": lambda: traces.merge(tables, x, y, centred, key, special, order, out),
        "with keys, split": lambda: traces.split(tables, x, centred, key, special, order, y, out),
        "with keys, relinearise_and_rescale": lambda: tensors.relinearise_and_rescale(
            tables, first, key, special, lower
        ),
        "with keys, scale_and_relinearise": lambda: tensors.scale_and_relinearise(
            tables, scaling, wide, key, special, LEVEL + 1, out
        ),
        "pack": lambda: bits.packed(x[0, 0], primes[0]),
        "pack, received": lambda: bits.packed(_fixed(x[0, 0]), primes[0]),
        "unpack": lambda: bits.unpacked(packed, primes[:1], out[:1, :1]),
        "gaussian_sums": lambda: functional.gaussian_sums(_zeros(1, N), _zeros(3), small[0, :1], small[1], _zeros(8)),
        "transformed": lambda: functional.transformed(tables, samples, first[:2]),
        "forward_all": lambda: functional.forward_all(tables, first),
        "multiply_add": lambda: functional.multiply_add(tables, first, received[0], second),
        "multiply_back": lambda: functional.multiply_back(tables, received, received[0], third),
        "add_message": lambda: functional.add_message(tables, second, small[0], small, 0, samples, first[:2]),
        "noisy": lambda: encrypt.noisy(_zeros(N), real[0], small[0]),
        "transformed, encrypted": lambda: encrypt.encrypted(tables, small[:1], centred, x[0], third[:1]),
        "drop_last": lambda: functional.drop_last(tables, first, third[:, :1].copy()),
        "limbs": lambda: functional.limbs(received, 0, 0, 20, np.zeros((2, 3, N))),
        "add_fractions": lambda: functional.add_fractions(tables, sums, 20, first[0], 0, 0, 1, real),
        "nearest": lambda: functional.nearest(real, 3, small, np.zeros(2)),
        **_calls_of_lattice_keys(primes[0]),
        **_calls_of_pads(),
        **_calls_of_ledgers(),
        **_calls_of_gadgets(),
    }


def _calls_of_lattice_keys(prime: int) -> dict[str, Callable[[], object]]:
    secrets, y, keys = (
        _fixed(np.zeros((2, N), np.int32)),
        _fixed(np.zeros((1, 2), np.int64)),
        np.zeros((1, N), np.int64),
    )
    panels = np.zeros(shorts.panels_shape(2, N, 1), np.int16)
    t, spectra = window_tables(prime), _zeros(*windows.spectra_shape(N, N))
    return {
        "shorts, cut": lambda: shorts.cut(secrets, 1, panels),
        "shorts, combine": lambda: shorts.combine(_fixed(panels), 1, y, 1, keys),
        "windows, windows": lambda: windows.windows(t, _zeros(N), spectra),
        "windows, products": lambda: windows.products(t, _fixed(keys), _fixed(spectra), 0, _zeros(1, N)),
    }


def _calls_of_pads() -> dict[str, Callable[[], object]]:
    words, y = _fixed(np.zeros((4, 4), np.uint32)), _fixed(np.zeros((4, 4), np.int64))
    pads, products = _fixed(np.zeros((4, 4), np.int32)), np.zeros((4, 4), np.int64)
    return {
        "inner, wrapped_products": lambda: inner.wrapped_products(words, y, np.zeros((4, 4), np.int32)),
        "inner, wrapped_products, by column": lambda: inner.wrapped_products(words, y.T, np.zeros((4, 4), np.int32)),
        "inner, uncentre": lambda: inner.uncentre(products, y, 1, 1),
        "inner, wrapped_products, unmasked": lambda: inner.unmasked(words, y, pads, 1, 1, products),
        "inner, unmasked, by column": lambda: inner.unmasked(words, y.T, pads, 1, 1, products),
        "inner, lie_within": lambda: inner.lie_within(y, 1),
    }


def _calls_of_gadgets() -> dict[str, Callable[[], object]]:
    primes = ntt_primes((30,) * 4, N)  # two of a level, two special ones
    tables, gadget = chain(N, primes).tables, gadget_tables(Gadget(N, primes, 2, 2))
    x, parts, multiples, out = _zeros(2, 2, N), _zeros(2, N), np.zeros((1, N), np.int64), _zeros(2, 4, N)
    key, digits, order = Factors.packed(_zeros(1, 2, 4, N), primes), _zeros(4, 1, N), permutation(N, 3)
    addresses = key.addresses
    return {
        "hybrid, to_parts": lambda: hybrid.to_parts(tables, gadget, x[1], parts, multiples, 0, 1),
        "hybrid, switch": lambda: hybrid.switch(tables, gadget, x[1], parts, multiples, addresses, out, 0, 4),
        "hybrid, rotate": lambda: hybrid.rotate(tables, gadget, x, parts, multiples, addresses, order, out, 0, 4),
        "hybrid, decompose": lambda: hybrid.decompose(tables, gadget, parts, multiples, digits, 0, 4),
        "hybrid, rotate_digits": lambda: hybrid.rotate_digits(tables, gadget, x, digits, addresses, order, out),
        "hybrid, mod_down": lambda: hybrid.mod_down(tables, gadget, out, x, 0, 2),
    }


def _calls_of_ledgers() -> dict[str, Callable[[], object]]:
    basis, order, modulus = _zeros(2, N), np.arange(N), span.modulus((1 << 61) - 1)
    y, sums, weights, vectors = np.zeros((1, N), np.int64), np.zeros((2, N), np.int64), _zeros(1, 1), _zeros(1, N)
    return {
        "span, is_prime": lambda: span.is_prime((1 << 61) - 1),
        "span, combine": lambda: span.combine(y, weights[0], modulus, sums, vectors[0]),
        "span, combine, received": lambda: span.combine(_fixed(y), weights[0], modulus, sums, vectors[0]),
        "span, reduce": lambda: span.reduce(basis, order, 1, vectors[0], modulus, basis[1]),
        "span, absorb": lambda: span.absorb(basis, order, 1, vectors[0], modulus),
        "span, grow": lambda: span.grow(basis, order, 1, y, weights, modulus, sums, vectors),
        "span, grow, received": lambda: span.grow(basis, order, 1, _fixed(y), weights, modulus, sums, vectors),
    }


def _zeros(*shape: int) -> Array:
    return np.zeros(shape, np.uint64)


def _factors(primes: tuple[int, ...], *shape: int) -> Factors:
    return Factors(np.zeros(prod(shape) * Factors.size(N, primes), np.uint8), N, primes, shape)


def _fixed(array: Array) -> Array:
    view = array.view()
    view.setflags(write=False)
    return view
