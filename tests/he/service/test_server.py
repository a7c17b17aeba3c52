"""The server as a process: slow and silent clients, floods, full disks, TLS, and its end."""

import errno
import http.client
import json
import os
import socket
import ssl
import threading
import time
from contextlib import ExitStack, suppress

import httpx
import pytest
from starlette.responses import Response

from he import Client
from he.service import store as store_module
from he.service.client import RemoteModel
from he.testing import inputs
from tests.he.service.certificates import write_certificate
from tests.he.service.conftest import Live
from tests.he.service.running import NETWORKS, POLICY, config, running


def connected(live):
    _, port = live.url.removeprefix("http://").split(":")
    return socket.create_connection(("127.0.0.1", int(port)), timeout=10)


def head(live, method, path, who, *more):
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Content-Type: application/octet-stream", *more]
    lines.append(f"Authorization: Bearer {live.tokens[who]}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def status(connection):
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.status


@pytest.fixture(scope="module")
def hasty(models, tmp_path_factory):
    """A server that does not wait."""
    limits = {"body_seconds": 0.4, "least_rate": 1e9, "head_seconds": 0.4, "requests": 3, "requests_each": 2}
    with Live(models, tmp_path_factory.mktemp("hasty"), uploads=1, **limits) as live:
        yield live


def test_an_upload_that_never_ends_is_cut(hasty) -> None:
    client, path = hasty.party()
    with connected(hasty) as one, connected(hasty) as other:
        one.sendall(head(hasty, "POST", f"{path}/evaluations", "ann", "Content-Length: 80000") + b"a few bytes")
        other.sendall(
            head(hasty, "PUT", path[:-64] + "0" * 64, "bob", "Transfer-Encoding: chunked") + b"5\r\nabcde\r\n"
        )
        start = time.monotonic()
        assert status(one) == 408
        assert status(other) == 408
        assert time.monotonic() - start < 5
        assert one.recv(1) == b""  # the connection is closed
    assert hasty.answered(client, path)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: ", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET / HT"])
def test_who_asks_nothing_or_half_of_something_is_cut(hasty, said) -> None:
    with connected(hasty) as connection:
        connection.sendall(said)
        start, received = time.monotonic(), b""
        while chunk := connection.recv(1 << 16):
            received += chunk
        assert 0.2 < time.monotonic() - start < 5
        assert received.startswith(b"HTTP/1.1 200") == said.startswith(b"GET /health")


@pytest.mark.parametrize("asked", [1, 2000])
def test_who_does_not_take_an_answer_is_cut(models, tmp_path, monkeypatch, asked) -> None:
    long = Response(bytes(1 << 23))  # more than a system takes over for whoever reads nothing
    monkeypatch.setattr("he.service.handlers.JSONResponse", lambda _content: long)
    limits = {"answer_seconds": 0.4, "head_seconds": 0.4, "connections": 8}
    with Live(models, tmp_path, **limits) as live, ExitStack() as held:
        address = live.http.base_url.host, live.http.base_url.port
        for _ in range(8):
            greedy = held.enter_context(socket.socket())
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            greedy.connect(address)
            greedy.settimeout(0.2)
            with suppress(OSError):
                greedy.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * asked)
        deadline = time.monotonic() + 5
        while live.server.server_state.connections:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not live.server.server_state.tasks


def test_one_address_has_no_more_connections_than_it_may(models, tmp_path) -> None:
    with Live(models, tmp_path, connections_each=3, head_seconds=60) as live, ExitStack() as held:
        live.http.close()
        many = [held.enter_context(connected(live)) for _ in range(8)]
        for refused in many[3:6]:
            answer = http.client.HTTPResponse(refused)
            answer.begin()
            assert (answer.status, answer.getheader("content-type")) == (429, "application/problem+json")
            assert "3 connections" in json.loads(answer.read())["detail"]
            refused.sendall(b"GET /health HTTP/1.1\r\n\r\n" * 9)
        for cut in many[6:]:
            with suppress(ConnectionResetError):
                assert cut.recv(1) == b""  # who goes on regardless is told nothing
        for number, first in enumerate(many[:3]):  # which have stayed
            first.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert status(first) == 200, number
        many[0].close()
        deadline = time.monotonic() + 5
        while True:  # one that has gone makes room for another
            with connected(live) as again:
                again.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                if (found := status(again)) == 200:
                    break
            assert found == 429
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_refused_upload_is_told_so_before_it_is_sent(models, tmp_path) -> None:
    with Live(models, tmp_path, store_bytes=10) as live:
        client = Client(live.http.get("/v1/models/exact/interface").content, policy=POLICY)
        path = f"/v1/models/exact/keys/{client.evaluation_keys.id}"
        with connected(live) as connection:  # which sends no body
            length = f"Content-Length: {len(client.evaluation_keys.to_bytes())}"
            connection.sendall(head(live, "PUT", path, "ann", length))
            assert status(connection) == 507
        assert not list((live.folder / "store" / "uploads").iterdir())


def test_a_body_ends_where_everybody_sees_it_end(hasty) -> None:
    client, path = hasty.party()
    request = client.encrypt(inputs(NETWORKS["exact"], 1))
    with connected(hasty) as connection:
        lengths = "Content-Length: 5", "Transfer-Encoding: chunked"
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(request), request)
        connection.sendall(head(hasty, "POST", f"{path}/evaluations", "ann", *lengths) + chunks)
        assert status(connection) == 400
        assert connection.recv(1) == b""  # and what follows is no call
    encoded = hasty.ask("POST", f"{path}/evaluations", content=request, headers={"Content-Encoding": "gzip"})
    assert encoded.status_code == 415
    assert hasty.ask("POST", f"{path}/evaluations", content=request).status_code == 200


def test_who_leaves_during_an_upload_leaves_nothing_behind(hasty) -> None:
    client, path = hasty.party()
    for method, where in (("POST", f"{path}/evaluations"), ("PUT", path[:-64] + "0" * 64)):
        with connected(hasty) as connection:
            connection.sendall(head(hasty, method, where, "ann", "Content-Length: 80000") + b"a few bytes")
    deadline = time.monotonic() + 5
    while hasty.service.requests.inside + hasty.service.uploads.inside:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not list((hasty.folder / "store" / "uploads").iterdir())
    assert hasty.answered(client, path)


def test_places_are_limited_for_each_client_and_for_all(models, tmp_path) -> None:
    with Live(models, tmp_path, requests=3, requests_each=2, uploads=1, body_seconds=3) as live:
        (ann, path), (bob, theirs) = live.party(), live.party(who="bob")
        request = ann.encrypt(inputs(NETWORKS["exact"], 1))
        waiting = [connected(live) for _ in range(4)]
        try:
            for connection, where, who in zip(waiting, (path, path, theirs), ("ann", "ann", "bob"), strict=False):
                connection.sendall(head(live, "POST", f"{where}/evaluations", who, "Content-Length: 9") + b"12345678")
            waiting[3].sendall(head(live, "PUT", path[:-64] + "0" * 64, "ann", "Content-Length: 9") + b"12345678")
            while live.service.requests.inside < 3 or live.service.uploads.inside < 1:
                time.sleep(0.01)
            full = live.ask("POST", f"{path}/evaluations", content=request)
            assert (full.status_code, full.headers["retry-after"]) == (429, "1")
            assert live.ask("POST", f"{theirs}/evaluations", "bob", content=bob.encrypt([[0] * 5])).status_code == 503
            assert live.ask("PUT", path[:-64] + "1" * 64, content=b"x").status_code == 429
            assert live.ask("PUT", path[:-64] + "1" * 64, "bob", content=b"x").status_code == 503
            assert live.ask("GET", path).status_code == 200
            for connection in waiting[:3]:
                connection.sendall(b"9")
                assert status(connection) == 422
            assert live.ask("POST", f"{path}/evaluations", content=request).status_code == 200
        finally:
            for connection in waiting:
                connection.close()


def test_a_request_that_waits_too_long_is_refused_and_may_be_sent_again(models, tmp_path, monkeypatch) -> None:
    with Live(models, tmp_path, evaluations=1, wait_seconds=0.1) as live:
        client, path = live.party()
        evaluated, go_on = live.service._evaluated, threading.Event()
        monkeypatch.setattr(live.service, "_evaluated", lambda *all_: go_on.wait(10) and evaluated(*all_))
        requests = [client.encrypt(inputs(NETWORKS["exact"], 1)) for _ in range(2)]
        first = threading.Thread(target=live.ask, args=("POST", f"{path}/evaluations"), kwargs={"content": requests[0]})
        first.start()
        while not live.service._turns.locked():
            time.sleep(0.01)
        assert live.ask("POST", f"{path}/evaluations", content=requests[1]).status_code == 503
        go_on.set()
        first.join()
        assert live.ask("POST", f"{path}/evaluations", content=requests[1]).status_code == 200


def test_the_request_of_a_client_that_has_left_is_not_evaluated(models, tmp_path, monkeypatch) -> None:
    with Live(models, tmp_path, evaluations=1) as live:
        client, path = live.party()
        evaluated, go_on, count = live.service._evaluated, threading.Event(), []
        monkeypatch.setattr(live.service, "_evaluated", lambda *all_: count.append(go_on.wait(10)) or evaluated(*all_))
        requests = [client.encrypt(inputs(NETWORKS["exact"], 1)) for _ in range(2)]
        first = threading.Thread(target=live.ask, args=("POST", f"{path}/evaluations"), kwargs={"content": requests[0]})
        first.start()
        while not live.service._turns.locked():
            time.sleep(0.01)
        with connected(live) as leaving:
            length = f"Content-Length: {len(requests[1])}"
            leaving.sendall(head(live, "POST", f"{path}/evaluations", "ann", length) + requests[1])
            while not live.service._turns._waiters:
                time.sleep(0.01)
        while len(live.server.server_state.connections) > 1:  # until the server has seen that it left
            time.sleep(0.01)
        go_on.set()
        first.join()
        while live.service.requests.inside:
            time.sleep(0.01)
        assert len(count) == 1
        assert live.ask("POST", f"{path}/evaluations", content=requests[1]).status_code == 200


def test_a_full_disk(models, tmp_path, monkeypatch) -> None:
    with Live(models, tmp_path, spare_bytes=0) as live:
        client, path = live.party()
        new = path[:-64] + "0" * 64
        with monkeypatch.context() as patch:  # no room for an upload

            def write(spool, piece):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            patch.setattr("he.service.bodies.Spool._write", write)
            assert live.ask("PUT", new, content=b"x" * 999).status_code == 507
        with monkeypatch.context() as patch:  # nor for what is made of it

            async def expand(interface, keys, target):
                target.write_bytes(b"half")
                raise OSError(errno.ENOSPC, "OSError")

            patch.setattr(live.service._expander, "expand", expand)
            keys = Client(client.interface, policy=POLICY).evaluation_keys
            assert live.ask("PUT", path[:-64] + keys.id, content=keys.to_bytes()).status_code == 507
            assert len(list((live.folder / "store" / "keys").iterdir())) == 1
        with monkeypatch.context() as patch:
            usage = type("Usage", (), {"free": 10})
            patch.setattr(store_module.shutil, "disk_usage", lambda folder: usage)
            assert live.ask("PUT", new, content=b"x").status_code == 507
        assert not list((live.folder / "store" / "uploads").iterdir())
        assert live.answered(client, path)


def test_a_damaged_file_of_keys_is_dropped_and_sent_again(models, tmp_path) -> None:
    with Live(models, tmp_path) as live, RemoteModel(live.url, "exact", live.tokens["ann"], policy=POLICY) as model:
        images = inputs(NETWORKS["exact"], 3)
        for content in (b"foreign " * 100, None):
            assert (model.predict(images) == NETWORKS["exact"].logits(images)).all()
            live.service._sessions._ready.clear()
            (file,) = (live.folder / "store" / "keys").iterdir()
            file.unlink()
            if content:
                file.write_bytes(content)
        assert (model.predict(images) == NETWORKS["exact"].logits(images)).all()


def test_files_of_keys_that_were_exchanged_are_dropped_and_sent_again(models, tmp_path) -> None:
    """They are of one circuit and size; requests are for the keys by which clients name them."""
    with Live(models, tmp_path) as live, RemoteModel(live.url, "exact", live.tokens["ann"], policy=POLICY) as model:
        model.send_keys()
        live.party(who="bob")
        (one,), (other,) = (live.service.store.keys_of(who) for who in ("ann", "bob"))
        content = one.path.read_bytes()
        one.path.write_bytes(other.path.read_bytes())
        other.path.write_bytes(content)
        images = inputs(NETWORKS["exact"], 3)
        assert (model.predict(images) == NETWORKS["exact"].logits(images)).all()


def test_keys_outlive_the_server_and_requests_are_remembered(models, tmp_path) -> None:
    images = inputs(NETWORKS["exact"], 1)
    live = Live(models, tmp_path)
    with live:
        client, path = live.party()
        request = client.encrypt(images)
        assert live.ask("POST", f"{path}/evaluations", content=request).status_code == 200
    with running(live.config) as (_, url):
        live.http = httpx.Client(base_url=url, timeout=30)
        assert live.ask("POST", f"{path}/evaluations", content=request).status_code == 409
        assert live.answered(client, path)
        live.http.close()


def test_the_end_lets_finish_what_has_begun(models, tmp_path, monkeypatch) -> None:
    with Live(models, tmp_path) as live:
        client, path = live.party()
        evaluated, begun = live.service._evaluated, threading.Event()

        def slowly(*all_):
            begun.set()
            time.sleep(0.5)
            return evaluated(*all_)

        monkeypatch.setattr(live.service, "_evaluated", slowly)
        request, answers = client.encrypt(inputs(NETWORKS["exact"], 1)), []
        asking = threading.Thread(
            target=lambda: answers.append(live.ask("POST", f"{path}/evaluations", content=request))
        )
        asking.start()
        begun.wait()
        live.server.should_exit = True
        asking.join()
        assert answers[0].status_code == 200
        client.decrypt(answers[0].content, request)
        assert any(is_refused(live) or time.sleep(0.05) for _ in range(100))  # within a tick of the server


def is_refused(live):
    try:
        live.http.get("/health")
    except httpx.TransportError:
        return True
    return False


def test_tls(models, tmp_path) -> None:
    certificate, key = write_certificate(tmp_path)
    with running(config(models, tmp_path / "store"), certificate=certificate, key=key) as (_, url):
        trusting = ssl.create_default_context(cafile=certificate)
        images = inputs(NETWORKS["exact"], 1)
        with RemoteModel(url, "exact", policy=POLICY, http={"verify": trusting}) as model:
            assert (model.predict(images) == NETWORKS["exact"].logits(images)).all()
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(url)
