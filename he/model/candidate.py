"""A network that may be taken for a model, with its circuit and its worth."""

from __future__ import annotations

from dataclasses import dataclass

from he.circuit.circuit import Circuit
from he.circuit.residues import ResidueCircuit
from he.model.inputs import Inputs
from he.ring.params import ParameterError
from intnn import Graph, IntNetwork
from intnn.quantisation.tune import Tuning

AFFORDABLE = 20.0  # units, some 40 ms, below which nothing is saved that people wait for


@dataclass(frozen=True, eq=False)
class Candidate:
    """A network, its circuit, and what it is worth.

    Candidates are compared by `under_strain`: that of the samples held out if outputs differed more than they do, since
    few samples seldom lie where two networks that are nearly the same decide differently (see
    `intnn.approximation.agreement.agreement_under_strain`).
    """

    name: str
    network: Graph | IntNetwork
    circuit: Circuit | ResidueCircuit
    inputs: Inputs
    agreement: float
    under_strain: float
    fitting_seconds: float
    compiling_seconds: float
    tuning: Tuning | None = None

    @property
    def units(self) -> float:
        """The cost of one evaluation."""
        return self.circuit.cost().total

    def __str__(self) -> str:
        agreement = f"agreement {self.agreement:.2%}, under strain {self.under_strain:.2%}"
        return f"{self.name}: {agreement}, {self.units:.1f} units"


def require_units(circuit: Circuit | ResidueCircuit, most: float | None) -> None:
    """Refuse a circuit that costs more than `most` units, by a `ParameterError`."""
    units = circuit.cost().total
    if most is not None and units > most:
        raise ParameterError(f"it costs {units:.1f} units, more than the {most:.1f} that `max_units` allows")
