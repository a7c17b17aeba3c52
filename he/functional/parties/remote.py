"""An authority in another process, as its users see it: questions and answers as bytes.

A question is a letter and what it is about; an answer is "+" and what was asked for, or "-", the name of an error, a
newline, and what the error says. Nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import json
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from typing import Self

import numpy as np

from he.formats.messages import Kind, MessageError
from he.functional.errors import BudgetError, FunctionalError, MismatchError
from he.functional.instance import Instance
from he.functional.messages import seal
from he.functional.parties.books import Exposure, Opening, Role
from he.functional.parties.forks import close_in_forked
from he.functional.parties.journal import JournalError
from he.functional.parties.owner import Schemes, public_key_from_bytes
from he.functional.parties.request import KeyRequest
from he.functional.scheme import FunctionalKey, PublicKey
from he.functional.schemes import scheme
from he.ring.params import ParameterError
from intnn.values.value_object import Unstorable

KEY, EXPOSURE, OPEN, ENROL = b"k", b"x", b"o", b"e"
DONE, REFUSED = b"+", b"-"
#: Bytes of a password, and of a token.
SECRET_BYTES = 32
#: The most bytes of a question. A request for 128 keys of 784 elements has 200 thousand.
MOST_QUESTION_BYTES = 1 << 27
_ERRORS: dict[str, type[Exception]] = {
    error.__name__: error
    for error in (
        *(BudgetError, JournalError, MismatchError, FunctionalError, MessageError, ParameterError),
        *(TypeError, ValueError, OSError),
    )
}


class GoneError(FunctionalError):
    """The authority's process does not answer."""


def refusal(error: Exception) -> bytes:
    """An error as an answer; one that no party is to expect says nothing of what it was."""
    for kind in type(error).__mro__:
        if kind.__name__ in _ERRORS:
            return REFUSED + f"{kind.__name__}\n{error}".encode(errors="replace")
    return REFUSED + f"FunctionalError\nthe authority has a fault ({type(error).__name__}); nothing was issued".encode()


def answered(answer: bytes) -> bytes:
    """What was asked for.

    Raises:
        MessageError: It is no answer.
        Exception: The error that the answer names.
    """
    if answer[:1] == DONE:
        return answer[1:]
    name, _, message = answer[1:].decode(errors="replace").partition("\n")
    if answer[:1] != REFUSED or name not in _ERRORS:
        raise MessageError("the authority's process gave no answer of this toolkit")
    raise _ERRORS[name](message)


class RemoteAuthority(Unstorable, instead="make another one by its address"):
    """A connection to an authority in another process of this machine; several threads may use it.

    In a process that was forked from the one which has made it it is closed: each of the two would take answers to the
    other one's questions.

    Args:
        address: Where the authority listens: a host and a port.
        password: What all who may ask it know.
        token: What whoever may open instances and enrol owners knows beside it.
        schemes: What implements a scheme, by its name.

    Raises:
        GoneError: Nobody listens there, or it is somebody else, or the password is wrong.
    """

    def __init__(
        self, address: tuple[str, int], password: bytes, token: bytes = b"", schemes: Schemes = scheme
    ) -> None:
        self.address, self._token, self._schemes, self._lock = address, token, schemes, threading.Lock()
        try:
            self._connection: Connection = Client(address, authkey=password)
        except (OSError, EOFError, AuthenticationError, AssertionError) as error:  # the last one up to Python 3.11
            raise GoneError(f"no authority answers at {address} to this password: {error!r}; start it") from error
        close_in_forked(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(
        self,
        of: Instance,
        budget: int,
        data: str,
        role: Role = "forward",
        samples: range | None = None,
        columns: int | None = None,
    ) -> PublicKey:
        """Draw the keys of an instance: see `Authority.open`, also for what it raises.

        Raises:
            FunctionalError: The token is wrong.
            MismatchError: The public key is that of another instance.
            GoneError: The authority does not answer.
        """
        opening = Opening(of, budget, data, role, samples, columns)
        answer = self._ask(OPEN + self._token + seal(Kind.INSTRUCTION, of, opening.fields()))
        public = public_key_from_bytes(answer, self._schemes)
        if public.instance != of:
            raise MismatchError(
                f"the authority must answer with the public key of instance {of.id}, got that of {public.instance.id}"
            )
        return public

    def enrol(self, of: Instance, owner: str) -> None:
        """Register an owner: see `Authority.enrol`, also for what it raises.

        Raises:
            FunctionalError: The token is wrong.
            GoneError: The authority does not answer.
        """
        self._ask(ENROL + self._token + seal(Kind.INSTRUCTION, of, {"owner": owner}))

    def issue(self, request: KeyRequest) -> FunctionalKey:
        """Ask for a key: see `Authority.issue`, also for what it raises.

        Raises:
            MismatchError: The key is not for what was asked.
            GoneError: The authority does not answer. If it has recorded the key, it issues it again when it is asked
                again, and the key counts once for the budget.
        """
        answer = self._ask(KEY + request.to_bytes())
        key = self._schemes(request.instance.scheme).types.functional_key.from_bytes(answer)
        if key.instance != request.instance or not np.array_equal(key.y, request.y):
            raise MismatchError("the authority must answer with a key for the vectors asked for, got another")
        return key

    def exposure(self, data: str) -> Exposure:
        """What the keys that were issued tell of some data.

        Raises:
            GoneError: The authority does not answer.
        """
        return Exposure(**json.loads(self._ask(EXPOSURE + data.encode())))

    def close(self) -> None:
        """End the connection; the authority goes on."""
        self._connection.close()

    def _ask(self, question: bytes) -> bytes:
        if len(question) > MOST_QUESTION_BYTES:
            raise MessageError(
                f"a question must have at most {MOST_QUESTION_BYTES} bytes, got {len(question)}; ask for fewer keys"
            )
        try:
            with self._lock, contextlib.ExitStack() as interrupted:
                interrupted.callback(self._connection.close)  # a late answer would be taken for the next question's
                self._connection.send_bytes(question)
                answer = self._connection.recv_bytes()
                interrupted.pop_all()
        except (OSError, EOFError) as error:
            raise GoneError(
                f"the authority at {self.address} has ended, or the connection to it ({error!r}); start it or connect "
                "again, and ask again: what it had recorded counts once"
            ) from error
        return answered(answer)
