"""Encryption parameters as a value object, checked against the tables of what is secure.

A table gives the largest modulus, in bits, that keeps 128 bits of security against classical computers, for a ternary
secret and an error of standard deviation 3.2. What today's attacks would take is estimated, not proved, and a quantum
computer would take less: for it, the guidelines of 2024 allow about three quarters of these bits.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal

import numpy as np

from he.ring.primes import is_prime, ntt_primes
from he.ring.scheme import Scheme
from intnn.values.value_object import ValueObject

Security = Literal["128", "128-2018", "insecure"]

#: The names of securities; whoever accepts one of them accepts those before it too.
SECURITIES: tuple[Security, ...] = ("128", "128-2018", "insecure")

#: The ring degrees N that are supported.
RING_DEGREES = (1024, 2048, 4096, 8192, 16384, 32768, 65536)

#: The largest total modulus in bits at 128-bit classical security (ternary secret), by security and ring degree N. The
#: table of 2018 ends at 32768. The limit for 65536 is the one of OpenFHE's table, which goes on as that of 2024 does.
MAX_MODULUS_BITS: dict[Security, dict[int, int]] = {
    "128": dict(zip(RING_DEGREES, (26, 53, 106, 214, 430, 868, 1747), strict=True)),
    "128-2018": dict(zip(RING_DEGREES[:-1], (27, 54, 109, 218, 438, 881), strict=True)),
}

#: The plaintext modulus of the exact path: the prime 2^16 + 1 is ≡ 1 mod 2N for N up to 32768, so slots exist.
PLAIN_MODULUS = 65537

MAX_PRIME_BITS = 60  # SEAL's limit for a prime of the modulus chain
MIN_PRIME_BITS = 20
MAX_PRIMES = 64  # SEAL's limit for the primes of a chain


class ParameterError(ValueError):
    """Parameters are malformed or insecure, or no supported parameter set fits a network."""


def require_security(security: object) -> None:
    """Check that a security has one of its names.

    Raises:
        ParameterError: if it has not.
    """
    if not isinstance(security, str) or security not in SECURITIES:
        raise ParameterError(f'`security` must be "128", "128-2018" or "insecure", got {security!r}')


def max_modulus_bits(N: int, security: Security) -> int | None:
    """Return the largest total modulus in bits that a security allows at ring degree N; None if it sets no limit.

    It is 0 for a ring that the security's table does not have.
    """
    return MAX_MODULUS_BITS[security].get(N, 0) if security in MAX_MODULUS_BITS else None


@dataclass(frozen=True)
class Parameters(ValueObject):
    """One parameter set of a scheme over Z_q[X]/(X^N + 1).

    Attributes:
        scheme: a `Scheme` or its name: `"bfv"` (exact integers mod `plain_modulus`) or `"ckks"` (approximate reals at
            scale `2**scale_bits`).
        poly_modulus_degree: N, a power of two from 1024 to 65536.
        coeff_modulus_bits: bit lengths of the primes of the modulus chain, 2 to 64 of them, from 20 to 60; the last one
            is the special prime, which only key switching uses, and the others carry data.
        plain_modulus: t for BFV, a prime of at most 60 bits with t ≡ 1 mod 2N, so that plaintexts have N slots; None
            for CKKS.
        scale_bits: log2 of the scale of a fresh CKKS ciphertext, from 10 to 60; None for BFV.
        security: `"128"` for 128 bits of classical security by today's table, that of Bossuat et al., *Security
            Guidelines for Implementing Homomorphic Encryption* (IACR ePrint 2024/463; ternary secret, classical);
            `"128-2018"` for the same line of Albrecht et al., *Homomorphic Encryption Standard* (2018, Table 1), whose
            moduli are up to 13 bits larger, for comparison with older tools; or `"insecure"` for tests.
        owners: how many parties hold the secret key, 1 or 2. That of two is the sum of a ternary secret of each, so
            that it is as secure as either one's alone; all that is encrypted under it is encrypted by the public key.

    Raises:
        ParameterError: if a field is malformed, there are too few primes of a size, or the modulus is larger than
            `security` allows.
    """

    scheme: Scheme
    poly_modulus_degree: int
    coeff_modulus_bits: tuple[int, ...]
    plain_modulus: int | None = None
    scale_bits: int | None = None
    security: Security = "128"
    owners: int = 1

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "scheme", Scheme(self.scheme))
        except ValueError as error:
            raise ParameterError(f'`scheme` must be "bfv" or "ckks", got {self.scheme!r}') from error
        require_security(self.security)
        if type(self.owners) is not int or self.owners not in (1, 2):
            raise ParameterError(f"`owners` must be 1 or 2, got {self.owners!r}")
        for name in ("poly_modulus_degree", "coeff_modulus_bits", "plain_modulus", "scale_bits"):
            object.__setattr__(self, name, _plain(getattr(self, name)))
        N, bits = self.poly_modulus_degree, self.coeff_modulus_bits
        if not isinstance(N, int) or N not in RING_DEGREES:
            raise ParameterError(f"`poly_modulus_degree` must be one of {[*RING_DEGREES]}, got {N!r}")
        sizes = isinstance(bits, tuple) and all(isinstance(b, int) for b in bits)
        if not (sizes and 2 <= len(bits) <= MAX_PRIMES and MIN_PRIME_BITS <= min(bits) <= max(bits) <= MAX_PRIME_BITS):
            raise ParameterError(
                f"`coeff_modulus_bits` must be two to {MAX_PRIMES} sizes from {MIN_PRIME_BITS} to {MAX_PRIME_BITS}, "
                f"got {bits!r:.80}"
            )
        limit = max_modulus_bits(N, self.security)
        if limit == 0:
            raise ParameterError(
                f'`security` must be one whose table has N={N}, got {self.security!r}; choose "128", or a smaller N'
            )
        if limit is not None and sum(bits) > limit:
            raise ParameterError(
                f"`coeff_modulus_bits` must sum to at most {limit} at N={N} for {_described(self.security)}, "
                f'got {sum(bits)}; choose a larger N, or pass security="insecure" for a test'
            )
        t, scale = self.plain_modulus, self.scale_bits
        if self.scheme.exact:
            if not isinstance(t, int) or t.bit_length() > MAX_PRIME_BITS or t % (2 * N) != 1 or not is_prime(t):
                raise ParameterError(
                    f"`plain_modulus` must be a prime ≡ 1 mod 2N={2 * N} of at most {MAX_PRIME_BITS} bits for BFV, got "
                    f"{t!r:.80}"
                )
            if scale is not None:
                raise ParameterError(f"`scale_bits` must be None for BFV, got {scale}")
        else:
            if not isinstance(scale, int) or not 10 <= scale <= MAX_PRIME_BITS:
                raise ParameterError(f"`scale_bits` must lie in [10, {MAX_PRIME_BITS}] for CKKS, got {scale!r}")
            if t is not None:
                raise ParameterError(f"`plain_modulus` must be None for CKKS, got {t}")
        try:
            _ = self.primes
        except ValueError as error:
            raise ParameterError(f"`coeff_modulus_bits` must leave enough primes, got {bits}: {error}") from error
        if t is not None and t >= self.primes[0]:
            raise ParameterError(f"`plain_modulus` must be below the first prime of the chain, got {t} and {bits}")

    @cached_property
    def primes(self) -> tuple[int, ...]:
        """The primes of the modulus chain, the special prime last."""
        return ntt_primes(self.coeff_modulus_bits, self.poly_modulus_degree)

    @property
    def data_primes(self) -> tuple[int, ...]:
        """The primes that carry data; a ciphertext at level l lives modulo the first l of them."""
        return self.primes[:-1]

    @property
    def levels(self) -> int:
        """The number of data primes, which is the level of a fresh ciphertext."""
        return len(self.coeff_modulus_bits) - 1

    def log2_modulus(self, level: int) -> float:
        """Return log2 of the data modulus at `level`."""
        return self._log2_moduli[level]

    @cached_property
    def _log2_moduli(self) -> tuple[float, ...]:
        return tuple(accumulate((math.log2(p) for p in self.primes), initial=0.0))

    @property
    def rows(self) -> int:
        """The number of rows of slots: 2 for BFV, 1 for CKKS. Rotations act within a row."""
        return self.scheme.rows

    @property
    def row_length(self) -> int:
        """The number of slots in a row: N/2 in both schemes."""
        return self.poly_modulus_degree // 2

    @property
    def slots(self) -> int:
        """The number of values that one ciphertext holds: N for BFV, N/2 for CKKS."""
        return self.rows * self.row_length

    @property
    def security_bits(self) -> int:
        """128 if the modulus is within the table of 2024, and 0 otherwise; values in between are not estimated."""
        return 128 if sum(self.coeff_modulus_bits) <= MAX_MODULUS_BITS["128"][self.poly_modulus_degree] else 0

    @property
    def input_scale(self) -> float:
        """The scale of a fresh ciphertext; 1 for BFV."""
        return 1.0 if self.scale_bits is None else 2.0**self.scale_bits

    @property
    def t(self) -> int:
        """The plaintext modulus of BFV.

        Raises:
            TypeError: for CKKS, which has none.
        """
        if self.plain_modulus is None:
            raise TypeError("CKKS has no plaintext modulus")
        return self.plain_modulus

    def galois_element(self, step: int) -> int:
        """Return the exponent g of the automorphism X -> X^g that rotates every row `step` slots to the left."""
        return pow(3, step % self.row_length, 2 * self.poly_modulus_degree)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types; `Parameters.from_dict` is the inverse."""
        fields = {**asdict(self), "scheme": self.scheme.value}
        if self.owners == 1:  # as most have
            del fields["owners"]
        return fields

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> Parameters:
        """Return the parameters that `to_dict` wrote.

        Raises:
            ParameterError: if a field is missing, unknown or invalid.
        """
        try:
            return Parameters(**{**fields, "coeff_modulus_bits": tuple(fields["coeff_modulus_bits"])})
        except (TypeError, KeyError) as error:
            raise ParameterError(f"parameters must have the fields of `Parameters`, got {fields!r}") from error

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all fields in hexadecimal digits: equal parameters have equal digests."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def __str__(self) -> str:
        chain = " + ".join(map(str, self.coeff_modulus_bits))
        extra = f"t = {self.plain_modulus}" if self.scheme.exact else f"scale 2^{self.scale_bits}"
        security = _described(self.security) + (", a key of two owners" if self.owners == 2 else "")
        return f"{self.scheme.upper()}, N={self.poly_modulus_degree}, log q = {chain}, {extra}, {security}"


def _described(security: Security) -> str:
    """Return a security in words."""
    return {
        "128": "128-bit classical security",
        "128-2018": "128-bit classical security by the table of 2018",
        "insecure": "insecure",
    }[security]


def _plain(value: Any) -> Any:
    """Return integers, also in lists and arrays, as Python's own in tuples; anything else as it is, to be refused."""
    if isinstance(value, tuple | list | np.ndarray) and np.ndim(value) == 1:
        return tuple(map(_plain, value))
    return int(value) if isinstance(value, np.integer) else value
