"""Every elementwise layer as a table, which is what a scheme without division needs of a network."""

from dataclasses import replace

from intnn.layers.nodes import LutActivation, Node, Requantise
from intnn.network.network import IntNetwork
from intnn.ops import backend
from intnn.values.arrays import instance, integer
from intnn.values.domain import IntDomain
from intnn.values.lut import Lut

LARGEST_TABLE = 65536


def tabulate(network: IntNetwork, largest: int = LARGEST_TABLE) -> IntNetwork:
    """Replace every run of `Requantise` and `LutActivation` by one table over the values that can reach it.

    Rescaling is a division, which homomorphic schemes do not have; over finitely many values it is a table like any
    other. The result has the same logits for every input, bit for bit.

    Args:
        network: A network whose rescalings have one multiplier each, since one table serves all channels.
        largest: The most points that a table may have, at least 1.

    Raises:
        TypeError: ``network`` is no `IntNetwork`.
        ValueError: A table would have more points, or a rescaling has a multiplier per channel; the message names the
            layer.
    """
    instance(network, IntNetwork, "network")
    integer(largest, "largest", 1)
    layers: list[Node] = []
    run: list[Requantise | LutActivation] = []
    domain = network.input_domain  # the domain of what reaches the run
    for i, layer in enumerate(network.chain):
        if isinstance(layer, Requantise | LutActivation):
            if isinstance(layer, Requantise) and len(layer.multiplier) > 1:
                raise ValueError(f"layer {i}: {layer} must have one multiplier to become a table for all channels")
            if not run:
                domain = network.ranges[i - 1] if i else network.input_domain
                if domain.size > largest:
                    raise ValueError(
                        f"layer {i}: values reach {domain}, a table of {domain.size} points, and at most {largest} "
                        f"are allowed; train with fewer weight bits, fewer input levels or fewer inputs"
                    )
            run.append(layer)
        else:
            layers += [*_table(run, domain), layer]
            run = []
    return replace(network, layers=(*layers, *_table(run, domain)))


def _table(run: list[Requantise | LutActivation], domain: IntDomain) -> list[Node]:
    """One activation for the run on the domain, and none for an empty run."""
    if not run:
        return []
    values = domain.values().reshape(-1, 1)
    for layer in run:
        values = layer.apply(values, backend("numpy"))
    name = next((layer.lut.name for layer in run if isinstance(layer, LutActivation)), "requantise")
    return [LutActivation(Lut(IntDomain(domain.lo, domain.hi), values.ravel(), name=name))]
