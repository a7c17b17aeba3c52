"""Tokens, rates, places, answers in pieces, measurements and log lines."""

import asyncio
import io
import json
import logging
import math
import random
import stat

import pytest

from he import KeyFileError
from he.service import logs, tokens
from he.service.bodies import Pieces
from he.service.config import Limits
from he.service.limits import Gate, Rates
from he.service.metrics import Metrics
from he.service.problems import Problem
from he.service.tokens import Permitted, TokenError, Tokens


def test_only_hashes_of_tokens_are_stored(tmp_path) -> None:
    path = tmp_path / "tokens"
    first = tokens.add(path, Permitted("ann", ("digits",)))
    second = tokens.add(path, Permitted("bob", operator=True))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any(token in path.read_text() for token in (first, second))
    known = Tokens.load(path)
    assert known.client(first) == Permitted("ann", ("digits",))
    assert known.client(second) == Permitted("bob", operator=True)
    for wrong in ("", first[:-1], first + "x", "\udc80", second.lower()):
        assert known.client(wrong) is None
    third = tokens.add(path, Permitted("ann"))
    assert Tokens.load(path).client(first) is None
    assert Tokens.load(path).client(third).may_use("anything")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"ann": {}}',
        '{"ann": {"sha256": "00"}}',
        '{"a b": {"sha256": "%s"}}' % ("0" * 64),
        '{"ann": {"sha256": 7}}',
        '{"ann": 7}',
        '{"ann": {"sha256": "%s", "models": [7]}}' % ("0" * 64),
        '{"ann": {"sha256": "%s", "models": "exact"}}' % ("0" * 64),
        '{"ann": {"sha256": "%s", "models": {"exact": 1}}}' % ("0" * 64),
    ],
)
def test_what_are_no_tokens(tmp_path, content) -> None:
    path = tmp_path / "tokens"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(TokenError):
        Tokens.load(path)
    with pytest.raises(TokenError):
        tokens.add(path, Permitted("ann"))
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="others may use"):
        Tokens.load(path)
    with pytest.raises(TokenError):
        Permitted("a b")


def test_a_bucket_fills_again_whatever_the_clock_of_the_day_says() -> None:
    now = 0.0
    rates = Rates(rate=2, burst=3, clock=lambda: now)
    for _ in range(3):
        rates.take("ann")
    with pytest.raises(Problem) as refused:
        rates.take("ann")
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
    rates.take("bob")
    now = 0.5
    rates.take("ann")
    with pytest.raises(Problem):
        rates.take("ann")
    now = 1000.0
    for _ in range(3):
        rates.take("ann")
    with pytest.raises(Problem):
        rates.take("ann")
    for number in range(10_000):
        rates.take(f"stranger {number}")
    assert len(rates._buckets) <= 4096


def test_places() -> None:
    gate = Gate("requests", most=3, each=2)
    with gate.place("ann"), gate.place("ann"), gate.place("bob"):
        for client, status in (("ann", 429), ("bob", 503), ("eve", 503)):
            with pytest.raises(Problem) as refused, gate.place(client):
                pass
            assert refused.value.status == status
        assert gate.inside == 3
    with pytest.raises(ZeroDivisionError), gate.place("ann"):
        _ = 1 / 0
    assert gate.inside == 0
    assert not gate._inside


@pytest.mark.parametrize("size", [0, 1, 1 << 18, (1 << 18) + 1, 1 << 20])
def test_an_answer_is_sent_in_pieces(size) -> None:
    sent, body = [], random.Random(size).randbytes(size)

    async def send(message):
        sent.append(message)

    asyncio.run(Pieces(body)({}, None, send))
    start, *pieces = sent
    assert (start["type"], dict(start["headers"])[b"content-length"]) == ("http.response.start", b"%d" % size)
    assert b"".join(piece["body"] for piece in pieces) == body
    assert [piece["more_body"] for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert max(len(piece["body"]) for piece in pieces) <= 1 << 18


def test_limits_are_numbers_that_make_sense() -> None:
    for wrong in (
        {"requests": 0},
        {"rate": -1},
        {"body_seconds": math.nan},
        {"head_seconds": math.inf},
        {"least_rate": 0},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Limits(**wrong)
    with pytest.raises(TypeError, match="threads"):
        Limits(threads="2")


def test_measurements_are_text_that_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.watch("he_now", lambda: 7)
    metrics.count("he_calls_total", status="200", operation='a"b\\\n')
    metrics.count("he_calls_total", status="200", operation='a"b\\\n')
    for seconds in (0.001, 0.03, 100):
        metrics.time("he_seconds", seconds)
    lines = metrics.text().splitlines()
    assert "he_now 7" in lines
    assert 'he_calls_total{operation="a\\"b\\\\\\n",status="200"} 2' in lines
    assert 'he_seconds_bucket{le="0.005"} 1' in lines
    assert 'he_seconds_bucket{le="0.05"} 2' in lines
    assert 'he_seconds_bucket{le="+Inf"} 3' in lines
    assert "he_seconds_count 3" in lines
    assert "he_seconds_sum 100.031000" in lines


def test_log_lines_are_json_and_hold_no_message_of_an_exception() -> None:
    stream = io.StringIO()
    logs.to_stream(stream)
    try:
        logs.event("call", status=200, client="ann\n")
        try:
            raise ValueError("a secret")
        except ValueError as error:
            logs.event("call", error=error, status=500)
            logging.getLogger("uvicorn.error").error("GET /a-secret", exc_info=error)
        logging.getLogger("uvicorn.error").info("not so important")
    finally:
        for name in ("he.service", "uvicorn"):
            logging.getLogger(name).handlers.clear()
            logging.getLogger(name).propagate = True
    first, second, third = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["status"], first["client"]) == ("call", 200, "ann\n")
    assert second["error"] == "ValueError"
    assert any(__file__ in place for place in second["places"])
    assert third["event"] == "uvicorn.error"
    assert "a secret" not in stream.getvalue()
    assert "a-secret" not in stream.getvalue()
