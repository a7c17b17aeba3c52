"""Training that goes on where an earlier process was stopped, with what that one has taken."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.cases.functional_parties import Seconds
from intnn.storage.document import write_atomically


@dataclass(frozen=True)
class Taken:
    """What some epochs have taken.

    Attributes:
        epochs: How many.
        seconds: The seconds of keys, of decryption and of the trainer; what comes before the first step is not in it.
        cpu_seconds: Processor time.
        keys: The keys that were issued.
        key_bytes: Their size.
    """

    epochs: int = 0
    seconds: Seconds = field(default_factory=Seconds)
    cpu_seconds: float = 0.0
    keys: int = 0
    key_bytes: int = 0


@dataclass(frozen=True)
class Unfinished:
    """The checkpoint of a run, and beside it a file of what its epochs have taken.

    Attributes:
        checkpoint: The checkpoint, .npz; None if nothing is kept.
    """

    checkpoint: Path | None

    def taken(self) -> Taken:
        """What the epochs of the checkpoint have taken.

        A checkpoint without that, as where a process was ended between the two files, is removed: the run begins anew.
        """
        if self.checkpoint is None or not self.checkpoint.exists():
            return Taken()
        try:
            known = json.loads(self._beside.read_text("utf-8"))
            taken = Taken(**{**known, "seconds": Seconds(**known["seconds"])})
            if self._beside.stat().st_mtime_ns < self.checkpoint.stat().st_mtime_ns:
                raise ValueError("the checkpoint is newer")
        except (OSError, KeyError, TypeError, ValueError):
            self.forget()
            return Taken()
        return taken

    def keep(self, taken: Taken) -> None:
        """Write what all epochs of the checkpoint have taken."""
        if self.checkpoint is not None:
            write_atomically(self._beside, json.dumps(asdict(taken)).encode())

    def forget(self) -> None:
        """Remove both files."""
        if self.checkpoint is not None:
            self.checkpoint.unlink(missing_ok=True)
            self._beside.unlink(missing_ok=True)

    @property
    def _beside(self) -> Path:
        assert self.checkpoint is not None
        return self.checkpoint.with_suffix(".taken.json")
