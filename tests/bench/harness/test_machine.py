"""What the harness knows of the machine, and of what the packages allow on it."""

from bench.harness.machine import MAX_THREADS
from he.engines import engine
from intnn.compiled import evaluator


def test_the_most_threads_are_what_both_packages_accept():
    assert MAX_THREADS == engine.MAX_THREADS == evaluator.MAX_THREADS
