import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

# A shared machine, a first call that compiles, and encryption take the time they take: no deadline per example.
# Whoever runs the suite tries the same examples as everybody else: `make test-random` draws others.
for profile, derandomize in {"toolkit": True, "random": False}.items():
    settings.register_profile(
        profile, deadline=None, derandomize=derandomize, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile("toolkit")

# What coverage watches takes thrice the time. It watches rooms being imported, and their own tests but for properties,
# which enter the same branches in every example, and those that are marked as unwatched.


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Import what is measured, and then collect tests unwatched, in the processes that do."""
    if session.config.pluginmanager.has_plugin("dsession"):  # which has others collect
        return (yield)
    for room in _measured_rooms():
        for path in sorted(room.rglob("*.py")):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    gc.disable()  # modules and tests stay: a fifth of the time would go into looking whether they do
    try:
        with _unwatched():
            return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watch an example of a measured room."""
    place = ROOT / item.path.relative_to(ROOT / "tests")
    marked = item.get_closest_marker("hypothesis") or item.get_closest_marker("unwatched")
    if not marked and any(map(place.is_relative_to, _measured_rooms())):
        return (yield)
    with _unwatched():
        return (yield)


def _measured_rooms() -> list[Path]:
    coverage = Coverage.current()
    return [] if coverage is None else [ROOT / room for room in coverage.get_option("run:source")]


@contextmanager
def _unwatched() -> Iterator[None]:
    stopped: list[Coverage] = []
    while (coverage := Coverage.current()) is not None:
        coverage.stop()  # and the one within which it began goes on, if there is one
        stopped.append(coverage)
    try:
        yield
    finally:
        for coverage in reversed(stopped):
            coverage.start()
