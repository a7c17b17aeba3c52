"""The stages by files alone: what they give, out of order, twice, and mixed up."""

import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

from he import Family, KeyFileError, MessageError, compile_exact, compile_family
from he.formats.messages import Kind, open_message
from he.stages import client, server
from he.stages.folders import StageError
from he.stages.model import read_model, save_model
from he.testing import inputs, square_graph
from tests.he.stages.exchange import NETWORK, POLICY, tree


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
