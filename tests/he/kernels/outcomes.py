"""Prints a digest of what the kernels make of fixed residues: the same on every processor. Not a test by itself."""

import hashlib

import numpy as np

from he.engines.rns.threads import Workers
from he.kernels.passes import encrypt, evaluate, functional, hybrid, shorts, switching, tensors, traces, windows
from he.kernels.passes.bits import packed, unpacked
from he.kernels.passes.expand import uniform
from he.kernels.passes.product import auxiliary_primes, scaled_product, scaling
from he.kernels.tables.chain import chain
from he.kernels.tables.factors import Factors
from he.kernels.tables.gadgets import gadget_tables
from he.kernels.tables.windows import window_tables
from he.ring.gadget import Gadget
from he.ring.primes import ntt_primes
from he.ring.slots import permutation

N, LEVEL, T = 128, 3, 65537  # five stages within vectors and two before


def main() -> None:
    """Every kernel, on primes of both kinds and of several widths."""
    primes = ntt_primes((30, 46, 50, 50), N)
    auxiliary = auxiliary_primes(N, primes, T)
    tables, rng = chain(N, (*primes, *auxiliary)).tables, np.random.default_rng(0)
    moduli = np.array(primes, np.uint64)[:, None]
    x, key = (
        rng.integers(0, moduli[:LEVEL], (2, LEVEL, N), np.uint64),
        rng.integers(0, moduli, (LEVEL, 2, LEVEL + 1, N), np.uint64),
    )
    found = [x, centred := np.empty((LEVEL, N), np.uint64)]
    switching.to_centred(tables, x[1], centred, 0, LEVEL)
    sums, permuted, total = (np.empty((2, LEVEL + 1, N), np.uint64) for _ in range(3))
    factors = Factors.packed(key, primes)
    switching.switch(tables, x[1], centred, factors.addresses, LEVEL, sums, 0, LEVEL + 1)
    order = permutation(N, 3)
    switching.rotate(tables, x, centred, factors.addresses, LEVEL, order, permuted, 0, LEVEL + 1)
    divided = np.empty((2, LEVEL, N), np.uint64)
    switching.mod_down(tables, permuted, LEVEL, divided, 0, 2)
    merged, even, odd = (np.empty((2, LEVEL, N), np.uint64) for _ in range(3))
    traces.merge(tables, x, divided, centred, factors.addresses, LEVEL, order, merged)
    traces.split(tables, x, centred, factors.addresses, LEVEL, order, even, odd)
    addresses = np.array([sums.ctypes.data, permuted.ctypes.data])
    evaluate.sum_rows(tables, addresses, np.arange(LEVEL + 1), total)
    products = np.empty_like(sums)
    evaluate.plain_products(tables, addresses, factors.addresses[:2, 0], np.arange(LEVEL + 1), products)
    weights = rng.integers(0, moduli[:LEVEL, :, None, None], (LEVEL, 1, 2, 4), np.uint64)
    rows = np.empty((4, 2, LEVEL, N), np.uint64)
    pair = np.array([x.ctypes.data, divided.ctypes.data])
    for component in range(2):
        for prime in range(LEVEL):
            evaluate.matrix_products(tables, pair, weights, component, prime, rows)
    panel, multiplied = np.empty(tensors.panel_shape(1), np.uint64), np.empty((2, 1, 3, LEVEL, N), np.uint64)
    left, single = factors.addresses.transpose(1, 0, 2)[:, :2, None].repeat(2, 2), np.empty((3, LEVEL, N), np.uint64)
    for prime in range(LEVEL):
        tensors.tensor_products(tables, left, pair[:, None], prime, prime, panel, multiplied)
        tensors.tensor_sum(tables, left[0], pair, prime, prime, single)
    tensor, squared = np.empty((2, 3, LEVEL, N), np.uint64)
    evaluate.multiply(tables, x, divided, 0, tensor)
    constants = scaling(primes[:LEVEL], auxiliary[: LEVEL + 1], T)
    scaled_product(tables, constants, x, divided, len(primes), squared, Workers(1).all)
    data, again = b"".join(packed(row, p) for row, p in zip(x[0], primes, strict=False)), np.empty_like(x[:1])
    assert unpacked(data, primes[:LEVEL], again)
    drawn = np.empty((LEVEL, N), np.uint64)
    uniform(np.arange(8, dtype=np.uint64), np.array(primes[:LEVEL]), drawn)
    found += [
        sums,
        permuted,
        divided,
        merged,
        even,
        odd,
        total,
        products,
        rows,
        multiplied,
        single,
        tensor,
        squared,
        again,
        drawn,
    ]
    found += functional_encryption(rng, primes) + hybrid_switch(rng, primes)
    print(hashlib.sha256(b"".join(array.astype("<u8").tobytes() for array in found)).hexdigest())


def hybrid_switch(rng: np.random.Generator, primes: tuple[int, ...]) -> list[np.ndarray]:
    """A key switch and a rotation by two special primes, and their divisions."""
    tables, gadget, level = chain(N, primes).tables, gadget_tables(Gadget(N, primes, 2, 2)), 2
    moduli = np.array(primes, np.uint64)[:, None]
    x, key = rng.integers(0, moduli[:level], (2, level, N), np.uint64), rng.integers(0, moduli, (1, 2, 4, N), np.uint64)
    factors, parts, multiples = Factors.packed(key, primes), np.empty_like(x[1]), np.empty((1, N), np.int64)
    hybrid.to_parts(tables, gadget, x[1], parts, multiples, 0, 1)
    sums, turned = np.empty((2, 2, 4, N), np.uint64)
    hybrid.switch(tables, gadget, x[1], parts, multiples, factors.addresses, sums, 0, 4)
    hybrid.rotate(tables, gadget, x, parts, multiples, factors.addresses, permutation(N, 3), turned, 0, 4)
    divided = np.empty((2, 2, level, N), np.uint64)
    for extended, out in zip((sums, turned), divided, strict=True):
        hybrid.mod_down(tables, gadget, extended, out, 0, 2)
    return [parts, multiples, sums, turned, divided]


def functional_encryption(rng: np.random.Generator, primes: tuple[int, ...]) -> list[np.ndarray]:
    """Samples, an encryption with them, and what a decryption of it is rounded to."""
    tables, table = chain(N, primes).tables, np.sort(rng.integers(2**60, 2**64, 59, np.uint64))
    samples, small = np.empty((2, N), np.int64), rng.integers(-255, 256, (3, 2))
    closest = np.full(8, 2**63, np.uint64)
    for row in samples:
        functional.gaussian_sums(rng.integers(0, 2**64, (3, N), np.uint64), table, np.array([1, 3, 9999]), row, closest)
    spectra, products, whole = np.empty((3, 2, len(primes), N), np.uint64)
    functional.transformed(tables, samples, spectra)
    functional.multiply_back(tables, spectra, spectra[1], products)
    encrypt.noisy(rng.integers(0, 2**64, N, np.uint64), rng.normal(scale=2**40, size=N), samples[0])
    hidden = np.empty((1, LEVEL, N), np.uint64)
    encrypt.encrypted(tables, samples[:1], spectra[0], spectra[1, :LEVEL], hidden)
    scales = np.array([p // 2 for p in primes])
    functional.add_message(tables, products, scales, small, 0, samples, whole)
    kept = np.empty((2, LEVEL, N), np.uint64)
    functional.drop_last(tables, whole, kept)
    cut, fractions = np.empty((3, 2, N)), np.zeros((3, N))
    functional.limbs(kept, 0, 0, 20, cut)
    masks, rounded = rng.integers(0, primes[0], (3, N), np.uint64), np.empty((3, N), np.int64)
    functional.add_fractions(tables, small.astype(np.float64) @ cut, 20, masks, 0, 0, 5, fractions)
    functional.nearest(fractions, 129, rounded, np.empty(3))
    functional.forward_all(tables, whole)
    functional.multiply_add(tables, whole, spectra[0], products)
    panels, keys = np.empty(shorts.panels_shape(2, N, 2**31 - 1), np.int16), np.empty((3, N), np.int64)
    bits = shorts.limb_bits(2**31 - 1)
    shorts.cut(rng.integers(-(2**31), 2**31, (2, N)).astype(np.int32), bits, panels)
    shorts.combine(panels, bits, small, 255, keys)
    found = [samples, closest, hidden, spectra, products, kept, rounded, whole, panels, keys]
    for prime in primes:
        tables_of_windows = window_tables(prime)
        of_windows, part = np.empty(windows.spectra_shape(N, N), np.uint64), np.empty((3, N), np.uint64)
        windows.windows(tables_of_windows, rng.integers(0, prime, N, np.uint64), of_windows)
        windows.products(tables_of_windows, keys, of_windows, 0, part)
        found.append(part)
    return found


if __name__ == "__main__":
    main()
