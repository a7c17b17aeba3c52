"""What a peer says that cannot be measured."""

from __future__ import annotations


class UnavailableError(Exception):
    """The peer's library is not installed, or cannot do it."""
