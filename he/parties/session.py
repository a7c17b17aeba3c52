"""The session, which evaluates one client's requests under that client's keys."""

from __future__ import annotations

from he.circuit.interface import Interface
from he.engines.engine import Evaluator
from he.formats.compact import Form
from he.formats.messages import Kind, MessageError, open_message, require_match, seal_message
from intnn.values.value_object import Unstorable


class Session(Unstorable, instead="bind the keys again with `PreparedCircuit.session`"):
    """A prepared circuit with one client's evaluation keys, made by `PreparedCircuit.session`.

    It holds weights and evaluation keys, and has no place for a secret key. Requests may come in any order.

    Attributes:
        interface: the circuit's public part.
        evaluator: the engine's evaluator, which states its engine's name and its number of threads.
    """

    def __init__(self, interface: Interface, key_id: str, evaluator: Evaluator) -> None:
        self.interface, self.evaluator = interface, evaluator
        ciphertexts = sum(spec.layout.ciphertexts for spec in interface.client_inputs)
        self._request_bytes = ciphertexts * Form.fresh(interface.parameters).bytes
        self._key_id = key_id

    def evaluate(self, request: bytes) -> bytes:
        """Answer one request of `Client.encrypt`.

        Returns:
            An answer for `Client.decrypt`.

        Raises:
            MessageError: if the request is damaged, foreign, made for another circuit or key, or holds other than fresh
                ciphertexts.
        """
        fields, parts = open_message(Kind.REQUEST, request, self._request_bytes)
        require_match(fields, "circuit", self.interface.digest, "circuit or parameter set")
        require_match(fields, "key", self._key_id, "key than the evaluation keys that this session holds")
        images = fields.get("images")
        if type(images) is not int or not 1 <= images <= self.interface.images:
            raise MessageError(f"a request must be for 1 to {self.interface.images} images, got {images!r:.80}")
        try:
            results = self.evaluator.evaluate(parts)
        except ValueError as error:
            raise MessageError(f"the request cannot be evaluated: {error}") from error
        return seal_message(Kind.RESPONSE, {name: fields[name] for name in ("circuit", "key", "images")}, results)
