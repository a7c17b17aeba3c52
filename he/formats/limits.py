"""Two checks of bytes: of their number, for who writes and for who reads, and of whether they are bytes at all."""

from __future__ import annotations

from typing import Any


def require_at_most(most: int, size: int, what: str, refusal: type[ValueError], remedy: str) -> None:
    """Raise the refusal, with the remedy at its end, if something has more bytes than it may have."""
    if size > most:
        raise refusal(f"{what} must have at most {most} bytes, got {size}; {remedy}")


def require_bytes(data: Any, what: str) -> memoryview:
    """Return a view of bytes that cannot be written to by it; it keeps their number while it is there.

    Raises:
        TypeError: if they are neither bytes nor a bytearray, nor a memoryview of single bytes one behind the other.
    """
    got = type(data).__name__
    if isinstance(data, bytes | bytearray | memoryview):
        view = memoryview(data)
        if view.format == "B" and view.ndim == 1 and view.contiguous:
            return view.toreadonly()
        got = "a memoryview of other than single bytes one behind the other; give its `tobytes()`"
    raise TypeError(f"{what} must be bytes, got {got}")
