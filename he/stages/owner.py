"""The stages of a model's owner whose network the server cannot read: `issue` and `revoke`.

The folder `issuing` in the model's folder is the owner's alone: the seed by which it signs, and which public keys it
permits, with what it has issued so far. A server is given a copy of the model's folder without it, without the circuits
that hold weights, and without the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from he.circuit.circuit import Circuit
from he.circuit.store import load
from he.formats.header import parsed
from he.formats.keys import held, read_private
from he.parties.encrypted_network import EncryptedNetwork
from he.parties.model_owner import DAY, MOST_SECONDS, ModelOwner
from he.parties.public_key import PublicKey
from he.stages.client import ISSUED, PUBLIC
from he.stages.folders import StageError, new_folder, require_made
from he.stages.model import ISSUING, MAKER, write_state
from intnn.storage.document import write_atomically
from intnn.values.arrays import real


def issue(folder: Path, model: Path, permit: str | None = None, days: float = 1, *, again: bool = False) -> None:
    """Encrypt the network for the client whose public key lies in the folder of the exchange, if it is permitted.

    Args:
        folder: the folder of the exchange. `encrypted_network` in it is for the server alone.
        model: the folder of the model, with what is its owner's.
        permit: the name of a public key that is permitted from now on, as its client has told it by a way that
            authenticates.
        days: how long the permission is to last.
        again: whether a network of an earlier run is replaced.

    Raises:
        MessageError, StoredError: if a file is damaged, or the key belongs to another model.
        NotPermittedError: if the public key is not permitted; nothing is encrypted then.
        StageError: if the weights are not to be encrypted, there is no public key, or a network has been issued.
        ValueError: if `permit` is no name, or `days` is out of range.
        OSError: if a file cannot be read or written.
    """
    with new_folder(folder / ISSUED, replace=again, private=True) as draft:
        network = issued(model, require_made(folder / PUBLIC / "public_key", "keygen").read_bytes(), permit, days)
        write_atomically(draft / "network", network.to_bytes())
        write_atomically(folder / "permission", network.permission.to_bytes())


def revoke(folder: Path, model: Path, name: str) -> None:
    """Take a public key out of the permitted ones; all that was issued so far is revoked, and others get it anew.

    It may be run again, for another exchange, or where the revocation has not reached a server.

    Args:
        folder: the folder of an exchange; `revocation` in it is for clients and servers.
        model: the folder of the model, with what is its owner's.
        name: the name of the public key.

    Raises:
        NotPermittedError: if it never was among the permitted ones.
        StoredError, StageError, OSError: as `issue`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "revocation", revoked(model, name))


def issued(model: Path, public_key: bytes, permit: str | None = None, days: float = 1) -> EncryptedNetwork:
    """Return the network, encrypted under a public key; see `issue`."""
    seconds = real(days, "days") * DAY
    if not 1 <= seconds <= MOST_SECONDS:
        raise ValueError(f"`days` must be a second or more, and at most {MOST_SECONDS // DAY}, got {days}")
    with _owner(model) as owner:
        if permit is not None:
            owner.permit(permit)
        return owner.issue(PublicKey.of(public_key, owner.circuit.interface), int(seconds))


def revoked(model: Path, name: str) -> bytes:
    """Return a revocation of all that was issued so far; see `revoke`."""
    with _owner(model) as owner:
        return owner.revoke(name)


@contextmanager
def _owner(model: Path) -> Iterator[ModelOwner]:
    """Give the owner of a model's circuit, which is recorded as it is left: what it issues leaves only after that."""
    secret = require_made(model / ISSUING, MAKER)
    with held(require_made(secret / "seed", MAKER)):
        seed, state = (read_private(require_made(secret / name, MAKER)) for name in ("seed", "state"))
        circuit = load(require_made(model / "0.circuit", MAKER))
        assert isinstance(circuit, Circuit)  # weights modulo several primes are plain
        try:
            known = parsed(state)
            rest = {"first": known["next"], "least": known["least"], "revoked": known.get("revoked", ())}
            owner = ModelOwner(circuit, known["permitted"], signing_seed=seed, **rest)
        except (KeyError, TypeError, ValueError) as error:
            raise StageError(
                f"{secret} must be as its owner has left it, and is not ({error!r}); restore it from a copy that is as "
                "new as the last network that was issued, and the last revocation"
            ) from error
        yield owner
        write_state(secret, owner)
