"""How far networks give the answers of the float network that they were made from."""

from dataclasses import dataclass

import numpy as np

from intnn.approximation.agreement import Decision, agreement_of, agreement_under_strain, answers, decision_of
from intnn.approximation.points import others_like
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.values.arrays import Array, FloatArray

NAMES: dict[Decision, str] = {"largest": "same class", "signs": "same signs", "values": "R squared"}
MEASURED = 2000  # samples and points by which networks are chosen
LOST = 0.1  # agreement on samples held out that a network fitted to them too may lose; more is no chance


@dataclass(frozen=True)
class Measure:
    """The agreement with a float network, as in `intnn.approximation.agreement`.

    Attributes:
        decision: What of the outputs is the answer.
        samples: Samples, floats [n, *input_shape].
        wanted: The float network's outputs for them, [n, outputs].
        others: Points like the samples where these are few, floats [m, *input_shape].
        wanted_there: The float network's outputs for the points, [m, outputs].
    """

    decision: Decision
    samples: FloatArray
    wanted: FloatArray
    others: FloatArray
    wanted_there: FloatArray

    @classmethod
    def of(cls, graph: Graph, samples: FloatArray) -> "Measure":
        """The measure that suits what the graph's metadata says of its outputs."""
        wanted, others = graph.logits(samples), others_like(samples, MEASURED - len(samples))
        wanted_there = graph.logits(others) if len(others) else wanted[:0]
        return cls(decision_of(graph.metadata, wanted.shape[1]), samples, wanted, others, wanted_there)

    @property
    def name(self) -> str:
        """The measure in words."""
        return NAMES[self.decision]

    def __call__(self, network: Graph | IntNetwork) -> float:
        """The agreement of a network on the samples, 1 at the best."""
        return agreement_of(_outputs(network, self.samples), self.wanted, self.decision)

    def better(self, again: Graph | IntNetwork, before: float) -> float | None:
        """The agreement to report of a network that was made again with these samples too; None if it is spoilt.

        More samples make a network better, but not one that is far from all others: ranges that reach as far leave
        little for the rest. `before` is the agreement of the network that was made without these samples.
        """
        found = self(again)
        return min(found, before) if found >= before - LOST else None

    def under_strain(self, network: Graph | IntNetwork) -> float:
        """The agreement that is left if differences are larger, by which networks are chosen.

        It is the mean of that on the samples, which are few, and of that on the points, which lie between classes more
        often than samples do; see `intnn.approximation.agreement.agreement_under_strain`.
        """
        left = [
            agreement_under_strain(_outputs(network, x), wanted, self.decision)
            for x, wanted in ((self.samples, self.wanted), (self.others, self.wanted_there))
            if len(x)
        ]
        return float(np.mean(left))


def _outputs(network: Graph | IntNetwork, samples: FloatArray) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):  # a polynomial that left its range may give anything
        return answers(network, samples)
