"""Predictions for any number of images, by whichever of the offered circuits answers them at the least cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from he.circuit.family import Family, Offer, Plan
from he.engines.engine import thread_count
from he.parties.answers import answers
from he.parties.client import Client
from he.parties.offers import read_offer
from he.parties.policy import Policy
from intnn.values.arrays import instance
from intnn.values.value_object import Unstorable

_ANY_NUMBER = (1 << 63) - 1

Evaluate = Callable[[bytes], bytes]  # what answers a request, as `Session.evaluate` does
Opened = Callable[[int, bytes], Evaluate]  # takes a circuit's number and evaluation keys, and returns what answers


class Connection(Unstorable, instead="it holds secret keys: make another one"):
    """A client of everything that a model owner offers.

    `predict` takes any number of images, and asks by the circuit for which client and server together spend the least.
    Keys are made, and given to the server, when a circuit is first used; every circuit has its own.

    Args:
        offer: what is offered, as an object or as the bytes of `offer_bytes`.
        open_session: has the server bind the evaluation keys of a circuit, and returns what answers requests under
            them. It is given the circuit's number and the keys' bytes.
        policy: what the client insists on. Circuits that it does not accept are never chosen.

    Raises:
        MessageError: if the bytes are no offer.
        PolicyError: if the policy accepts none of the circuits; it says why of the last one.
        TypeError: if an argument has another type.
    """

    def __init__(self, offer: Offer | bytes, open_session: Opened, *, policy: Policy | None = None) -> None:
        self.offer = offer if isinstance(offer, Offer) else read_offer(offer)
        self._open_session = open_session
        self._policy = instance(policy or Policy(), Policy, "policy", "give a Policy(...), or None")
        self._accepted = self._policy.among(self.offer.interfaces)
        self._open: dict[int, tuple[Client, Evaluate]] = {}

    @staticmethod
    def within(family: Family, *, threads: int | None = None, policy: Policy | None = None) -> Connection:
        """Return a connection to a server in this process, which prepares a circuit when it is first used.

        Args:
            family: the circuits.
            threads: the number of threads of an evaluation; by default one for each available processor.
            policy: as above; by default it accepts whatever these circuits propose, for the caller is both parties.

        Raises:
            PolicyError, TypeError: as above.
            ValueError: if `threads` is out of range.
        """
        instance(family, Family, "family", "compile one with `he.compile_family`")
        thread_count(threads)  # before a circuit is prepared, which is later

        def opened(number: int, keys: bytes) -> Evaluate:
            from he.parties.prepared import prepare  # by kernels, which clients of another process do without

            return prepare(family.circuits[number], threads=threads).session(keys, threads, most=_ANY_NUMBER).evaluate

        security = family.circuits[0].parameters.security
        return Connection(family.offer, opened, policy=policy or Policy.trusting(security))

    def plan(self, images: int) -> Plan:
        """Return how so many images will be asked for.

        Raises:
            TypeError: if it is no integer.
            ValueError: if it is below 1.
        """
        return self.offer.plan(images, self._accepted)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the logits [n, outputs] of images [n, *shape], with any n from 1.

        Raises:
            DecryptionError, KeyRetiredError, MessageError: as `Client.decrypt`.
            InputError: if the images are not what the network takes; nothing has been sent then.
            RangeError: if an image left its range; its number is that among all images.
        """
        return np.concatenate(list(self.stream(images)))

    def stream(self, images: np.ndarray) -> Iterator[np.ndarray]:
        """Return an iterator over what `predict` returns, request by request: there is one in memory at a time.

        Raises:
            InputError: if the images are not what the network takes.
        """
        number = self.plan(max(len(images), 1)).circuit
        interface = self.offer.interfaces[number]
        (spec,) = interface.client_inputs
        for batch in spec.batches(images):  # all of them, before a key is made
            spec.check(batch, interface.parameters.scheme)
        client, evaluate = self._opened(number)
        return answers(client, evaluate, images)

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Convert floats to what `predict` takes; see `Client.prepare`."""
        (spec,) = self.offer.interfaces[0].client_inputs
        return spec.prepare(images, self.offer.interfaces[0].parameters.scheme)

    def _opened(self, number: int) -> tuple[Client, Evaluate]:
        if number not in self._open:
            client = Client(self.offer.interfaces[number], policy=self._policy)
            self._open[number] = client, self._open_session(number, client.evaluation_keys.to_bytes())
        return self._open[number]
