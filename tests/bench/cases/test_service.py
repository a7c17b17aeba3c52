"""The measurement of a server: its rows, and clients that find what is wrong."""

from io import StringIO

import pytest
from rich.console import Console

from bench.cases import service
from bench.cases.options import ServiceOptions
from bench.harness.case import Silent
from he import Policy, compile_exact
from he.testing import table_network

POLICY = Policy(security="insecure")


def rows(**options):
    options = ServiceOptions(rounds=2, **options)
    network, circuit = table_network(), compile_exact(table_network(), security="insecure")
    return list(service.measured(service.ServiceJob("small", options), network, circuit, Silent(), POLICY))


def test_one_image_and_a_load() -> None:
    one, load = rows(clients=4, tenants=2, seconds=1, kill=False)
    assert one.ratio == one.service_s / one.evaluation_s
    assert one.expanded_bytes > one.key_bytes > one.request_bytes
    assert load.answered > 0
    assert (load.wrong, load.lost, load.refused) == (0, 0, {})
    text = StringIO()
    service.show(Console(file=text, width=80), [one, load])
    assert "over loopback" in text.getvalue()
    assert f"{load.answered}, 0" in text.getvalue()


@pytest.mark.slow
def test_many_clients_are_answered_rightly_or_refused_through_a_crash() -> None:
    _, load = rows(seconds=60.0)
    assert load.killed
    assert load.clients == 64
    assert load.answered > 1000
    assert load.wrong == 0
    assert load.refused.keys() <= {"429", "503"}
    assert load.peak_bytes < 1 << 30
