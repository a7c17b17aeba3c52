"""Nothing that is written or computed has changed since the vectors were."""

import json

import pytest

from tests.vectors.generate import FOLDER, SECTIONS
from tests.vectors.models import machine


@pytest.mark.parametrize("section", [name for name in SECTIONS if name != "rows"])  # those: test_table.py
def test_nothing_has_changed(section: str) -> None:
    expected = json.loads((FOLDER / f"{section}.json").read_text("utf-8"))
    if section == "models" and expected["machine"] != machine():
        pytest.skip(f"float sums of {machine()} are not those of {expected['machine']}")
    assert json.loads(json.dumps(SECTIONS[section]())) == expected
