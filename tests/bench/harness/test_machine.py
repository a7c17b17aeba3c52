"""What the harness knows of the machine, and of what the packages allow on it."""

import re

import tenseal.sealapi as sealapi

from bench.harness.machine import MAX_THREADS, machine
from he.engines import engine
from he.formats.seal_bridge import to_bytes
from intnn.compiled import evaluator


def test_the_most_threads_are_what_both_packages_accept():
    assert MAX_THREADS == engine.MAX_THREADS == evaluator.MAX_THREADS


def test_rows_name_the_version_of_seal_beside_that_of_its_binding():
    packages = machine()["packages"]
    assert packages["tenseal"].count(".") == 2
    assert re.fullmatch(r"4\.\d+", packages["SEAL"])
    header = to_bytes(sealapi.Plaintext("7FF"))  # what SEAL writes at the head of everything
    assert packages["SEAL"] == f"{header[3]}.{header[4]}"
