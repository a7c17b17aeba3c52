"""A partial decryption: what the model owner adds to an answer so that the data owner can open it.

With an answer (c_0, c_1) under s = s_1 + s_2, the model owner's part is d = c_1 s_2 + f, and f a flood. Then (c_0 + d,
c_1) is the same answer under s_1 alone, with more noise: the data owner decrypts it like any other. Its own part, c_1
s_1, stays with it, and so needs no flood.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from he.circuit.interface import Interface
from he.formats import polynomials
from he.formats.messages import Kind, MessageError, open_message, require_fields, require_match, seal_message
from he.formats.seal_bridge import SealDataError
from he.ring.params import Parameters


def part_bytes(interface: Interface) -> int:
    """Count the bytes of the polynomials of a partial decryption."""
    return interface.ciphertexts * polynomials.row_bytes(*_form(interface))


def sealed_part(interface: Interface, key: str, request: str, answer: str, parts: Sequence[np.ndarray]) -> bytes:
    """Return a partial decryption as a message.

    Args:
        interface: the circuit's public part.
        key: the name of the evaluation keys.
        request: the name of the request.
        answer: the name of the answer.
        parts: the polynomial for every ciphertext, uint64 [level, N].
    """
    primes, _ = _form(interface)
    fields = {"circuit": interface.digest, "key": key, "request": request, "answer": answer}
    return seal_message(Kind.PARTIAL_DECRYPTION, fields, [polynomials.write(part, primes) for part in parts])


def opened_part(message: bytes, interface: Interface, key: str, answer: str) -> list[np.ndarray]:
    """Read a partial decryption of an answer.

    Raises:
        MessageError: if it is damaged, foreign, or of another answer.
    """
    fields, parts = open_message(Kind.PARTIAL_DECRYPTION, message, part_bytes(interface))
    require_fields(fields, "circuit", "key", "request", "answer")
    require_match(fields, "circuit", interface.digest, "circuit or parameter set")
    require_match(fields, "key", key, "key")
    require_match(fields, "answer", answer, "answer: a part opens the answer alone for which it was made")
    if len(parts) != interface.ciphertexts:
        raise MessageError(f"a partial decryption must have {interface.ciphertexts} polynomial(s), got {len(parts)}")
    try:
        return [polynomials.read(part, *_form(interface)) for part in parts]
    except SealDataError as error:
        raise MessageError(f"the partial decryption is malformed: {error}") from error


def _form(interface: Interface) -> tuple[tuple[int, ...], int]:
    """Return the primes of an answer, and N."""
    parameters: Parameters = interface.parameters
    return parameters.primes[: interface.output_level], parameters.poly_modulus_degree
