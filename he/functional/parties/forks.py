"""What belongs to one process, and is closed in others that are forked from it."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Closable(Protocol):
    """What has a file of its own that two processes must not use at once."""

    def close(self) -> None:
        """Close it in this process."""


_OPEN: weakref.WeakSet[Closable] = weakref.WeakSet()


def close_in_forked(resource: Closable) -> None:
    """Close a resource in every process that is forked from this one, as long as it lives."""
    _OPEN.add(resource)


def _close_all() -> None:
    for resource in _OPEN:
        resource.close()


os.register_at_fork(after_in_child=_close_all)
