"""Networks that the server cannot read: what models' owners have issued for clients' keys, and revoked.

    networks/CIRCUIT.KEY        an encrypted network, as it travels: the newest for this key
    networks/CIRCUIT.revoked    the owner's newest revocation

Files are written whole, and what they hold is signed by the model's owner: no index has to say what they are. All are
read when the server starts. Networks that permit nothing any more are removed, then and before others come. Revocations
stay, those of models that are not served too: without them, what they revoke would be permitted. So do networks that
cannot be read, as those of a server of another version: they permit nothing here, take their room, and are read again
by the next server, if their owner has not issued others in their place.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from he.formats.messages import MessageError, VersionError
from he.parties.encrypted_network import EncryptedNetwork
from he.parties.permission import NotPermittedError, Permission, Revocation
from he.service.logs import event
from he.service.models import Model
from he.service.problems import Problem
from he.service.store import StoreError
from intnn.storage.document import write_atomically
from intnn.values.value_object import Unstorable

_REVOKED = "revoked"


class Networks(Unstorable, instead="make it again from the store's folder"):
    """The encrypted networks of a server's models. All methods are safe for threads.

    Args:
        folder: the folder, which is there.
        models: the models that are served; networks of others are removed.

    Raises:
        StoreError: if a revocation is damaged, or of another version.
        OSError: if a file cannot be read.
    """

    def __init__(self, folder: Path, models: Iterable[Model]) -> None:
        self._folder, self._lock = folder, Lock()
        self._permissions: dict[Path, Permission] = {}  # of all networks that could be read
        self._revocations: dict[str, Revocation] = {}  # by the model's circuit
        self._sizes: dict[Path, int] = {}
        served = {model.digest: model for model in models if model.owner}
        for path in sorted(folder.iterdir(), key=lambda path: path.suffix != f".{_REVOKED}"):  # revocations first
            circuit, _, name = path.name.partition(".")
            model = served.get(circuit)
            if model is None:
                if name != _REVOKED:
                    path.unlink()
            elif name == _REVOKED:
                self._read_revocation(model, path)
            else:
                self._read_network(model, path, name)

    @property
    def size(self) -> int:
        """The number of bytes of all files."""
        return sum([*self._sizes.values()])

    def _read_revocation(self, model: Model, path: Path) -> None:
        try:
            self._revocations[model.digest] = Revocation.from_bytes(path.read_bytes(), _owner(model))
        except NotPermittedError:  # another owner's, which revokes nothing of this one's
            return
        except MessageError as error:
            what = "of another version" if isinstance(error, VersionError) else "damaged"
            raise StoreError(
                f"{path} is {what} ({error}); put the newest revocation of the model's owner in its place"
            ) from error

    def _read_network(self, model: Model, path: Path, key: str) -> None:
        data = path.read_bytes()
        try:
            permission = EncryptedNetwork.from_bytes(data, model.single, _owner(model)).permission
        except (MessageError, NotPermittedError) as error:
            event("unreadable", logging.WARNING, network=path.name, reason=_reason(error))
            self._sizes[path] = len(data)
            return
        try:
            permission.require(model.digest, key, revocation=self._revocations.get(model.digest))
        except NotPermittedError:
            path.unlink()
        else:
            self._permissions[path], self._sizes[path] = permission, len(data)

    def add(self, model: Model, upload: Path) -> Permission:
        """Keep a network that was uploaded, in the place of an older one for the same key.

        Raises:
            MessageError: if it is no network of the model.
            NotPermittedError: if the model's owner has not signed it, it has expired, or it was revoked.
            OSError: if it cannot be written.
            Problem: if a newer one is there (409).
        """
        data = upload.read_bytes()
        permission = EncryptedNetwork.from_bytes(data, model.single, _owner(model)).permission
        path = self._path(model, permission.key)
        with self._lock:
            permission.require(model.digest, permission.key, revocation=self._revocations.get(model.digest))
            known = self._permissions.get(path)
            if known is not None and known.number > permission.number:
                raise Problem(409, "the model's owner has issued a newer network for this key")
            write_atomically(path, data)
            self._permissions[path], self._sizes[path] = permission, len(data)
        return permission

    def make_room(self) -> None:
        """Remove the networks that permit nothing any more.

        Raises:
            OSError: if one cannot be removed.
        """
        for path, permission in [*self._permissions.items()]:
            try:
                permission.require(
                    permission.circuit, permission.key, revocation=self._revocations.get(permission.circuit)
                )
            except NotPermittedError:
                self._forget(path, permission)

    def permission(self, model: Model, key: str) -> Permission | None:
        """Return the permission of the newest network for a key; None if there is no network."""
        return self._permissions.get(self._path(model, key))

    @contextmanager
    def given(self, model: Model, key: str) -> Iterator[dict[str, Any]]:
        """Give what `PreparedCircuit.session` is given of the network for a key; what it cannot use is forgotten.

        Raises:
            NotPermittedError: if there is none, or it is lost, damaged, or unusable as its owner has made it.
            OSError: if it cannot be read.
        """
        path, permission = self._path(model, key), self.permission(model, key)
        if permission is None:
            raise NotPermittedError("the model's owner has issued no network for this key; ask it for one")
        try:
            yield {"network": path.read_bytes(), "owner": model.owner, "revocation": self.revocation(model)}
        except (FileNotFoundError, MessageError):
            event("damaged", model=model.name)
            self._forget(path, permission)
            raise NotPermittedError("the network for this key is lost or unusable; ask its owner for another") from None

    def revoke(self, model: Model, revocation: bytes) -> None:
        """Take note of a revocation; an older one changes nothing.

        Raises:
            MessageError: if it is damaged or foreign.
            NotPermittedError: if the model's owner has not signed it, or it is for another model.
            OSError: if it cannot be written.
        """
        found = Revocation.from_bytes(revocation, _owner(model))
        with self._lock:
            if found.newest(self._revocations.get(model.digest), model.digest) is found:
                write_atomically(self._path(model, _REVOKED), revocation)
                self._revocations[model.digest] = found

    def revocation(self, model: Model) -> bytes | None:
        """Return the model's owner's newest revocation; None if there is none."""
        found = self._revocations.get(model.digest)
        return None if found is None else found.to_bytes()

    def _forget(self, path: Path, permission: Permission) -> None:
        with self._lock:
            if self._permissions.get(path) == permission:  # and no newer one has come
                del self._permissions[path], self._sizes[path]
                path.unlink(missing_ok=True)

    def _path(self, model: Model, name: str) -> Path:
        return self._folder / f"{model.digest}.{name}"


def _reason(error: MessageError | NotPermittedError) -> str:
    if isinstance(error, VersionError):
        return "another version"
    return "damaged" if isinstance(error, MessageError) else "another owner"


def _owner(model: Model) -> bytes:
    assert model.owner is not None  # who asks has looked
    return model.owner
