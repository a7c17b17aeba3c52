"""What is no call, and calls that are longer, or more at once, than there may be: each has a problem document."""

import json
import socket

import httpx
import pytest

from tests.he.service.conftest import Live

WELL = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
SENT = b"POST /health HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n"
UPLOAD = b"POST /v1/models/exact/keys/%s/evaluations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n"


@pytest.fixture(scope="module")
def live(models, tmp_path_factory):
    """A server that soon gives up."""
    with Live(models, tmp_path_factory.mktemp("live"), head_seconds=1, body_seconds=0.5, least_rate=1e9) as live:
        yield live


def received(live, *sent):
    """All that is answered until the server closes, or has nothing more to say for a second."""
    host, _, port = live.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        answer = b""
        try:
            for part in sent:
                connection.sendall(part)
            while chunk := connection.recv(1 << 16):
                answer += chunk
        except ConnectionError:  # what was sent behind a refusal
            pass
        return answer


def refused(answer):
    """The status of one answer that is a problem document, after which the connection was closed."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\ncontent-type: application/problem+json" in head.lower()
    assert b"\r\nconnection: close" in head.lower()
    problem = json.loads(body)
    assert problem.keys() == {"title", "status", "detail"}
    assert head.startswith(b"HTTP/1.1 %d " % problem["status"])
    return problem["status"]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00hello\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"BREW /health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
        WELL.replace(b"Host: x", b"Host : x"),
        WELL.replace(b"Host: x", b"Host: x\r\nHost: y"),
        WELL.replace(b"\r\n", b"\n"),
        WELL.replace(b"Host: x", b"Host: x\r\nA: \0"),
        WELL.replace(b"Host: x", b"Host: x\r\n" + b"a: b\r\n" * 200),
        SENT % b"Content-Length: +1" + b"x",
        SENT % b"Content-Length: 1\r\nContent-Length: 1" + b"x",
        SENT % b"Content-Length: 99999999999999999999" + b"x",
        SENT % b"Content-Length: 1\r\nTransfer-Encoding: chunked" + b"0\r\n\r\n",
        SENT % b"Transfer-Encoding: gzip, chunked" + b"0\r\n\r\n",
        SENT % b"Transfer-Encoding: gzip",
    ],
)
def test_what_is_no_call(live, sent) -> None:
    assert refused(received(live, sent)) == 400


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * 400_000,
        WELL[:-2] + b"a: " + b"b" * 400_000,
        WELL[:-2] + b"a: " + b"b" * 70_000 + b"\r\n\r\n",
        WELL[:-2] + b"".join(b"a: " + b"b" * 1000 + b"\r\n" for _ in range(70)) + b"\r\n",
        WELL.replace(b"health", b"health?" + b"a" * 70_000),
    ],
)
def test_a_head_that_does_not_end_or_is_too_long(live, sent) -> None:
    assert refused(received(live, sent)) == 431


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"zz\r\n", 400),
        (b"1;" + b"a" * 400_000, 431),  # between chunks there may be anything
        (b"1\r\nx\r\n0\r\na: " + b"b" * 400_000, 431),  # and behind the last one
    ],
)
def test_a_body_that_is_no_chunks(live, body, status) -> None:
    client, path = live.party()
    more = b"Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked"
    call = UPLOAD % (path[-64:].encode(), live.tokens["ann"].encode(), more)
    assert refused(received(live, call, body)) == status
    assert live.answered(client, path)


def test_an_upgrade_does_not_make_a_call_of_a_body(live) -> None:
    call = SENT % (b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: %d" % len(WELL))
    assert refused(received(live, call, WELL)) == 400


def test_what_lies_behind_a_body_changes_no_header(live) -> None:
    call = SENT % b"Connection: close\r\nTransfer-Encoding: chunked" + b"1\r\nx\r\n0\r\nHost: y\r\n\r\n"
    assert refused(received(live, call)) == 405


@pytest.mark.parametrize(("calls", "answers"), [(3, 3), (400, 17)])
def test_calls_ahead_of_their_answers(live, calls, answers) -> None:
    assert received(live, WELL * calls).count(b"HTTP/1.1 200 OK") == answers


def test_what_is_asked_is_answered_before_what_is_no_call(live) -> None:
    answer = received(live, WELL + b"\0no call")
    assert answer.count(b"HTTP/1.1") == answer.count(b"HTTP/1.1 200 OK") == 1
    assert b"\r\nconnection: close" in answer


def test_all_have_no_more_connections_than_there_may_be(models, tmp_path) -> None:
    with Live(models, tmp_path, connections=1) as live:
        assert live.http.get("/health").status_code == 200  # and this one stays
        answer = received(live, WELL)
        assert refused(answer) == 503
        assert b"\r\nretry-after: 1" in answer
        with httpx.Client(base_url=live.url) as other:
            live.http.close()
            assert any(other.get("/health").status_code == 200 for _ in range(100))
