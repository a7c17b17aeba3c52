"""The compiler's two entrances: integer networks to BFV, and float networks to CKKS."""

from __future__ import annotations

from he.circuit.circuit import Circuit
from he.compile.approximate import approximate_lowering
from he.compile.exact import exact_lowering
from he.compile.search import PackingName, search
from he.ring.params import ParameterError, Security
from intnn import Graph, IntNetwork
from intnn.values.arrays import integer


def compile_exact(
    network: IntNetwork, *, images: int | None = 1, packing: PackingName = "latency", security: Security = "128"
) -> Circuit:
    """Compile an integer network for BFV; the decrypted logits equal `network.logits` bit for bit.

    Args:
        network: an integer network. Every value before a table and every logit must lie within (-t/2, t/2), t = 65537.
            Rescalings become tables (`intnn.tabulate`), so that a network of `IntClassifier` is compiled as it is.
        images: the least number of images that one evaluation serves, rounded up to what the slots hold evenly; None
            for as many as fit the slots of the smallest ring, with a request of at most 256 ciphertexts.
        packing: `"latency"` packs the features of few images into one ciphertext. `"throughput"` gives every feature
            its own ciphertext, which holds as many images as there are slots: that takes the least time an image.
        security: `"128"`, or `"insecure"` for tests.

    Raises:
        ParameterError: if no supported parameter set fits, with the reason for each ring, if a stage or a logit
            ignores the input, or if `security` is another string.
        TypeError: if a layer has no encrypted evaluation.
        ValueError: if `images` is not positive, or `packing` is another string.
    """
    if not isinstance(network, IntNetwork):
        raise TypeError(
            f"`network` must be an IntNetwork, got {type(network).__name__}; quantise a Graph first, or compile it "
            "with compile_approximate"
        )
    images = _require_options(images, packing, security)
    return search(exact_lowering(network, security), images, packing, security)


def compile_approximate(
    graph: Graph,
    *,
    images: int | None = 1,
    input_range: tuple[float, float] = (0.0, 1.0),
    max_error: float | None = None,
    packing: PackingName = "latency",
    security: Security = "128",
) -> Circuit:
    """Compile a float network with polynomial activations for CKKS.

    Args:
        graph: a float network whose activations are `square` or `polynomial`.
        images: the least number of images that one evaluation serves; see `compile_exact`.
        input_range: the least and the greatest value that an input may have; the client refuses others.
        max_error: the largest error of a logit, bounded for the worst input, that the parameters may cause. By default
            it is 0.2, or a 64th of the interval in which the widest logit may lie if that is less.
        packing: see `compile_exact`. For `"throughput"`, a network whose activations are all squares uses both parts of
            the complex slots.
        security: `"128"`, or `"insecure"` for tests.

    Raises:
        ParameterError: if no supported parameter set fits, with the reason for each ring, if a stage or a logit
            ignores the input, or if `security` is another string.
        TypeError: if a node has no encrypted evaluation.
        ValueError: if an activation is no polynomial, or an argument is out of range.
    """
    if not isinstance(graph, Graph):
        raise TypeError(
            f"`graph` must be a Graph, got {type(graph).__name__}; an IntNetwork is compiled with compile_exact"
        )
    images = _require_options(images, packing, security)
    return search(approximate_lowering(graph, input_range, max_error, security), images, packing, security)


def _require_options(images: int | None, packing: PackingName, security: Security) -> int | None:
    """Check what both entrances take, and return `images` as a plain integer."""
    if packing not in ("latency", "throughput"):
        raise ValueError(f'`packing` must be "latency" or "throughput", got {packing!r}')
    if security not in ("128", "insecure"):
        raise ParameterError(f'`security` must be "128" or "insecure", got {security!r}')
    try:
        return None if images is None else integer(images, "images", 1)
    except ValueError as error:
        raise ValueError(f"`images` must be at least 1, or None, got {images}") from error
