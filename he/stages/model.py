"""A model in one folder: what its owner publishes, and what the owner keeps.

- `offer`: the public part of every circuit, for clients. No other file is theirs to read.
- `0.circuit`, `1.circuit`, ...: the circuits, which hold the weights.
- `network.json` or `network.npz`: the network in the clear, with which answers are compared.
- `prepared/0.prepared`, ...: the circuits with encoded weights, which the stage `prepare` makes.

Where weights are to be encrypted there is one circuit, and besides:

- `owner.key`: the key by which clients and servers verify what the owner signs.
- `0.public`: the circuit without weights, which servers prepare.
- `issuing`: the owner's alone, as are `0.circuit` and the network (`he.stages.owner`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from he.circuit.circuit import Circuit
from he.circuit.family import Family, Offer
from he.circuit.residues import ResidueCircuit
from he.formats.keys import write_private
from he.parties.offers import offer_bytes, read_offer
from he.stages.folders import StageError, new_folder, require_made
from intnn.storage.document import write_atomically

if TYPE_CHECKING:
    from he.parties.model_owner import ModelOwner
    from he.parties.prepared import PreparedCircuit
    from intnn import Graph, IntNetwork

MAKER = "he.stages.model.save_model"
OWNER, ISSUING = "owner.key", "issuing"


def save_model(path: Path, network: IntNetwork | Graph, family: Family) -> None:
    """Write a model's folder, whole or not at all.

    Args:
        path: the folder, which must not be there.
        network: the network.
        family: its circuits.

    Raises:
        StageError: if the folder is there, or a circuit is of another network.
        OSError: if it cannot be written.
    """
    from he.circuit.store import save
    from he.parties.model_owner import ModelOwner

    for circuit in family.circuits:
        each = circuit.circuits if isinstance(circuit, ResidueCircuit) else (circuit,)
        if not all(one.opens(network) for one in each):
            raise StageError("`family` must be compiled from `network`, and is of another one")
    with new_folder(path) as draft:
        write_atomically(draft / "offer", offer_bytes(family.offer))
        network.save(draft / "network.npz")
        for number, circuit in enumerate(family.circuits):
            save(circuit, draft / f"{number}.circuit")
        first = family.circuits[0]
        if isinstance(first, Circuit) and first.interface.encrypted:
            owner = ModelOwner(first)
            save(owner.circuit, draft / "0.public")
            write_atomically(draft / OWNER, owner.verification_key)
            (draft / ISSUING).mkdir(mode=0o700)
            write_private(draft / ISSUING / "seed", owner.signing_seed)
            write_state(draft / ISSUING, owner)


def write_state(issuing: Path, owner: ModelOwner) -> None:
    """Write from what an owner goes on: whom it permits and has revoked, and the numbers of its permissions.

    Raises:
        OSError: if it cannot be written.
    """
    keys = {"permitted": sorted(owner.permitted), "revoked": sorted(owner.revoked)}
    state = {**keys, "next": owner.next_number, "least": owner.least_number}
    write_private(issuing / "state", json.dumps(state, indent=2).encode())


def read_model(path: Path) -> Offer:
    """Return what a model's owner offers.

    Raises:
        MessageError: if the file is damaged.
        StageError: if there is none.
        OSError: if it cannot be read.
    """
    return read_offer(require_made(path / "offer", MAKER).read_bytes())


def circuit_of(offer: Offer, digest: str, where: str) -> int:
    """Return the number of the offered circuit that a digest names.

    Raises:
        StageError: if there is none; `where` says what named it.
    """
    digests = [interface.digest for interface in offer.interfaces]
    if digest not in digests:
        raise StageError(f"{where} must belong to a circuit of this model, and belongs to another model's")
    return digests.index(digest)


def prepare_model(path: Path, threads: int | None = None, *, again: bool = False) -> None:
    """Encode the weights of all circuits of a model, or encode them again.

    Raises:
        StageError: if that has been done, or a circuit is not the one that is offered.
        StoredError: if a file is damaged.
        OSError: if a file cannot be read or written.
    """
    from he.circuit.store import load
    from he.parties.prepared import prepare

    offer = read_model(path)
    with new_folder(path / "prepared", replace=again) as draft:
        for number, interface in enumerate(offer.interfaces):
            file = require_made(path / f"{number}.{'public' if interface.encrypted else 'circuit'}", MAKER)
            circuit = load(file)
            if circuit.interface.digest != interface.digest:
                raise StageError(f"{path} must hold the circuits that it offers: {file.name} is another one")
            prepare(circuit, threads=threads).save(draft / f"{number}.prepared")


def load_prepared(path: Path, offer: Offer, number: int) -> PreparedCircuit:
    """Return a circuit of a model whose weights are encoded.

    Raises:
        StageError: if there is none, or it is not the one that is offered.
        StoredError: if the file is damaged.
        OSError: if it cannot be read.
    """
    from he.parties.prepared import PreparedCircuit

    file = require_made(path / "prepared" / f"{number}.prepared", "prepare")
    found = PreparedCircuit.load(file)
    if found.circuit.interface.digest != offer.interfaces[number].digest:
        raise StageError(f"{file} must be the circuit that the model offers, and is another one; run `prepare` again")
    return found
