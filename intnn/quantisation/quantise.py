"""From floats to integers: the entrance."""

from numpy.typing import ArrayLike

from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.quantisation.by_ranges import quantise_by_ranges
from intnn.quantisation.calibrate import Ranges
from intnn.quantisation.config import QuantConfig
from intnn.quantisation.tables import integer_tables
from intnn.quantisation.tune import Price, tune
from intnn.values.arrays import instance

__all__ = ["QuantConfig", "quantise"]


def quantise(
    graph: Graph,
    samples: ArrayLike | Ranges,
    config: QuantConfig | None = None,
    budget: float | None = None,
    price: Price | None = None,
) -> IntNetwork:
    """Quantise a float network after training.

    Without a configuration, networks of squares and networks of tables are tried in several sizes, and the cheapest
    that agrees with the float network about as well as the best is taken: `intnn.quantisation.tune.tune` says how, and
    shows what else there was. With one, activations become tables of these sizes.

    Args:
        graph: The float network.
        samples: Typical inputs, floats [n, *graph.input_shape]; or the ranges of the network's values, from
            `calibrate`, by which every layer gets one scale and its weights are rounded as they are.
        config: The sizes of tables and integers; for ranges `QuantConfig()` by default.
        budget: The highest price of a network that is tuned; None for no limit.
        price: What a network costs; see `tune`.

    Returns:
        The integer network, with the graph's metadata and "output_scale", the integer units per float unit of its
        logits.

    Raises:
        TypeError: An argument is of another type; or a configuration is given for a graph with branches.
        ValueError: The samples are missing, of another shape, NaN or infinite; the ranges belong to another network; no
            network is within the budget; or the configuration leaves nothing of a layer's weights.
    """
    instance(graph, Graph, "graph")
    if config is not None:
        instance(config, QuantConfig, "config")
        if budget is not None or price is not None:
            raise TypeError("`budget` and `price` must be left out where `config` is given, since nothing is tuned")
    if isinstance(samples, Ranges):
        return quantise_by_ranges(graph, samples, config or QuantConfig())
    if config is not None:
        return integer_tables(graph, samples, config)
    return tune(graph, samples, budget, price).chosen.network
