"""What a session adds to its answers, so that they tell whoever decrypts them the logits and nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from he.circuit.interface import Interface
from he.formats import compact, switching
from he.formats.compact import Form
from he.formats.seal_bytes import CiphertextArray
from he.kernels.passes import evaluate as kernels
from he.kernels.tables.chain import chain
from he.parties.flood import flood, residues
from intnn.values.value_object import Unstorable

_ERROR_BITS = 21  # an error is the number of ones among these less that among as many others, as SEAL draws it


class Rerandomiser(Unstorable, instead="bind the keys again with `PreparedCircuit.session`"):
    """Adds an encryption of zero and a flood of noise to answers.

    *Against a client that made its keys as it should*: given the logits, the two polynomials of an answer follow the
    same distribution for all networks, up to the statistical distance that the circuit was compiled for
    (`he.readers.flooding`), and as far as ring learning with errors is hard: the second polynomial gets a u + e, which
    hides it from whoever does not know u, and the noise that u and e cause is flooded with that of the evaluation.
    A lane without an image holds the logits of one; units past the logits hold 0, or what the last activation makes of
    it.

    *Against a client that made up its encryption of zero*: nothing; such a client may undo what is added but the flood.

    It follows the evaluation, whatever engine that is, and a noise is drawn from the system's generator for every
    answer.

    Args:
        interface: the interface of a circuit that was compiled for it.
        zero: the client's encryption of zero, as it travels (`he.formats.switching`).

    Raises:
        SealDataError: if the bytes are none.
    """

    def __init__(self, interface: Interface, zero: bytes | memoryview) -> None:
        parameters, level = interface.parameters, interface.output_level
        self._interface, self._N = interface, parameters.poly_modulus_degree
        self._form = Form.result(parameters, level, interface.output_scale)
        self._primes = np.array(self._form.primes, np.uint64)[:, None]
        self._tables = chain(self._N, self._form.primes).tables
        self._zero = switching.read_zero(zero, parameters, level)

    def __call__(self, answers: Sequence[bytes]) -> list[bytes]:
        """Return other ciphertexts of the same logits, as they travel."""
        return [self._again(answer) for answer in answers]

    def _again(self, answer: bytes) -> bytes:
        added, errors = (
            self._multiplied(_ternary(self._N)),
            np.stack([flood(self._interface), residues(_errors(self._N), self._primes)]),
        )
        for row, prime in np.ndindex(errors.shape[:2]):  # to the form in which answers travel
            if self._form.ntt:
                kernels.forward(self._tables, errors[row, prime], prime)
            else:
                kernels.inverse(self._tables, added[row, prime], prime)
        read = compact.read(answer, self._form).residues
        total = (read + added + errors) % self._primes
        return compact.write(CiphertextArray(total, self._form.ntt, self._form.scale), self._form)

    def _multiplied(self, factor: np.ndarray) -> np.ndarray:
        """Return the encryption of zero times small integers, uint64 [2, level, N] in transformed form."""
        factors = np.zeros_like(self._zero)
        factors[0] = residues(factor, self._primes)
        for prime, row in enumerate(factors[0]):
            kernels.forward(self._tables, row, prime)
        result = np.empty((3, *self._zero.shape[1:]), np.uint64)
        kernels.multiply(self._tables, self._zero, factors, 0, result)
        return result[:2]


def _ternary(N: int) -> np.ndarray:
    """Return int64 [N], uniform on -1, 0 and 1."""
    drawn = np.frombuffer(os.urandom(2 * N), np.uint8)
    return drawn[drawn < 255][:N].astype(np.int64) % 3 - 1  # 255 is 3 times 85; half of the bytes are never refused


def _errors(N: int) -> np.ndarray:
    """Return int64 [N] of a centred binomial distribution."""
    bits = np.unpackbits(np.frombuffer(os.urandom(6 * N), np.uint8)).reshape(N, -1).astype(np.int64)
    return bits[:, :_ERROR_BITS].sum(axis=1) - bits[:, _ERROR_BITS : 2 * _ERROR_BITS].sum(axis=1)
