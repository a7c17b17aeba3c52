"""The networks that come with the package, each checked against the manifest before it is used."""

import hashlib
from pathlib import Path

from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from plaintext_models.zoo import manifest
from plaintext_models.zoo.errors import ShippedNetworkError
from plaintext_models.zoo.manifest import Record

__all__ = ["FOLDER", "Record", "ShippedNetworkError", "load", "names", "record"]

FOLDER = Path(__file__).parent / "networks"

_KINDS: dict[str, type[IntNetwork] | type[Graph]] = {"IntNetwork": IntNetwork, "Graph": Graph}


def names(folder: Path = FOLDER) -> tuple[str, ...]:
    """All networks of the folder, in alphabetical order."""
    return tuple(sorted(manifest.read(folder)))


def record(name: str, folder: Path = FOLDER) -> Record:
    """How a network was trained and what it reaches.

    Raises:
        ShippedNetworkError: Unknown name, or a damaged manifest.
    """
    records = manifest.read(folder)
    if name not in records:
        raise ShippedNetworkError(f"`name` must be one of {', '.join(sorted(records)) or '(none)'}, got {name!r}")
    return records[name]


def load(name: str, folder: Path = FOLDER) -> IntNetwork | Graph:
    """Load a network.

    Raises:
        ShippedNetworkError: Unknown name; the file is missing or not the one that the manifest records.
        FormatError: The recorded file is none of this version's.
    """
    entry, path = record(name, folder), folder / f"{name}.npz"
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ShippedNetworkError(f"{path} cannot be read: {error}; restore the file") from error
    if digest != entry.sha256:
        raise ShippedNetworkError(f"{path} must have the SHA-256 {entry.sha256}, got {digest}; restore the file")
    if entry.kind not in _KINDS:
        raise ShippedNetworkError(f"`kind` of {name} must be one of {', '.join(_KINDS)}, got {entry.kind!r}")
    return _KINDS[entry.kind].load(path)
