"""Numbers for people."""

import pytest

from bench.report.units import duration, size, times


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.234e-5, "12.3 µs"),
        (0.0045, "4.5 ms"),
        (1.5, "1.5 s"),
        (300.0, "300 s"),
        (600.0, "10 min"),
        (36000.0, "10 h"),
        (315576000.0, "10 years"),
        (None, "-"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(1500, "1.5 kB"), (56_000_000, "56 MB"), (1.32e9, "1.32 GB"), (None, "-")])
def test_size(count: int | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (0.0123, "0.0123x"),
        (1.2345, "1.23x"),
        (999.4, "999x"),
        (999.6, "1,000x"),
        (12_345.0, "12,300x"),
        (999_499.0, "999,000x"),
        (1e7, "1e+07x"),
        (4.56e12, "4.6e+12x"),
    ],
)
def test_times(ratio: float, text: str) -> None:
    assert times(ratio) == text
    assert len(text) <= 8
