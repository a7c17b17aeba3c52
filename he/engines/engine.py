"""Evaluators of circuits on ciphertexts, one file each, all with the interface `Engine`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Engine(Protocol):
    """A circuit with its evaluation keys, ready to be evaluated. It never sees a secret key.

    Attributes:
        name: as it appears in benchmark rows.
        threads: processor threads that one evaluation uses.
    """

    name: str
    threads: int

    def evaluate(self, inputs: Sequence[bytes]) -> list[bytes]:
        """Evaluate on SEAL-serialised ciphertexts, and serialise the results.

        Raises:
            ValueError: if an input is not a fresh ciphertext of the circuit's parameters, or there are too few or many.
        """
