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

from typing import TYPE_CHECKING

from intnn.values.late import late

if TYPE_CHECKING:
    from he.circuit.circuit import Circuit
    from he.circuit.family import Family, Offer, Plan
    from he.circuit.guards import RangeError
    from he.circuit.inputs import InputError
    from he.circuit.interface import Interface
    from he.circuit.residues import ResidueCircuit, ResidueInterface
    from he.circuit.simulate import simulate, simulate_guards
    from he.circuit.store import load as load_circuit
    from he.circuit.store import save as save_circuit
    from he.compiler.compile import compile_approximate, compile_exact
    from he.compiler.family import compile_family
    from he.compiler.residues import compile_residues
    from he.formats.keys import KeyFileError
    from he.formats.messages import MessageError
    from he.formats.stored import StoredError
    from he.model.classifier import EncryptedClassifier, EncryptedRegressor
    from he.model.compile import compile  # noqa: A004 - of models
    from he.model.compiled import Compiled
    from he.model.estimate import Estimate, estimate
    from he.parties.client import Client, DecryptionError
    from he.parties.connect import connect, run_encrypted
    from he.parties.connection import Connection
    from he.parties.encrypted_network import EncryptedNetwork
    from he.parties.evaluation_keys import EvaluationKeys
    from he.parties.interfaces import interface_bytes
    from he.parties.keys import SecretKey
    from he.parties.life import KeyRetiredError
    from he.parties.model_owner import ModelOwner
    from he.parties.offers import offer_bytes, read_offer
    from he.parties.permission import NotPermittedError
    from he.parties.policy import Policy, PolicyError
    from he.parties.prepared import PreparedCircuit, prepare
    from he.parties.public_key import PublicKey
    from he.parties.publishing import PublishingError
    from he.parties.session import Session
    from he.parties.threshold.ceremony import DataShare, ModelShare
    from he.parties.threshold.opening import Opener
    from he.parties.threshold.voucher import Vouching
    from he.ring.params import ParameterError, Parameters

#: Where each name is: it is loaded when it is asked for.
_HOMES = {
    "Circuit": "he.circuit.circuit:Circuit",
    "Client": "he.parties.client:Client",
    "Compiled": "he.model.compiled:Compiled",
    "Connection": "he.parties.connection:Connection",
    "DataShare": "he.parties.threshold.ceremony:DataShare",
    "DecryptionError": "he.parties.client:DecryptionError",
    "EncryptedClassifier": "he.model.classifier:EncryptedClassifier",
    "EncryptedNetwork": "he.parties.encrypted_network:EncryptedNetwork",
    "EncryptedRegressor": "he.model.classifier:EncryptedRegressor",
    "Estimate": "he.model.estimate:Estimate",
    "EvaluationKeys": "he.parties.evaluation_keys:EvaluationKeys",
    "Family": "he.circuit.family:Family",
    "InputError": "he.circuit.inputs:InputError",
    "Interface": "he.circuit.interface:Interface",
    "KeyFileError": "he.formats.keys:KeyFileError",
    "KeyRetiredError": "he.parties.life:KeyRetiredError",
    "MessageError": "he.formats.messages:MessageError",
    "ModelOwner": "he.parties.model_owner:ModelOwner",
    "ModelShare": "he.parties.threshold.ceremony:ModelShare",
    "NotPermittedError": "he.parties.permission:NotPermittedError",
    "Offer": "he.circuit.family:Offer",
    "Opener": "he.parties.threshold.opening:Opener",
    "ParameterError": "he.ring.params:ParameterError",
    "Parameters": "he.ring.params:Parameters",
    "Plan": "he.circuit.family:Plan",
    "Policy": "he.parties.policy:Policy",
    "PolicyError": "he.parties.policy:PolicyError",
    "PreparedCircuit": "he.parties.prepared:PreparedCircuit",
    "PublicKey": "he.parties.public_key:PublicKey",
    "PublishingError": "he.parties.publishing:PublishingError",
    "RangeError": "he.circuit.guards:RangeError",
    "ResidueCircuit": "he.circuit.residues:ResidueCircuit",
    "ResidueInterface": "he.circuit.residues:ResidueInterface",
    "SecretKey": "he.parties.keys:SecretKey",
    "Session": "he.parties.session:Session",
    "StoredError": "he.formats.stored:StoredError",
    "Vouching": "he.parties.threshold.voucher:Vouching",
    "compile": "he.model.compile:compile",
    "compile_approximate": "he.compiler.compile:compile_approximate",
    "compile_exact": "he.compiler.compile:compile_exact",
    "compile_family": "he.compiler.family:compile_family",
    "compile_residues": "he.compiler.residues:compile_residues",
    "connect": "he.parties.connect:connect",
    "estimate": "he.model.estimate:estimate",
    "interface_bytes": "he.parties.interfaces:interface_bytes",
    "load_circuit": "he.circuit.store:load",
    "offer_bytes": "he.parties.offers:offer_bytes",
    "prepare": "he.parties.prepared:prepare",
    "read_offer": "he.parties.offers:read_offer",
    "run_encrypted": "he.parties.connect:run_encrypted",
    "save_circuit": "he.circuit.store:save",
    "simulate": "he.circuit.simulate:simulate",
    "simulate_guards": "he.circuit.simulate:simulate_guards",
}

__all__ = [
    "Circuit",
    "Client",
    "Compiled",
    "Connection",
    "DataShare",
    "DecryptionError",
    "EncryptedClassifier",
    "EncryptedNetwork",
    "EncryptedRegressor",
    "Estimate",
    "EvaluationKeys",
    "Family",
    "InputError",
    "Interface",
    "KeyFileError",
    "KeyRetiredError",
    "MessageError",
    "ModelOwner",
    "ModelShare",
    "NotPermittedError",
    "Offer",
    "Opener",
    "ParameterError",
    "Parameters",
    "Plan",
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
    "Vouching",
    "compile",
    "compile_approximate",
    "compile_exact",
    "compile_family",
    "compile_residues",
    "connect",
    "estimate",
    "interface_bytes",
    "load_circuit",
    "offer_bytes",
    "prepare",
    "read_offer",
    "run_encrypted",
    "save_circuit",
    "simulate",
    "simulate_guards",
]

__getattr__ = late(__name__, _HOMES)
