"""What a server answers, and what it refuses with which status; afterwards it answers as before."""

import hashlib
import json
import logging
import time

import pytest

from he import Client, compile_exact, prepare
from he.formats.messages import Kind, open_message, seal_message
from he.parties.evaluation_keys import EvaluationKeys
from he.service.logs import JsonLines
from he.service.openapi import PATH
from he.testing import inputs
from tests.he.service.conftest import Live
from tests.he.service.running import NETWORKS, POLICY, write_models

OCTETS = "application/octet-stream"


def is_problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().keys() == {"title", "status", "detail"}
    assert answer.json()["status"] == status
    return True


@pytest.mark.parametrize("model", NETWORKS)
def test_images_are_answered(live, model) -> None:
    client, path = live.party(model)
    assert live.answered(client, path, model)
    assert live.ask("GET", path).json()["keys"] == client.evaluation_keys.id
    assert live.ask("PUT", path, content=client.evaluation_keys.to_bytes()).status_code == 200  # it is there
    assert live.ask("DELETE", path).status_code == 204
    assert is_problem(live.ask("GET", path), 404)
    assert is_problem(live.ask("POST", f"{path}/evaluations", content=client.encrypt(inputs(NETWORKS[model], 1))), 404)


def test_what_is_public_needs_no_token_and_is_not_sent_twice(live) -> None:
    assert live.http.get("/health").json() == {"status": "ok"}
    assert [one["name"] for one in live.http.get("/v1/models").json()["models"]] == ["approximate", "exact"]
    for path in ("/v1/models", "/v1/models/exact", "/v1/models/exact/interface"):
        answer = live.http.get(path)
        digest = hashlib.sha256(answer.content)
        assert answer.headers["etag"] == f'"{digest.hexdigest()}"'
        again = live.http.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert live.http.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
        assert live.http.head(path).status_code == 200
    card = live.http.get("/v1/models/exact").json()
    client = Client(live.http.get("/v1/models/exact/interface").content, policy=POLICY)
    assert card["circuit"] == client.interface.digest
    assert len(client.evaluation_keys.to_bytes()) <= card["most_key_bytes"]
    assert len(client.encrypt(inputs(NETWORKS["exact"], 1))) <= card["most_request_bytes"]


def test_tokens(live) -> None:
    client, path = live.party()
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {live.tokens['ann']}"}):
        answer = live.http.get(path, headers=headers)
        assert is_problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
    assert is_problem(live.ask("GET", path, "bob"), 404)  # another client's keys
    request = client.encrypt(inputs(NETWORKS["exact"], 1))
    assert is_problem(live.ask("POST", f"{path}/evaluations", "bob", content=request), 404)
    assert is_problem(live.ask("DELETE", path, "bob"), 404)
    assert is_problem(live.ask("GET", path, "op"), 403)  # who may use no model
    assert is_problem(live.ask("GET", "/metrics"), 403)
    assert "he_calls_total" in live.ask("GET", "/metrics", "op").text
    assert live.answered(client, path)


def test_a_request_is_evaluated_once(live) -> None:
    client, path = live.party()
    request = client.encrypt(inputs(NETWORKS["exact"], 1))
    assert live.ask("POST", f"{path}/evaluations", content=request).status_code == 200
    assert is_problem(live.ask("POST", f"{path}/evaluations", content=request), 409)
    assert live.answered(client, path)


def test_what_is_no_request(live) -> None:
    client, path = live.party()
    other, _ = live.party()
    ckks, _ = live.party("approximate")
    ask, request = f"{path}/evaluations", client.encrypt(inputs(NETWORKS["exact"], 1))
    fields, parts = open_message(Kind.REQUEST, request)
    zeros = seal_message(Kind.REQUEST, fields, [bytes(len(part)) for part in parts])
    for wrong in (
        b"",
        b"nonsense",
        request[:-1],
        request + b"\0",
        request[:100] + b"\1" + request[101:],
        other.encrypt(inputs(NETWORKS["exact"], 1)),  # of another key
        ckks.encrypt(inputs(NETWORKS["approximate"], 1)),  # of another model
        client.evaluation_keys.to_bytes()[: len(request)],
        seal_message(Kind.REQUEST, {**fields, "nonce": "none"}, list(map(bytes, parts))),
        seal_message(Kind.REQUEST, fields, [bytes(part) + b"\0" for part in parts]),
        seal_message(Kind.REQUEST, fields, [b"\xff" * len(part) for part in parts]),
    ):
        assert is_problem(live.ask("POST", ask, content=wrong), 422)
    live.ask("POST", ask, content=zeros)
    most = live.http.get("/v1/models/exact").json()["most_request_bytes"]
    assert is_problem(live.ask("POST", ask, content=bytes(most + 1)), 413)
    assert is_problem(live.ask("POST", ask, content=(bytes(4096) for _ in range(most // 4096 + 2))), 413)
    assert is_problem(live.ask("POST", ask, content=request, headers={"Content-Type": "text/plain"}), 415)
    assert is_problem(live.ask("POST", ask.replace("exact", "unknown"), content=request), 404)
    assert is_problem(live.ask("POST", ask.replace("exact", "approximate"), content=request), 404)
    assert is_problem(live.ask("POST", "/v1/models/exact/keys/short/evaluations", content=request), 400)
    assert live.answered(client, path)


def test_what_are_no_keys(live) -> None:
    client, path = live.party()
    stranger = Client(client.interface, policy=POLICY)
    keys, count = stranger.evaluation_keys.to_bytes(), live.service.store.count
    fields, (part,) = open_message(Kind.EVALUATION_KEYS, keys)

    def put(body, digest=None, model="exact"):
        digest = body[-32:].hex() if digest is None else digest
        return live.ask("PUT", f"/v1/models/{model}/keys/{digest}", content=body)

    damaged = keys[:1000] + bytes([keys[1000] ^ 1]) + keys[1001:]
    for body in (damaged, keys[:-1], keys[40:], bytes(64)):
        assert is_problem(put(body), 400)
    assert is_problem(put(b"", "0" * 64), 400)
    assert is_problem(put(keys, "0" * 64), 400)
    for intact in (
        EvaluationKeys.sealed(client.interface.digest, bytes(part[:-1])).to_bytes(),
        EvaluationKeys.sealed(client.interface.digest, b"\xff" * len(part)).to_bytes(),
        EvaluationKeys.sealed("0" * 64, bytes(part)).to_bytes(),
        seal_message(Kind.REQUEST, fields, [bytes(part)]),
        client.encrypt(inputs(NETWORKS["exact"], 1)),
    ):
        assert is_problem(put(intact), 422)
    ckks, _ = live.party("approximate")
    assert is_problem(put(ckks.evaluation_keys.to_bytes()), 422)  # of another parameter set
    count += 1
    assert is_problem(put(bytes(live.http.get("/v1/models/exact").json()["most_key_bytes"] + 1), "0" * 64), 413)
    assert live.service.store.count == count
    assert not list((live.folder / "store" / "uploads").iterdir())
    assert len(list((live.folder / "store" / "keys").iterdir())) == count
    assert live.answered(client, path)


def test_addresses_and_methods_that_there_are_not(live) -> None:
    assert is_problem(live.http.get("/nothing"), 404)
    assert is_problem(live.http.get("/v1/models/unknown"), 404)
    answer = live.http.delete("/v1/models/exact")
    assert is_problem(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    allowed = live.http.request("PATCH", f"/v1/models/exact/keys/{'0' * 64}").headers["allow"]
    assert set(allowed.split(", ")) == {"GET", "HEAD", "PUT", "DELETE"}
    assert is_problem(live.http.get("/health/"), 404)


def test_every_call_is_logged_and_limited(models, tmp_path, caplog) -> None:
    calls = ("GET", "/nothing"), ("GET", PATH), ("PATCH", "/health"), ("GET", "/health/")
    with Live(models, tmp_path, rate=0.001, burst=4) as live, caplog.at_level(logging.INFO, "he.service"):
        numbers = [live.http.request(*call).headers["x-request-id"] for call in calls]
        assert {live.http.request(*call).status_code for call in calls} == {429}
        while len(lines := [one.fields for one in caplog.records if "number" in one.fields]) < 8:
            time.sleep(0.01)  # the last line is written once the answer has been sent
    assert [line["number"] for line in lines[:4]] == numbers


def test_how_much_a_client_may_ask(models, tmp_path) -> None:
    with Live(models, tmp_path, keys_each=1, most_evaluations=2) as live:
        client, path = live.party()
        assert live.answered(client, path)
        theirs, their_path = live.party(who="bob")
        client, second = live.party()  # new keys in the place of the old ones, and still the same client
        assert is_problem(live.ask("GET", path), 404)
        path = second
        assert live.answered(client, path)
        request = client.encrypt(inputs(NETWORKS["exact"], 1))
        assert is_problem(live.ask("POST", f"{path}/evaluations", content=request), 403)
        assert live.answered(theirs, their_path, who="bob")


def test_keys_of_a_model_that_was_replaced_take_no_room(tmp_path) -> None:
    """No address reaches them: clients could not even remove them."""
    folder = write_models(tmp_path / "models")
    with Live(folder, tmp_path) as live:
        live.party("exact")
        kept, path = live.party("approximate")
        assert live.service.store.count == 2
    prepare(compile_exact(NETWORKS["exact"], images=4, security="insecure")).save(folder / "exact.he")  # retrained, say
    with Live(folder, tmp_path) as live:
        assert live.service.store.count == 1
        assert live.answered(kept, path, "approximate")


def test_no_session_outlives_its_keys(live, monkeypatch) -> None:
    """An evaluation that waited while they were removed maps them; nobody would count what the file takes."""
    _, path = live.party()
    service, remove = live.service, live.service.store.remove

    def removing(keys):
        service._sessions.session(service.models["exact"], keys)
        remove(keys)

    monkeypatch.setattr(service.store, "remove", removing)
    keys = service.store.find("ann", path[-64:])
    assert live.ask("DELETE", path).status_code == 204
    assert keys.path not in service._sessions._ready


def test_how_fast_a_client_may_ask(models, tmp_path) -> None:
    with Live(models, tmp_path, rate=0.001, burst=3) as live:
        path = f"/v1/models/exact/keys/{'0' * 64}"
        assert [live.ask("GET", path).status_code for _ in range(5)] == [404, 404, 404, 429, 429]
        assert int(live.ask("GET", path).headers["retry-after"]) >= 900
        assert live.ask("GET", path, "bob").status_code == 404
        assert [live.ask("GET", path, None).status_code for _ in range(5)] == [401, 401, 401, 429, 429]
        assert live.http.get("/v1/models").status_code == 429  # the same address


def test_what_is_remembered_of_an_address_is_short(live) -> None:
    live.http.get("/health", headers={"X-Forwarded-For": "a" * 50_000})
    assert max(map(len, live.service.rates._buckets)) < 100


def test_sessions_are_made_again_when_there_are_many(live, monkeypatch) -> None:
    monkeypatch.setattr("he.service.sessions._MOST_SESSIONS", 1)
    live.service._sessions._ready.clear()
    parties = [live.party() for _ in range(2)]
    requests = []
    for _ in range(2):
        for client, path in parties:
            assert live.answered(client, path)
            requests.append((path, client.encrypt(inputs(NETWORKS["exact"], 1))))
            assert live.ask("POST", f"{path}/evaluations", content=requests[-1][1]).status_code == 200
            assert len(live.service._sessions._ready) == 1
    for path, request in requests:  # and forget nothing
        assert is_problem(live.ask("POST", f"{path}/evaluations", content=request), 409)


def test_a_fault_is_told_by_its_number_alone(live, monkeypatch, caplog) -> None:
    client, path = live.party()
    with monkeypatch.context() as patch, caplog.at_level(logging.INFO, "he.service"):

        def fail(*_):
            raise RuntimeError("a logit")

        patch.setattr(live.service, "_evaluated", fail)
        answer = live.ask("POST", f"{path}/evaluations", content=client.encrypt(inputs(NETWORKS["exact"], 1)))
        assert is_problem(answer, 500)
        while not (lines := [one for one in caplog.records if one.fields.get("status") == 500]):
            time.sleep(0.01)  # the line is written once the answer has been sent
    (line,) = lines
    assert line.fields["number"] == answer.headers["x-request-id"]
    written = JsonLines().format(line)
    assert json.loads(written)["error"] == "RuntimeError"
    assert "a logit" not in answer.text + written
    assert live.answered(client, path)


def test_nothing_that_is_sent_or_answered_is_logged(live, caplog) -> None:
    with caplog.at_level(logging.INFO, "he.service"):
        client, path = live.party()
        assert live.answered(client, path)
        live.http.get("/v1/models/a-name-of-nobody's-business", headers={"Authorization": "Bearer a-token"})
        while len(caplog.records) < 4:
            time.sleep(0.01)  # the last line is written once the answer has been sent
    written = "\n".join(JsonLines().format(record) for record in caplog.records)
    for secret in (client.evaluation_keys.id, path[-64:], live.tokens["ann"], "business", "a-token"):
        assert secret not in written


@pytest.mark.parametrize("now", [0.0, 4e9])
def test_the_clock_of_the_day_decides_nothing(live, monkeypatch, now) -> None:
    client, path = live.party()
    request = client.encrypt(inputs(NETWORKS["exact"], 1))
    assert live.ask("POST", f"{path}/evaluations", content=request).status_code == 200
    monkeypatch.setattr(time, "time", lambda: now)
    assert live.answered(client, path)
    assert is_problem(live.ask("POST", f"{path}/evaluations", content=request), 409)
    assert live.party()
