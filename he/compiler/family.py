"""A network compiled for several numbers of images, so that each client asks for its own number at the least cost."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from he.circuit.circuit import Circuit
from he.circuit.commitment import SALT_BYTES
from he.circuit.family import Family, Offer
from he.compiler.compile import compile_approximate, compile_exact
from he.ring.params import ParameterError
from intnn import Graph, IntNetwork
from intnn.values.arrays import integer

_MOST_LANES = 64  # more have never been the cheapest: the packing for throughput is

USUAL_NUMBERS = (1, 10, 100, 1000, 10_000)


def compile_family(network: IntNetwork | Graph, images: Sequence[int] = USUAL_NUMBERS, **options: Any) -> Family:
    """Compile a network as few circuits of which each is the cheapest for some number of images.

    Every power of two of lanes up to 64 is tried, and the packing for throughput. What is the cheapest for none of the
    numbers is left out.

    Args:
        network: an integer network, for BFV, or a float network with polynomial activations, for CKKS.
        images: the numbers of images that clients bring, each from 1.
        options: what `compile_exact` or `compile_approximate` takes, but for `images`, `packing` and `weights`.

    Returns:
        The circuits, of one commitment, those for fewer images first.

    Raises:
        ParameterError: if no circuit fits, with the reason for the last one that was tried.
        TypeError, ValueError: as those raise, or if there is no number of images.
    """
    counts = [integer(count, "images", 1) for count in images]
    if not counts:
        raise ValueError("`images` must be one number or more, got none")
    if not isinstance(network, IntNetwork | Graph):
        raise TypeError(
            f"`network` must be an IntNetwork or a Graph, got {type(network).__name__}; of a model, give the `network` "
            "of `he.compile(model, samples)`"
        )
    if "weights" in options:
        raise TypeError(
            "`weights` must be left out: a family's are plain, for a network that is encrypted has one client"
        )
    entrance: Callable[..., Circuit] = compile_exact if isinstance(network, IntNetwork) else compile_approximate
    options = {"salt": secrets.token_bytes(SALT_BYTES), **options}
    found: dict[str, Circuit] = {}
    refusal = ParameterError("the network fits no parameter set")
    lanes = [1 << i for i in range(_MOST_LANES.bit_length())]
    for packing, count in [*(("latency", count) for count in lanes), ("throughput", None)]:
        try:
            circuit = entrance(network, packing=packing, images=count, weights="plain", **options)
        except ParameterError as error:
            refusal = error
            continue
        found[circuit.interface.digest] = circuit
    if not found:
        raise refusal
    circuits = sorted(found.values(), key=lambda circuit: circuit.interface.images)
    offer = Offer(tuple(one.interface for one in circuits), tuple(one.cost().total for one in circuits))
    chosen = {offer.plan(count).circuit for count in counts}
    return Family(tuple(circuits[i] for i in sorted(chosen)))
