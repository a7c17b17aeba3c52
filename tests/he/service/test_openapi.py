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


def fuzzed(live, examples):
    """Make calls of the document's operations, some of them for a model and keys that there are."""
    _, path = live.party(who="all")
    config = schemathesis.Config.from_dict({"checks": {"positive_data_acceptance": {"expected-statuses": REFUSED}}})
    schema = schemathesis.openapi.from_url(f"{live.url}{PATH}", config=config)
    headers, there = (
        {"Authorization": f"Bearer {live.tokens['all']}"},
        {"model": "exact", "keys": path[-64:], "network": path[-64:]},
    )

    def call(case, known):
        if known and case.method != "DELETE":
            case.path_parameters |= {name: there[name] for name in case.path_parameters}
        case.call_and_validate(base_url=live.url, headers=headers)

    few = settings(max_examples=examples, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    for operation in schema.get_all_operations():
        few(given(case=operation.ok().as_strategy(), known=st.booleans())(call))()
    assert live.ask("GET", path, "all").status_code == 200


def test_schemathesis_finds_nothing(models, tmp_path) -> None:
    with Live(models, tmp_path) as live:
        fuzzed(live, examples=5)


@pytest.mark.slow
def test_schemathesis_finds_nothing_in_many_calls(models, tmp_path) -> None:
    with Live(models, tmp_path) as live:
        fuzzed(live, examples=300)
        settings_ = tmp_path / "schemathesis.toml"
        settings_.write_text(f"[checks]\npositive_data_acceptance.expected-statuses = {json.dumps(REFUSED)}\n")
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", settings_, "run", f"{live.url}{PATH}"]
        command += ["-H", f"Authorization: Bearer {live.tokens['all']}", "--checks", "all", "--max-examples", "100"]
        found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert found.returncode == 0, found.stdout
