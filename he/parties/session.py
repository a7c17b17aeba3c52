"""The session, which evaluates one client's requests under that client's keys."""

from __future__ import annotations

import re
from secrets import token_bytes

import numpy as np

from he.circuit.interface import Interface
from he.circuit.residues import interfaces
from he.circuit.rounding import rounded_slots
from he.engines.engine import Evaluator, ReadsAhead
from he.formats.compact import Form
from he.formats.messages import (
    Kind,
    MessageError,
    message_digest,
    open_message,
    require_fields,
    require_match,
    seal_message,
    unchanging,
    unverified_parts,
)
from he.parties.admission import Admission
from he.parties.ledger import Ledger
from he.parties.permission import NotPermittedError
from he.parties.rerandomise import Rerandomiser
from he.program.operations import Plain
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
        self,
        interface: Interface,
        key_id: str,
        evaluator: Evaluator,
        ledger: Ledger,
        rerandomise: Rerandomiser | None,
        admission: Admission | None = None,
    ) -> None:
        self._admission = admission
        self._interface, self._key_id, self._evaluator = interface, key_id, evaluator
        self._ahead = evaluator if isinstance(evaluator, ReadsAhead) and evaluator.reads_ahead else None
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

    @property
    def permission(self) -> bytes | None:
        """The permission of the network's owner, for the client (`Client.admit`); None where weights are plain."""
        return self._admission.network.permission.to_bytes() if self._admission else None

    def revoke(self, revocation: bytes) -> None:
        """Take note of a revocation by the network's owner (`ModelOwner.revoke`); an older one changes nothing.

        Raises:
            MessageError: if the bytes are truncated, damaged or foreign.
            NotPermittedError: if the network's owner has not signed it, it is for another circuit, or weights are
                plain.
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
                ciphertexts; a `ReplayError` if it has been evaluated before, and a `SpentError` if the session has
                evaluated as many as it allows.
            NotPermittedError: if the permission to use the network has expired or was revoked.
            OSError: if the session's ledger cannot record the request. The default one keeps it in memory.
            DeviceError: if the engine's GPU fails; the same request may come again.
        """
        return self._answer(request, None)

    def evaluate_in_the_clear(self, invitation: bytes, images: np.ndarray) -> bytes:
        """Evaluate an encrypted network on images that this party has in the clear.

        Whoever holds the key learns the logits, and this party nothing of the weights. The images are not encrypted,
        and the answer follows from them: who has the network and the keys can test guesses of them against it, unless
        the circuit was compiled with `circuit_privacy`.

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
        request = unchanging(Kind.REQUEST, request, self._request_bytes)
        name, is_admitted = message_digest(request), False

        def admitted() -> list[memoryview]:
            """Return the ciphertexts of the request once it is known to be right, and admitted."""
            nonlocal is_admitted
            parts = self._opened(request)
            if slots is not None and parts:
                raise MessageError("an invitation must hold no ciphertexts, got a request; use `evaluate`")
            self._ledger.admit(name)
            is_admitted = True
            return parts

        try:
            if self._ahead and slots is None:
                results = self._ahead.evaluate_ahead(unverified_parts(Kind.REQUEST, request), admitted)
            else:
                parts = admitted()
                results = self._evaluator.evaluate(parts if slots is None else slots)
        except Exception as error:
            if is_admitted:  # the same request may come again, where a device was lost, or there was no memory
                self._ledger.release(name)
                if isinstance(error, ValueError):
                    raise MessageError(f"the request cannot be evaluated: {error}") from error
            raise
        if self._rerandomise:
            results = self._rerandomise(results)
        self._ledger.confirm(name)
        answer = {"circuit": self._interface.digest, "key": self._key_id, "request": name}
        return seal_message(Kind.RESPONSE, answer, results)

    def _opened(self, request: bytes) -> list[memoryview]:
        """Return the ciphertexts of a request for this session.

        Raises:
            MessageError: if it is damaged, or made for another circuit or key.
        """
        fields, parts = open_message(Kind.REQUEST, request, threads=self._evaluator.threads)
        require_fields(fields, "circuit", "key", "nonce")
        if not (isinstance(fields["nonce"], str) and _NONCE.fullmatch(fields["nonce"])):
            raise MessageError(f"a request's nonce must be 32 hexadecimal digits, got {fields['nonce']!r:.40}")
        require_match(fields, "circuit", self._interface.digest, "circuit or parameter set")
        require_match(fields, "key", self._key_id, "key than the evaluation keys that this session holds")
        return parts


def request_bytes(interface: Interface) -> int:
    """Return the number of bytes that the ciphertexts of a request have together."""
    ciphertexts = len(interfaces(interface)) * sum(spec.layout.ciphertexts for spec in interface.client_inputs)
    return ciphertexts * Form.fresh(interface.parameters).bytes
