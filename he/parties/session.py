"""The session, which evaluates one client's requests under that client's keys."""

from __future__ import annotations

import re

from he.circuit.interface import Interface
from he.circuit.residues import interfaces
from he.engines.engine import Evaluator
from he.formats.compact import Form
from he.formats.messages import (
    Kind,
    MessageError,
    message_digest,
    open_message,
    require_fields,
    require_match,
    seal_message,
)
from he.parties.ledger import Ledger
from he.parties.rerandomise import Rerandomiser
from intnn.values.value_object import Unstorable

_NONCE = re.compile("[0-9a-f]{32}")


class Session(Unstorable, instead="bind the keys again with `PreparedCircuit.session`"):
    """A prepared circuit with one client's evaluation keys, made by `PreparedCircuit.session`.

    It holds weights and evaluation keys, and has no place for a secret key. Requests may come in any order, and from
    several threads.

    Every request is evaluated once, and so many in all as the session's ledger allows. By default both is counted in
    this object; a service that counts by client, and remembers it, brings a ledger of its own. Neither holds off a
    client who asks what no honest one would: a session cannot see numbers outside the input's domain, or units that are
    asked one by one, and logits tell of the weights. Where the circuit was compiled for it, answers are
    re-randomised, so that to a client with honest keys they tell logits alone (`Rerandomiser`).
    """

    def __init__(
        self, interface: Interface, key_id: str, evaluator: Evaluator, ledger: Ledger, rerandomise: Rerandomiser | None
    ) -> None:
        self._interface, self._key_id, self._evaluator = interface, key_id, evaluator
        self._rerandomise, self._ledger = rerandomise, ledger
        self._request_bytes = request_bytes(interface)

    @property
    def interface(self) -> Interface:
        """The circuit's public part."""
        return self._interface

    @property
    def evaluator(self) -> Evaluator:
        """The engine's evaluator, which states its engine's name and its number of threads."""
        return self._evaluator

    def evaluate(self, request: bytes) -> bytes:
        """Answer one request of `Client.encrypt`.

        Returns:
            An answer for `Client.decrypt`.

        Raises:
            MessageError: if the request is damaged, foreign, made for another circuit or key, holds other than fresh
                ciphertexts; a `ReplayError` if it has been evaluated before, and a `SpentError` if the session has
                evaluated as many as it allows.
            OSError: if the session's ledger cannot record the request. The default one keeps it in memory.
        """
        fields, parts = open_message(Kind.REQUEST, request, self._request_bytes)
        require_fields(fields, "circuit", "key", "nonce")
        if not (isinstance(fields["nonce"], str) and _NONCE.fullmatch(fields["nonce"])):
            raise MessageError(f"a request's nonce must be 32 hexadecimal digits, got {fields['nonce']!r:.40}")
        require_match(fields, "circuit", self._interface.digest, "circuit or parameter set")
        require_match(fields, "key", self._key_id, "key than the evaluation keys that this session holds")
        name = message_digest(request)
        self._ledger.admit(name)
        try:
            results = self._evaluator.evaluate(parts)
        except ValueError as error:
            self._ledger.release(name)
            raise MessageError(f"the request cannot be evaluated: {error}") from error
        if self._rerandomise:
            results = self._rerandomise(results)
        self._ledger.confirm(name)
        answer = {"circuit": self._interface.digest, "key": self._key_id, "request": name}
        return seal_message(Kind.RESPONSE, answer, results)


def request_bytes(interface: Interface) -> int:
    """Return the number of bytes that the ciphertexts of a request have together."""
    ciphertexts = len(interfaces(interface)) * sum(spec.layout.ciphertexts for spec in interface.client_inputs)
    return ciphertexts * Form.fresh(interface.parameters).bytes
