"""The definition of the kernels in plain Python integers. Polynomials are lists of N coefficients."""

from collections.abc import Sequence
from itertools import count
from math import prod

from he.ring.slots import bit_reversal

Polynomial = list[int]


def least_root(N: int, prime: int) -> int:
    """The least primitive 2N-th root of unity."""
    root = next(r for r in (pow(g, (prime - 1) // (2 * N), prime) for g in count(2)) if pow(r, N, prime) == prime - 1)
    return min(pow(root, odd, prime) for odd in range(1, 2 * N, 2))


def root_powers(N: int, prime: int) -> list[int]:
    """All 2N powers of the least root, from 1 on."""
    psi = least_root(N, prime)
    return [pow(psi, k, prime) for k in range(2 * N)]


def forward(x: Sequence[int], prime: int) -> Polynomial:
    """Evaluate x at the odd powers of the least root psi: entry i is its value at psi**(2 bitreverse(i) + 1)."""
    N, powers = len(x), root_powers(len(x), prime)
    return [sum(a * powers[(2 * r + 1) * j % (2 * N)] for j, a in enumerate(x)) % prime for r in bit_reversal(N)]


def inverse(values: Sequence[int], prime: int) -> Polynomial:
    """Find the polynomial whose values `forward` gives."""
    N, powers = len(values), root_powers(len(values), prime)
    order, scale = bit_reversal(N), pow(N, -1, prime)
    return [
        scale * sum(v * powers[-(2 * r + 1) * j % (2 * N)] for v, r in zip(values, order, strict=True)) % prime
        for j in range(N)
    ]


def product(a: Sequence[int], b: Sequence[int]) -> Polynomial:
    """Multiply two polynomials modulo X**N + 1, over the integers."""
    N = len(a)
    result = [0] * N
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            place, sign = (i + j, 1) if i + j < N else (i + j - N, -1)
            result[place] += sign * x * y
    return result


def automorphism(a: Sequence[int], element: int) -> Polynomial:
    """Replace X by X**element, modulo X**N + 1."""
    N = len(a)
    result = [0] * N
    for j, x in enumerate(a):
        place = j * element % (2 * N)
        result[place % N] += x if place < N else -x
    return result


def centred(x: int, modulus: int) -> int:
    """Find the representative of x in [-(modulus // 2), modulus - modulus // 2)."""
    return (x + modulus // 2) % modulus - modulus // 2


def divided(x: Sequence[int], divisor: int) -> Polynomial:
    """Divide by an integer; every coefficient is rounded to the nearest integer, and halves are rounded up."""
    return [(a + divisor // 2) // divisor for a in x]


def switched(digits: Sequence[Sequence[int]], key: Sequence[Sequence[int]], modulus: int, special: int) -> Polynomial:
    """Switch keys, for one polynomial: the sum of products of digits and keys modulo ``modulus`` special is divided."""
    total = [sum(terms) for terms in zip(*(product(d, k) for d, k in zip(digits, key, strict=True)), strict=True)]
    return [a % modulus for a in divided([x % (modulus * special) for x in total], special)]


def image(
    ciphertext: Sequence[Sequence[int]],
    key: Sequence[Sequence[Sequence[int]]],
    element: int,
    primes: Sequence[int],
    special: int,
) -> list[Polynomial]:
    """Apply an automorphism to a ciphertext: digits of the second polynomial times the key are added to the first.

    Args:
        ciphertext: Two polynomials modulo the product of the primes.
        key: Two polynomials for every digit, to which the inverse automorphism has been applied.
        element: The exponent of X.
        primes: The primes of the ciphertext.
        special: The special prime.
    """
    q, result = prod(primes), []
    digits = [[centred(a % p, p) for a in ciphertext[1]] for p in primes]
    for half, added in enumerate((ciphertext[0], [0] * len(ciphertext[0]))):
        products = [product(digit, pair[half]) for digit, pair in zip(digits, key, strict=True)]
        total = [special * a + sum(terms) for a, *terms in zip(added, *products, strict=True)]
        turned = [x % (q * special) for x in automorphism(total, element)]
        result.append([a % q for a in divided(turned, special)])
    return result


def scaled_product(a: Sequence[int], b: Sequence[int], plain_modulus: int, primes: Sequence[int]) -> Polynomial:
    """Compute round(t a b / q) modulo q for centred a and b: products of BFV ciphertexts are made of this."""
    q = prod(primes)
    x, y = ([centred(v, q) for v in polynomial] for polynomial in (a, b))
    return [(2 * plain_modulus * v + q) // (2 * q) % q for v in product(x, y)]


def absorbed(
    rest: list[list[int]], order: list[int], vector: Sequence[int], p: int
) -> tuple[list[list[int]], list[int]]:
    """Add a vector to a span modulo p in the form of `he.kernels.passes.span`, rows without their pivots' zeros.

    Args:
        rest: The rows, at the positions that are no pivots.
        order: All positions, pivots first.
        vector: Any integers, by their positions.
        p: The prime.
    """
    rank = len(rest)
    left = [
        (vector[at] - sum(vector[order[i]] * row[j] for i, row in enumerate(rest))) % p
        for j, at in enumerate(order[rank:])
    ]
    if not any(left):
        return rest, order
    pivot = next(j for j, a in enumerate(left) if a)
    scale = pow(left[pivot], -1, p)
    rows = [[a * scale % p for a in left]]
    rows = [[(a - row[pivot] * b) % p for a, b in zip(row, rows[0], strict=True)] for row in rest] + rows
    order = order.copy()
    order[rank], order[rank + pivot] = order[rank + pivot], order[rank]
    for row in rows:
        row[pivot] = row[0]
    return [row[1:] for row in rows], order


def combined(rows: Sequence[Sequence[int]], y: Sequence[Sequence[int]]) -> list[list[int]]:
    """The sums of multiples of rows, one for each vector of multipliers."""
    return [[sum(a * b for a, b in zip(key, column, strict=True)) for column in zip(*rows, strict=True)] for key in y]


def wrapped_products(words: Sequence[Sequence[int]], y: Sequence[Sequence[int]]) -> list[list[int]]:
    """Inner products of rows with vectors modulo 2^32, in [0, 2^32)."""
    return [[sum(a * b for a, b in zip(row, key, strict=True)) % 2**32 for key in y] for row in words]


def uncentred(
    products: Sequence[Sequence[int]], y: Sequence[Sequence[int]], magnitude: int, centre: int
) -> list[list[int]] | int:
    """The inner products <x, y> from <x - centre, y>; the first key if no x has its product.

    Args:
        products: One row for every x, with one product for every y.
        y: The vectors.
        magnitude: The largest magnitude of an element of x - centre.
        centre: What was subtracted from every element of x.
    """
    for k, key in enumerate(y):
        if any(abs(row[k]) > magnitude * sum(map(abs, key)) for row in products):
            return k
    return [[value + centre * sum(key) for value, key in zip(row, y, strict=True)] for row in products]


def unmasked(
    words: Sequence[Sequence[int]],
    y: Sequence[Sequence[int]],
    pads: Sequence[Sequence[int]],
    magnitude: int,
    centre: int,
) -> list[list[int]] | int:
    """The inner products <x, y> from words, x - centre plus pads modulo 2^32, and from the pads' products with y.

    Results and the other arguments are those of `uncentred`; products are taken modulo 2^32, of [-2^31, 2^31).
    """
    both = zip(wrapped_products(words, y), pads, strict=True)
    rows = [[(a - b + 2**31) % 2**32 - 2**31 for a, b in zip(*row, strict=True)] for row in both]
    return uncentred(rows, y, magnitude, centre)
