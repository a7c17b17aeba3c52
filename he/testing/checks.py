"""Checks of circuits, engines and messages; each raises AssertionError unless its property holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from he.circuit.circuit import Circuit
from he.circuit.simulate import simulate
from he.circuit.store import digest, load, save
from he.engines.engine import Engine
from he.formats.messages import Kind, open_message
from he.parties.cipher import Cipher
from he.parties.client import Client
from he.parties.connect import connect
from he.parties.prepared import prepare
from intnn import Graph, IntNetwork

Network = IntNetwork | Graph


def encrypted_equals_plain(
    circuit: Circuit, network: Network, images: np.ndarray, engine: str | Engine = "rns"
) -> None:
    """Check that decrypted logits are the plain network's: equal for BFV, within the circuit's bound for CKKS.

    For BFV the noise budget that is left must also be at least what the compiler promised, but for SEAL's rounding.

    Args:
        circuit: the compiled network.
        network: the network.
        images: images as the circuit takes them, at most as many as one evaluation serves.
        engine: the name of a shipped engine, or an engine object.

    Raises:
        AssertionError: if a logit is wrong, or there is less budget than promised.
    """
    client, session = connect(prepare(circuit, engine))
    answer = session.evaluate(client.encrypt(images))
    require_within(client.decrypt(answer), network.logits(images), circuit, f"engine {session.evaluator.name}")
    if circuit.parameters.scheme.exact:
        left = noise_budget(client, answer)
        if left < circuit.output_bound - 1:  # SEAL rounds down to whole bits
            raise AssertionError(f"at least {circuit.output_bound:.1f} bits of budget must be left, got {left}")


def noise_budget(client: Client, answer: bytes) -> int:
    """Return the bits of noise budget that a BFV answer has left; `Circuit.output_bound` is a lower bound on it.

    Args:
        client: the client that asked.
        answer: the answer of an honest session. Of a forged one, the number tells a part of the secret key.

    Raises:
        TypeError: if the scheme is CKKS, which has no noise budget.
    """
    cipher = Cipher(client.secret_key, client.interface)
    _, parts = open_message(Kind.RESPONSE, answer)
    return min(cipher.noise_budget(cipher.read(part)) for part in parts)


def simulation_equals_plain(circuit: Circuit, network: Network, images: np.ndarray) -> None:
    """Check that a circuit computes the network's logits in the clear: equal for BFV, to within 1e-6 for CKKS.

    Args:
        circuit: the compiled network.
        network: the network.
        images: images as the circuit takes them, any number.

    Raises:
        AssertionError: if a logit is wrong.
    """
    found, plain = simulate(circuit, images), network.logits(images)
    if circuit.parameters.scheme.exact:
        require_within(found, plain, circuit, "simulation")
    elif not np.allclose(found, plain, rtol=1e-6, atol=1e-6):  # the same real arithmetic in another order
        raise AssertionError(f"simulation: logits must be {plain.tolist()}, got {found.tolist()}")


def survives_storage(circuit: Circuit, folder: str | os.PathLike[str]) -> None:
    """Check that a circuit comes back from a file as it was.

    Args:
        circuit: any compiled network.
        folder: an existing folder for the file, such as pytest's ``tmp_path``.

    Raises:
        AssertionError: if the circuit that is read is another one.
    """
    path = Path(folder) / "circuit.he"
    save(circuit, path)
    loaded = load(path)
    if digest(loaded) != digest(circuit) or loaded.explain() != circuit.explain():
        raise AssertionError(f"the stored circuit must be that of {circuit.parameters}, got {loaded.parameters}")


def damage_is_refused(read: Callable[[bytes], object], damaged: bytes) -> None:
    """Check that a reader refuses bytes with a ValueError, and with no other error.

    Args:
        read: the reader, which takes bytes.
        damaged: bytes that are not intact, for example from `he.testing.damaged`.

    Raises:
        AssertionError: if the reader accepts them, or raises another error.
    """
    require_refused(lambda: read(damaged), "damaged bytes")


def require_refused(call: Callable[[], object], what: str) -> None:
    """Raise AssertionError unless a call that is given something wrong, which `what` names, raises a ValueError."""
    try:
        result = call()
    except ValueError:
        return
    except Exception as error:
        raise AssertionError(f"{what} must be refused with a ValueError, got {error!r}") from error
    raise AssertionError(f"{what} must be refused, got {result!r:.80}")


def require_within(found: np.ndarray, plain: np.ndarray, circuit: Circuit, what: str) -> None:
    """Raise AssertionError unless logits are the plain ones: equal for BFV, within the circuit's bound for CKKS."""
    if found.shape != plain.shape:
        raise AssertionError(f"{what}: logits must have shape {plain.shape}, got {found.shape}")
    allowed = 0 if circuit.parameters.scheme.exact else circuit.output_bound
    off = np.abs(found - plain)
    if not (off <= allowed).all():  # comparisons with NaN are false
        at = tuple(map(int, np.argwhere(~(off <= allowed))[0]))
        raise AssertionError(f"{what}: logit {at} must be {plain[at]} within {allowed}, got {found[at]}")
