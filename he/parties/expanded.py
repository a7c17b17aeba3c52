"""Evaluation keys as the fast engine reads them, in a file that is used where it lies.

Keys that travel are short: half of them is named by seeds, and words have no gaps. To expand them takes a second and
more for a large circuit; to map what was expanded takes milliseconds, and the memory is the system's file cache, which
it may drop and read again. So a service that starts again has its clients' sessions at once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from he.circuit.interface import Interface
from he.engines.cuda.engine import CudaEngine
from he.engines.rns.encoder import Encoder
from he.engines.rns.engine import RnsEngine
from he.engines.rns.switching_keys import SwitchingKeys
from he.formats import stored
from he.formats.messages import MessageError
from he.formats.seal_bridge import SealDataError
from he.formats.stored import StoredError
from he.formats.switching import read_zero
from he.kernels.tables.factors import Factors
from he.parties.evaluation_keys import EvaluationKeys
from intnn.values.value_object import Unstorable

KIND = "expanded keys"
_ENGINES = RnsEngine.name, CudaEngine.name  # that compute with what keys are expanded to


@dataclass(frozen=True, eq=False)
class ExpandedKeys(Unstorable, instead="store them with `save`"):
    """One client's evaluation keys for one circuit, expanded for `PreparedCircuit.session`. They hold nothing secret.

    Attributes:
        circuit: the digest of the circuit's interface.
        id: the name of the keys: 64 hexadecimal digits, the digest of the message in which they came.
        switching: the keys, as kernels read them.
        zero: an encryption of zero as it travels, where the circuit's answers are re-randomised; otherwise no bytes.
    """

    circuit: str
    id: str
    switching: SwitchingKeys
    zero: bytes

    @staticmethod
    def of(keys: EvaluationKeys | bytes, interface: Interface) -> ExpandedKeys:
        """Read and expand keys as they travel. No weight is needed for that.

        Raises:
            MessageError: if the keys are damaged, foreign, or made for another circuit.
        """
        keys = EvaluationKeys.of(keys, interface)
        parameters = interface.parameters
        try:
            data, zero = keys.divided(interface)
            if interface.rerandomises:
                read_zero(zero, parameters, interface.output_level)
            switching = SwitchingKeys.of_interface(Encoder.of(parameters), data, interface)
        except SealDataError as error:
            raise MessageError(f"the evaluation keys are unusable: {error}") from error
        return ExpandedKeys(interface.digest, keys.id, switching, bytes(zero))

    def require(self, interface: Interface, engine: str) -> None:
        """Check that the keys are for a circuit and an engine.

        Raises:
            MessageError: if they were made for another circuit.
            ValueError: if the engine is another.
        """
        if engine not in _ENGINES:
            raise ValueError(
                f"the circuit must be prepared for one of {', '.join(map(repr, _ENGINES))} to use expanded keys, got "
                f"{engine!r}"
            )
        if self.circuit != interface.digest:
            raise MessageError("the evaluation keys were made for another circuit or parameter set")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the keys to a file, whole or not at all.

        Raises:
            StoredError: if they are too many for a file, or the machine is big-endian.
            OSError: if the file cannot be written.
        """
        zero = np.frombuffer(self.zero, np.uint8)
        stored.write(path, KIND, {"circuit": self.circuit, "id": self.id}, {**self.switching.arrays(), "zero": zero})

    @staticmethod
    def mapped(path: str | os.PathLike[str], interface: Interface) -> ExpandedKeys:
        """Map what `save` wrote for a circuit. What was damaged since then in the keys themselves is not noticed.

        Damage spoils answers, which clients refuse; `he.formats.stored.read` finds it.

        Raises:
            StoredError: if the file is foreign, of another version, or for another circuit.
            OSError: if the file cannot be read.
        """
        content, arrays = stored.mapped(path, KIND)
        if content.get("circuit") != interface.digest:
            raise StoredError(f"{path} holds keys for another circuit; remove it, and have the client send them again")
        try:
            zero = arrays.pop("zero").tobytes()
            switching = SwitchingKeys.restored(interface.parameters, arrays)
            if {(element, key.gadget) for (element, _), key in switching.keys.items()} != set(interface.keys):
                raise ValueError("its keys are not those that the interface names")
        except (KeyError, ValueError) as error:
            raise StoredError(f"{path} does not hold the keys of its circuit: {error}") from error
        return ExpandedKeys(interface.digest, str(content.get("id")), switching, zero)


def expanded_bytes(interface: Interface) -> int:
    """Return how many bytes the file of a circuit's expanded keys has, but for its header."""
    N = interface.parameters.poly_modulus_degree
    return sum(2 * len(gadget.groups) * Factors.size(N, gadget.primes) for _, gadget in interface.keys)
