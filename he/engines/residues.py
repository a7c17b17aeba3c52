"""Circuits modulo several primes, prepared and evaluated as one: one after the other, under the same keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from he.circuit.residues import ResidueCircuit
from he.circuit.store import divided, joined
from he.engines.engine import Engine, Evaluator, Prepared
from intnn.values.value_object import Unstorable


class ResiduePrepared(Unstorable, instead="store it with `PreparedCircuit.save`"):
    """The prepared circuits of a `ResidueCircuit`; see `he.engines.engine.Prepared`."""

    def __init__(self, circuit: ResidueCircuit, each: Sequence[Prepared]) -> None:
        self.circuit, self.name, self._each = circuit, each[0].name, each

    @staticmethod
    def prepared(engine: Engine, circuit: ResidueCircuit, threads: int | None) -> ResiduePrepared:
        """Encode the plaintexts of all circuits; see `Engine.prepare`."""
        return ResiduePrepared(circuit, [engine.prepare(one, threads) for one in circuit.circuits])

    @staticmethod
    def restored(engine: Engine, circuit: ResidueCircuit, arrays: Mapping[str, np.ndarray]) -> ResiduePrepared:
        """Return the prepared circuits that `arrays` was called on; see `Engine.restore`."""
        parts = zip(circuit.circuits, divided(arrays, len(circuit.circuits)), strict=True)
        return ResiduePrepared(circuit, [engine.restore(one, own) for one, own in parts])

    def bind(
        self, keys: Any, threads: int | None = None, *, network: Sequence[bytes | memoryview] = ()
    ) -> ResidueEvaluator:
        """Return an evaluator for one client's keys, which are expanded once; see `Prepared.bind`.

        Raises:
            ValueError: if there is a network: circuits of several moduli have their weights in the clear.
        """
        if network:
            raise ValueError("`network` must be left out for a circuit of several moduli, whose weights are plain")
        first, *others = self._each
        evaluator = first.bind(keys, threads)
        return ResidueEvaluator([evaluator, *(one.bind(keys, threads, evaluator) for one in others)])

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the encoded plaintexts of all circuits by name."""
        return joined([one.arrays() for one in self._each])

    def memory(self) -> Mapping[str, int]:
        """Return the bytes that all circuits take together; see `Prepared.memory`."""
        first, *others = self._each
        return sum((Counter(one.memory(first)) for one in others), Counter(first.memory()))

    def remarks(self) -> Sequence[str]:
        """Return what the engine tells of each circuit; see `Prepared.remarks`."""
        return [line for one in self._each for line in one.remarks()]


class ResidueEvaluator(Unstorable, instead="bind the keys again with `PreparedCircuit.session`"):
    """The circuits with one client's keys; see `he.engines.engine.Evaluator`."""

    def __init__(self, each: Sequence[Evaluator]) -> None:
        self.name, self.threads, self._each = each[0].name, each[0].threads, each

    def evaluate(self, inputs: Sequence[bytes | memoryview | np.ndarray]) -> list[bytes]:
        """Evaluate every circuit on its part of the inputs; see `Evaluator.evaluate`."""
        count, left = divmod(len(inputs), len(self._each))
        if left:
            raise ValueError(f"`inputs` must be as many for each of {len(self._each)} circuits, got {len(inputs)}")
        parts = (inputs[count * i :][:count] for i in range(len(self._each)))
        return [result for one, part in zip(self._each, parts, strict=True) for result in one.evaluate(part)]
