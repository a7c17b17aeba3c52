"""The definition of the lattice scheme's kernels in plain Python integers. Polynomials are lists of coefficients."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import prod

from he.kernels import reference

Polynomial = list[int]


def base_sample(word: int, thresholds: Sequence[int], further: Callable[[], int]) -> int:
    """One sample of the base law from a uniform word below 2^64, and another one where it does not decide.

    Args:
        word: The lowest bit is the sign; the upper 58 bits are the upper ones of a number of 122 bits.
        thresholds: The magnitude is the number of thresholds, of 122 bits, above that number.
        further: Gives the lower 64 bits of the number if its upper bits are those of a threshold.
    """
    upper = word >> 6
    lower = further() if any(threshold >> 64 == upper for threshold in thresholds) else 0
    magnitude = sum(upper << 64 | lower < threshold for threshold in thresholds)
    return -magnitude if word & 1 else magnitude


def gaussian_sums(
    uniform: Sequence[Sequence[int]],
    thresholds: Sequence[int],
    multipliers: Sequence[int],
    further: Callable[[], int],
) -> Polynomial:
    """Sum multiples of base samples, one row of words for every multiplier."""
    return [
        sum(c * base_sample(word, thresholds, further) for c, word in zip(multipliers, column, strict=True))
        for column in zip(*uniform, strict=True)
    ]


def encrypted(
    factor: Sequence[int], r: Sequence[int], errors: Sequence[int], message: Sequence[int], scale: int, modulus: int
) -> Polynomial:
    """The first coefficients of factor r + errors + scale message modulo q, as many as there are errors."""
    product = reference.product(factor, r)
    padded = [*message, *[0] * (len(errors) - len(message))]
    return [(c + e + scale * x) % modulus for c, e, x in zip(product, errors, padded, strict=False)]


def dropped(x: Sequence[int], modulus: int, prime: int) -> Polynomial:
    """Coefficients modulo q divided by one of its primes and rounded, halves up: modulo q / prime."""
    return [c % (modulus // prime) for c in reference.divided(x, prime)]


def decrypted(
    y: Sequence[int], rows: Sequence[Sequence[int]], mask: Sequence[int], key: Sequence[int], modulus: int, results: int
) -> list[tuple[int, Fraction]]:
    """Inner products at the first coefficients, as many as rows have, each with its distance from the grid in steps.

    Args:
        y: The vector of the key.
        rows: The first coefficients of c_1 .. c_l modulo q.
        mask: c_0, all its coefficients.
        key: k_y.
        modulus: q.
        results: K.
    """
    masks = reference.product(mask, key)
    found = []
    for k, column in enumerate(zip(*rows, strict=True)):
        value = Fraction((sum(a * b for a, b in zip(y, column, strict=True)) - masks[k]) % modulus * results, modulus)
        nearest = round(value)
        found.append((reference.centred(nearest, results), abs(value - nearest)))
    return found


def residues(x: Sequence[int], primes: Sequence[int]) -> list[Polynomial]:
    """Coefficients modulo every prime."""
    return [[c % p for c in x] for p in primes]


def composed(rows: Sequence[Sequence[int]], primes: Sequence[int]) -> Polynomial:
    """The coefficients modulo the product of the primes that have these residues (Chinese remainders)."""
    q = prod(primes)
    parts = [q // p * pow(q // p, -1, p) for p in primes]
    return [sum(c * part for c, part in zip(column, parts, strict=True)) % q for column in zip(*rows, strict=True)]
