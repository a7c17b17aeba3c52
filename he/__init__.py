"""Inference on ciphertexts.

A network is compiled to a circuit; the circuit is prepared once; a client encrypts, a session evaluates under that
client's keys, the client decrypts.

Two paths over TenSEAL's SEAL. *Exact*: an `IntNetwork` under BFV; tables become polynomials over Z_t and the
decrypted logits equal the plain ones bit for bit. Logits that are too large for one t are computed modulo several
(`compile_residues`). *Approximate*: a float `Graph` with polynomial activations under CKKS; logits come back within a
bound that is known before anything is encrypted.

    circuit = compile_exact(network)                   # parameters are chosen here; print(circuit.explain())
    prepared = prepare(circuit)                        # weights are encoded here, once for all clients

    client = Client(interface_bytes(circuit.interface))
    session = prepared.session(client.evaluation_keys)
    logits = client.decrypt(session.evaluate(client.encrypt(images)))
"""

from he.circuit.circuit import Circuit
from he.circuit.guards import RangeError
from he.circuit.inputs import InputError
from he.circuit.interface import Interface
from he.circuit.residues import ResidueCircuit, ResidueInterface
from he.circuit.simulate import simulate, simulate_guards
from he.circuit.store import load as load_circuit
from he.circuit.store import save as save_circuit
from he.compiler.compile import compile_approximate, compile_exact
from he.compiler.residues import compile_residues
from he.formats.keys import KeyFileError
from he.formats.messages import MessageError
from he.formats.stored import StoredError
from he.model.classifier import EncryptedClassifier, EncryptedRegressor
from he.model.compile import compile  # noqa: A004 - of models
from he.model.compiled import Compiled
from he.model.estimate import Estimate, estimate
from he.parties.client import Client, DecryptionError, KeyRetiredError, interface_bytes
from he.parties.connect import connect, run_encrypted
from he.parties.encrypted_network import EncryptedNetwork
from he.parties.keys import EvaluationKeys, SecretKey
from he.parties.model_owner import ModelOwner
from he.parties.permission import NotPermittedError
from he.parties.policy import Policy, PolicyError
from he.parties.prepared import PreparedCircuit, prepare
from he.parties.public_key import PublicKey
from he.parties.publishing import PublishingError
from he.parties.session import Session
from he.ring.params import ParameterError, Parameters

__all__ = [
    "Circuit",
    "Client",
    "Compiled",
    "DecryptionError",
    "EncryptedClassifier",
    "EncryptedNetwork",
    "EncryptedRegressor",
    "Estimate",
    "EvaluationKeys",
    "InputError",
    "Interface",
    "KeyFileError",
    "KeyRetiredError",
    "MessageError",
    "ModelOwner",
    "NotPermittedError",
    "ParameterError",
    "Parameters",
    "Policy",
    "PolicyError",
    "PreparedCircuit",
    "PublicKey",
    "PublishingError",
    "RangeError",
    "ResidueCircuit",
    "ResidueInterface",
    "SecretKey",
    "Session",
    "StoredError",
    "compile",
    "compile_approximate",
    "compile_exact",
    "compile_residues",
    "connect",
    "estimate",
    "interface_bytes",
    "load_circuit",
    "prepare",
    "run_encrypted",
    "save_circuit",
    "simulate",
    "simulate_guards",
]
