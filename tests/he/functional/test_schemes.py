import pytest

from he.functional.instance import SCHEMES
from he.functional.schemes import scheme
from tests.test_architecture import loaded_by


@pytest.mark.parametrize("name", SCHEMES)
def test_a_scheme_is_found_by_its_name(name: str) -> None:
    assert scheme(name).name == name
    assert scheme(name) is scheme(name)


@pytest.mark.parametrize("name", ["lwe", "", None, 3, ["pads"], "he.functional.pads"])
def test_another_name_is_refused(name: object) -> None:
    with pytest.raises(ValueError, match="`name` must be"):
        scheme(name)


def test_the_curve_is_loaded_by_those_who_ask_for_its_scheme() -> None:
    ask = "import he; from he.functional.schemes import scheme; scheme('pads')"
    assert "coincurve" not in loaded_by(ask)
