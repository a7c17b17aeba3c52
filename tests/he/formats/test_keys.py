"""A secret's file: what is stored comes back under its password, and nothing else comes back at all."""

import copy
import hashlib
import json
import os
import pickle
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.formats import keys
from he.formats.keys import Cost, KeyFileError, Protected, protect, read_private, reveal, write_private

CHEAP = Cost(14)
CONTENT = Protected({"id": "a", "numbers": [1, 2]}, b"\x01\xfe" * 100)
STORED = protect(CONTENT, "correct horse", CHEAP)
posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")


def sealed(head: bytes) -> bytes:
    """The stored file with another beginning of the same length or not, its digest made anew."""
    return head + hashlib.sha256(head).digest()


def with_header(**changes: object) -> bytes:
    body = STORED[:-32]
    length = int.from_bytes(body[6:10], "big")
    header = {**json.loads(body[10 : 10 + length]), **changes}
    raw = json.dumps(header, sort_keys=True).encode()
    return sealed(body[:6] + len(raw).to_bytes(4, "big") + raw + body[10 + length :])


@given(
    secret=st.binary(max_size=200),
    password=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20),
)
def test_what_is_protected_is_revealed(secret, password):
    content = Protected({"a": 1}, secret)
    stored = protect(content, password, CHEAP)
    assert reveal(stored, password) == content
    assert len(secret) < 8 or secret not in stored


def test_one_secret_is_never_stored_twice_alike():
    assert protect(CONTENT, "correct horse", CHEAP) != STORED


def test_a_letter_written_in_two_ways_is_one():
    assert reveal(protect(CONTENT, "caf\u00e9", CHEAP), "cafe\u0301") == CONTENT


@pytest.mark.parametrize("password", ["Correct horse", "correct horse ", "x"])
def test_a_wrong_password_is_told_from_damage(password):
    with pytest.raises(KeyFileError, match="the password is wrong, or somebody altered the key file"):
        reveal(STORED, password)


def test_an_empty_password_is_refused():
    for call in (lambda: protect(CONTENT, "", CHEAP), lambda: reveal(STORED, "")):
        with pytest.raises(KeyFileError, match="`password` must not be empty"):
            call()
    with pytest.raises(KeyFileError, match="hold no NUL"):  # or "a" and "a\0" would be one password
        protect(CONTENT, "correct horse\0", CHEAP)
    with pytest.raises(TypeError, match="`password` must be a string, got bytes"):
        protect(CONTENT, b"x", CHEAP)


@given(st.text(), st.characters(categories=["Cs"]), st.text())
def test_a_password_is_text_that_can_be_written(before, half, after):
    for call in (lambda p: protect(CONTENT, p, CHEAP), lambda p: reveal(STORED, p)):
        with pytest.raises(KeyFileError, match=r"`password` must (be text, and this one holds half|not .* no NUL)"):
            call(before + half + after)


def test_a_secret_is_stored_by_nothing_else():
    for keep in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="store it under a password with `protect`"):
            keep(CONTENT)


@given(place=st.integers(0, len(STORED) - 1), change=st.integers(1, 255))
def test_damage_of_any_byte_is_found(place, change):
    damaged = bytearray(STORED)
    damaged[place] ^= change
    expected = "holds no secret key" if place < 5 else "truncated or damaged: its digest does not match"
    with pytest.raises(KeyFileError, match=expected):
        reveal(bytes(damaged), "correct horse")


@given(place=st.integers(5, len(STORED) - 33), change=st.integers(1, 255))
def test_an_altered_file_is_refused_even_where_its_digest_was_made_anew(place, change):
    damaged = bytearray(STORED[:-32])
    damaged[place] ^= change
    with pytest.raises(KeyFileError, match=r"altered|version 1, got"):
        reveal(sealed(bytes(damaged)), "correct horse")


@given(length=st.integers(0, len(STORED) - 1))
def test_truncation_is_found(length):
    with pytest.raises(KeyFileError, match=r"holds no secret key|truncated or damaged"):
        reveal(STORED[:length], "correct horse")


@given(data=st.binary(max_size=300))
def test_foreign_bytes_are_refused(data):
    for foreign in (data, b"HEKEY" + data, sealed(b"HEKEY\x01" + data)):
        with pytest.raises(KeyFileError):
            reveal(foreign, "correct horse")


def test_another_version_is_named():
    with pytest.raises(KeyFileError, match="must be of version 1, got 2; read it with the version"):
        reveal(sealed(STORED[:5] + b"\x02" + STORED[6:-32]), "correct horse")
    with pytest.raises(KeyFileError, match="must be of version 1, got 2"):  # whatever digest it has
        reveal(STORED[:5] + b"\x02" + STORED[6:-7], "correct horse")


@pytest.mark.parametrize(
    "scrypt",
    [{"log2_n": 30, "p": 1}, {"log2_n": 19, "p": 1}, {"log2_n": 17, "p": 1 << 30}, {"log2_n": 1, "p": 1},
     {"log2_n": 14.0, "p": 1}, {"log2_n": True, "p": 1}, {"log2_n": 14}, {"log2_n": 14, "p": 1, "r": 1}, {}, None, 3],
)  # fmt: skip
def test_a_hostile_file_cannot_choose_its_cost(scrypt):
    # ... beyond the limits, within which every cost but the stored one derives another key
    with pytest.raises(KeyFileError, match="altered"):
        reveal(with_header(scrypt=scrypt), "correct horse")


@pytest.mark.parametrize("changes", [{"salt": "00"}, {"nonce": "zz"}, {"nonce": None}, {"fields": 3}, {"fields": {}}])
def test_a_malformed_or_altered_header_is_refused(changes):
    with pytest.raises(KeyFileError, match="altered"):
        reveal(with_header(**changes), "correct horse")


@pytest.mark.parametrize("length", [0, 1, len(STORED), 4000, 5000, 1 << 31])
def test_a_header_of_another_length_is_refused(length):
    with pytest.raises(KeyFileError, match="altered"):
        reveal(sealed(STORED[:6] + length.to_bytes(4, "big") + STORED[10:-32]), "correct horse")


@pytest.mark.parametrize(("log2_n", "p"), [(13, 1), (19, 1), (14.5, 1), (True, 1), (17, 0), (17, 5)])
def test_costs_have_limits(log2_n, p):
    with pytest.raises(ValueError, match=r"`(log2_n|p)` must be an integer from"):
        Cost(log2_n, p)


def test_neither_secrets_nor_passwords_are_printed():
    assert "\\xfe" not in repr(CONTENT)
    with pytest.raises(KeyFileError) as raised:
        reveal(STORED, "wrong horse")
    assert "horse" not in str(raised.value)


@posix
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o377])
def test_files_are_private_under_any_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_private(tmp_path / "key", b"one")
        write_private(tmp_path / "key", b"two")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert read_private(tmp_path / "key") == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["key"]


@posix
def test_files_are_private_from_their_first_moment(tmp_path, monkeypatch):
    modes = []
    opened = os.open

    def watched(*arguments):
        descriptor = opened(*arguments)
        if not stat.S_ISDIR((status := os.fstat(descriptor)).st_mode):
            modes.append(stat.S_IMODE(status.st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", watched)
    before = os.umask(0)
    try:
        write_private(tmp_path / "key", b"one")
    finally:
        os.umask(before)
    assert modes == [0o600]


@posix
def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    write_private(tmp_path / "key", b"one")

    def full(_descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_private(tmp_path / "key", b"two")
    assert [p.name for p in tmp_path.iterdir()] == ["key"]
    assert read_private(tmp_path / "key") == b"one"


@posix
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601, 0o660])
def test_a_file_that_others_may_read_is_refused(tmp_path, mode):
    write_private(tmp_path / "key", b"one")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(KeyFileError, match=rf"others may use .*key \(mode {mode:04o}\).*: chmod 600 .*key"):
        read_private(tmp_path / "key")


def test_a_file_that_is_too_large_is_neither_written_nor_read(tmp_path, monkeypatch):
    data = b"12345678901"
    monkeypatch.setattr(keys, "MAX_FILE_BYTES", 11)
    write_private(tmp_path / "key", data)
    assert read_private(tmp_path / "key") == data
    monkeypatch.setattr(keys, "MAX_FILE_BYTES", 10)
    for call in (lambda: write_private(tmp_path / "key", data), lambda: read_private(tmp_path / "key")):
        with pytest.raises(KeyFileError, match=r"the key file .*key must have at most 10 bytes, got 11"):
            call()
    with pytest.raises(OSError, match="No such file"):
        read_private(tmp_path / "none")


@posix
def test_what_is_no_file_is_refused():
    with pytest.raises(KeyFileError, match="regular file"):
        read_private(Path("/dev/null"))
