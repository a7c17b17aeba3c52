"""Neural networks over finite integers.

A float `Graph` is calibrated on samples and quantised to an `IntNetwork`, whose activations are lookup tables and whose
every value is bounded before it is ever run:

>>> import numpy as np
>>> from intnn import Activation, Dense, Graph, QuantConfig, calibrate, quantise
>>> rng = np.random.default_rng(0)
>>> weights = [rng.normal(size=(16, 8)), rng.normal(size=(3, 16))]
>>> graph = Graph((8,), (Dense(weights[0], np.zeros(16)), Activation("relu"), Dense(weights[1], np.zeros(3))))
>>> samples = rng.random((100, 8))
>>> network = quantise(graph, calibrate(graph, samples), QuantConfig(input_bits=2))
>>> print(network.layers[1].lut.domain)
[-120, 120]
>>> network.accumulator_bound < 2**15
True
>>> int((network.predict(network.quantise_input(samples)) == graph.predict(samples)).sum())
93

Without ranges and sizes, `quantise` tries several forms of integer network on the samples, and takes the cheapest that
agrees with the float one; `tune` shows the others as well.

>>> network = quantise(graph, samples)
>>> bool((network.predict(network.quantise_input(samples)) == graph.predict(samples)).mean() > 0.9)
True
"""

import importlib
from typing import TYPE_CHECKING, Any

from intnn.approximation.agreement import agreement
from intnn.approximation.approximate import Approximation, approximate, fit_approximation
from intnn.estimator.classifier import IntClassifier
from intnn.layers.nodes import (
    Activation,
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    IntPolynomial,
    Join,
    LutActivation,
    MaxPool2d,
    Node,
    Requantise,
    Reshape,
    Scale,
    Shape,
    SumPool2d,
)
from intnn.network.fold import fold_scales
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.quantisation import activations
from intnn.quantisation.calibrate import Ranges, calibrate
from intnn.quantisation.quantise import QuantConfig, quantise
from intnn.quantisation.squares import integer_squares
from intnn.quantisation.tabulate import tabulate
from intnn.quantisation.tune import Tuning, tune
from intnn.storage.document import FormatError
from intnn.training.plan import Convolution, Hidden
from intnn.values import rounding
from intnn.values.domain import IntDomain, Interval
from intnn.values.lut import Lut

if TYPE_CHECKING:
    from intnn.convert.errors import ConversionError
    from intnn.convert.from_onnx import from_onnx
    from intnn.convert.from_sklearn import from_sklearn
    from intnn.convert.model import graph_of

#: What is loaded when it is asked for, by the module that holds it.
_LATE = {
    "ConversionError": "intnn.convert.errors",
    "from_onnx": "intnn.convert.from_onnx",
    "from_sklearn": "intnn.convert.from_sklearn",
    "graph_of": "intnn.convert.model",
}

__all__ = [
    "Activation",
    "Add",
    "Approximation",
    "Concatenate",
    "Conv2d",
    "ConversionError",
    "Convolution",
    "Dense",
    "Flatten",
    "FormatError",
    "Graph",
    "Hidden",
    "IntClassifier",
    "IntDomain",
    "IntNetwork",
    "IntPolynomial",
    "Interval",
    "Join",
    "Lut",
    "LutActivation",
    "MaxPool2d",
    "Node",
    "QuantConfig",
    "Ranges",
    "Requantise",
    "Reshape",
    "Scale",
    "Shape",
    "SumPool2d",
    "Tuning",
    "activations",
    "agreement",
    "approximate",
    "calibrate",
    "fit_approximation",
    "fold_scales",
    "from_onnx",
    "from_sklearn",
    "graph_of",
    "integer_squares",
    "quantise",
    "rounding",
    "tabulate",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Load what not everybody needs."""
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
