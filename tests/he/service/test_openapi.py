"""The document describes what the server does: schemathesis makes calls of it, and finds nothing."""

import json
import subprocess
import sys

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from he.service.openapi import PATH, document
from he.service.operations import OPERATIONS
from tests.he.service.conftest import Live
from tests.he.service.test_encrypted_networks import Parties

# A server cannot tell bytes that a schema allows from a message before it has read them: 422 is right for them, and so
# is 400 where the address names another digest.
REFUSED = ["2xx", "400", "401", "403", "404", "409", "413", "422"]


def test_every_operation_is_described_with_what_it_refuses() -> None:
    found = document()
    for operation in OPERATIONS:
        described = found["paths"][operation.path][operation.method.lower()]
        assert described["summary"]
        assert {int(status) for status in described["responses"]} == {*operation.answers, *operation.statuses}
        assert ("security" in described) == operation.secured


def test_the_document_is_served(live) -> None:
    assert live.http.get(PATH).json() == document()


def fuzzed(live, models, examples):
    """Make calls of the document's operations, some of them for models, keys and a network that there are."""
    _, path = live.party(who="all")
    with Parties(live, models, "all") as parties:
        client, network = parties.client()
        parties.sends.publish(network)
    there = [
        {"model": "exact", "keys": path[-64:], "network": path[-64:]},
        {"model": "hidden", "keys": client.client.evaluation_keys.id, "network": network[-32:].hex()},
    ]
    config = schemathesis.Config.from_dict({"checks": {"positive_data_acceptance": {"expected-statuses": REFUSED}}})
    schema = schemathesis.openapi.from_url(f"{live.url}{PATH}", config=config)
    headers = {"Authorization": f"Bearer {live.tokens['all']}"}

    def call(case, known):
        if known and case.method != "DELETE":
            case.path_parameters |= {name: known[name] for name in case.path_parameters}
        case.call_and_validate(base_url=live.url, headers=headers)

    few = settings(max_examples=examples, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    for operation in schema.get_all_operations():
        few(given(case=operation.ok().as_strategy(), known=st.sampled_from([None, *there]))(call))()
    assert live.ask("GET", path, "all").status_code == 200


def test_schemathesis_finds_nothing(encrypted_models, tmp_path) -> None:
    with Live(encrypted_models, tmp_path) as live:
        fuzzed(live, encrypted_models, examples=5)


@pytest.mark.slow
def test_schemathesis_finds_nothing_in_many_calls(encrypted_models, tmp_path) -> None:
    with Live(encrypted_models, tmp_path) as live:
        fuzzed(live, encrypted_models, examples=300)
        settings_ = tmp_path / "schemathesis.toml"
        settings_.write_text(f"[checks]\npositive_data_acceptance.expected-statuses = {json.dumps(REFUSED)}\n")
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", settings_, "run", f"{live.url}{PATH}"]
        command += ["-H", f"Authorization: Bearer {live.tokens['all']}", "--checks", "all", "--max-examples", "100"]
        found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert found.returncode == 0, found.stdout
