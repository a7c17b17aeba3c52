"""The definition of every kernel in plain Python integers."""

from collections.abc import Sequence

from he.kernels.roots import bit_reversal, least_root

Residues = list[int]


def forward(x: Sequence[int], N: int, prime: int) -> Residues:
    """The values of the polynomial at the odd powers of psi: entry i at psi**(2 bitreverse(i) + 1)."""
    psi = least_root(N, prime)
    return [sum(a * pow(psi, (2 * r + 1) * j, prime) for j, a in enumerate(x)) % prime for r in bit_reversal(N)]


def inverse(values: Sequence[int], N: int, prime: int) -> Residues:
    """The polynomial with these values."""
    psi, order = least_root(N, prime), bit_reversal(N)
    scale = pow(N, -1, prime)
    return [
        scale * sum(v * pow(psi, -(2 * r + 1) * j, prime) for v, r in zip(values, order, strict=True)) % prime
        for j in range(N)
    ]
