"""What a server refuses, as clients are told: problem details (RFC 9457), with the status that fits.

Details are the texts of our own errors, which say what is wrong with a message and hold nothing of it.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from he.formats.messages import MessageError
from he.parties.ledger import ReplayError, SpentError
from he.parties.permission import NotPermittedError

MEDIA_TYPE = "application/problem+json"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Problem(Exception):  # noqa: N818 - the name of the standard
    """A request that is refused.

    Args:
        status: the status, 400 to 599.
        detail: what is wrong, and what to do.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})

    @staticmethod
    def of(error: Exception) -> Problem:
        """Return what a client is told of an error; of one that nobody expects, nothing."""
        match error:
            case Problem():
                return error
            case ReplayError():
                return Problem(409, str(error))
            case SpentError() | NotPermittedError():
                return Problem(403, str(error))
            case MessageError():
                return Problem(422, str(error))
            case OSError() if error.errno in _FULL:
                return Problem(507, "the server has no room on its disk; nothing was kept, try again later")
        return Problem(500, "the server has a fault; it is recorded under the number in `x-request-id`")

    def to_dict(self) -> dict[str, Any]:
        """Return the problem as JSON types."""
        return {"title": HTTPStatus(self.status).phrase, "status": self.status, "detail": self.detail}

    def response(self) -> JSONResponse:
        """Return the answer that says so."""
        return JSONResponse(self.to_dict(), self.status, self.headers, MEDIA_TYPE)


def busy(what: str) -> Problem:
    """Return the problem of a server that has too much to do."""
    return Problem(503, f"{what}; try again later", {"Retry-After": "1"})
