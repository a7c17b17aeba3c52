"""The definition of the kernels in plain Python integers. Polynomials are lists of N coefficients."""

from collections.abc import Sequence
from math import prod

from he.kernels.tables.roots import least_root
from he.ring.slots import bit_reversal

Polynomial = list[int]


def forward(x: Sequence[int], prime: int) -> Polynomial:
    """The values at the odd powers of the least root psi: entry i at psi**(2 bitreverse(i) + 1)."""
    N, psi = len(x), least_root(len(x), prime)
    return [sum(a * pow(psi, (2 * r + 1) * j, prime) for j, a in enumerate(x)) % prime for r in bit_reversal(N)]


def inverse(values: Sequence[int], prime: int) -> Polynomial:
    """The polynomial with these values."""
    N, psi = len(values), least_root(len(values), prime)
    order, scale = bit_reversal(N), pow(N, -1, prime)
    return [
        scale * sum(v * pow(psi, -(2 * r + 1) * j, prime) for v, r in zip(values, order, strict=True)) % prime
        for j in range(N)
    ]


def product(a: Sequence[int], b: Sequence[int]) -> Polynomial:
    """Modulo X**N + 1, over the integers."""
    N = len(a)
    result = [0] * N
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            place, sign = (i + j, 1) if i + j < N else (i + j - N, -1)
            result[place] += sign * x * y
    return result


def automorphism(a: Sequence[int], element: int) -> Polynomial:
    """a(X**element) modulo X**N + 1."""
    N = len(a)
    result = [0] * N
    for j, x in enumerate(a):
        place = j * element % (2 * N)
        result[place % N] += x if place < N else -x
    return result


def centred(x: int, modulus: int) -> int:
    """The representative in [-(modulus // 2), modulus - modulus // 2)."""
    return (x + modulus // 2) % modulus - modulus // 2


def divided(x: Sequence[int], divisor: int) -> Polynomial:
    """Divide by an integer, every coefficient rounded to the nearest integer, halves up."""
    return [(a + divisor // 2) // divisor for a in x]


def switched(digits: Sequence[Sequence[int]], key: Sequence[Sequence[int]], modulus: int, special: int) -> Polynomial:
    """One polynomial of a key switch: the sum of products of digits and keys modulo ``modulus`` special, divided."""
    total = [sum(terms) for terms in zip(*(product(d, k) for d, k in zip(digits, key, strict=True)), strict=True)]
    return [a % modulus for a in divided([x % (modulus * special) for x in total], special)]


def scaled_product(a: Sequence[int], b: Sequence[int], plain_modulus: int, primes: Sequence[int]) -> Polynomial:
    """round(t a b / q) modulo q for centred a and b: what a product of BFV ciphertexts is made of."""
    q = prod(primes)
    x, y = ([centred(v, q) for v in polynomial] for polynomial in (a, b))
    return [(2 * plain_modulus * v + q) // (2 * q) % q for v in product(x, y)]
