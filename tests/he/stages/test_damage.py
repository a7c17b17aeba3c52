"""What is cut short, wrong or refused, and a disk that is full: the stages leave everything as it was."""

import errno
import itertools
import os
import shutil
import stat
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from he import Client, DecryptionError, InputError, KeyFileError, MessageError, Policy, PolicyError, StoredError
from he.formats.keys import held
from he.formats.messages import Kind, open_message, seal_message
from he.parties.ciphers import Ciphers
from he.stages import client, folders, server
from he.stages.model import read_model
from he.testing import inputs
from tests.he.stages.exchange import NETWORK, POLICY, tree


@pytest.mark.parametrize(
    ("file", "run"),
    [
        ("secret_key/state", "decrypt"),
        ("secret_key/key", "decrypt"),
        ("ciphertexts_download/00001", "decrypt"),
        ("public_keys/keys", "evaluate"),
        ("ciphertexts_upload/00001", "evaluate"),
    ],
)
def test_truncated_files(model, exchange, file, run):
    path = exchange / file
    path.write_bytes(path.read_bytes()[:-9])
    before = tree(exchange)
    stages = {
        "decrypt": lambda: client.decrypt(exchange, model, exchange / "logits.npy", POLICY),
        "evaluate": lambda: server.evaluate(exchange, model, 1, again=True),
    }
    with pytest.raises((MessageError, KeyFileError)):
        stages[run]()
    assert tree(exchange) == before


@pytest.mark.parametrize("length", [100, 1 << 43])
@pytest.mark.parametrize(("folder", "run"), [("ciphertexts_download", "decrypt"), ("ciphertexts_upload", "evaluate")])
def test_what_the_other_party_wrote_is_read_as_far_as_it_may_reach(model, exchange, folder, run, length):
    """A file of 8 TiB, of which the disk holds nothing."""
    with (exchange / folder / "00001").open("r+b") as file:
        file.truncate(length)
    before = tree(exchange / "secret_key")
    runs = {
        "decrypt": lambda: client.decrypt(exchange, model, exchange / "logits.npy", POLICY),
        "evaluate": lambda: server.evaluate(exchange, model, 1, again=True),
    }
    with pytest.raises(MessageError):
        runs[run]()
    assert tree(exchange / "secret_key") == before


def test_a_request_has_one_answer_where_another_is_damaged(model, exchange, monkeypatch):
    """A server that tries many answers to the first request, and spoils the second to have none of them count."""
    opened = []
    monkeypatch.setattr(Ciphers, "decrypt", lambda *arguments: opened.append(arguments))
    second = exchange / "ciphertexts_download/00001"
    second.write_bytes(second.read_bytes()[:-9])
    with pytest.raises(MessageError):
        client.decrypt(exchange, model, exchange / "logits.npy", POLICY)
    assert not opened


def test_what_changes_while_it_is_decrypted_counts(model, exchange, monkeypatch):
    second, decrypt = exchange / "ciphertexts_download/00001", Client.decrypt

    def changing(self, response, request):
        logits = decrypt(self, response, request)
        second.write_bytes(b"another")
        return logits

    monkeypatch.setattr(Client, "decrypt", changing)
    with pytest.raises(MessageError):
        client.decrypt(exchange, model, exchange / "logits.npy", POLICY)
    state, parts = open_message(Kind.CLIENT, (exchange / "secret_key/state").read_bytes())
    assert (state["answers"], len(parts)) == (1, 1)


@pytest.mark.parametrize("file", ["offer", "prepared/0.prepared"])
def test_truncated_models(model, exchange, tmp_path, file):
    broken = Path(shutil.copytree(model, tmp_path / "broken"))
    (broken / file).write_bytes((broken / file).read_bytes()[:-9])
    with pytest.raises((MessageError, StoredError)):
        server.load_prepared(broken, read_model(broken), 0)


@pytest.mark.parametrize("wrong", ["shape", "range", "text", "pickle", "none"])
def test_images_that_are_none(model, exchange, wrong):
    path, before = exchange / "images.npy", tree(exchange / "ciphertexts_upload")
    images = inputs(NETWORK, 6)
    if wrong == "shape":
        np.save(path, images[:, :4])
    elif wrong == "range":
        np.save(path, images + 1000)
    elif wrong == "text":
        path.write_text("no array")
    elif wrong == "pickle":
        np.save(path, np.array([object()]), allow_pickle=True)
    else:
        np.save(path, images[:0])
    with pytest.raises(InputError):
        client.encrypt(exchange, model, path, POLICY, again=True)
    assert tree(exchange / "ciphertexts_upload") == before


@pytest.mark.parametrize("stage", ["encrypt", "decrypt"])
def test_one_stage_at_a_time_uses_a_key(model, exchange, tmp_path, stage):
    before, run = (
        tree(exchange),
        {
            "encrypt": partial(client.encrypt, exchange, model, exchange / "images.npy", POLICY, again=True),
            "decrypt": partial(client.decrypt, exchange, model, tmp_path / "logits.npy", POLICY),
        }[stage],
    )
    with held(exchange / "secret_key" / "key"), pytest.raises(KeyFileError, match="is in use"):
        run()
    assert tree(exchange) == before


def test_refused_answers_are_counted_and_the_key_ends_with_its_files(model, exchange):
    """A server that answers with what decrypts to nothing."""
    policy = Policy(security="insecure", most_refusals=2)
    answer = exchange / "ciphertexts_download/00000"
    for refusals in (1, 2):
        fields, (part,) = open_message(Kind.RESPONSE, answer.read_bytes())
        half = len(part) // 2
        answer.write_bytes(seal_message(Kind.RESPONSE, fields, [bytes(half) + bytes(part[half:])]))
        with pytest.raises(DecryptionError):
            client.decrypt(exchange, model, exchange / "logits.npy", policy)
        assert not (exchange / "logits.npy").exists()
        if refusals == 1:
            state, _ = open_message(Kind.CLIENT, (exchange / "secret_key/state").read_bytes())
            assert (state["answers"], state["refusals"]) == (1, 1)
            client.encrypt(exchange, model, exchange / "images.npy", policy, again=True)
            server.evaluate(exchange, model, 1)
    assert not (exchange / "secret_key").exists()


def test_what_a_policy_does_not_accept(model, tmp_path):
    with pytest.raises(PolicyError, match="security"):
        client.keygen(tmp_path / "io", model)
    assert not (tmp_path / "io/secret_key").exists()


@pytest.mark.parametrize("stage", ["keygen", "encrypt", "evaluate", "decrypt", "prepare"])
def test_a_full_disk_leaves_everything_as_it_was(model, exchange, tmp_path, monkeypatch, stage):
    own = Path(shutil.copytree(model, tmp_path / "own"))
    before, left = tree(tmp_path), [0]

    def full(descriptor):
        left[0] -= not stat.S_ISDIR(os.fstat(descriptor).st_mode)
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    runs = {
        "keygen": lambda: client.keygen(tmp_path / "new", own, 6, POLICY),
        "encrypt": lambda: client.encrypt(exchange, own, exchange / "images.npy", POLICY, again=True),
        "evaluate": lambda: server.evaluate(exchange, own, 1, again=True),
        "decrypt": lambda: client.decrypt(exchange, own, exchange / "logits.npy", POLICY),
        "prepare": lambda: server.prepare(own, 1, again=True),
    }
    monkeypatch.setattr(os, "fsync", full)
    stops = 0
    for room in range(5):
        left[0] = room
        with suppress(OSError):
            runs[stage]()
            break
        stops += 1
        assert {path: data for path, data in tree(tmp_path).items() if path.name != "logits.npy"} == before
        assert not list(tmp_path.rglob(".*"))
    assert 0 < stops < 5


def once_only(rename):
    """A disk that has no room for the second of all names."""
    calls = itertools.count()

    def renamed(path, target):
        if next(calls) == 1:
            raise OSError(errno.ENOSPC, "full")
        return rename(path, target)

    return renamed


def test_a_folder_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    def half():
        with folders.new_folder(tmp_path / "new") as draft:
            (draft / "file").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert not list(tmp_path.iterdir())
    with folders.new_folder(tmp_path / "new") as draft:
        (draft / "file").write_text("whole")
        assert not (tmp_path / "new").exists()

    def whole():
        with folders.new_folder(tmp_path / "new", replace=True) as draft:
            (draft / "other").write_text("whole")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", once_only(Path.rename))
        with pytest.raises(OSError, match="full"):
            whole()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
    whole()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["other"]
