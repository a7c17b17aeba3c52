"""What every engine offers: a circuit is prepared once, keys are bound for each client, requests are evaluated."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from he.circuit.circuit import Circuit
from he.formats.seal_bridge import SealDataError
from he.program.placed import require_placed
from intnn.values.arrays import integer

MAX_THREADS = 1024


class Evaluator(Protocol):
    """A prepared circuit with one client's evaluation keys. It never sees a secret key.

    Attributes:
        name: the engine's, as it appears in benchmark rows.
        threads: processor threads that one evaluation uses.
    """

    name: str
    threads: int

    def evaluate(self, inputs: Sequence[bytes]) -> list[bytes]:
        """Evaluate on ciphertexts as they travel (`he.formats.compact`), and return the results as such.

        Raises:
            ValueError: if an input is not a fresh ciphertext of the circuit's parameters, or there are too few or many.
        """


class Prepared(Protocol):
    """A circuit whose plaintexts have been encoded, for any number of clients.

    Attributes:
        circuit: what it was made of.
        name: the engine's.
    """

    circuit: Circuit
    name: str

    def bind(
        self, relinearisation_key: bytes | None, galois_keys: bytes | None, threads: int | None = None
    ) -> Evaluator:
        """An evaluator for the client whose keys these are.

        Args:
            relinearisation_key: SEAL's serialisation, or None where the circuit multiplies no ciphertexts.
            galois_keys: SEAL's serialisation, or None where it rotates nothing.
            threads: that one evaluation uses; by default all that this process may use.

        Raises:
            SealDataError: if a key is missing, malformed or made for other parameters.
            ValueError: if there is no thread.
        """

    def arrays(self) -> Mapping[str, np.ndarray]:
        """What `Engine.restore` takes, by name; empty where an engine encodes anew."""


class Engine(Protocol):
    """A way to evaluate circuits.

    Attributes:
        name: what it is called in files and benchmark rows.
    """

    name: str

    def prepare(self, circuit: Circuit, threads: int | None = None) -> Prepared:
        """Encode the circuit's plaintexts, on several threads.

        Raises:
            ValueError: if the circuit's program has not been placed, or the engine cannot evaluate it.
        """

    def restore(self, circuit: Circuit, arrays: Mapping[str, np.ndarray]) -> Prepared:
        """The same from `Prepared.arrays`, without encoding.

        Raises:
            ValueError: if the arrays are not those of the circuit.
        """


def require_evaluable(circuit: Circuit) -> None:
    """The door of every engine: a placed program whose inputs all arrive encrypted.

    Raises:
        ValueError: naming what is not so.
    """
    require_placed(circuit.program, circuit.parameters)
    sources = [spec.source for spec in circuit.interface.inputs for _ in range(spec.layout.ciphertexts)]
    if tuple(sources) != circuit.program.inputs:
        raise ValueError(
            f"the interface must describe the program's {len(circuit.program.inputs)} inputs, got {len(sources)}"
        )
    if any(source.kind != "ciphertext" for source in sources):
        raise ValueError("the engine evaluates encrypted inputs only; compile plaintext inputs into the program")


def require_keys(circuit: Circuit, relinearises: bool, galois_elements: set[int]) -> None:
    """Refuse to bind a client that has not sent every key that the circuit uses.

    Raises:
        SealDataError: naming what is missing.
    """
    missing = [g for g in circuit.interface.galois_elements if g not in galois_elements]
    if missing:
        raise SealDataError(
            f"`galois_keys` must hold a key for every rotation of the circuit; {len(missing)} are missing"
        )
    if circuit.interface.multiplies and not relinearises:
        raise SealDataError("`relinearisation_key` must be given: the circuit multiplies ciphertexts")


def thread_count(threads: int | None) -> int:
    """So many threads; for None, the processors that this process may use.

    Raises:
        ValueError: if the number is not between 1 and `MAX_THREADS`.
    """
    if threads is not None:
        return integer(threads, "threads", 1, MAX_THREADS)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
