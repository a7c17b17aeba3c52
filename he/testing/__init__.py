"""Strategies and checks with which users test their engines, circuits and messages; they need the extra `testing`.

`he.testing.strategies` draws random networks, parameters and damaged messages. `he.testing.checks` checks properties
of circuits and messages, and `he.testing.promises` what every engine promises:

    @given(table_networks(tables=1))
    def test_my_engine(network):
        circuit = compiled(network, images=2, security="insecure")
        engine_keeps_its_promises(MyEngine(), circuit, network)
"""

from he.testing.checks import (
    damage_is_refused,
    encrypted_equals_plain,
    noise_budget,
    simulation_equals_plain,
    survives_storage,
)
from he.testing.promises import engine_keeps_its_promises
from he.testing.strategies import (
    compiled,
    damaged,
    extremes,
    inputs,
    parameter_sets,
    polynomial_graphs,
    square_graph,
    table_network,
    table_networks,
)

__all__ = [
    "compiled",
    "damage_is_refused",
    "damaged",
    "encrypted_equals_plain",
    "engine_keeps_its_promises",
    "extremes",
    "inputs",
    "noise_budget",
    "parameter_sets",
    "polynomial_graphs",
    "simulation_equals_plain",
    "square_graph",
    "survives_storage",
    "table_network",
    "table_networks",
]
