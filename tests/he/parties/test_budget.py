"""The bound on the noise of integer networks against the budget that SEAL measures, for the worst networks known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.testing import compiled, extremes, inputs, noise_budget, table_networks
from intnn import Dense, IntDomain, IntNetwork, Lut, LutActivation
from tests.he.compiler.test_told import aligned
from tests.he.conftest import Party

FAR = 40  # bits by which a bound is pessimistic at most, of any network here


def require_budget(network: IntNetwork, packing: str) -> None:
    """The answers are exact, and their budget is at least what was said, in whole bits, rounded down."""
    party = Party(compiled(network, packing=packing, security="insecure"))
    batch = min(3, party.circuit.interface.images)
    for x in (inputs(network, batch), extremes(network, batch)):
        response = party.session.evaluate(party.client.encrypt(x))
        budget = noise_budget(party.client, response)
        assert np.array_equal(party.client.decrypt(response), network.logits(x))
        assert party.circuit.output_bound - 1 <= budget <= party.circuit.output_bound + FAR


def dense(weight: np.ndarray) -> Dense:
    return Dense(weight, np.zeros(len(weight), int))


def worst_networks() -> dict[str, IntNetwork]:
    """Networks in which everything is made to add up."""
    bit, rng = IntDomain(0, 1), np.random.default_rng(0)
    table = LutActivation(Lut(IntDomain(-8, 8), rng.integers(-8, 9, 17)))
    last = LutActivation(Lut(IntDomain(-8, 8), rng.integers(-(2**15), 2**15, 17)))
    repeat = LutActivation(Lut(IntDomain(-8, 8), np.clip(np.arange(-8, 9), -1, 1)))
    ones, column = np.ones((8, 8), int), np.ones((8, 1), int)
    return {
        "all weights equal": IntNetwork((8,), bit, (dense(ones), repeat, dense(ones), table)),
        "weights of rank one": IntNetwork((8,), bit, (dense(ones * (-column) ** np.arange(8)), repeat, dense(ones))),
        "the largest entries of a table": IntNetwork((8,), bit, (dense(ones), last)),
        "the largest weights": IntNetwork((1,), bit, (dense(np.full((512, 1), 2**15)),)),
        "weights made for one root": IntNetwork(
            (1,), bit, (dense((aligned(1024)[:512, None] + 2**15) % 65537 - 2**15),)
        ),
    }


@pytest.mark.parametrize("packing", ["latency", "throughput"])
@pytest.mark.parametrize("name", worst_networks())
def test_the_worst_networks_have_the_budget_that_was_said(name, packing):
    require_budget(worst_networks()[name], packing)


@pytest.mark.slow
@settings(max_examples=100)
@given(st.integers(1, 2).flatmap(lambda tables: table_networks(tables)), st.sampled_from(["latency", "throughput"]))
def test_random_networks_have_the_budget_that_was_said(network, packing):
    require_budget(network, packing)
