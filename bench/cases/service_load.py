"""Many clients of a server at once, each of which checks every answer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from he.parties.client import Client
from he.parties.policy import Policy
from he.service.client import RemoteModel

_AGAIN = 0.2  # seconds, before a client asks again that got no answer


@dataclass
class Outcome:
    """What clients have seen.

    Attributes:
        answered: How many requests were answered rightly.
        wrong: How many were answered, and not rightly.
        refused: How many were refused, by status.
        lost: How many had no answer, because the connection broke or there was none.
        seconds: What the answered ones took.
    """

    answered: int = 0
    wrong: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Tenant:
    """A client of a server whose keys are there.

    Attributes:
        client: The party with the secret key.
        token: Its token.
        path: Where it asks.
    """

    client: Client
    token: str
    path: str


def tenant(url: str, model: str, token: str, policy: Policy) -> Tenant:
    """Make keys and send them."""
    with RemoteModel(url, model, token, policy=policy) as remote:
        remote.send_keys()
        client = remote.client
    return Tenant(client, token, f"/v1/models/{model}/keys/{client.evaluation_keys.id}/evaluations")


def load(
    url: str,
    tenants: Sequence[Tenant],
    clients: int,
    seconds: float,
    images: np.ndarray,
    logits: np.ndarray,
    during: Callable[[], object],
) -> Outcome:
    """Have clients ask one request after the other for a while.

    Args:
        url: The server.
        tenants: Whose keys clients use, in turns.
        clients: How many clients there are, each with a connection of its own.
        seconds: How long they ask.
        images: What they ask, one image a request.
        logits: What is right.
        during: Called once, in the middle.
    """
    outcome, lock, end = Outcome(), threading.Lock(), time.monotonic() + seconds

    def ask(number: int) -> None:
        who, i = tenants[number % len(tenants)], number
        headers = {"Authorization": f"Bearer {who.token}", "Content-Type": "application/octet-stream"}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as http:
            while time.monotonic() < end:
                i = (i + 1) % len(images)
                request = who.client.encrypt(images[i : i + 1])
                start = time.perf_counter()
                try:
                    answer = http.post(who.path, content=request)
                except httpx.TransportError:
                    with lock:
                        outcome.lost += 1
                    time.sleep(_AGAIN)
                    continue
                taken = time.perf_counter() - start
                if answer.status_code != 200:
                    with lock:
                        outcome.refused[answer.status_code] += 1
                    time.sleep(float(answer.headers.get("retry-after", _AGAIN)))
                    continue
                found = who.client.decrypt(answer.content, request)
                right = _is_right(found, logits[i : i + 1], who.client)
                with lock:
                    outcome.answered += right
                    outcome.wrong += not right
                    outcome.seconds.append(taken)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    time.sleep(seconds / 2)
    during()
    for thread in threads:
        thread.join()
    return outcome


def _is_right(found: Any, due: np.ndarray, client: Client) -> bool:
    return bool((np.abs(found - due) <= client.interface.tolerance / 2).all())
