"""The CUDA kernels on residues beside those of the CPU: are they bit-equal, and what is to be timed?

The same checks run in Numba's simulator and on a GPU.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import cuda

from he.engines.rns.threads import Workers
from he.kernels.cuda import evaluate as cuda_evaluate
from he.kernels.cuda import product as cuda_product
from he.kernels.cuda import transform as cuda_transform
from he.kernels.passes import evaluate, product, switching
from he.kernels.tables.chain import Chain, chain
from he.kernels.tables.factors import Factors
from he.ring.params import PLAIN_MODULUS
from he.ring.primes import ntt_primes
from he.ring.slots import automorphism

BITS = (50, 40, 30, 50)  # the special prime last
DeviceArray = cuda_transform.DeviceArray


@dataclass(frozen=True)
class Operands:
    """Random residues in a ring of degree N, of ``count`` ciphertexts."""

    N: int
    count: int

    @cached_property
    def primes(self) -> tuple[int, ...]:
        """The primes of the ciphertexts, the special prime last."""
        return ntt_primes(BITS, self.N)

    @cached_property
    def auxiliary(self) -> tuple[int, ...]:
        """The further primes that a BFV product needs."""
        return product.auxiliary_primes(self.N, self.primes, PLAIN_MODULUS)

    @cached_property
    def chain(self) -> Chain:
        """The chain of all these primes."""
        return chain(self.N, (*self.primes, *self.auxiliary))

    @cached_property
    def tables(self) -> cuda_transform.DeviceTables:
        """The tables of the chain, on the device."""
        return cuda_transform.device_tables(self.chain)

    @property
    def special(self) -> int:
        """The index of the special prime, which is the number of the others."""
        return len(BITS) - 1

    def random(self, *shape: int, seed: int = 0) -> np.ndarray:
        """Residues, uint64 [*shape, N], a row for each prime; each row holds the least and the largest residue."""
        moduli = np.array(self.chain.primes[: shape[-1]], np.uint64)[:, None]
        result = np.random.default_rng(seed).integers(0, 1 << 63, (*shape, self.N), dtype=np.uint64) % moduli
        result[..., 0], result[..., 1] = 0, moduli[:, 0] - np.uint64(1)
        return result


def device(*shape: int) -> DeviceArray:
    """An array of uint64 on the device, filled with a number that is no residue."""
    return cuda.to_device(np.full(shape, (1 << 64) - 1, np.uint64))


def checks(N: int, count: int) -> Iterator[tuple[str, Callable[[], bool]]]:
    """The checks with their names; each says whether the device and the CPU agree in every bit."""
    operands = Operands(N, count)
    for check in (_transforms, _products, _plain_products, _key_switch, _division, _automorphism, _bfv_products):
        yield f"residues:{check.__name__.replace('_', ' ')}, N = {N}", lambda check=check: check(operands)  # type: ignore[misc]


def _transforms(o: Operands) -> bool:
    x = o.random(o.count, len(BITS))
    y, rows = cuda.to_device(x), cuda_evaluate.all_rows(o.count, len(BITS), 0)
    cuda_transform.forward(o.tables, y, y, rows)
    expected = x.copy()
    for polynomial in expected:
        for j, row in enumerate(polynomial):
            evaluate.forward(o.chain.tables, row, j)
    equal = np.array_equal(y.copy_to_host(), expected)
    cuda_transform.inverse(o.tables, y, y, rows)
    return equal and np.array_equal(y.copy_to_host(), x)


def _products(o: Operands) -> bool:
    x, y = (o.random(o.count, 2, o.special, seed=seed) for seed in range(2))
    out, total = device(o.count, 3, o.special, o.N), device(o.count, 3, o.special, o.N)
    a, b = cuda.to_device(x), cuda.to_device(y)
    cuda_evaluate.multiply(o.tables, a, b, 0, out)
    cuda_evaluate.add(o.tables, out, b, total)
    products, sums = np.empty((2, *out.shape), np.uint64)
    for n in range(o.count):
        evaluate.multiply(o.chain.tables, x[n], y[n], 0, products[n])
        evaluate.add_rows(o.chain.tables, products[n, :2], y[n], y.shape[2] - 1, sums[n, :2])
    sums[:, 2] = products[:, 2]
    return np.array_equal(out.copy_to_host(), products) and np.array_equal(total.copy_to_host(), sums)


def _plain_products(o: Operands) -> bool:
    terms = 2 * evaluate.MAX_TERMS + 3  # more than the CPU adds before it reduces them
    x, plaintexts = o.random(terms, 2, o.special), o.random(terms, o.special, seed=1)
    x[:, :, :, 2], plaintexts[..., 2] = x[:, :, :, 1], plaintexts[..., 1]  # the largest products
    out = device(2, o.special, o.N)
    cuda_evaluate.plain_products(o.tables, cuda.to_device(x), cuda.to_device(plaintexts), out)
    expected = np.empty(out.shape, np.uint64)
    addresses, factors = np.array([array.ctypes.data for array in x]), Factors.packed(plaintexts, o.primes[: o.special])
    evaluate.plain_products(o.chain.tables, addresses, factors.addresses, np.arange(expected.shape[1]), expected)
    return np.array_equal(out.copy_to_host(), expected)


def _key_switch(o: Operands) -> bool:
    """Switch keys at two levels, with one key."""
    key = o.random(o.special, 2, len(BITS), seed=1)
    return all(_switched(o, key, level) for level in (o.special, o.special - 1))


def _switched(o: Operands, key: np.ndarray, level: int) -> bool:
    x = o.random(o.count, 3, level)
    digits, sums = device(o.count, level + 1, level, o.N), device(o.count, 2, level + 1, o.N)
    out = device(o.count, 2, level, o.N)
    cuda_evaluate.decompose(o.tables, cuda.to_device(x), 2, o.special, digits)
    cuda_evaluate.switch_key(o.tables, digits, cuda.to_device(key), o.special, sums, out)
    expected = np.empty(out.shape, np.uint64), np.empty(digits.shape, np.uint64)
    factors, centred, arrays = Factors.packed(key, o.primes), np.empty(x[0, 2].shape, np.uint64), o.chain.tables
    products = np.empty((2, level + 1, o.N), np.uint64)
    for n in range(o.count):
        switching.to_centred(arrays, x[n, 2], centred, 0, level)
        switching.decompose(arrays, x[n, 2], centred, o.special, True, expected[1][n], 0, level + 1)
        switching.switch(arrays, x[n, 2], centred, factors.addresses, o.special, products, 0, level + 1)
        switching.mod_down(arrays, products, o.special, expected[0][n], 0, 2)
    return all(np.array_equal(y.copy_to_host(), z) for y, z in zip((out, digits), expected, strict=True))


def _division(o: Operands) -> bool:
    """Divide by the special prime, and by the last of the others."""
    return all(_divided(o, rows) for rows in (o.special + 1, o.special))


def _divided(o: Operands, rows: int) -> bool:
    x = o.random(o.count, rows)
    out, expected = device(o.count, rows - 1, o.N), np.empty((o.count, rows - 1, o.N), np.uint64)
    cuda_evaluate.mod_down(o.tables, cuda.to_device(x), rows - 1, out)
    for n in range(o.count):
        switching.mod_down(o.chain.tables, x[n : n + 1], rows - 1, expected[n : n + 1], 0, 1)
    return np.array_equal(out.copy_to_host(), expected)


def _automorphism(o: Operands) -> bool:
    x, order = o.random(o.count, 2, o.special), automorphism(o.N, 2 * o.N - 1)
    out = device(*x.shape)
    cuda_evaluate.permute(cuda.to_device(x), cuda.to_device(order), out)
    return np.array_equal(out.copy_to_host(), x[..., order.astype(np.int64)])


def _bfv_products(o: Operands) -> bool:
    """Compare a product and a square, one level below the top."""
    level = o.special - 1
    x, y = (o.random(o.count, 2, level, seed=seed) for seed in range(2))
    numbers = o.primes[:level], o.auxiliary[: level + 1], PLAIN_MODULUS
    memory, out = cuda_product.memory(o.count, level, o.N), device(o.count, 3, level, o.N)
    a, b = cuda.to_device(x), cuda.to_device(y)
    expected = np.empty(out.shape, np.uint64)
    equal = []
    for other, right in ((b, y), (a, x)):
        cuda_product.scaled_product(o.tables, cuda_product.device_scaling(*numbers), a, other, len(BITS), memory, out)
        for n in range(o.count):
            product.scaled_product(
                o.chain.tables, product.scaling(*numbers), x[n], x[n] if right is x else right[n], len(BITS),
                expected[n], Workers(1).all,
            )  # fmt: skip
        equal.append(np.array_equal(out.copy_to_host(), expected))
    return all(equal)


def workloads(N: int, count: int) -> Iterator[tuple[str, Callable[[], object], Callable[[], object]]]:
    """What is timed: the name, the call on the GPU, and the call of the CPU's kernels in one thread."""
    o, level = Operands(N, count), len(BITS) - 1
    about = f"N = {N}, {level} primes and a special one, {count} ciphertexts"
    host, tables, arrays = o.random(count, 2, level), o.tables, o.chain.tables
    x, rows = cuda.to_device(host), cuda_evaluate.all_rows(2 * count, level, 0)

    def transforms() -> None:
        for polynomial in host.reshape(2 * count, level, N):
            for j, row in enumerate(polynomial):
                evaluate.forward(arrays, row, j)

    yield f"NTT, {about}", lambda: cuda_transform.forward(tables, x, x, rows), transforms

    key = o.random(level, 2, len(BITS), seed=1)
    product, digits = device(count, 3, level, N), device(count, level + 1, level, N)
    sums, out, device_key = device(count, 2, level + 1, N), device(count, 2, level, N), cuda.to_device(key)

    def gpu_product() -> None:
        cuda_evaluate.multiply(tables, x, x, 0, product)
        cuda_evaluate.decompose(tables, product, 2, o.special, digits)
        cuda_evaluate.switch_key(tables, digits, device_key, o.special, sums, out)
        cuda_evaluate.add(tables, product, out, out)

    shapes, factors = ((3, level, N), (level, N), (2, level + 1, N), (2, level, N)), Factors.packed(key, o.primes)
    host_product, centred, host_sums, host_out = (np.empty(shape, np.uint64) for shape in shapes)

    def cpu_product() -> None:
        for ciphertext in host:
            evaluate.multiply(arrays, ciphertext, ciphertext, 0, host_product)
            switching.to_centred(arrays, host_product[2], centred, 0, level)
            switching.switch(arrays, host_product[2], centred, factors.addresses, o.special, host_sums, 0, level + 1)
            switching.mod_down(arrays, host_sums, o.special, host_out, 0, 2)
            evaluate.add_rows(arrays, host_product[:2], host_out, host_out.shape[1] - 1, host_out)

    yield f"multiply, relinearise, {about}", gpu_product, cpu_product
