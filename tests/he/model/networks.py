"""Networks of random weights, and what their circuits give."""

from itertools import pairwise

import numpy as np

import he
from intnn import Activation, Dense, Graph

INSECURE = {"security": "insecure"}


def graph_of_layers(*widths, activation="relu", seed=0, **metadata):
    rng, nodes = np.random.default_rng(seed), []
    for inputs, outputs in pairwise(widths):
        nodes += [Dense(rng.normal(size=(outputs, inputs)) / np.sqrt(inputs), rng.normal(size=outputs))]
        nodes += [Activation(activation)]
    return Graph((widths[0],), tuple(nodes[:-1]), metadata=metadata)


def outputs_of(compiled, x):
    """What the circuit's own operations give, in the model's units."""
    return compiled.outputs(he.simulate(compiled.circuit, compiled.prepare(x)))
