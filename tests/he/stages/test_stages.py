"""The stages by files alone: what they give, out of order, twice, mixed up, cut short, and on a full disk."""

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

from he import (
    Client,
    DecryptionError,
    Family,
    InputError,
    KeyFileError,
    MessageError,
    Policy,
    PolicyError,
    StoredError,
    compile_exact,
    compile_family,
)
from he.formats.keys import held
from he.formats.messages import Kind, open_message, seal_message
from he.parties.ciphers import Ciphers
from he.stages import client, folders, server
from he.stages.folders import StageError
from he.stages.model import read_model, save_model
from he.testing import inputs, square_graph, table_network

POLICY = Policy(security="insecure")
NETWORK, SALT = table_network(), bytes(range(32))


def tree(folder):
    """All files with their bytes."""
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model with a circuit for one image and one for four, prepared."""
    path = tmp_path_factory.mktemp("models") / "model"
    circuits = [compile_exact(NETWORK, images=images, security="insecure", salt=SALT) for images in (1, 4)]
    save_model(path, NETWORK, Family(tuple(circuits)))
    server.prepare(path, 1)
    return path


@pytest.fixture(scope="module")
def done(model, tmp_path_factory):
    """A folder in which six images have been answered, and not been decrypted."""
    folder = tmp_path_factory.mktemp("exchange") / "io"
    client.keygen(folder, model, 6, POLICY)
    np.save(folder / "images.npy", inputs(NETWORK, 6))
    assert client.encrypt(folder, model, folder / "images.npy", POLICY) == 2
    assert server.evaluate(folder, model, 1) == 2
    return folder


@pytest.fixture
def exchange(done, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(done, tmp_path / "io"))


def test_the_logits_are_the_network_s(model, exchange):
    logits = client.decrypt(exchange, model, exchange / "logits.npy", POLICY)
    assert np.array_equal(logits, NETWORK.logits(inputs(NETWORK, 6)))
    assert np.array_equal(np.load(exchange / "logits.npy"), logits)


@pytest.mark.parametrize("count", [1, 4, 9])
def test_another_number_of_images_and_text(model, exchange, count):
    images = inputs(NETWORK, count, seed=count)
    np.savetxt(exchange / "images.txt", images, fmt="%d")
    np.save(exchange / "images.npy", images)
    for _ in range(2):
        assert client.encrypt(exchange, model, exchange / "images.npy", POLICY, again=True) == -(-count // 4)
        server.evaluate(exchange, model, 1)
        client.decrypt(exchange, model, exchange / "logits.txt", POLICY)
        assert np.array_equal(np.loadtxt(exchange / "logits.txt", ndmin=2), NETWORK.logits(images))


def test_floats_are_prepared_and_text_is_floats(model, exchange):
    scale = read_model(model).interfaces[0].client_inputs[0].scale
    images = inputs(NETWORK, 3)
    np.savetxt(exchange / "images.txt", images / scale)
    client.encrypt(exchange, model, exchange / "images.txt", POLICY, again=True)
    server.evaluate(exchange, model, 1)
    assert np.array_equal(client.decrypt(exchange, model, exchange / "l.npy", POLICY), NETWORK.logits(images))


def test_what_is_the_client_s_alone_is_for_nobody_else(exchange):
    secret = exchange / "secret_key"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret.iterdir()} == {0o600}


def test_a_password_of_one_s_own(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HE_PASSWORD", "open sesame")
    client.keygen(tmp_path / "io", model, 1, POLICY)
    assert not (tmp_path / "io/secret_key/password").exists()
    np.save(tmp_path / "images.npy", inputs(NETWORK, 1))
    client.encrypt(tmp_path / "io", model, tmp_path / "images.npy", POLICY)
    monkeypatch.setenv("HE_PASSWORD", "wrong")
    with pytest.raises(KeyFileError, match="password"):
        client.encrypt(tmp_path / "io", model, tmp_path / "images.npy", POLICY, again=True)
    monkeypatch.delenv("HE_PASSWORD")
    with pytest.raises(StageError, match="password"):
        client.encrypt(tmp_path / "io", model, tmp_path / "images.npy", POLICY, again=True)


def test_keys_suit_the_number_of_images(model, tmp_path):
    offer = read_model(model)
    for count in (1, 100):
        client.keygen(tmp_path / f"{count}", model, count, POLICY)
        (digest,) = {open_message(Kind.CLIENT, (tmp_path / f"{count}/secret_key/state").read_bytes())[0]["circuit"]}
        assert digest == offer.interfaces[offer.plan(count).circuit].digest


# --- out of order, and twice


def test_every_stage_names_the_one_that_is_missing(model, tmp_path):
    folder, images = tmp_path / "io", tmp_path / "images.npy"
    np.save(images, inputs(NETWORK, 1))
    bare = tmp_path / "bare"
    shutil.copytree(model, bare, ignore=shutil.ignore_patterns("prepared"))
    with pytest.raises(StageError, match="stage `keygen`"):
        client.encrypt(folder, model, images, POLICY)
    client.keygen(folder, model, 1, POLICY)
    with pytest.raises(StageError, match="stage `encrypt`"):
        server.evaluate(folder, model)
    with pytest.raises(StageError, match="stage `evaluate`"):
        client.decrypt(folder, model, tmp_path / "logits.npy", POLICY)
    client.encrypt(folder, model, images, POLICY)
    with pytest.raises(StageError, match="stage `prepare`"):
        server.evaluate(folder, bare)
    with pytest.raises(StageError, match="offer"):
        client.keygen(tmp_path / "other", tmp_path, 1, POLICY)
    assert not (folder / "ciphertexts_download").exists()


def test_a_stage_is_run_once(model, exchange):
    before = tree(exchange)
    for again in (
        lambda: client.keygen(exchange, model, 1, POLICY),
        lambda: client.encrypt(exchange, model, exchange / "images.npy", POLICY),
        lambda: server.evaluate(exchange, model, 1),
        lambda: server.prepare(model),
    ):
        with pytest.raises(StageError, match="has been run"):
            again()
    assert tree(exchange) == before
    client.decrypt(exchange, model, exchange / "logits.npy", POLICY)
    with pytest.raises(StageError, match="decrypted once"):
        client.decrypt(exchange, model, exchange / "logits.npy", POLICY)


def test_answers_to_replaced_requests_are_not_accepted(model, exchange):
    old = exchange / "old"
    shutil.copytree(exchange / "ciphertexts_download", old)
    client.encrypt(exchange, model, exchange / "images.npy", POLICY, again=True)
    assert not (exchange / "ciphertexts_download").exists()
    old.rename(exchange / "ciphertexts_download")
    with pytest.raises(MessageError, match="first one to an open request"):
        client.decrypt(exchange, model, exchange / "logits.npy", POLICY)
    assert not (exchange / "logits.npy").exists()


# --- mixed up


def test_folders_of_another_model(exchange, tmp_path):
    other = tmp_path / "other"
    save_model(other, square_graph(), compile_family(square_graph(), (1,), security="insecure"))
    server.prepare(other, 1)
    before = tree(exchange)
    for mixed in (
        lambda: client.encrypt(exchange, other, exchange / "images.npy", POLICY, again=True),
        lambda: server.evaluate(exchange, other, 1, again=True),
        lambda: client.decrypt(exchange, other, exchange / "logits.npy", POLICY),
    ):
        with pytest.raises(StageError, match="another model"):
            mixed()
    assert tree(exchange) == before


def test_files_of_another_key(model, exchange, tmp_path):
    other = tmp_path / "other"
    client.keygen(other, model, 6, POLICY)
    before = tree(exchange)
    (exchange / "public_keys").rename(tmp_path / "away")
    shutil.copytree(other / "public_keys", exchange / "public_keys")
    with pytest.raises(MessageError, match="another key"):
        server.evaluate(exchange, model, 1, again=True)
    shutil.copy(other / "secret_key/key", exchange / "secret_key/key")
    shutil.copy(other / "secret_key/password", exchange / "secret_key/password")
    with pytest.raises(MessageError, match="another secret key"):
        client.decrypt(exchange, model, exchange / "logits.npy", POLICY)
    assert {p: d for p, d in tree(exchange).items() if p.parts[0].startswith("cipher")} == {
        p: d for p, d in before.items() if p.parts[0].startswith("cipher")
    }


def test_circuits_of_another_model(model, tmp_path):
    mixed = Path(shutil.copytree(model, tmp_path / "mixed"))
    shutil.copy(model / "0.circuit", mixed / "1.circuit")
    with pytest.raises(StageError, match=r"1\.circuit is another one"):
        server.prepare(mixed, again=True)
    shutil.copy(model / "prepared/0.prepared", mixed / "prepared/1.prepared")
    with pytest.raises(StageError, match="run `prepare` again"):
        server.load_prepared(mixed, read_model(mixed), 1)
    with pytest.raises(StageError, match="another one"):
        save_model(tmp_path / "new", square_graph(), Family((compile_exact(NETWORK, security="insecure"),)))
    assert not (tmp_path / "new").exists()


def test_swapped_answers(model, exchange):
    first, second = sorted((exchange / "ciphertexts_download").iterdir())
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    with pytest.raises(MessageError, match="must be to the given `request`"):
        client.decrypt(exchange, model, exchange / "logits.npy", POLICY)
    second.unlink()
    with pytest.raises(StageError, match="an answer for each of 2 requests"):
        client.decrypt(exchange, model, exchange / "logits.npy", POLICY)


# --- cut short, wrong, refused


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


# --- a full disk


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
