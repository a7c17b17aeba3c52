"""The requests of one client that wait for an answer, each for one."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from he.circuit.packing import Packing
from he.formats.messages import MessageError, message_digest

_DIGEST_BYTES = 32  # of a request


class Question(NamedTuple):
    """What a client remembers of a request.

    Attributes:
        images: the number of its images.
        order: the order of its lanes, [rows, lanes].
    """

    images: int
    order: np.ndarray


def secret_order(packing: Packing) -> np.ndarray:
    """Return an order of the lanes of every row, drawn uniformly; rows that hold the same images have the same order.

    All lanes are alike to whoever evaluates: nobody else knows which of them are guards, or hold an image at all.

    Returns:
        uint16 [rows, lanes].
    """
    rows = packing.rows if packing.split_rows else 1
    drawn = np.frombuffer(secrets.token_bytes(8 * rows * packing.lanes), np.uint64)  # two are equal once in 2^37 times
    order = drawn.reshape(rows, packing.lanes).argsort(axis=1).astype(np.uint16)
    return np.broadcast_to(order, (packing.rows, packing.lanes))


class Questions:
    """The open questions of one client by the digests of their requests, the oldest first.

    A request holds a nonce, so no two have one digest. The digest covers circuit, key, nonce and ciphertexts in their
    order: an answer that names it is an answer to what the session received, and that was what the client sent.

    Args:
        most: the number of questions that are remembered.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[str, Question] = {}

    def ask(self, request: bytes, question: Question) -> None:
        """Remember a request; if there are too many, the oldest is forgotten, and an answer to it will be refused."""
        if len(self._open) >= self._most:
            del self._open[next(iter(self._open))]
        self._open[message_digest(request)] = question

    def require_open(self, name: object, request: bytes | None) -> str:
        """Return the name of the question that an answer is for, if it is the one that was asked.

        Args:
            name: the digest that the answer names.
            request: the request that the caller wants answered; None if no other is open.

        Raises:
            MessageError: if it is another one, or has had its answer.
        """
        if request is None and len(self._open) > 1:
            raise MessageError(
                f"an answer must be given with its `request` while {len(self._open)} are open: it would not show if "
                "answers were swapped"
            )
        if not isinstance(name, str) or name not in self._open:
            raise MessageError(
                "the answer must be the first one to an open request of this client, got one to another request, or a "
                "second one; encrypt the images again"
            )
        if request is not None and name != message_digest(request):
            raise MessageError("the answer must be to the given `request`, got one to another request of this client")
        return name

    @property
    def digests(self) -> list[bytes]:
        """The digests of the open requests, the oldest first."""
        return [bytes.fromhex(name) for name in self._open]

    def forget(self) -> None:
        """Forget all open questions: answers to them will be refused."""
        self._open.clear()

    def to_parts(self) -> list[bytes]:
        """Return the open questions as bytes, the oldest first: digest, number of images (4 bytes), order (2 each)."""
        return [
            bytes.fromhex(name) + question.images.to_bytes(4, "little") + question.order.astype("<u2").tobytes()
            for name, question in self._open.items()
        ]

    def restore(self, parts: Sequence[bytes | memoryview], packing: Packing) -> None:
        """Remember what `to_parts` returned of questions to a circuit of this packing.

        Raises:
            MessageError: if it is malformed, or more than are remembered.
        """
        if len(parts) > self._most:
            raise MessageError(f"a client must have at most {self._most} open requests, got {len(parts)}")
        lanes = np.arange(packing.lanes)
        for part in parts:
            if len(part) != _DIGEST_BYTES + 4 + 2 * packing.rows * packing.lanes:
                raise MessageError("an open request must have a digest, a number of images and an order of lanes")
            images = int.from_bytes(part[_DIGEST_BYTES : _DIGEST_BYTES + 4], "little")
            order = np.frombuffer(part, "<u2", offset=_DIGEST_BYTES + 4).astype(np.uint16)
            order = order.reshape(packing.rows, packing.lanes)
            if not (1 <= images <= packing.images and (np.sort(order, axis=1) == lanes).all()):
                raise MessageError(f"an open request must have 1 to {packing.images} images in an order of lanes")
            self._open[bytes(part[:_DIGEST_BYTES]).hex()] = Question(images, order)

    def close(self, name: str) -> Question:
        """Return a question and forget it."""
        return self._open.pop(name)
