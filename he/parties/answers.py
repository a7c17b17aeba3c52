"""Any number of images by one client: one request after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from he.circuit.guards import RangeError, answers_in_range
from he.parties.client import Client


def answered(client: Client, evaluate: Callable[[bytes], bytes], images: np.ndarray) -> np.ndarray:
    """Return the logits [n, outputs] of any number of images [n, *shape], batch by batch.

    Where an answer is refused since images left their range, the others of its batch are asked again without them.

    Args:
        client: the client.
        evaluate: what answers a request, as `Session.evaluate` does.
        images: as `Client.encrypt` takes them, but any number.

    Raises:
        DecryptionError: if an answer was refused for another reason.
        InputError: if the images are not what the circuit takes.
        KeyRetiredError: if so many answers were refused that the client's policy allows no more.
        RangeError: if images left their range; it has their numbers among all images, and the answers to the others.
    """

    def answer(batch: np.ndarray) -> np.ndarray:
        request = client.encrypt(batch)
        return client.decrypt(evaluate(request), request)

    (spec,) = client.interface.client_inputs
    return answers_in_range(spec.batches(images), answer)


def answers(client: Client, evaluate: Callable[[bytes], bytes], images: np.ndarray) -> Iterator[np.ndarray]:
    """Return an iterator over the logits [batch, outputs] of any number of images [n, *shape].

    There is one request at a time, and one answer.

    Args:
        client: the client.
        evaluate: what answers a request, as `Session.evaluate` does.
        images: as `Client.encrypt` takes them, but any number.

    Raises:
        DecryptionError: if an answer was refused.
        InputError: if the images are not what the circuit takes.
        RangeError: if an image left its range; its number is that among all images.
    """
    (spec,) = client.interface.client_inputs
    requests = map(client.encrypt, spec.batches(images))
    return decrypted(client, ((evaluate(request), request) for request in requests))


def decrypted(client: Client, pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[np.ndarray]:
    """Yield the logits [batch, outputs] of answers, each with its request or the request's digest.

    Raises:
        DecryptionError: if an answer was refused.
        RangeError: if an image left its range; its number is that among all images.
    """
    begin = 0
    for answer, request in pairs:
        try:
            logits = client.decrypt(answer, request)
        except RangeError as refusal:
            raise RangeError([begin + image for image in refusal.images]) from refusal
        yield logits
        begin += len(logits)
