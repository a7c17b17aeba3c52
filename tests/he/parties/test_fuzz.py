"""A short run of the fuzzer, and whether it would find what it looks for."""

import random
import tempfile

import numpy as np
import pytest

from he.circuit.interface import Interface
from he.formats import compact, messages
from he.formats.messages import seal_message
from he.parties.client import Client
from tests.he import fuzz


@pytest.fixture(scope="module")
def subjects():
    return fuzz.everybody()


@pytest.mark.unwatched
@pytest.mark.parametrize("seed", range(4))
def test_mutated_messages_are_refused_or_right(subjects, seed):
    outcomes = fuzz.attack(subjects, 400, seed)
    assert outcomes.total() == 400
    for kind in ("INTERFACE", "REQUEST", "RESPONSE"):
        assert outcomes[f"{kind} refused"]
    assert outcomes["REQUEST accepted"]
    assert outcomes["RESPONSE accepted"]  # so that parsers and what follows them are reached


def test_owners_accept_what_the_other_one_sends(subjects):
    for owners in subjects[len(fuzz.NAMES) :]:
        for kind in fuzz.OF_OWNERS:
            fields, parts = owners.messages[kind]
            message = seal_message(kind, fields, parts)
            assert owners.take(kind, message, random.Random(0), is_altered=False)


def fails(error):
    def call(*_arguments, **_options):
        raise error

    return call


@pytest.mark.parametrize(
    ("place", "name", "error"),
    [
        (compact, "unpacked", MemoryError("many")),
        (compact, "unpacked", TypeError("no bytes")),
        (Interface, "from_dict", OverflowError("large")),
        (messages, "parsed", KeyError("circuit")),
        (Client, "_read", IndexError("short")),
    ],
)
def test_an_undeclared_error_is_a_finding(subjects, monkeypatch, tmp_path, place, name, error):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(place, name, fails(error))
    with pytest.raises(fuzz.FindingError, match=f"must be refused by a declared error, got {type(error).__name__}"):
        fuzz.attack(subjects, 400, 0)
    (path,) = tmp_path.iterdir()  # what was found is kept
    assert path.read_bytes()[:6] == b"HEINF3" or path.stat().st_size < 100


def test_a_wrong_answer_is_a_finding(subjects, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    honest = Client.decrypt
    monkeypatch.setattr(Client, "decrypt", lambda *all_, **options: honest(*all_, **options) + 9)
    with pytest.raises(
        fuzz.FindingError, match=r"(RESPONSE|DECRYPTION) must be refused by a declared error, got AssertionError"
    ):
        fuzz.attack(subjects, 400, 0)


def test_memory_beyond_the_limit_is_a_finding(subjects, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    honest = compact.unpacked

    def greedy(*arguments):
        return bool(np.empty(1 << 34, np.uint8).size) and honest(*arguments)  # more than was ever freed

    monkeypatch.setattr(compact, "unpacked", greedy)
    with pytest.raises(fuzz.FindingError, match=r"must be refused by a declared error, got .*MemoryError"):
        fuzz.attack(subjects, 400, 0)
