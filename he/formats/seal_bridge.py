"""The only bridge to SEAL, through TenSEAL's binding `tenseal.sealapi`: contexts, and objects as bytes.

SEAL reads and writes files only. Where the system has them, anonymous in-memory files stand in, so that nothing touches
a disk.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import tenseal.sealapi as sealapi

from he.ring.params import ParameterError, Parameters, max_modulus_bits


class Saveable(Protocol):
    """What SEAL can write."""

    def save(self, path: str) -> None:
        """Write to a file."""


class Loadable(Protocol):
    """What SEAL can read."""

    def load(self, context: Any, path: str) -> None:
        """Read from a file and check against the context."""


L = TypeVar("L", bound=Loadable)


class SealDataError(ValueError):
    """Bytes that SEAL does not accept as what they should be."""


def create_context(parameters: Parameters) -> Any:
    """Make SEAL's context for a parameter set.

    SEAL checks the modulus too, by its own table, which is the one of 2018, unless that has no such ring or the set is
    named insecure.

    Raises:
        ParameterError: if SEAL refuses the set.
    """
    scheme = sealapi.SCHEME_TYPE.BFV if parameters.scheme.exact else sealapi.SCHEME_TYPE.CKKS
    checked = parameters.security != "insecure" and max_modulus_bits(parameters.poly_modulus_degree, "128-2018")
    level = sealapi.SEC_LEVEL_TYPE.TC128 if checked else sealapi.SEC_LEVEL_TYPE.NONE
    fields = sealapi.EncryptionParameters(scheme)
    fields.set_poly_modulus_degree(parameters.poly_modulus_degree)
    chain = sealapi.CoeffModulus.Create(parameters.poly_modulus_degree, list(parameters.coeff_modulus_bits))
    assert tuple(prime.value() for prime in chain) == parameters.primes, "SEAL chose other primes"
    fields.set_coeff_modulus(chain)
    if parameters.plain_modulus is not None:
        fields.set_plain_modulus(parameters.plain_modulus)
    context = sealapi.SEALContext(fields, True, level)
    if not context.parameters_set():
        raise ParameterError(f"SEAL refuses {parameters}: {context.parameters_error_message()}")
    return context


def level_ids(context: Any, parameters: Parameters) -> dict[int, Any]:
    """List for every level, a number of data primes, the identifier that SEAL gives to its parameters."""
    ids: dict[int, Any] = {}
    data = context.first_context_data()
    for level in range(parameters.levels, 0, -1):
        ids[level] = data.parms_id()
        data = data.next_context_data()
    return ids


def to_bytes(thing: Saveable) -> bytes:
    """Write SEAL's serialisation of a key or ciphertext.

    Raises:
        OSError: if there is no room for it; SEAL writes to files alone, here of memory where the system has such.
    """
    with _file() as path:
        try:
            thing.save(path)
        except RuntimeError as error:  # all that it says is "I/O error"
            raise OSError(f"SEAL cannot write: {error}; make room, or permit larger files (ulimit -f)") from error
        return Path(path).read_bytes()


def from_bytes(thing: L, context: Any, data: bytes) -> L:
    """Read `data` into an empty SEAL object, which checks it against the context.

    Raises:
        SealDataError: if SEAL finds the bytes truncated, malformed or made for other parameters.
    """
    with _file() as path:
        Path(path).write_bytes(data)
        try:
            thing.load(context, path)
        except (RuntimeError, ValueError, IndexError) as error:
            name = type(thing).__name__
            raise SealDataError(f"the bytes are no valid {name} for these parameters: {error}") from error
    return thing


def seal_version() -> str:
    """Return the version of SEAL that TenSEAL carries, as far as SEAL tells it: major and minor, such as `"4.1"`."""
    data = to_bytes(sealapi.Plaintext("1"))  # magic number, size of the header, major and minor version
    return f"{data[3]}.{data[4]}"


@contextlib.contextmanager
def _file() -> Iterator[str]:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("seal")
        try:
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield str(Path(folder) / "seal")
