"""Integer twins: what of a trained module is evaluated on ciphertexts."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from intnn.network.network import IntNetwork
from intnn.quantisation.by_ranges import quantise_by_ranges
from intnn.quantisation.calibrate import calibrate
from intnn.quantisation.config import QuantConfig
from intnn.quantisation.tables import integer_tables
from plaintext_models.bridge.export import to_graph, to_network
from plaintext_models.bridge.plain import require_plain
from plaintext_models.training.qat.quantiser import InputQuantiser
from plaintext_models.training.qat.table_network import TableNetwork

COVERED = 99.9  # percent of an activation's values that do not saturate


def integer_twin(module: nn.Module, images: Tensor, sizes: QuantConfig, name: str = "") -> IntNetwork:
    """The network of tables that gives a module's answers.

    Layers of floats are fitted anew behind what has been rounded before them (`integer_tables`). A network that begins
    with a rounding of its own was trained on its integers, for proofs perhaps, which a fit to clean images would not
    keep: its weights are rounded as they are (`quantise_by_ranges`).

    Args:
        module: A `TableNetwork`, whose integers these are; or any chain of float layers that `to_graph` takes, its
            first layer perhaps an `InputQuantiser`, which then says how many bits an input has.
        images: float32 [n, *input_shape] in [0, 1], some hundreds to thousands, by which values are scaled.
        sizes: How many integers each kind of value gets.
        name: The name of the network.

    Raises:
        TypeError: The module has branches, or layers that cannot be exported.
        ValueError: Something besides a layer's class decides what it computes; or where `integer_tables` or
            `quantise_by_ranges` raises it.
    """
    if isinstance(module, TableNetwork):
        return to_network(module, name)
    if type(module) is not nn.Sequential or type(first := next(iter(module), None)) is not InputQuantiser:
        return integer_tables(to_graph(module, tuple(images.shape[1:]), name), images.double().numpy(), sizes)
    require_plain(module, "module")
    require_plain(first, "module.0")
    graph = to_graph(module[1:], tuple(images.shape[1:]), name)
    with torch.no_grad():
        ranges = calibrate(graph, first(images).double().numpy(), COVERED)
    ranges = replace(ranges, input=(float(first.domain.lo), float(first.domain.hi)))
    sizes = replace(sizes, input_bits=first.domain.hi.bit_length())
    return replace(quantise_by_ranges(graph, ranges, sizes), input_scale=first.scale)
