"""A model with the circuit that was found for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from he.circuit.circuit import Circuit
from he.circuit.residues import ResidueCircuit
from he.model.inputs import Inputs
from intnn import Graph, IntNetwork
from intnn.approximation.agreement import Decision, decision_of
from intnn.quantisation.tune import Tuning
from intnn.values.arrays import Array, FloatArray, array
from intnn.values.value_object import ValueObject


@dataclass(frozen=True, eq=False)
class Compiled(ValueObject):
    """A model as it will be evaluated on ciphertexts, made by `he.compile`.

    Attributes:
        graph: the model in floats, which takes inputs in the model's own units; an integer network that was given.
        network: what the circuit computes, of scaled inputs: polynomials in floats (CKKS), or integers (BFV).
        circuit: the circuit.
        inputs: the scaling that a client does before it encrypts.
        agreement: how far `network` gives the answers of `graph` on samples that were held out: the share of equal
            classes, or R squared where an output is a number.
        reasons: one line for every choice that was made, with the numbers that decided it.
        tuning: the integer networks that were tried, where the path is exact and the model was one of floats.
        fitting_seconds: the time that it took to find the network.
        compiling_seconds: the time that it took to find the circuit.
    """

    graph: Graph | IntNetwork
    network: Graph | IntNetwork
    circuit: Circuit | ResidueCircuit
    inputs: Inputs
    agreement: float
    reasons: tuple[str, ...]
    tuning: Tuning | None = None
    fitting_seconds: float = 0.0
    compiling_seconds: float = 0.0

    @property
    def exact(self) -> bool:
        """Whether the circuit computes on integers, so that a decrypted answer is the integer network's to the bit."""
        return isinstance(self.network, IntNetwork)

    @property
    def classes(self) -> list[Any] | None:
        """The names of the classes, as the model has them; None where an output is a number."""
        if self.decision == "values":
            return None
        return list(self.graph.metadata.get("classes") or range(max(int(np.prod(self.graph.output_shape)), 2)))

    @property
    def decision(self) -> Decision:
        """What of the outputs is the answer: the class of the "largest", the "signs" of each, or the "values"."""
        return decision_of(self.graph.metadata, int(np.prod(self.graph.output_shape)))

    def prepare(self, x: ArrayLike) -> Array:
        """Return inputs [n, *shape], in the model's units, as `Client.encrypt` takes them.

        Raises:
            TypeError: if they are no numbers, or bytes of images.
            ValueError: if the shape is wrong, there are none, or a value is NaN or infinite; or they are a table with
                other columns, or in another order.

        Warns:
            UserWarning: if they have another scale than the samples; see `intnn.network.scale`.
        """
        scaled = self.inputs.scaled(x)
        return self.network.quantise_input(scaled) if isinstance(self.network, IntNetwork) else scaled

    def outputs(self, logits: ArrayLike) -> FloatArray:
        """Return decrypted logits [n, outputs] in the units of the model's own outputs.

        Raises:
            ValueError: if there is no row for each input, or it has another length.
        """
        given, outputs = array(logits, "logits"), int(np.prod(self.graph.output_shape))
        if given.ndim != 2 or given.shape[1] != outputs:
            raise ValueError(f"`logits` must have shape (batch, {outputs}), as `decrypt` returns, got {given.shape}")
        if not isinstance(self.network, IntNetwork):
            return given.astype(np.float64, copy=False)
        unit = float(self.network.metadata.get("output_scale", 1.0))
        return np.array([[float(value) / unit for value in row] for row in given.tolist()])

    def explain(self) -> str:
        """Return a text with the choices that were made, and what the circuit says of itself."""
        kind = "equal answers" if self.graph.output_shape[0] > 1 else "agreement"
        lines = [*self.reasons, f"{kind}: {self.agreement:.2%} of held-out samples, with the float model"]
        return "\n".join([*lines, self.circuit.explain()])
