"""The interface of engines: prepare a circuit once, bind the keys of each client, and evaluate requests."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from he.circuit.circuit import Circuit, require_circuit
from he.program.placed import require_placed
from intnn.values.arrays import integer

MAX_THREADS = 1024


class Evaluator(Protocol):
    """A prepared circuit with one client's evaluation keys. It never sees a secret key.

    Attributes:
        name: the engine's name.
        threads: the number of threads that one evaluation uses.
    """

    name: str
    threads: int

    def evaluate(self, inputs: Sequence[bytes | memoryview | np.ndarray]) -> list[bytes]:
        """Evaluate the circuit on ciphertexts as they travel (`he.formats.compact`) and return the results as such.

        Where weights are encrypted, inputs may be slots [slots] in the clear instead.

        Raises:
            TypeError: if a ciphertext is no bytes.
            ValueError: if there are not as many inputs as the program has, or one is not a fresh ciphertext of the
                circuit's parameters.
        """


@runtime_checkable
class ReadsAhead(Protocol):
    """What an evaluator has besides if it can read ciphertexts while they are still being verified.

    Attributes:
        reads_ahead: whether it gains by that with this circuit's requests.
    """

    reads_ahead: bool

    def evaluate_ahead(self, unverified: Sequence[memoryview], verify: Callable[[], object]) -> list[bytes]:
        """Do what `evaluate` does once a function has returned, which verifies the ciphertexts.

        Args:
            unverified: the ciphertexts, views of what nobody writes to. They may be anything, of any number and
                lengths; nothing is computed of them before they are verified.
            verify: called once, by the caller's thread. What it raises is raised, whatever else is wrong.

        Raises:
            ValueError: as `evaluate`, once the function has returned.
        """


class Prepared(Protocol):
    """A circuit whose plaintexts have been encoded, for any number of clients.

    Attributes:
        circuit: the circuit that was prepared.
        name: the engine's name.
    """

    circuit: Circuit
    name: str

    def bind(
        self,
        keys: Any,
        threads: int | None = None,
        like: Evaluator | None = None,
        network: Sequence[bytes | memoryview] = (),
    ) -> Evaluator:
        """Return an evaluator for the client whose keys these are.

        Args:
            keys: the keys of the interface's `key_elements` as they travel (`he.formats.switching`); or what the engine
                has made of such keys before, if it is one that stores that: `SwitchingKeys` of the fast one.
            threads: the number of threads that one evaluation uses, 1 to `MAX_THREADS`; by default, one for each
                processor that this process may use. SEAL's engine always uses one.
            like: an evaluator with the same keys for a circuit whose parameters differ in the plaintext modulus alone;
                an engine may share what it has made of them.
            network: the ciphertexts of `Program.encrypted`, in that order, under the key that the keys are for; given
                only for circuits whose weights are encrypted.

        Raises:
            ValueError: if the bytes are not exactly these keys and ciphertexts, or `threads` is out of range.
        """

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the encoded plaintexts by name, for `Engine.restore`; empty if the engine encodes them anew."""

    def memory(self, like: Prepared | None = None) -> Mapping[str, int]:
        """Return how many bytes are held, by what they hold; empty if the engine does not tell.

        Args:
            like: a circuit whose sessions share their keys with those of this one, see `bind`; what is shared with it
                is left out.
        """

    def remarks(self) -> Sequence[str]:
        """Return what else the engine tells of an evaluation, a line each."""


@runtime_checkable
class Engine(Protocol):
    """An implementation of a circuit's operations on ciphertexts.

    Attributes:
        name: the name of the engine in files and benchmark rows.
    """

    name: str

    def prepare(self, circuit: Circuit, threads: int | None = None) -> Prepared:
        """Encode the circuit's plaintexts, on so many threads; by default, one for each available processor.

        Raises:
            ValueError: if the circuit's program has not been placed, or the engine cannot evaluate it.
        """

    def restore(self, circuit: Circuit, arrays: Mapping[str, np.ndarray]) -> Prepared:
        """Return the prepared circuit that `Prepared.arrays` was called on; an engine without arrays encodes anew.

        Raises:
            ValueError: if the arrays are not those of the circuit.
        """


def require_evaluable(circuit: Circuit) -> None:
    """Check that a circuit's program is placed and that all its inputs arrive encrypted; every engine calls this first.

    Raises:
        TypeError: if it is no circuit.
        ValueError: if the program is not placed, or an input is a plaintext.
    """
    require_circuit(circuit)
    require_placed(circuit.program, circuit.parameters)
    if any(source.kind != "ciphertext" for source in circuit.program.inputs):
        raise ValueError("the engine evaluates encrypted inputs only; compile plaintext inputs into the program")


def thread_count(threads: int | None) -> int:
    """Return the number of threads; None stands for the number of processors that this process may use.

    Raises:
        ValueError: if the number is not between 1 and `MAX_THREADS`.
    """
    if threads is not None:
        return integer(threads, "threads", 1, MAX_THREADS)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
