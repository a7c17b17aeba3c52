"""A network compiled for several numbers of images, so that each client asks for its own number at the least cost."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from he.circuit.circuit import Circuit
from he.circuit.commitment import SALT_BYTES
from he.circuit.family import Family, Offer
from he.circuit.residues import ResidueCircuit
from he.compiler.compile import compile_approximate, compile_exact
from he.compiler.residues import compile_residues, is_of_polynomials
from he.ring.params import ParameterError
from intnn import Graph, IntNetwork
from intnn.values.arrays import integer

_OF_BOTH = {"security", "salt"}
_MOST_LANES = 64  # more have never been the cheapest: the packing for throughput is

USUAL_NUMBERS = (1, 10, 100, 1000, 10_000)


def compile_family(network: IntNetwork | Graph, images: Sequence[int] = USUAL_NUMBERS, **options: Any) -> Family:
    """Compile a network as few circuits of which each is the cheapest for some number of images.

    Every power of two of lanes up to 64 is tried, and the packing for throughput. What is the cheapest for none of the
    numbers is left out.

    Args:
        network: an integer network, for BFV, or a float network with polynomial activations, for CKKS.
        images: the numbers of images that clients bring, each from 1.
        options: what `compile_exact` or `compile_approximate` takes, but for `images`, `packing` and `weights`. An
            integer network of polynomials whose logits fit no plaintext modulus is compiled by `compile_residues`,
            where these are options of that; and so is one with its option `plain_moduli`.

    Returns:
        The circuits, of one commitment, those for fewer images first.

    Raises:
        ParameterError: if no circuit fits, with the reason for the last one that was tried.
        TypeError, ValueError: as those raise, or if there is no number of images.
    """
    if not isinstance(images, Iterable):
        raise TypeError(f"`images` must be several numbers of images, or one in a tuple, got {images!r:.80}")
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
    if "packing" in options:
        raise TypeError("`packing` must be left out: a family has circuits of both, whichever are the cheapest")
    options = {"salt": secrets.token_bytes(SALT_BYTES), **options}
    if isinstance(network, IntNetwork) and "plain_moduli" in options:
        circuits = _compiled(partial(compile_residues, network, **options))
    else:
        entrance: Callable[..., Circuit] = compile_exact if isinstance(network, IntNetwork) else compile_approximate
        try:
            circuits = _compiled(partial(entrance, network, weights="plain", **options))
        except ParameterError:
            if not (isinstance(network, IntNetwork) and is_of_polynomials(network) and options.keys() <= _OF_BOTH):
                raise
            circuits = _compiled(partial(compile_residues, network, **options))
    offer = Offer(tuple(one.interface for one in circuits), tuple(one.cost().total for one in circuits))
    chosen = {offer.plan(count).circuit for count in counts}
    return Family(tuple(circuits[i] for i in sorted(chosen)))


def _compiled(entrance: Callable[..., Circuit | ResidueCircuit]) -> list[Circuit | ResidueCircuit]:
    """Return the circuits for every number of lanes and for throughput, those for fewer images first.

    Raises:
        ParameterError: if there is none, with the reason for the last one.
    """
    found: dict[str, Circuit | ResidueCircuit] = {}
    refusal = ParameterError("the network fits no parameter set")
    lanes = [1 << i for i in range(_MOST_LANES.bit_length())]
    for packing, count in [*(("latency", count) for count in lanes), ("throughput", None)]:
        try:
            circuit = entrance(packing=packing, images=count)
        except ParameterError as error:
            refusal = error
            continue
        found[circuit.interface.digest] = circuit
    if not found:
        raise refusal
    return sorted(found.values(), key=lambda circuit: circuit.interface.images)
