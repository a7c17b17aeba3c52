"""What is known about stored networks: one JSON file beside them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from intnn.storage.document import write_atomically
from plaintext_models.zoo.errors import ShippedNetworkError

FILE_NAME = "manifest.json"


@dataclass(frozen=True)
class Record:
    """How a stored network came about, and what it reaches.

    Attributes:
        kind: "IntNetwork" or "Graph".
        sha256: The SHA-256 of the file NAME.npz, in hexadecimal.
        dataset: What it was trained and tested on.
        seed: The seed of the initial weights and of the training.
        command: The command that trains it again.
        torch: The version of torch that trained it; another one may give another file.
        test_images: Number of held-out images.
        test_correct: How many of them it classifies rightly.
        table_points: Sizes of the tables' domains, in order; empty without tables.
    """

    kind: str
    sha256: str
    dataset: str
    seed: int
    command: str
    torch: str
    test_images: int
    test_correct: int
    table_points: tuple[int, ...]

    @property
    def test_accuracy(self) -> float:
        """The fraction of the held-out images that it classifies rightly."""
        return self.test_correct / self.test_images


def read(folder: Path) -> dict[str, Record]:
    """The records of a folder by network name; empty if it has no manifest yet.

    Raises:
        ShippedNetworkError: The manifest is damaged.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return {}
    try:
        return {name: _record(entry) for name, entry in json.loads(path.read_text("utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ShippedNetworkError(f"{path} must be a manifest of networks: {error}; restore the file") from error


def write(folder: Path, records: Mapping[str, Record]) -> None:
    """Replace the manifest of a folder, whole or not at all."""
    entries = {name: asdict(records[name]) for name in sorted(records)}
    write_atomically(folder / FILE_NAME, (json.dumps(entries, indent=2) + "\n").encode())


def _record(entry: Mapping[str, object]) -> Record:
    values = dict(entry)
    for field in fields(Record):
        want = {"str": str, "int": int}.get(str(getattr(field.type, "__name__", field.type)), list)
        if type(values.get(field.name)) is not want:
            raise ValueError(f"`{field.name}` must be of type {want.__name__}, got {values.get(field.name)!r}")
    return Record(**{**values, "table_points": tuple(entry["table_points"])})  # type: ignore[arg-type]
