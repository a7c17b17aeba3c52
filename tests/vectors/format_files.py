"""One file of every format, as this version wrote it: later versions must read them.

`python -m tests.vectors.format_files` writes them where there are none. Keys and ciphertexts are drawn at random, so a
file that is there is never written anew: who changes a format writes files into another folder, and reads these still.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from he import Client, Family, ModelOwner, Policy, compile_exact, interface_bytes, offer_bytes, prepare
from he.circuit.store import save
from he.formats.keys import Cost
from he.ring.gadget import Gadget
from intnn import Dense, IntDomain, IntNetwork, IntPolynomial
from intnn.storage.document import write_atomically
from tests.vectors.document import ENCRYPTED, FOLDER, PASSWORD

POLICY = Policy(security="insecure")
SEED = bytes(range(32))  # by which the owner of the encrypted network signs


def network() -> IntNetwork:
    """Two inputs, two units, a square, two logits."""
    first = Dense(np.array([[1, -2], [3, 1]]), np.array([1, 0]))
    last = Dense(np.array([[1, 1], [-1, 2]]), np.array([0, 5]))
    return IntNetwork((2,), IntDomain(-3, 3), (first, IntPolynomial((0, 0, 1)), last))


def images() -> np.ndarray:
    """All images that there are, [49, 2]."""
    return np.stack(np.meshgrid(np.arange(-3, 4), np.arange(-3, 4)), axis=-1).reshape(-1, 2)


def write(folder: Path) -> None:
    """Write a file of every format."""
    salt = bytes(range(32))
    many = compile_exact(network(), packing="throughput", security="insecure", salt=salt)
    family = Family((compile_exact(network(), security="insecure", salt=salt), many))
    network().save(folder / "network.npz")
    network().save(folder / "network.json")
    save(many, folder / "circuit")
    prepared = prepare(many)
    prepared.save(folder / "prepared")
    client = Client(many.interface, policy=POLICY)
    client.secret_key.save(folder / "secret.key", PASSWORD, Cost(log2_n=14))
    request = client.encrypt(images())
    hybrid = client.secret_key.hybrid_keys([(3, Gadget.of(many.parameters, 1, 2))])
    for name, data in (
        ("interface", interface_bytes(many.interface)),
        ("offer", offer_bytes(family.offer)),
        ("evaluation-keys", client.evaluation_keys.to_bytes()),
        ("request", request),
        ("answer", prepared.session(client.evaluation_keys).evaluate(request)),
        ("state", client.state()),
        ("hybrid-key", hybrid),
    ):
        write_atomically(folder / name, data)


def write_encrypted(folder: Path) -> None:
    """Write what an encrypted network has that others have not."""
    circuit = compile_exact(network(), weights="encrypted", security="insecure", salt=bytes(range(32)))
    owner = ModelOwner(circuit, signing_seed=SEED)
    save(circuit, folder / "circuit")
    save(owner.circuit, folder / "public-circuit")
    client = Client(owner.interface, policy=POLICY)
    client.secret_key.save(folder / "secret.key", PASSWORD, Cost(log2_n=14))
    owner.permit(client.public_key.id)
    for name, data in (
        ("public-key", client.public_key.to_bytes()),
        ("network", owner.issue(client.public_key, seconds=1 << 40).to_bytes()),
        ("revocation", owner.revoke(client.public_key.id)),
    ):
        write_atomically(folder / name, data)


def main() -> None:
    """Write into folders that are empty."""
    for folder, writer in ((FOLDER, write), (ENCRYPTED, write_encrypted)):
        folder.mkdir(exist_ok=True)
        if any(folder.iterdir()):
            print(f"{folder} has files, which later versions must read: give new ones another folder")
        else:
            writer(folder)


if __name__ == "__main__":
    main()
