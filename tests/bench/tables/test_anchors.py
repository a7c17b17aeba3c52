"""Published figures: complete, and printed beside what is measured."""

from dataclasses import replace

import pytest

from bench.tables.anchors import anchors
from bench.tables.rows import TITLES


def test_anchors_have_sources() -> None:
    assert {a.row for a in anchors()} == {"inference", "training-functional", "training-fhe"}
    assert all(a.source for a in anchors())


def test_anchors_state_hardware_and_security() -> None:
    found = {a.name: a for a in anchors() if a.row == "inference"}
    assert {a.row for a in anchors()} == set(TITLES)
    assert all(a.hardware and a.security for a in anchors())
    figures = {name: (a.encrypted_seconds, a.accuracy) for name, a in found.items()}
    assert figures["Concrete ML"] == (4.5, 0.963)
    assert figures["pyhelayers, SEAL"] == (0.212, 0.979)
    assert figures["Orion"] == (0.28, 0.978)
    assert figures["TenSEAL's tutorial"] == (2.07, 0.979)
    assert figures["HE.org reference"] == (7.63, None)
    assert found["Concrete ML"].hardware == "2 cores"
    assert found["HE.org reference"].security == "below 128 bits"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": ""}, "`source` of an anchor must not be empty"),
        ({"encrypted_seconds": 0.0}, "must be positive"),
        ({"plain_seconds": -1.0}, "must be positive"),
        ({"accuracy": 97.9}, r"must lie in \(0, 1\]"),
    ],
)
def test_what_is_no_figure_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(anchors()[0], **change)
