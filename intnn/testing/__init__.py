"""Strategies and checks to test layers, backends and networks of one's own; they need hypothesis (the extra `testing`).

`intnn.testing.strategies` draws random values, and `intnn.testing.checks` holds properties of them:

    @given(st.data())
    def test_my_backend(data):
        network = data.draw(int_networks())
        backends_agree(network, data.draw(int_inputs(network)), [my_backend])
"""

from intnn.testing.checks import (
    backends_agree,
    layer_keeps_its_promises,
    nothing_overflows,
    save_and_load,
    twin_keeps_its_ranges,
)
from intnn.testing.strategies import (
    activations,
    domains,
    float_arrays,
    float_graphs,
    float_inputs,
    int_arrays,
    int_inputs,
    int_networks,
    luts,
    nodes,
)

__all__ = [
    "activations",
    "backends_agree",
    "domains",
    "float_arrays",
    "float_graphs",
    "float_inputs",
    "int_arrays",
    "int_inputs",
    "int_networks",
    "layer_keeps_its_promises",
    "luts",
    "nodes",
    "nothing_overflows",
    "save_and_load",
    "twin_keeps_its_ranges",
]
