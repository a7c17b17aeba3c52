"""One check of sizes, for who writes and for who reads: nothing is written that would be refused."""

from __future__ import annotations


def require_at_most(most: int, size: int, what: str, refusal: type[ValueError], remedy: str) -> None:
    """Raise the refusal, with the remedy at its end, if something has more bytes than it may have."""
    if size > most:
        raise refusal(f"{what} must have at most {most} bytes, got {size}; {remedy}")
