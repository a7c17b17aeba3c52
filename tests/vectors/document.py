"""A reader of every format that knows nothing but `docs/formats.md`: no line of the packages is used."""

import hashlib
import json
import struct
import unicodedata
from itertools import count
from math import isqrt, prod
from pathlib import Path

import numpy as np
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

FOLDER = Path(__file__).parent / "formats"
ENCRYPTED = Path(__file__).parent / "encrypted_network"
OWNERS = Path(__file__).parent / "two_owners"
PASSWORD = "a password of vectors"  # of nothing that is secret


def sha256(data):
    return hashlib.sha256(data).digest()


def digest(data):
    """In which messages and stored arrays end."""
    return blake3(data).digest()


def message(name, letter):
    """Header without `parts`, and parts."""
    return opened((FOLDER / name).read_bytes(), letter)


def opened(data, letter):
    """The same, of a message that lies anywhere."""
    assert data[-32:] == digest(data[:-32])
    magic, kind, length = struct.unpack_from(">6s1sI", data)
    assert (magic, kind) == (b"HEINF3", letter)
    header, at, parts = json.loads(data[11 : 11 + length]), 11 + length, []
    for number, size in header.pop("parts"):
        for _ in range(number):
            parts.append(data[at : at + size])
            at += size
    assert at == len(data) - 32
    return header, parts


def is_prime(n):
    return all(pow(a, n - 1, n) == 1 for a in (2, 3, 5, 7, 11, 13))


def primes_of(parameters):
    """By lengths: the k largest that are 1 modulo 2N, the smallest first."""
    sizes, N, found = parameters["coeff_modulus_bits"], parameters["poly_modulus_degree"], {}
    for bits in set(sizes):
        below = range((1 << bits) // (2 * N) * (2 * N) + 1, 0, -2 * N)
        candidates = (p for p in below if p.bit_length() == bits and is_prime(p))
        found[bits] = [next(candidates) for _ in range(sizes.count(bits))]
    return [found[bits].pop() for bits in sizes]


def unpacked(data, primes, N):
    """Polynomials modulo all primes, and what is left of the bytes."""
    rows = []
    for p in primes:
        width = p.bit_length() if p.bit_length() <= 56 else 64
        number, size = int.from_bytes(data[: N * width // 8], "little"), N * width // 8
        rows.append([number >> (width * j) & ((1 << width) - 1) for j in range(N)])
        assert max(rows[-1]) < p
        data = data[size:]
    return rows, data


INITIAL = [isqrt(p << 128) % 2**64 for p in (2, 3, 5, 7, 11, 13, 17, 19)]
ORDERS = (
    "0123456789abcdef",
    "ea489fd61c02b753",
    "b8c052fdae367194",
    "7931dcbe265a40f8",
    "905724afe1bc683d",
    "2c6a0b834d75fe19",
    "c51fed4a0763928b",
    "db7ec13950f4862a",
    "6fe9b308c2d714a5",
    "a2847615fb9e3cd0",
)


def blake2b(parameters, block, length):
    """RFC 7693 for one block, with the words of a parameter block that `hashlib` does not take (depth 0)."""
    mask, state = (1 << 64) - 1, [word ^ parameter for word, parameter in zip(INITIAL, parameters, strict=True)]
    m, v = struct.unpack("<16Q", block.ljust(128, b"\0")), [*state, *INITIAL]
    v[12] ^= length
    v[14] ^= mask

    def mix(a, b, c, d, x, y):
        for word, first, second in ((x, 32, 24), (y, 16, 63)):
            v[a] = (v[a] + v[b] + word) & mask
            v[d] ^= v[a]
            v[d] = (v[d] >> first | v[d] << (64 - first)) & mask
            v[c] = (v[c] + v[d]) & mask
            v[b] ^= v[c]
            v[b] = (v[b] >> second | v[b] << (64 - second)) & mask

    for order in (*ORDERS, *ORDERS[:2]):
        o = [m[int(digit, 16)] for digit in order]
        for n in range(4):
            mix(n, 4 + n, 8 + n, 12 + n, o[2 * n], o[2 * n + 1])
        for n in range(4):
            mix(n, 4 + (n + 1) % 4, 8 + (n + 2) % 4, 12 + (n + 3) % 4, o[8 + 2 * n], o[9 + 2 * n])
    return [state[i] ^ v[i] ^ v[8 + i] for i in range(8)]


def drawn(seed):
    """The words that a seed gives, without an end."""
    for counter in count():
        root = hashlib.blake2b(counter.to_bytes(8, "little"), key=seed, node_offset=4096 << 32).digest()
        for node in range(64):
            yield from blake2b([64 | 64 << 32, node | 4096 << 32, 64 << 8, 0, 0, 0, 0, 0], root, 64)


def expanded(seed, primes, N):
    """The polynomial that a seed names."""
    words = drawn(seed)
    rows = [[next(words) for _ in range(N)] for _ in primes]
    for row, p in zip(rows, primes, strict=True):
        for j in range(N):
            while row[j] >= 2**64 - 2 - (2**64 - 1) % p:
                row[j] = next(words)
            row[j] %= p
    return rows


def root_of_unity(N, p):
    """The least primitive 2N-th one."""
    psi = next(r for r in (pow(g, (p - 1) // (2 * N), p) for g in range(2, p)) if pow(r, N, p) == p - 1)
    return min(pow(psi, odd, p) for odd in range(1, 2 * N, 2))


def reversal(N):
    bits = N.bit_length() - 1
    return [int(f"{i:0{bits}b}"[::-1], 2) for i in range(N)]


def transform(x, root, p):
    """The values of a polynomial at all powers of a root of unity, in order."""
    if len(x) == 1:
        return x
    half, power = len(x) // 2, 1
    even, odd = (transform(x[start::2], root * root % p, p) for start in (0, 1))
    out = [0] * len(x)
    for k in range(half):
        out[k], out[k + half] = (even[k] + power * odd[k]) % p, (even[k] - power * odd[k]) % p
        power = power * root % p
    return out


def twisted(x, root, p):
    return [a * pow(root, j, p) % p for j, a in enumerate(x)]


def evaluated(a, p):
    """The values of a polynomial at psi, psi^3, psi^5, ..."""
    psi = root_of_unity(len(a), p)
    return transform(twisted(a, psi, p), psi * psi % p, p)


def transformed(a, p):
    values = evaluated(a, p)
    return [values[r] for r in reversal(len(a))]


def coefficients(values, p):
    """What `transformed` is the inverse of."""
    N, psi = len(values), pow(root_of_unity(len(values), p), -1, p)
    sums = transform([values[r] for r in reversal(N)], psi * psi % p, p)
    return [a * pow(N, -1, p) % p for a in twisted(sums, psi, p)]


def decrypted(c0, c1, secret, primes, t):
    """The slots of a BFV ciphertext in coefficients, both rows: t numbers each within (-t/2, t/2)."""
    N, q = len(c0[0]), prod(primes)
    rows = []
    for j, p in enumerate(primes):
        values = [x * y % p for x, y in zip(transformed(c1[j], p), secret[j], strict=True)]
        rows.append([(a + b) % p for a, b in zip(c0[j], coefficients(values, p), strict=True)])
    units = [q // p * pow(q // p, -1, p) for p in primes]
    m = [sum(u * row[i] for u, row in zip(units, rows, strict=True)) % q for i in range(N)]
    plain = [(2 * t * x + q) // (2 * q) % t for x in m]
    values, slots = evaluated(plain, t), []
    for sign in (1, -1):
        slots.append([values[(sign * pow(3, j, 2 * N) % (2 * N) - 1) // 2] for j in range(N // 2)])
    return np.array([[x - t if x > t // 2 else x for x in row] for row in slots])


def key_file(folder=FOLDER, name="secret.key"):
    """Fields, and residues of the secret [primes][N]."""
    data = (folder / name).read_bytes()
    assert data[-32:] == sha256(data[:-32])
    magic, version, length = struct.unpack_from(">5sBI", data)
    assert (magic, version) == (b"HEKEY", 1)
    head = data[: 10 + length]
    header = json.loads(head[10:])
    password = unicodedata.normalize("NFC", PASSWORD).encode()
    cost = header["scrypt"]
    salt, nonce = bytes.fromhex(header["salt"]), bytes.fromhex(header["nonce"])
    key = Scrypt(salt=salt, length=32, n=1 << cost["log2_n"], r=8, p=cost["p"]).derive(password)
    content = AESGCM(key).decrypt(nonce, data[len(head) : -32], head)
    N = header["fields"]["parameters"]["poly_modulus_degree"]
    words = struct.unpack(f"<{len(content) // 8}Q", content)
    return header["fields"], [list(words[i : i + N]) for i in range(0, len(words), N)]


def stored(name, folder=FOLDER):
    """Kind, content, and arrays."""
    data = (folder / name).read_bytes()
    assert data[-32:] == digest(data[:-32])
    magic, version, length = struct.unpack_from("<6s2xIQ", data)
    assert (magic, version, (20 + length) % 64) == (b"HECIRC", 3, 0)
    header, arrays = json.loads(data[20 : 20 + length]), {}
    for name, kind, shape, place in header["arrays"]:
        assert place % 64 == 0
        arrays[name] = np.frombuffer(data, np.dtype(kind).newbyteorder("<"), prod(shape), 20 + length + place).reshape(
            shape
        )
    return header["kind"], header["content"], arrays


def circuit_digest(fields, tables):
    return sha256(json.dumps(fields, sort_keys=True).encode() + b"".join(tables)).hex()
