"""The commands, and a server that is killed."""

import json
import signal
import socket
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest

from he import Client
from he.__main__ import main
from he.formats.keys import held
from he.formats.messages import Kind, open_message
from he.parties.ciphers import Ciphers
from he.parties.life import KeyLife
from he.service.commands import PASSWORD_VARIABLE, TOKEN_VARIABLE
from he.service.tokens import Tokens
from he.testing import inputs
from tests.he.service.running import NETWORKS, POLICY

IMAGES = inputs(NETWORKS["exact"], 3)


@pytest.fixture(autouse=True)
def variables(live, monkeypatch):
    monkeypatch.setenv(PASSWORD_VARIABLE, "nobody guesses it")
    monkeypatch.setenv(TOKEN_VARIABLE, live.tokens["ann"])


def test_keys_and_predictions(live, tmp_path, capsys) -> None:
    key, images, logits = (str(tmp_path / name) for name in ("key", "images.npy", "logits.npy"))
    about = [live.url, "exact", "--key", key, "--security", "insecure"]
    np.save(images, IMAGES)
    assert main(["keygen", *about]) == 0
    digest = capsys.readouterr().out.split()[-1]
    assert live.ask("GET", f"/v1/models/exact/keys/{digest}").status_code == 200
    assert main(["predict", *about, images, "--out", logits]) == 0
    assert (np.load(logits) == NETWORKS["exact"].logits(IMAGES)).all()
    assert main(["predict", *about, images]) == 0
    printed = [list(map(int, line.split())) for line in capsys.readouterr().out.splitlines()]
    assert printed == NETWORKS["exact"].logits(IMAGES).tolist()
    with pytest.raises(SystemExit):
        main(["keygen", *about])
    assert "is there already" in capsys.readouterr().err
    assert main(["keygen", *about, "--force"]) == 0


@pytest.fixture
def key(live, tmp_path):
    """The arguments about a key that the server knows; its files are `key`, `key.keys` and `key.state`."""
    about = [live.url, "exact", "--key", str(tmp_path / "key"), "--security", "insecure"]
    assert main(["keygen", *about]) == 0
    np.save(tmp_path / "images.npy", IMAGES)
    return about


def counted(tmp_path):
    fields, questions = open_message(Kind.CLIENT, (tmp_path / "key.state").read_bytes())
    return fields["answers"], fields["refusals"], len(questions)


def test_the_life_of_a_key_goes_on_in_the_next_process(key, tmp_path, monkeypatch, capsys) -> None:
    predict = ["predict", *key, str(tmp_path / "images.npy")]
    assert (tmp_path / "key.state").stat().st_mode & 0o077 == 0
    assert counted(tmp_path) == (0, 0, 0)
    assert main(predict) == main(predict) == 0
    assert counted(tmp_path) == (2, 0, 0)
    monkeypatch.setattr(Ciphers, "decrypt", lambda *_: (None, []))
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(predict)
    assert capsys.readouterr().out == ""
    assert counted(tmp_path) == (3, 1, 0)


def test_a_key_whose_life_is_over_is_removed(key, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(KeyLife, "is_over", property(lambda life: life.answers > 0))
    assert main(["predict", *key, str(tmp_path / "images.npy"), "--out", str(tmp_path / "logits.npy")]) == 0
    assert (np.load(tmp_path / "logits.npy") == NETWORKS["exact"].logits(IMAGES)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images.npy", "logits.npy"]


@pytest.mark.parametrize("state", [b"", b"nonsense", None])
def test_without_its_life_a_key_is_not_used(key, state, tmp_path, capsys) -> None:
    if state is None:
        (tmp_path / "key.state").unlink()
    else:
        (tmp_path / "key.state").write_bytes(state)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["predict", *key, str(tmp_path / "images.npy")])
    assert capsys.readouterr().out == ""


def test_nothing_is_shown_that_was_not_counted(key, tmp_path, monkeypatch, capsys) -> None:
    def write(path, data):
        raise OSError("no room")

    monkeypatch.setattr("he.formats.keys.write_private", write)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["predict", *key, str(tmp_path / "images.npy")])
    printed = capsys.readouterr()
    assert (printed.out, "no room" in printed.err) == ("", True)


@pytest.mark.parametrize("kind", ["empty", "archive", "booleans", "text", "objects"])
def test_images_that_are_none_cost_nothing(key, kind, tmp_path, capsys) -> None:
    path = tmp_path / "none.npy"
    if kind == "archive":
        with path.open("wb") as file:
            np.savez(file, IMAGES)
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        content = {"booleans": IMAGES > 0, "text": IMAGES.astype(str), "objects": IMAGES.astype(object)}[kind]
        np.save(path, content, allow_pickle=True)
    with pytest.raises(SystemExit):
        main(["predict", *key, str(path)])
    assert "must hold images" in capsys.readouterr().err
    assert counted(tmp_path) == (0, 0, 0)


def test_a_place_for_logits_is_looked_for_first(key, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["predict", *key, str(tmp_path / "images.npy"), "--out", str(tmp_path / "none" / "logits.npy")])
    assert "must be a folder" in capsys.readouterr().err
    assert counted(tmp_path) == (0, 0, 0)


@pytest.mark.parametrize("command", [["predict", "images.npy"], ["keygen", "--force"]])
def test_one_process_at_a_time_uses_a_key(key, command, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    before = (tmp_path / "key").read_bytes()
    with held(tmp_path / "key"), pytest.raises(SystemExit):
        main([command[0], *key, *command[1:]])
    assert "is in use" in capsys.readouterr().err
    assert (tmp_path / "key").read_bytes() == before


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"/health": b"[]"}, "JSON object"),
        ({"/v1/models": b"{}"}, "list its models"),
        ({"/v1/models": b'{"models": [1]}'}, "list its models"),
        ({"/v1/models": b'{"models": [{"name": "a/b"}]}', "/v1/models/a/b": b"no JSON"}, "JSON object"),
        ({"/v1/models": b" " * (1 << 20)}, "more than the"),
    ],
)
def test_a_server_that_is_none_is_told_from_one(answers, said, monkeypatch, capsys) -> None:
    def answer(request):
        return httpx.Response(200, stream=httpx.ByteStream(answers.get(request.url.path, b'{"models": []}')))

    monkeypatch.setattr(
        "he.service.client._options", lambda *_: {"base_url": "http://here", "transport": httpx.MockTransport(answer)}
    )
    with pytest.raises(SystemExit):
        main(["status", "http://here"])
    assert said in capsys.readouterr().err


def test_a_password_is_asked_for_twice(live, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE)
    typed = iter(["nobody guesses it", "nobody guesses that"])
    monkeypatch.setattr("getpass.getpass", lambda *_: next(typed))
    with pytest.raises(SystemExit):
        main(["keygen", live.url, "exact", "--key", str(tmp_path / "key"), "--security", "insecure"])
    assert "must be the same" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_models_name_is_one_for_addresses(models, tmp_path, capsys) -> None:
    (tmp_path / "two words.he").write_bytes((models / "exact.he").read_bytes())
    with pytest.raises(SystemExit):
        main(["serve", "--models", str(tmp_path), "--store", str(tmp_path / "store"), "--port", "0"])
    assert "a model's name" in capsys.readouterr().err


def test_status(live, capsys) -> None:
    assert main(["status", live.url]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], [model["name"] for model in told["models"]]) == ("ok", ["approximate", "exact"])


def test_tokens(tmp_path, capsys) -> None:
    assert main(["token", "eve", "--tokens", str(tmp_path / "tokens"), "--model", "exact"]) == 0
    eve = Tokens.load(tmp_path / "tokens").client(capsys.readouterr().out.strip())
    assert (eve.name, eve.may_use("exact"), eve.may_use("approximate")) == ("eve", True, False)


def test_a_new_token_permits_what_the_old_one_did(tmp_path, capsys) -> None:
    """A client that may use one model only gets no others by it."""
    file = str(tmp_path / "tokens")
    for more, models, operator, said in (
        ([], ("*",), False, "eve may use all models\n"),
        (
            ["--model", "exact", "--operator"],
            ("exact",),
            True,
            "eve may use exact, and read the server's measurements\n",
        ),
        ([], ("exact",), True, "eve may use exact, and read the server's measurements\n"),
        (["--no-operator"], ("exact",), False, "eve may use exact\n"),
        (["--model", "*"], ("*",), False, "eve may use all models\n"),
    ):
        assert main(["token", "eve", "--tokens", file, *more]) == 0
        told = capsys.readouterr()
        eve = Tokens.load(tmp_path / "tokens").client(told.out.strip())
        assert (eve.models, eve.operator, told.err) == (models, operator, said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "http://127.0.0.1:1"], "refused"),
        (["serve", "--models", ".", "--store", "store"], "must hold prepared circuits"),
        (["serve", "--models", ".", "--store", "store", "--limit", "rate=-1"], "`rate`"),
        (["serve", "--models", ".", "--store", "store", "--limit", "sloth=1"], "sloth"),
        (["serve", "--models", ".", "--store", "store", "--limit", "requests=1.5"], "must be an integer"),
        (["serve", "--models", ".", "--store", "store", "--port", "70000"], "from 0 to 65535"),
        (["serve", "--models", ".", "--store", "store", "--private-key", "file"], "both be given"),
        (["serve", "--models", ".", "--store", "store", "--certificate", "file", "--private-key", "none"], "'none'"),
        (["serve", "--models", ".", "--store", "store", "--certificate", "file", "--private-key", "file"], "in PEM"),
        (["token", "a b", "--tokens", "tokens"], "a client's name"),
        (["status", "http://[::1"], "must be an address"),
    ],
)
def test_what_is_refused_is_said_in_a_line(arguments, said, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"no certificate")
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_who_starts_a_server_where_another_listens_is_told(models, tmp_path, capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with pytest.raises(SystemExit):
            main(["serve", "--models", str(models), "--store", str(tmp_path / "store"), "--port", port])
    assert "Address already in use" in capsys.readouterr().err


def served(models, store, port):
    """A server in a process of its own, once it answers."""
    command = [sys.executable, "-m", "he", "serve", "--models", models, "--store", store, "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while True:
        assert process.poll() is None
        try:
            httpx.get(f"http://127.0.0.1:{port}/health")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return process


def children(process):
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
    return [int(pid) for pid in listed.stdout.split()]


def is_alive(pid):
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return listed.stdout.strip()[:1] not in ("", "Z")  # one that nobody has waited for is over too


def test_a_server_that_is_killed_goes_on_where_it_was(models, tmp_path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    first = served(models, tmp_path / "store", port)
    headers = {"Content-Type": "application/octet-stream"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as http:
        client = Client(http.get("/v1/models/exact/interface").content, policy=POLICY)
        keys = f"/v1/models/exact/keys/{client.evaluation_keys.id}"
        assert http.put(keys, content=client.evaluation_keys.to_bytes()).status_code == 201
        answered, fresh = client.encrypt(IMAGES), client.encrypt(IMAGES)
        assert http.post(f"{keys}/evaluations", content=answered).status_code == 200
        expanding = children(first)

        def seconds():
            start = time.monotonic()
            assert http.get("/health").status_code == 200
            return time.monotonic() - start

        assert min(seconds() for _ in range(10)) < 0.03  # and not when late confirmations come, after 40 ms
        first.kill()
        first.wait()
        second = served(models, tmp_path / "store", port)
        try:
            assert expanding
            deadline = time.monotonic() + 20
            while any(map(is_alive, expanding)):  # what was started ends with whoever started it
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert http.get(keys).status_code == 200
            assert http.post(f"{keys}/evaluations", content=answered).status_code == 409
            logits = client.decrypt(http.post(f"{keys}/evaluations", content=fresh).content, fresh)
            assert (logits == NETWORKS["exact"].logits(IMAGES)).all()
        finally:
            second.send_signal(signal.SIGTERM)
            second.wait(20)
