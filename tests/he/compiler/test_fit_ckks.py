"""The search for scales: what it need not try."""

import pytest

from he import ParameterError, compile_approximate
from he.compiler.fit_ckks import _Search
from he.testing import square_graph


def test_a_search_without_hope_tries_the_finest_scales_alone(monkeypatch):
    probed, tried = _Search._probed, set()

    def counted(self, bits):
        tried.add(tuple(bits))
        return probed(self, bits)

    monkeypatch.setattr(_Search, "_probed", counted)
    with pytest.raises(ParameterError, match="no scales leave an error bound of 1e-30"):
        compile_approximate(square_graph(), max_error=1e-30, security="insecure")
    assert len(tried) == 1
    compile_approximate(square_graph(), security="insecure")
    assert len(tried) > 1
