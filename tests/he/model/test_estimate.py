"""What a model costs, before a key is made."""

import numpy as np
import pytest

import he


@pytest.mark.parametrize("exact", [True, False])
def test_sizes_are_those_that_are_sent(linear, iris, exact):
    x, _ = iris
    estimate = he.estimate(linear, x, exact=exact, security="insecure", threads=1)
    assert estimate.fits
    assert estimate.exact is exact
    compiled = he.compile(linear, x, exact=exact, security="insecure")
    client, session = he.connect(compiled.circuit, threads=1)
    request = client.encrypt(compiled.prepare(x[:1]))
    answer = session.evaluate(request)
    for stated, real in (
        (estimate.key_bytes, client.evaluation_keys.to_bytes()),
        (estimate.request_bytes, request),
        (estimate.answer_bytes, answer),
    ):
        assert stated <= len(real) <= stated + 2000  # headers
    assert estimate.units == compiled.circuit.cost().total
    assert estimate.agreement == compiled.agreement
    assert estimate.seconds > 0
    assert estimate.memory_bytes > estimate.key_bytes
    text = str(estimate)
    assert f"{estimate.units:.1f} units for 1 input(s)" in text
    assert ("exact (BFV)" if exact else "approximate (CKKS)") in text


def test_what_does_not_fit_is_no_error(linear, iris):
    estimate = he.estimate(linear, iris[0], max_units=0.001)
    assert not estimate.fits
    assert estimate.units is None
    assert "max_units" in str(estimate)
    assert str(estimate).startswith("does not fit")


def test_bad_arguments_are_errors(linear, iris):
    with pytest.raises(ValueError, match="`threads`"):
        he.estimate(linear, iris[0], threads=0)
    with pytest.raises(ValueError, match="shape"):
        he.estimate(linear, iris[0][:, :2])
    with pytest.raises(TypeError, match="uint8"):
        he.estimate(linear, np.zeros((20, 4), np.uint8))


def test_a_rehearsal_needs_no_key_and_may_be_short(linear, iris):
    prepared = he.prepare(he.compile(linear, iris[0], exact=False, security="insecure").circuit, threads=1)
    assert prepared.rehearse(1, repeats=0) > 0
    assert prepared.rehearse(1, repeats=2) > 0
    with pytest.raises(ValueError, match="`repeats`"):
        prepared.rehearse(1, repeats=-1)
