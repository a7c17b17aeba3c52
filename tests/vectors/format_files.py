"""One file of every format, as this version wrote it: later versions must read them.

`python -m tests.vectors.format_files` writes them where there are none. Keys and ciphertexts are drawn at random, so a
folder that has files is never written anew: who adds to a format writes files into another folder, and reads these
still; who gives it a new number, so that older files are refused, empties the folder first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from he import Client, Family, ModelOwner, Policy, compile_exact, interface_bytes, offer_bytes, prepare
from he.circuit.store import save
from he.formats.keys import Cost
from he.parties.threshold.ceremony import DataShare, ModelShare
from he.parties.threshold.opening import Opener
from he.parties.threshold.voucher import Vouching
from he.ring.gadget import Gadget
from intnn import Dense, IntDomain, IntNetwork, IntPolynomial
from intnn.storage.document import write_atomically
from tests.vectors.document import ENCRYPTED, FOLDER, OWNERS, PASSWORD

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


def small_network() -> IntNetwork:
    """One input, one unit, a square, one logit: 2 (x + 1)^2 + 5."""
    first, last = Dense(np.array([[1]]), np.array([1])), Dense(np.array([[2]]), np.array([5]))
    return IntNetwork((1,), IntDomain(-3, 3), (first, IntPolynomial((0, 0, 1)), last))


def write_owners(folder: Path) -> None:
    """Write what a key of two owners has that others have not."""
    salt = bytes(range(32))
    circuit = compile_exact(
        small_network(), weights="encrypted", threshold=1, images=512, security="insecure", salt=salt
    )
    data, model = DataShare(circuit.interface, policy=POLICY), ModelShare(circuit.interface)
    commitment = model.commit(data.invitation)
    first = data.first(commitment)
    shares = model.shares(first)
    second = data.second(shares)
    model.finish(second)
    owner, vouching = ModelOwner(circuit, [model.key.public_key.id], signing_seed=SEED), Vouching(SEED)
    save(owner.circuit, folder / "circuit")
    for name, key in (("data.key", data.key), ("model.key", model.key)):
        key.share.save(folder / name, PASSWORD, Cost(log2_n=14))
    key, issued, public = data.key, owner.issue(model.key.public_key), owner.verification_key
    session = prepare(owner.circuit).session(key.evaluation_keys, network=issued.to_bytes(), owner=public)
    client = Client(circuit.interface, key.share, key.evaluation_keys, public_key=key.public_key, policy=POLICY)
    client.admit(session.permission or b"", public)
    answer = session.evaluate(client.encrypt(np.arange(-3, 4)[:, None]))
    voucher = vouching.vouch(answer)
    for name, message in (
        ("invitation", data.invitation),
        ("commitment", commitment),
        ("first", first),
        ("shares", shares),
        ("second", second),
        ("answer", answer),
        ("voucher", voucher),
        ("part", Opener(owner, model.key, vouching.verification_key).part(answer, voucher)),
        ("state", client.state()),
    ):
        write_atomically(folder / name, message)


def main() -> None:
    """Write into folders that are empty."""
    for folder, writer in ((FOLDER, write), (ENCRYPTED, write_encrypted), (OWNERS, write_owners)):
        folder.mkdir(exist_ok=True)
        if any(folder.iterdir()):
            print(f"{folder} has files, which later versions must read: give new ones another folder")
        else:
            writer(folder)


if __name__ == "__main__":
    main()
