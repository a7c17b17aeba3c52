"""Ciphertexts and keys as arrays of residues: SEAL 4's serialisation, read and written.

What SEAL makes in this process is read here, and what it is given is written here: no byte of another party is SEAL's
to read. A file is a header of 16 bytes (magic, its own size, version, compression, reserved, total size) and a body,
compressed or not. Everything is checked before it is used, and nothing larger than the parameters allow is
decompressed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard

from he.formats.seal_bridge import SealDataError
from he.ring.packed import SEED_BYTES
from he.ring.params import Parameters

_HEADER = struct.Struct("<HBBBBHQ")
_CIPHERTEXT = struct.Struct("<4Q?QQQdQ")
_PLAINTEXT = struct.Struct("<4QQd")  # a secret key is one
_KEYS = struct.Struct("<4QQ")
_MAGIC, _VERSION = 0xA15E, (4, 3)
_NONE, _ZSTD = 0, 2
_BLAKE2XB = 1

LevelIds = Mapping[int, Any]  # from a number of data primes to SEAL's identifier, four words


@dataclass(frozen=True, eq=False)
class CiphertextArray:
    """A ciphertext's polynomials.

    Attributes:
        residues: the polynomials, uint64 [size, level, N], below their primes.
        ntt: whether they are in transformed form.
        scale: the scale of CKKS; 1 for BFV.
        seed: uint64 [8], a seed that names another polynomial behind these, or None.
    """

    residues: np.ndarray
    ntt: bool
    scale: float
    seed: np.ndarray | None = None


def read_ciphertext(data: bytes, parameters: Parameters, ids: LevelIds) -> CiphertextArray:
    """Parse a ciphertext of two or three polynomials; a seed stays one.

    Args:
        data: SEAL's serialisation, compressed or not.
        parameters: the parameters whose primes it has.
        ids: SEAL's identifiers of the levels that it may have; one prime more than the data primes is the special one.

    Raises:
        SealDataError: naming what is not as it should be.
    """
    limit = _CIPHERTEXT.size + _HEADER.size + 8 + 3 * 8 * len(parameters.primes) * parameters.poly_modulus_degree
    body = _body(data, limit)
    result, end = _read_ciphertext(body, 0, parameters, ids, parameters.primes)
    require(end == len(body), f"{len(body) - end} bytes follow the ciphertext")
    return result


def expanded(ciphertext: CiphertextArray, primes: tuple[int, ...]) -> CiphertextArray:
    """Replace a seed, if there is one, by the polynomial that it names modulo these primes."""
    if ciphertext.seed is None:
        return ciphertext
    from he.kernels.passes.expand import uniform  # who reads results alone needs no kernels

    _, level, N = ciphertext.residues.shape
    whole = np.empty((2, level, N), np.uint64)
    whole[0] = ciphertext.residues[0]
    uniform(ciphertext.seed, np.array(primes, np.int64), whole[1])
    return CiphertextArray(whole, ciphertext.ntt, ciphertext.scale)


def read_keys(data: bytes, parameters: Parameters, key_id: Any) -> dict[int, list[CiphertextArray]]:
    """Parse relinearisation or Galois keys; seeds stay seeds.

    Args:
        data: SEAL's serialisation, compressed or not.
        parameters: the parameters whose primes all keys have.
        key_id: SEAL's identifier of the parameters with the special prime.

    Returns:
        By index (0 for relinearisation; (g - 1) / 2 for the automorphism g) the digits of every key, in transformed
        form and as many as there are data primes.

    Raises:
        SealDataError: naming what is not as it should be.
    """
    N, levels = parameters.poly_modulus_degree, parameters.levels
    one = _HEADER.size + _CIPHERTEXT.size + _HEADER.size + 8 + 16 * (levels + 1) * N
    body = _body(data, _KEYS.size + 8 * N + N * levels * one)
    require(len(body) >= _KEYS.size, "the keys are shorter than their header")
    *parms_id, count = _KEYS.unpack_from(body)
    require(tuple(parms_id) == tuple(key_id), "the keys must be for these parameters, got others")
    require(count <= N, f"there must be at most {N} keys, got {count}")
    keys: dict[int, list[CiphertextArray]] = {}
    index, at = 0, _KEYS.size
    while index < count:
        lengths = np.frombuffer(body, "<u8", min(count - index, (len(body) - at) // 8), at)
        absent = int(next(iter(np.flatnonzero(lengths)), len(lengths)))  # keys that are not there, often thousands
        index, at = index + absent, at + 8 * absent
        if index == count:
            break
        require(len(body) >= at + 8, "the keys are truncated")
        (digits,) = struct.unpack_from("<Q", body, at)
        at += 8
        require(digits in (0, levels), f"a key must have {levels} digits, got {digits}")
        for _ in range(digits):
            inner, start = _header(body, at)
            part, end = _read_ciphertext(body, start, parameters, {levels + 1: key_id}, parameters.primes)
            require(end == at + inner and part.ntt, "every digit of a key must be two transformed polynomials")
            keys.setdefault(index, []).append(part)
            at = end
        index += 1
    require(at == len(body), f"{len(body) - at} bytes follow the keys")
    return keys


def write_keys(keys: Mapping[int, Sequence[CiphertextArray]], parameters: Parameters, key_id: Any) -> bytes:
    """Write SEAL's serialisation of keys, uncompressed; see `read_keys`."""
    parts = [_KEYS.pack(*key_id, 1 + max(keys, default=-1))]
    for index in range(1 + max(keys, default=-1)):
        digits = keys.get(index, ())
        parts.append(struct.pack("<Q", len(digits)))
        parts += [write_ciphertext(digit, {parameters.levels + 1: key_id}) for digit in digits]
    return _sealed(b"".join(parts))


def read_secret(data: bytes, parameters: Parameters, key_id: Any) -> np.ndarray:
    """Parse a secret key.

    Args:
        data: SEAL's serialisation, compressed or not.
        parameters: the parameters whose primes the key has, the special one included.
        key_id: SEAL's identifier of the parameters with the special prime.

    Returns:
        uint64 [primes, N], in transformed form.

    Raises:
        SealDataError: naming what is not as it should be.
    """
    count = len(parameters.primes) * parameters.poly_modulus_degree
    expected = _PLAINTEXT.size + _HEADER.size + 8 + 8 * count
    body = _body(data, expected)
    require(len(body) == expected, f"the secret key must have {expected} bytes, got {len(body)}")
    *parms_id, coefficients, scale = _PLAINTEXT.unpack_from(body)
    require(tuple(parms_id) == tuple(key_id), "the secret key must be for these parameters, and is for others")
    total, start = _header(body, _PLAINTEXT.size)
    (held,) = struct.unpack_from("<Q", body, start)
    sound = (coefficients, held, scale, total) == (count, count, 1.0, expected - _PLAINTEXT.size)
    require(sound, f"the secret key must hold {count} residues at scale 1, got {held} at {scale}")
    residues = np.frombuffer(body, "<u8", count, start + 8).reshape(-1, parameters.poly_modulus_degree)
    _require_residues(residues, parameters.primes)
    _require_secret(residues, parameters.primes)
    return residues.astype(np.uint64)


def _require_secret(residues: np.ndarray, primes: tuple[int, ...]) -> None:
    """Check the number of coefficients that are not 0, which is the sum of their squares: -1, 0 and 1 are as likely.

    The sum of f(w) f(1 / w) over all N roots w is N times the sum of the squares of f's coefficients. In SEAL's order
    1 / w is as far from the end as w is from the beginning.
    """
    N = residues.shape[1]
    counts = {int(row @ row[::-1]) * pow(N, -1, p) % p for row, p in zip(residues.astype(object), primes, strict=True)}
    usual = len(counts) == 1 and 3 * N <= 6 * min(counts) <= 5 * N  # 2 N / 3, and 11 deviations or more on either side
    require(usual, "it must be a secret, of coefficients -1, 0 and 1, the same modulo every prime")


def write_secret(residues: np.ndarray, key_id: Any) -> bytes:
    """Write SEAL's serialisation of a secret key, uncompressed; see `read_secret`."""
    head = _PLAINTEXT.pack(*key_id, residues.size, 1.0)
    data = np.ascontiguousarray(residues, "<u8").tobytes()
    return _sealed(head + _sealed(struct.pack("<Q", residues.size) + data))


def write_ciphertext(ciphertext: CiphertextArray, ids: LevelIds) -> bytes:
    """Write SEAL's serialisation of a ciphertext, uncompressed."""
    size, level, N = ciphertext.residues.shape
    data, seed = np.ascontiguousarray(ciphertext.residues, "<u8").tobytes(), b""
    if ciphertext.seed is not None:
        size += 1
        seed = _sealed(bytes([_BLAKE2XB]) + ciphertext.seed.astype("<u8").tobytes())
    head = _CIPHERTEXT.pack(*ids[level], ciphertext.ntt, size, N, level, ciphertext.scale, 1)
    return _sealed(head + _sealed(struct.pack("<Q", len(data) // 8) + data) + seed)


def _read_ciphertext(
    body: bytes, at: int, parameters: Parameters, ids: LevelIds, primes: tuple[int, ...]
) -> tuple[CiphertextArray, int]:
    require(len(body) >= at + _CIPHERTEXT.size, "the ciphertext is truncated")
    *parms_id, ntt, size, N, level, scale, correction = _CIPHERTEXT.unpack_from(body, at)
    degree = parameters.poly_modulus_degree
    require(degree == N, f"its ring degree must be {degree}, got {N}")
    require(size in (2, 3), f"it must have two or three polynomials, got {size}")
    require(level in ids, f"it must have one of {sorted(ids)} primes, got {level}")
    require(tuple(parms_id) == tuple(ids[level]), "its parameters must be those of the circuit, got others")
    require(correction == 1, f"its correction factor must be 1, got {correction}")
    require(0 < scale < float("inf"), f"its scale must be positive and finite, got {scale}")
    total, start = _header(body, at + _CIPHERTEXT.size)
    words = size * level * N
    require(len(body) >= start + 8, "its residues are truncated")
    (held,) = struct.unpack_from("<Q", body, start)
    is_seeded = size == 2 and held == words // 2  # the second polynomial is named by its seed
    require(held == words or is_seeded, f"it must hold {words} residues, or half of them and a seed, got {held}")
    end = start + 8 + 8 * held
    require(total == _HEADER.size + 8 + 8 * held and len(body) >= end, "its residues are truncated")
    residues = np.frombuffer(body, "<u8", held, start + 8).reshape(-1, level, N)
    _require_residues(residues, primes[:level])
    seed = None
    if is_seeded:
        seed, end = _read_seed(body, end)
    return CiphertextArray(residues, bool(ntt), scale, seed), end


def _read_seed(body: bytes, at: int) -> tuple[np.ndarray, int]:
    """Read the seed uint64 [8] of SEAL's default generator; tell where it ends."""
    total, start = _header(body, at)
    end = start + 1 + SEED_BYTES
    require(total == end - at and len(body) >= end, "its seed is truncated")
    require(body[start] == _BLAKE2XB, f"its seed must be of generator {_BLAKE2XB} (BLAKE2Xb), got {body[start]}")
    return np.frombuffer(body, "<u8", SEED_BYTES // 8, start + 1).astype(np.uint64), end


def _require_residues(residues: np.ndarray, primes: tuple[int, ...]) -> None:
    limits = np.array(primes, np.uint64)
    require(bool((residues < limits[:, None]).all()), "its residues must be below their primes")


def _body(data: bytes, limit: int) -> bytes:
    """Decompress what follows the outer header, if it is at most ``limit`` bytes."""
    total, start = _header(data, 0)
    require(total == len(data), f"its header states {total} bytes, got {len(data)}")
    compression = data[5]
    if compression == _NONE:
        require(len(data) - start <= limit, f"it must have at most {limit} bytes")
        return data[start:]
    require(compression == _ZSTD, f"its compression must be none or zstd, got {compression}")
    frame = data[start:]
    try:
        declared = zstandard.frame_content_size(frame)
        require(declared <= limit, f"it must have at most {limit} bytes, got {declared}")
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=limit)
    except zstandard.ZstdError as error:
        raise SealDataError(f"the bytes cannot be decompressed: {error}") from error


def _header(data: bytes, at: int) -> tuple[int, int]:
    """Read the size that a header states, its own included; tell where the header ends."""
    require(len(data) >= at + _HEADER.size, "a header is truncated")
    magic, size, major, minor, _, _, total = _HEADER.unpack_from(data, at)
    require(magic == _MAGIC and size == _HEADER.size, "a header must begin as SEAL's do")
    require((major, minor) == _VERSION or major == _VERSION[0], f"SEAL's version must be 4, got {major}.{minor}")
    return total, at + _HEADER.size


def _sealed(body: bytes) -> bytes:
    return _HEADER.pack(_MAGIC, _HEADER.size, *_VERSION, _NONE, 0, _HEADER.size + len(body)) + body


def require(condition: bool, problem: str) -> None:
    """Raise `SealDataError`, naming the problem, unless the condition holds."""
    if not condition:
        raise SealDataError(f"the bytes are no valid serialisation: {problem}")
