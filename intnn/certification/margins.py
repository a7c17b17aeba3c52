"""Lower bounds on differences of logits over boxes, by intervals or by lines; every number is an exact integer."""

import numpy as np

from intnn.certification.lines import CURVED, Lines, lines
from intnn.certification.transposed import LIMIT, held, magnitude, row_sum, transposed
from intnn.layers.boxes import Box, spread
from intnn.network.edges import INPUT, flow
from intnn.network.network import IntNetwork
from intnn.values.arrays import Array, IntArray, exactly

FRACTION = 12  # bits of a coefficient behind the point, where lines have slopes


def margins(network: IntNetwork, box: Box, labels: IntArray, by_lines: bool) -> Array:
    """What a label's logit exceeds every other logit by, at least, for all inputs of a box.

    Differences of logits are linear functions of the network's outputs. They are taken back layer by layer. By
    intervals they stop at the last layers that are not linear, whose outputs range over their boxes: the linear layers
    behind these are folded into one. By lines they go on to the input: in the place of what is not linear stand the
    lines that are worst for the sign of each coefficient (Zhang et al., arXiv:1811.00866; Singh et al., POPL 2019),
    with the boxes of intervals (as in arXiv:1906.06316). There coefficients have 12 bits behind the point; how they are
    rounded does not matter, since what remains is bounded over the unit's interval and rounded down.

    Args:
        network: The network.
        box: The boxes, int64 [n, *network.input_shape], in its domain.
        labels: Numbers of outputs, int64 [n].
        by_lines: Whether by lines.

    Returns:
        Integers [n, outputs], int64 or Python ints; 0 at the label.
    """
    boxes = flow(
        box,
        network.layers,
        network.sources,
        lambda i, node, read: spread(node, read, network.bounds[i]),
    )
    outputs, unit = int(np.prod(network.output_shape)), 1 << FRACTION if by_lines else 1
    ones = unit * np.eye(outputs, dtype=np.int64)
    rows = ones[labels][:, None] - ones  # [n, outputs, outputs]
    waiting = {len(network.layers) - 1: rows.reshape(-1, *network.output_shape)}
    total: Array = np.zeros(len(rows) * outputs, np.int64)

    def add(source: int, part: Array) -> None:
        waiting[source] = _sum(waiting[source], part) if source in waiting else part

    for i in reversed(range(len(network.layers))):
        node, sources, c = network.layers[i], network.sources[i], waiting.pop(i, None)
        if c is None:
            continue
        read = [box if source == INPUT else boxes[source] for source in sources]
        if not isinstance(node, CURVED):
            constant, parts = transposed(node, c, [low.shape[1:] for low, _ in read])
            for source, part in zip(sources, parts, strict=True):
                add(source, part)
        elif by_lines:
            constant, part = _through(c, *lines(node, read[0], boxes[i]), read[0])
            add(sources[0], part)
        else:
            constant = _worst(c, boxes[i])
        total = _sum(total, constant)
    if INPUT in waiting:
        total = _sum(total, _worst(waiting[INPUT], box))
    whole = total if total.dtype == object else exactly(total, np.int64)
    return -(-whole // unit).reshape(len(rows), outputs)  # a difference of integers, so rounded up


def _worst(c: Array, box: Box) -> Array:
    """The least values of linear functions [n k, *shape] over n boxes, [n k]."""
    c = held(c, magnitude(*box))
    c = c.reshape(len(box[0]), -1, box[0][0].size)
    low, high = (exactly(end, c.dtype).reshape(len(c), -1, 1) for end in box)
    return (np.maximum(c, 0) @ low + np.minimum(c, 0) @ high).reshape(-1)


def _through(c: Array, below: Lines, above: Lines, read: Box) -> tuple[Array, Array]:
    """Linear functions of a layer's outputs as lower bounds that are linear in its inputs: constants and coefficients.

    With the line below for c >= 0, and the one above for others, c f(z) >= c (p z + b) / q. For any whole number s this
    is s z + (c b + (c p - s q) z) / q, whose last term is least at an end of the interval; s is c p / q, rounded.
    """
    low, _ = read
    n, shape = len(low), low.shape[1:]
    ends = (*below, *above, *read)
    biggest = max(magnitude(*below[:1], *above[:1]), magnitude(*below[1:2], *above[1:2]), magnitude(*read), 1)
    worst = 2 * row_sum(c) * max(biggest, magnitude(below.b, above.b)) + (4 * biggest + low.size) * biggest
    kind = np.int64 if worst < LIMIT else object
    c = exactly(c, kind).reshape(n, -1, *shape)
    p_below, q_below, b_below, p_above, q_above, b_above, low, high = (exactly(end, kind)[:, None] for end in ends)
    positive = c >= 0
    p, q, b = (
        np.where(positive, first, second)
        for first, second in ((p_below, p_above), (q_below, q_above), (b_below, b_above))
    )
    slope = (2 * c * p + q) // (2 * q)
    rest = c * p - slope * q
    constant = (c * b + np.minimum(rest * low, rest * high)) // q
    return constant.reshape(len(c) * c.shape[1], -1).sum(axis=1), slope.reshape(-1, *shape)


def _sum(a: Array, b: Array) -> Array:
    """The sum in a dtype that holds it, whatever those of the parts."""
    worst = magnitude(a) + magnitude(b)
    kind = np.int64 if worst < LIMIT else object
    return exactly(a, kind) + exactly(b, kind)
