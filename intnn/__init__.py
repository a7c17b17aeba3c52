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

from typing import TYPE_CHECKING

from intnn.values.late import late

if TYPE_CHECKING:
    from intnn.approximation.agreement import agreement
    from intnn.approximation.approximate import Approximation, approximate, fit_approximation
    from intnn.certification.balls import integer_ball, real_ball
    from intnn.certification.certify import Certificate, certify
    from intnn.convert.errors import ConversionError
    from intnn.convert.from_onnx import from_onnx
    from intnn.convert.from_sklearn import from_sklearn
    from intnn.convert.model import graph_of
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
    from intnn.machine.cuda.device import DeviceError
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

#: Where each name is: it is loaded when it is asked for.
_HOMES = {
    "Activation": "intnn.layers.nodes:Activation",
    "Add": "intnn.layers.nodes:Add",
    "Approximation": "intnn.approximation.approximate:Approximation",
    "Certificate": "intnn.certification.certify:Certificate",
    "Concatenate": "intnn.layers.nodes:Concatenate",
    "Conv2d": "intnn.layers.nodes:Conv2d",
    "ConversionError": "intnn.convert.errors:ConversionError",
    "Convolution": "intnn.training.plan:Convolution",
    "Dense": "intnn.layers.nodes:Dense",
    "DeviceError": "intnn.machine.cuda.device:DeviceError",
    "Flatten": "intnn.layers.nodes:Flatten",
    "FormatError": "intnn.storage.document:FormatError",
    "Graph": "intnn.network.graph:Graph",
    "Hidden": "intnn.training.plan:Hidden",
    "IntClassifier": "intnn.estimator.classifier:IntClassifier",
    "IntDomain": "intnn.values.domain:IntDomain",
    "IntNetwork": "intnn.network.network:IntNetwork",
    "IntPolynomial": "intnn.layers.nodes:IntPolynomial",
    "Interval": "intnn.values.domain:Interval",
    "Join": "intnn.layers.nodes:Join",
    "Lut": "intnn.values.lut:Lut",
    "LutActivation": "intnn.layers.nodes:LutActivation",
    "MaxPool2d": "intnn.layers.nodes:MaxPool2d",
    "Node": "intnn.layers.nodes:Node",
    "QuantConfig": "intnn.quantisation.quantise:QuantConfig",
    "Ranges": "intnn.quantisation.calibrate:Ranges",
    "Requantise": "intnn.layers.nodes:Requantise",
    "Reshape": "intnn.layers.nodes:Reshape",
    "Scale": "intnn.layers.nodes:Scale",
    "Shape": "intnn.layers.nodes:Shape",
    "SumPool2d": "intnn.layers.nodes:SumPool2d",
    "Tuning": "intnn.quantisation.tune:Tuning",
    "activations": "intnn.quantisation.activations",
    "agreement": "intnn.approximation.agreement:agreement",
    "approximate": "intnn.approximation.approximate:approximate",
    "calibrate": "intnn.quantisation.calibrate:calibrate",
    "certify": "intnn.certification.certify:certify",
    "fit_approximation": "intnn.approximation.approximate:fit_approximation",
    "fold_scales": "intnn.network.fold:fold_scales",
    "from_onnx": "intnn.convert.from_onnx:from_onnx",
    "from_sklearn": "intnn.convert.from_sklearn:from_sklearn",
    "graph_of": "intnn.convert.model:graph_of",
    "integer_ball": "intnn.certification.balls:integer_ball",
    "integer_squares": "intnn.quantisation.squares:integer_squares",
    "quantise": "intnn.quantisation.quantise:quantise",
    "real_ball": "intnn.certification.balls:real_ball",
    "rounding": "intnn.values.rounding",
    "tabulate": "intnn.quantisation.tabulate:tabulate",
    "tune": "intnn.quantisation.tune:tune",
}

__all__ = [
    "Activation",
    "Add",
    "Approximation",
    "Certificate",
    "Concatenate",
    "Conv2d",
    "ConversionError",
    "Convolution",
    "Dense",
    "DeviceError",
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
    "certify",
    "fit_approximation",
    "fold_scales",
    "from_onnx",
    "from_sklearn",
    "graph_of",
    "integer_ball",
    "integer_squares",
    "quantise",
    "real_ball",
    "rounding",
    "tabulate",
    "tune",
]

__getattr__ = late(__name__, _HOMES)
