"""The session, which evaluates one client's requests under that client's keys."""

from __future__ import annotations

import re
from secrets import token_bytes
from threading import Lock

import numpy as np

from he.circuit.interface import Interface
from he.circuit.residues import interfaces
from he.circuit.rounding import rounded_slots
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
from he.parties.admission import Admission
from he.parties.permission import NotPermittedError
from he.parties.rerandomise import Rerandomiser
from he.program.operations import Plain
from intnn.values.value_object import Unstorable

_NONCE = re.compile("[0-9a-f]{32}")


class Session(Unstorable, instead="bind the keys again with `PreparedCircuit.session`"):
    """A prepared circuit with one client's evaluation keys, made by `PreparedCircuit.session`.

    It holds weights and evaluation keys, and has no place for a secret key. Requests may come in any order, and from
    several threads.

    Every request is evaluated once, and so many in all as the session allows. Both is counted in this object: a service
    that wants to count by client keeps one session for each client, and knows its clients by its transport. Neither
    holds off a client who asks what no honest one would: a session cannot see numbers outside the input's domain, or
    units that are asked one by one, and logits tell of the weights. Where the circuit was compiled for it, answers are
    re-randomised, so that to a client with honest keys they tell logits alone (`Rerandomiser`).
    """

    def __init__(
        self,
        interface: Interface,
        key_id: str,
        evaluator: Evaluator,
        most: int,
        rerandomise: Rerandomiser | None,
        admission: Admission | None = None,
    ) -> None:
        self._admission = admission
        self._interface, self._key_id, self._evaluator = interface, key_id, evaluator
        self._rerandomise = rerandomise
        ciphertexts = len(interfaces(interface)) * sum(spec.layout.ciphertexts for spec in interface.client_inputs)
        self._request_bytes = ciphertexts * Form.fresh(interface.parameters).bytes
        self._most, self._lock = most, Lock()
        self._evaluated: set[str] = set()  # digests of requests, never more than `most`

    @property
    def interface(self) -> Interface:
        """The circuit's public part."""
        return self._interface

    @property
    def evaluator(self) -> Evaluator:
        """The engine's evaluator, which states its engine's name and its number of threads."""
        return self._evaluator

    @property
    def permission(self) -> bytes | None:
        """The permission of the network's owner, for the client (`Client.admit`); None where weights are plain."""
        return self._admission.network.permission.to_bytes() if self._admission else None

    def revoke(self, revocation: bytes) -> None:
        """Take note of a revocation by the network's owner (`ModelOwner.revoke`); an older one changes nothing.

        Raises:
            MessageError: if the bytes are truncated, damaged or foreign.
            NotPermittedError: if the network's owner has not signed it, or weights are plain.
        """
        if self._admission is None:
            raise NotPermittedError("weights are plain, and nobody permits their use")
        self._admission.revoke(revocation)

    def evaluate(self, request: bytes) -> bytes:
        """Answer one request of `Client.encrypt`.

        Returns:
            An answer for `Client.decrypt`.

        Raises:
            MessageError: if the request is damaged, foreign, made for another circuit or key, holds other than fresh
                ciphertexts, or has been evaluated before, or the session has evaluated as many as it allows.
            NotPermittedError: if the permission to use the network has expired or was revoked.
        """
        return self._answer(request, None)

    def evaluate_in_the_clear(self, invitation: bytes, images: np.ndarray) -> bytes:
        """Evaluate an encrypted network on images that this party has in the clear.

        Whoever holds the key learns the logits, and this party nothing of the weights.

        Args:
            invitation: what `Client.invite` has made for so many images; it is evaluated once, like a request.
            images: [batch, *shape], as `Client.encrypt` takes them.

        Returns:
            An answer for `Client.decrypt`.

        Raises:
            InputError: if shape, dtype, range or batch are wrong, or a value is NaN.
            MessageError: as `evaluate`.
            NotPermittedError: as `evaluate`; or if weights are plain, so that nobody else is needed.
        """
        if self._admission is None:
            raise NotPermittedError("weights are plain, and their owner evaluates images in the clear without a key")
        (spec,), scheme = self._interface.client_inputs, self._interface.parameters.scheme
        batch = spec.check(images, scheme)
        slots = list(spec.layout.pack(batch))
        if not scheme.exact:
            operand = Plain(0, self._interface.parameters.levels, self._interface.parameters.input_scale)
            slots = [rounded_slots(one, operand, token_bytes(32)) for one in slots]
        return self._answer(invitation, slots)

    def _answer(self, request: bytes, slots: list[np.ndarray] | None) -> bytes:
        """Answer a request, or an invitation with slots in the clear."""
        if self._admission:
            self._admission.require()
        fields, parts = open_message(Kind.REQUEST, request, self._request_bytes)
        require_fields(fields, "circuit", "key", "nonce")
        if not (isinstance(fields["nonce"], str) and _NONCE.fullmatch(fields["nonce"])):
            raise MessageError(f"a request's nonce must be 32 hexadecimal digits, got {fields['nonce']!r:.40}")
        require_match(fields, "circuit", self._interface.digest, "circuit or parameter set")
        require_match(fields, "key", self._key_id, "key than the evaluation keys that this session holds")
        if slots is not None and parts:
            raise MessageError("an invitation must hold no ciphertexts, got a request; use `evaluate`")
        name = message_digest(request)
        self._admit(name)
        try:
            results = self._evaluator.evaluate(parts if slots is None else slots)
        except ValueError as error:
            with self._lock:
                self._evaluated.discard(name)
            raise MessageError(f"the request cannot be evaluated: {error}") from error
        if self._rerandomise:
            results = self._rerandomise(results)
        answer = {"circuit": self._interface.digest, "key": self._key_id, "request": name}
        return seal_message(Kind.RESPONSE, answer, results)

    def _admit(self, name: str) -> None:
        with self._lock:
            if name in self._evaluated:
                raise MessageError("a request must be evaluated once only, got one again; encrypt the images again")
            if len(self._evaluated) >= self._most:
                raise MessageError(f"the session must evaluate at most {self._most} requests, and has; ask for another")
            self._evaluated.add(name)
