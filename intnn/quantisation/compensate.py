"""Weights rounded one after the other, so that later ones make up for the errors of earlier ones.

Rounding every weight to the nearest integer is best for inputs that are independent of each other. Those of a layer are
not: neighbouring pixels are nearly equal, and an error in the weight of one can be taken back in the weight of the
next. The order and the closed form are those of GPTQ (Frantar et al., "GPTQ: Accurate Post-Training Quantization for
Generative Pre-trained Transformers", ICLR 2023), after the optimal brain surgeon.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from intnn.layers.geometry import bordered
from intnn.layers.nodes import Conv2d, Dense
from intnn.values.arrays import FloatArray

MOST_ROWS = 100_000  # windows of images whose moments are taken
DAMPING = 0.01  # of an input's mean square, added to every input's: what no sample shows is not relied upon


def compensated(layer: Dense | Conv2d, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Whole weights and real biases for which a layer gives nearly the same on its inputs.

    Args:
        layer: The layer with weights and biases in units of its outputs.
        inputs: What it reads, [n, *shape].

    Returns:
        The weights, whole numbers in the shape of the layer's, none larger than the largest of its output; and the
        biases that go with them.
    """
    groups = layer.groups if isinstance(layer, Conv2d) else 1
    scale = float(np.abs(inputs).max()) or 1.0  # integers may be so large that their squares are no floats
    rows = np.column_stack([layer.weight.reshape(len(layer.weight), -1), layer.bias / scale])
    for part, read in zip(np.split(rows, groups), np.split(inputs / scale, groups, axis=1), strict=True):
        _compensate(part, _moments(layer, read))
    return rows[:, :-1].reshape(layer.weight.shape), rows[:, -1] * scale


def _compensate(rows: FloatArray, moments: FloatArray) -> None:
    """Round the rows [out, taps + 1] in place but for their last column, by the inputs' second moments."""
    taps = len(moments) - 1
    mean = float(np.trace(moments[:taps, :taps])) / taps or 1.0
    moments = moments + np.diag(np.append(np.full(taps, DAMPING * mean), 0.0))
    order = np.append(np.argsort(-moments.diagonal()[:taps], kind="stable"), taps)  # the most active inputs first
    factor = np.linalg.cholesky(np.linalg.inv(moments[np.ix_(order, order)])).T
    left = rows[:, order]
    largest = np.rint(np.abs(left[:, :taps]).max(axis=1, keepdims=True))
    for i in range(taps):
        whole = np.clip(np.rint(left[:, i : i + 1]), -largest, largest)
        left[:, i + 1 :] -= (left[:, i : i + 1] - whole) / factor[i, i] * factor[i, i + 1 :]
        left[:, i : i + 1] = whole
    rows[:, order] = left


def _moments(layer: Dense | Conv2d, inputs: FloatArray) -> FloatArray:
    """The mean products of all pairs of a layer's inputs, with a constant input of one at the end."""
    if isinstance(layer, Conv2d):
        (down, across), sides = layer.dilations, layer.weight.shape[2:]
        window = tuple(step * (side - 1) + 1 for step, side in zip((down, across), sides, strict=True))
        places = sliding_window_view(bordered(inputs, layer.padding), window, (2, 3))[..., ::down, ::across]
        places = places[:, :, :: layer.strides[0], :: layer.strides[1]].transpose(0, 2, 3, 1, 4, 5)
        few = places[:: -(-places[..., 0, 0, 0].size // MOST_ROWS)]
        inputs = few.reshape(-1, layer.weight[0].size)
    rows = np.column_stack([inputs, np.ones(len(inputs))])
    return rows.T @ rows / len(rows)
