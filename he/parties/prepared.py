"""A circuit that has been prepared for evaluation, once for all clients."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from he.circuit import store
from he.circuit.circuit import Circuit
from he.circuit.residues import ResidueCircuit
from he.engines.cuda.engine import CudaEngine
from he.engines.engine import Engine, Prepared
from he.engines.residues import ResiduePrepared
from he.engines.rns.engine import RnsEngine
from he.engines.seal.engine import SealEngine
from he.formats import stored
from he.formats.messages import MessageError
from he.formats.seal_bridge import SealDataError
from he.formats.stored import StoredError
from he.parties.admission import Admission
from he.parties.encrypted_network import EncryptedNetwork, operand_forms
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.expanded import ExpandedKeys
from he.parties.ledger import Ledger, MemoryLedger
from he.parties.rehearsal import rehearsed
from he.parties.rerandomise import Rerandomiser
from he.parties.session import Session
from he.ring.params import ParameterError
from intnn.values.arrays import instance, integer
from intnn.values.value_object import Unstorable

KIND = "prepared circuit"
MOST_EVALUATIONS = 1 << 16  # of a session, by default: as many answers as a client's key decrypts by default

#: Every engine by its name: the fast one, the one on a GPU, and the reference.
ENGINES: Mapping[str, Engine] = MappingProxyType(
    {engine.name: engine for engine in (RnsEngine(), CudaEngine(), SealEngine())}
)


class PreparedCircuit(Unstorable, instead="store it with `save`"):
    """A circuit whose weights have been encoded. It holds no key; any number of clients share it."""

    def __init__(self, prepared: Prepared | ResiduePrepared) -> None:
        self._prepared = prepared

    @property
    def circuit(self) -> Circuit | ResidueCircuit:
        """The circuit that was prepared."""
        return self._prepared.circuit

    @property
    def engine(self) -> str:
        """The name of the engine that evaluates it."""
        return self._prepared.name

    def session(
        self,
        evaluation_keys: EvaluationKeys | ExpandedKeys | bytes,
        threads: int | None = None,
        *,
        most: int = MOST_EVALUATIONS,
        ledger: Ledger | None = None,
        network: bytes | None = None,
        owner: bytes | None = None,
        revocation: bytes | None = None,
    ) -> Session:
        """Return a session with one client's keys.

        Args:
            evaluation_keys: the keys of `Client.evaluation_keys`, or their bytes, or what has been expanded of them
                for the engines `"rns"` and `"cuda"`.
            threads: the number of threads that one evaluation uses, from 1 to 1024; by default one for each processor
                that this process may use.
            most: the number of requests that the session evaluates, from 1. Every answer tells the client something of
                the weights; how much may be told is the model owner's to say.
            ledger: what remembers requests; by default one in memory that allows `most`, which is not looked at where a
                ledger is given.
            network: where weights are encrypted, what `ModelOwner.issue` has made for this client, as bytes.
            owner: the model owner's verification key, by which its permission is verified.
            revocation: the owner's newest revocation (`ModelOwner.revocation`), if there is one.

        Raises:
            MessageError: if the keys or the network are damaged, foreign, or made for another circuit.
            NotPermittedError: if the owner has not permitted these keys to use the network, or no longer does.
            ParameterError: if `network` and `owner` are not given together, and where weights are encrypted alone.
            TypeError: if an argument has another type.
            ValueError: if `threads` or `most` is out of range, or expanded keys are given for another engine.
        """
        ledger = MemoryLedger(integer(most, "most", 1)) if ledger is None else ledger
        interface = self.circuit.interface
        switching_keys: Any
        zero: bytes | memoryview
        if isinstance(evaluation_keys, ExpandedKeys):
            evaluation_keys.require(interface, self.engine)
            name, switching_keys, zero = evaluation_keys.id, evaluation_keys.switching, evaluation_keys.zero
        else:
            keys = EvaluationKeys.of(evaluation_keys, interface)
            name, (switching_keys, zero) = keys.id, keys.divided(interface)
        admission = self._admission(name, network, owner, revocation)
        try:
            if admission:
                evaluator = self._prepared.bind(switching_keys, threads, network=admission.network.ciphertexts)
            else:  # not every engine takes a network
                evaluator = self._prepared.bind(switching_keys, threads)
            rerandomise = Rerandomiser(interface, zero) if interface.rerandomises else None
        except SealDataError as error:
            what = "the evaluation keys or the network" if admission else "the evaluation keys"
            raise MessageError(f"{what} are unusable: {error}") from error
        return Session(interface, name, evaluator, ledger, rerandomise, admission)

    def _admission(
        self, key: str, network: bytes | None, owner: bytes | None, revocation: bytes | None
    ) -> Admission | None:
        """Return what is evaluated with encrypted weights under the key of this name, if they are."""
        circuit = self.circuit
        encrypted = isinstance(circuit, Circuit) and circuit.interface.encrypted
        if (network is not None, owner is not None) != (encrypted, encrypted):
            due = "must be given where weights are encrypted" if encrypted else "must be left out: weights are plain"
            raise ParameterError(f"`network` and `owner` {due}")
        if network is None or owner is None or not isinstance(circuit, Circuit):
            return None
        admission = Admission(EncryptedNetwork.from_bytes(network, circuit, owner), key, owner)
        if revocation is not None:
            admission.revoke(revocation)
        admission.require()
        return admission

    def rehearse(self, threads: int | None = None, repeats: int = 3) -> float:
        """Return the seconds that a session's answer takes on this machine, before any key has been made.

        Numbers drawn at random stand for keys and inputs. Re-randomising the answer, where the circuit was compiled for
        it, is not in it.

        Args:
            threads: see `session`.
            repeats: the number of answers, whose median counts, after a first one; 0 for the first.

        Raises:
            TypeError: if an argument has another type.
            ValueError: if an argument is out of range.
        """
        repeats = integer(repeats, "repeats", 0)
        circuits = self.circuit.circuits if isinstance(self.circuit, ResidueCircuit) else (self.circuit,)
        operands = [form for circuit in circuits for form in operand_forms(circuit)]
        return rehearsed(self._prepared, self.circuit.interface, threads, repeats, operands)

    def explain(self) -> str:
        """Return what the circuit explains, and the bytes that the engine takes for it, by what they hold.

        The engine on a GPU also tells how many kernels an evaluation starts.
        """
        memory = [f"  {what}: {count} bytes" for what, count in self._prepared.memory().items()]
        remarks = [f"  {remark}" for remark in self._prepared.remarks()]
        return "\n".join([self.circuit.explain(), f"engine: {self.engine}", *memory, *remarks])

    @property
    def encoded_bytes(self) -> int:
        """The number of bytes of the encoded weights; 0 for an engine that does not tell."""
        return sum(array.nbytes for array in self._prepared.arrays().values())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write circuit and encoded weights to a file, whole or not at all. The file is the model owner's.

        Raises:
            StoredError: if the circuit is too large for a file, or the machine is big-endian.
            OSError: if the file cannot be written.
        """
        content, arrays = store.to_stored(self.circuit)
        encoded = {f"encoded.{name}": array for name, array in self._prepared.arrays().items()}
        stored.write(path, KIND, {**content, "engine": self.engine}, {**arrays, **encoded})

    @staticmethod
    def load(
        path: str | os.PathLike[str],
        circuit: Circuit | ResidueCircuit | None = None,
        engine: str | Engine | None = None,
    ) -> PreparedCircuit:
        """Read what `save` wrote. The engines `"rns"` and `"cuda"` use the stored weights as they are.

        Args:
            path: the file.
            circuit: the circuit that the file must hold; by default any.
            engine: the engine that the file must have been prepared for, or its name; by default any of those that
                come with the toolkit.

        Raises:
            StoredError: if the file is damaged, foreign, of another version or engine, or holds another circuit.
            TypeError: if an argument has another type.
            ValueError: if there is no engine of this name.
            DeviceError: if it was prepared for `"cuda"`, and there is no GPU that can be used, or too little memory.
            OSError: if the file cannot be read.
        """
        if engine is not None:
            engine = _engine(engine)
        expected = None if circuit is None else store.digest(circuit)
        content, arrays = stored.read(path, KIND)
        found = store.from_stored(content, arrays)
        if expected is not None and expected != store.digest(found):
            raise StoredError(f"{path} holds another circuit than the one given; prepare that one with `he.prepare`")
        name = str(content.get("engine"))
        known = ENGINES if engine is None else {engine.name: engine}
        if name not in known:
            raise StoredError(f"{path} must be of an engine among {', '.join(known)}, got {name!r}; prepare it anew")
        encoded = {n.removeprefix("encoded."): array for n, array in arrays.items() if n.startswith("encoded.")}
        try:
            return PreparedCircuit(_restored(known[name], found, encoded))
        except ValueError as error:
            raise StoredError(f"{path} does not hold the encoded weights of its circuit: {error}") from error


def prepare(
    circuit: Circuit | ResidueCircuit, engine: str | Engine = "rns", threads: int | None = None
) -> PreparedCircuit:
    """Encode a circuit's weights, once for all clients.

    Args:
        circuit: a compiled network.
        engine: `"rns"`, the fast engine; `"cuda"`, the same answers from a GPU (docs/gpu.md); `"seal"`, the reference;
            or another object with the interface of `Engine`.
        threads: the number of threads that encode; by default one for each processor that this process may use.

    Raises:
        TypeError: if an argument has another type.
        ValueError: if there is no such engine, it cannot evaluate the circuit, or `threads` is out of range.
        DeviceError: if the engine is `"cuda"`, and there is no GPU that can be used, or too little memory is free.
    """
    chosen = _engine(engine)
    if isinstance(circuit, ResidueCircuit):
        return PreparedCircuit(ResiduePrepared.prepared(chosen, circuit, threads))
    return PreparedCircuit(chosen.prepare(circuit, threads))


def _restored(
    engine: Engine, circuit: Circuit | ResidueCircuit, arrays: Mapping[str, np.ndarray]
) -> Prepared | ResiduePrepared:
    if isinstance(circuit, ResidueCircuit):
        return ResiduePrepared.restored(engine, circuit, arrays)
    return engine.restore(circuit, arrays)


def _engine(engine: str | Engine) -> Engine:
    """Return an engine that is given by its name or as an object."""
    names = ", ".join(map(repr, ENGINES))
    if isinstance(engine, str):
        if engine not in ENGINES:
            raise ValueError(f"`engine` must be one of {names}, got {engine!r}")
        return ENGINES[engine]
    if isinstance(engine, type):
        raise TypeError(f"`engine` must be an object, got the class {engine.__name__}; call it")
    return instance(engine, Engine, "engine", f"give one of the names {names}, or an object with its methods")  # type: ignore[type-abstract]
