"""Parts of a run: what runs within another part counts for itself."""

import time

import pytest

from bench.harness.clock import Clock


def test_a_part_that_runs_within_another_is_not_counted_twice():
    clock = Clock()
    start = time.perf_counter()
    with clock.running("outer"):
        time.sleep(0.02)
        for _ in range(2):
            with clock.running("inner"):
                time.sleep(0.03)
    passed = time.perf_counter() - start
    assert clock.wall["inner"] >= 0.06
    assert 0.02 <= clock.wall["outer"] <= passed - clock.wall["inner"]
    assert sum(clock.wall.values()) == pytest.approx(passed, abs=1e-3)


def test_processor_time_is_not_spent_asleep():
    clock = Clock()
    with clock.running("asleep"):
        time.sleep(0.05)
    assert clock.processor["asleep"] < 0.04 < clock.wall["asleep"]


def test_a_part_that_fails_is_counted():
    clock = Clock()
    with pytest.raises(KeyError), clock.running("outer"), clock.running("inner"):
        raise KeyError
    assert set(clock.wall) == {"outer", "inner"}
