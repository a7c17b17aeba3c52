"""Encrypted operands as the fast engine computes with them: read once for all requests under their key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from he.engines.rns.encoder import Encoder, ExactEncoder
from he.formats import compact
from he.formats.compact import Form
from he.formats.seal_bytes import require
from he.formats.switching import transform_rows
from he.kernels.passes.product import extend_polynomial, scaling
from he.kernels.tables.factors import Factors
from he.program.operations import Plain
from he.program.program import Program


@dataclass(frozen=True, eq=False)
class Operands:
    """The encrypted operands of one program under one key.

    Attributes:
        factors: both polynomials of every operand of a sum of products, [2], modulo all primes of `product_primes`.
        addends: every operand that is added, uint64 [2, level, N] in transformed form.
    """

    factors: Mapping[Plain, Factors] = field(default_factory=dict)
    addends: Mapping[Plain, np.ndarray] = field(default_factory=dict)

    @staticmethod
    def read(program: Program, encoder: Encoder, ciphertexts: Sequence[bytes | memoryview]) -> Operands:
        """Read the ciphertexts of `Program.encrypted`, in that order.

        Raises:
            SealDataError: if there are not so many, one has another length, or a residue is not below its prime.
        """
        operands = program.encrypted
        require(
            len(ciphertexts) == len(operands),
            f"the network must be {len(operands)} ciphertexts, got {len(ciphertexts)}",
        )
        multiplied = program.encrypted_factors
        factors, addends = dict[Plain, Factors](), dict[Plain, np.ndarray]()
        for plain, data in zip(operands, ciphertexts, strict=True):
            form = Form.operand(encoder.parameters, plain.level, plain.scale)
            residues = compact.read(data, form).residues
            if not form.ntt:
                transform_rows(residues, form.primes)
            if plain in multiplied:
                factors[plain] = encoder.factors(_lifted(encoder, residues), encoder.product_primes(plain.level))
            else:
                addends[plain] = residues
        return Operands(factors, addends)


def arrived(encoder: Encoder, data: bytes | memoryview | np.ndarray) -> np.ndarray:
    """Return the residues of an input, uint64 [2, levels, N]: a fresh ciphertext, or slots in the clear.

    Raises:
        SealDataError: if it is no fresh ciphertext.
    """
    if isinstance(data, np.ndarray):
        return encoder.in_the_clear(data)
    return compact.read(data, Form.fresh(encoder.parameters)).residues


def _lifted(encoder: Encoder, residues: np.ndarray) -> np.ndarray:
    """Return a ciphertext uint64 [2, level, N] modulo all primes of products: in BFV, auxiliary ones too."""
    if not isinstance(encoder, ExactEncoder):
        return residues
    parameters, level = encoder.parameters, residues.shape[1]
    up = scaling(parameters.primes[:level], encoder.auxiliary[: level + encoder.more], parameters.t).up
    whole = np.empty((2, len(encoder.product_primes(level)), residues.shape[2]), np.uint64)
    whole[:, :level] = residues
    for c in range(2):
        extend_polynomial(encoder.tables, up, residues[c], len(parameters.primes), whole[c, level:])
    return whole
