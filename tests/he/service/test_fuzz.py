"""A minute of mutated uploads; `python -m tests.he.service.fuzz` sends more."""

import pytest

from tests.he.service.fuzz import attack


@pytest.mark.slow
def test_a_server_bears_mutated_uploads() -> None:
    outcomes = attack(60, seed=0)
    assert outcomes[422] > 100
    assert outcomes[400] > 10
