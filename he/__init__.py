"""Inference on ciphertexts.

A network is compiled to a circuit, a client encrypts, a server evaluates, the client decrypts.

Two paths over TenSEAL's SEAL. *Exact*: an `IntNetwork` under BFV; tables become polynomials over Z_65537 and the
decrypted logits equal the plain ones bit for bit. *Approximate*: a float `Graph` with polynomial activations under
CKKS; logits come back within a bound that is known before anything is encrypted.

    circuit = compile_exact(network)                   # parameters are chosen here; print(circuit.explain())
    client = Client(interface_bytes(circuit.interface))
    server = Server(circuit, client.evaluation_keys)
    logits = client.decrypt(server.evaluate(client.encrypt(images)))
"""

from he.circuit.circuit import Circuit
from he.circuit.interface import InputError, Interface
from he.circuit.simulate import simulate
from he.compile.compile import compile_approximate, compile_exact
from he.formats.messages import MessageError
from he.parties.protocol import Client, DecryptionError, Server, interface_bytes, run_encrypted
from he.ring.params import ParameterError, Parameters

__all__ = [
    "Circuit",
    "Client",
    "DecryptionError",
    "InputError",
    "Interface",
    "MessageError",
    "ParameterError",
    "Parameters",
    "Server",
    "compile_approximate",
    "compile_exact",
    "interface_bytes",
    "run_encrypted",
    "simulate",
]
