"""Log lines as JSON objects. They say who asked for what kind of thing, when, how large, and with which status.

They never hold a body, a key, a ciphertext, a logit, a token, or an address as it was asked for: an address may hold
anything. Of an exception that nobody expected they hold the type and the places in the code, not its message.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

LOGGER = logging.getLogger("he.service")


class JsonLines(logging.Formatter):
    """Formats records as JSON, a line each: the event, and the fields that were given beside it."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage() if record.name == LOGGER.name else record.name,
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            frames = traceback.extract_tb(record.exc_info[2])
            line["error"] = record.exc_info[0].__name__
            line["places"] = [f"{frame.filename}:{frame.lineno}" for frame in frames]
        return json.dumps(line, separators=(",", ":"))


def event(name: str, level: int = logging.INFO, error: BaseException | None = None, **fields: Any) -> None:
    """Log an event with fields of JSON types."""
    LOGGER.log(level, name, extra={"fields": fields}, exc_info=error)


def to_stream(stream: TextIO = sys.stderr) -> None:
    """Write the log of the server, and of the library that speaks HTTP for it, to a stream.

    Of that library's lines, only where they come from is written: they hold addresses.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    for logger, level in ((LOGGER, logging.INFO), (logging.getLogger("uvicorn"), logging.WARNING)):
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
