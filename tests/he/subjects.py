"""Parties that are given mutated messages: each takes one for what it should be, or refuses it by a declared error."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from he import (
    Client,
    DecryptionError,
    Family,
    MessageError,
    ModelOwner,
    NotPermittedError,
    ParameterError,
    compile_approximate,
    compile_exact,
    interface_bytes,
    offer_bytes,
    prepare,
    read_offer,
)
from he.engines.engine import Evaluator
from he.formats import compact
from he.formats.compact import Form
from he.formats.messages import Kind, open_message
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.policy import Policy, PolicyError
from he.parties.session import Session
from he.parties.threshold.ceremony import DataShare, ModelShare
from he.parties.threshold.opening import Opener
from he.parties.threshold.voucher import Vouching
from he.testing import inputs, square_graph, table_network
from tests.he.circuit.test_key_levels import several
from tests.he.mutate import Mutant

EVALUATED = 0.002  # of the requests that are fresh ciphertexts, and of the interfaces that are accepted
POLICY = Policy(security="insecure", most_key_bytes=1 << 22, most_request_bytes=1 << 20, most_answer_bytes=1 << 20)
NO_KEYS = EvaluationKeys.sealed("none", b"")
REFUSALS: dict[Kind, tuple[type[Exception], ...]] = {  # of others: MessageError, NotPermittedError
    Kind.INTERFACE: (MessageError, PolicyError, ParameterError),
    Kind.EVALUATION_KEYS: (MessageError,),
    Kind.REQUEST: (MessageError,),
    Kind.RESPONSE: (MessageError, DecryptionError),
    Kind.OFFER: (MessageError,),
    Kind.CLIENT: (MessageError,),
    Kind.PARTIAL_DECRYPTION: (MessageError, DecryptionError),
}


class FindingError(AssertionError):
    """A message was neither taken for what it should be nor refused by an error that is declared."""


class Subject:
    """Parties, and the messages that they have exchanged.

    Args:
        name: what they are called in findings.
        sealed: one honest message of each kind; all are given to the parties.

    Attributes:
        name: the same.
        messages: the messages, each as its fields and parts.
        sizes: how many bytes each of them has.
    """

    def __init__(self, name: str, sealed: Mapping[Kind, bytes]) -> None:
        self.name, self.messages = name, dict[Kind, Mutant]()
        self.sizes = {kind: len(data) for kind, data in sealed.items()}
        for kind, data in sealed.items():
            fields, parts = open_message(kind, data)
            self.messages[kind] = fields, list(map(bytes, parts))
            self.take(kind, data, random.Random(0), is_altered=False)

    def take(self, kind: Kind, data: bytes, rng: random.Random, is_altered: bool) -> bool:
        """Give a message to the party that it is for; tell whether it was accepted.

        Args:
            kind: what it is given as.
            data: the message.
            rng: chooses which of the messages that are accepted are also used.
            is_altered: whether residues may differ from those of the honest message.
        """
        try:
            self.give(kind, data, rng, is_altered)
        except REFUSALS.get(kind, (MessageError, NotPermittedError)):
            return False
        except Exception as error:
            raise FindingError(
                f"{self.name}: {kind.name} must be refused by a declared error, got {error!r}"
            ) from error
        return True

    def give(self, kind: Kind, data: bytes, rng: random.Random, is_altered: bool) -> None:
        """Give a message to the party that it is for, and look at what comes of it; see `take`."""
        raise NotImplementedError


def require_logits(found: np.ndarray, due: np.ndarray, tolerance: float) -> None:
    """Check logits that were accepted."""
    if found.shape != due.shape:
        raise AssertionError(f"logits must have the shape {due.shape}, got {found.shape}")
    if not (np.abs(found - due) <= tolerance).all():
        raise AssertionError(f"logits must be {due.tolist()}, got {found.tolist()}")


class Reader:
    """An evaluator that reads all inputs as others do, and goes on with some."""

    def __init__(self, evaluator: Evaluator, form: Form) -> None:
        self.name, self.threads = evaluator.name, evaluator.threads
        self.is_used = True
        self._evaluator, self._form = evaluator, form

    def evaluate(self, inputs: Sequence[bytes | memoryview]) -> list[bytes]:
        """Answers, if it is to evaluate."""
        if self.is_used:
            return self._evaluator.evaluate(inputs)
        for data in inputs:
            compact.read(data, self._form, expand=False)
        return []


class Pair(Subject):
    """A client and a session.

    Args:
        name: the circuit's scheme and packing, and "levels" where its interface names the levels of its keys.
    """

    def __init__(self, name: str) -> None:
        scheme, packing, *levels = name.split()
        exact, options = scheme == "bfv", {"packing": packing, "security": "insecure"}
        network: Any = table_network(points=5, hidden=2) if exact else square_graph()
        compile_it: Any = compile_exact if exact else compile_approximate
        circuit = compile_it(network, images=2 if packing == "latency" else None, salt=bytes(32), **options)
        circuit = several(circuit) if levels else circuit
        self._prepared = prepare(circuit)
        self._client = Client(circuit.interface, policy=Policy.trusting("insecure"))
        self._key, self._keys = self._client.secret_key, self._client.evaluation_keys
        self._session = self._prepared.session(self._keys, 1, most=1 << 40)
        self._session._evaluator = self._reader = Reader(self._session.evaluator, Form.fresh(circuit.parameters))
        x = inputs(network, 2)
        request = self._client.encrypt(x)
        answer = self._session.evaluate(request)
        self._open = dict(self._client._questions._open)
        self._logits, self._tolerance = network.logits(x), circuit.interface.tolerance
        sealed = {
            Kind.INTERFACE: interface_bytes(circuit.interface),
            Kind.EVALUATION_KEYS: self._keys.to_bytes(),
            Kind.REQUEST: request,
            Kind.RESPONSE: answer,
            Kind.OFFER: offer_bytes(Family((circuit,)).offer),
            Kind.CLIENT: self._client.state(),
        }
        super().__init__(name, sealed)

    def give(self, kind: Kind, data: bytes, rng: random.Random, is_altered: bool) -> None:
        """See `Subject.give`."""
        match kind:
            case Kind.INTERFACE:
                self._interface(data, is_used=rng.random() < EVALUATED)
            case Kind.EVALUATION_KEYS:
                self._prepared.session(data, 1)
            case Kind.REQUEST:
                self._request(data, is_used=rng.random() < EVALUATED)
            case Kind.RESPONSE:
                self._response(data, is_altered)
            case Kind.OFFER:
                read_offer(data)
            case Kind.CLIENT:
                Client(self._client.interface, self._key, policy=POLICY, state=data)

    def _interface(self, data: bytes, is_used: bool) -> None:
        if is_used:
            Client(data, policy=POLICY)
        else:  # with keys that are there, none are generated; and these are for no circuit
            Client(data, self._key, NO_KEYS, policy=POLICY)

    def _request(self, data: bytes, is_used: bool) -> None:
        self._reader.is_used = is_used
        self._session._ledger._admitted.clear()
        self._session.evaluate(data)

    def _response(self, data: bytes, is_altered: bool) -> None:
        self._client._questions._open = dict(self._open)
        require_logits(self._client.decrypt(data), self._logits, math.inf if is_altered else self._tolerance)


class Owners(Subject):
    """Two owners of one key, while they make it and when they have it, with an evaluator that cannot read the weights.

    Args:
        scheme: "bfv" or "ckks".
    """

    def __init__(self, scheme: str) -> None:
        exact = scheme == "bfv"
        network: Any = table_network(points=5, hidden=2) if exact else square_graph()
        compile_it: Any = compile_exact if exact else compile_approximate
        circuit = compile_it(
            network, images=2, weights="encrypted", threshold=40 if exact else 6, security="insecure", salt=bytes(32)
        )
        interface = circuit.interface
        data, model = DataShare(interface, policy=Policy.trusting("insecure")), ModelShare(interface)
        self._steps: dict[Kind, tuple[Any, str, dict[str, Any]]] = {}
        sealed, message = {}, data.invitation
        for kind, party, step in (
            (Kind.JOINT_INVITATION, model, "commit"),
            (Kind.JOINT_COMMITMENT, data, "first"),
            (Kind.JOINT_FIRST, model, "shares"),
            (Kind.JOINT_SHARES, data, "second"),
            (Kind.JOINT_SECOND, model, "finish"),
        ):
            self._steps[kind] = party, step, dict(vars(party))
            sealed[kind] = message
            message = getattr(party, step)(message)
        share, keys, public = data.key
        self._client = Client(interface, share, keys, public_key=public, policy=Policy.trusting("insecure"))
        self._owner, self._vouching = ModelOwner(circuit, [public.id]), Vouching()
        self._owner.require_permitted = lambda name: None  # type: ignore[method-assign] - so that keys are read
        self._opener = Opener(self._owner, model.key, self._vouching.verification_key, ledger=Forgetful())
        self._prepared, self._keys = prepare(self._owner.circuit), keys
        issued = self._owner.issue(public)
        self._permission = issued.permission.to_bytes()
        session = self._session(issued.to_bytes())
        self._client.admit(self._permission, self._owner.verification_key)
        x = inputs(network, 2)
        self._answer = session.evaluate(self._client.encrypt(x))
        self._open = dict(self._client._questions._open)
        self._logits, self._tolerance = network.logits(x), interface.tolerance
        voucher = self._vouching.vouch(self._answer)
        sealed |= {
            Kind.PUBLIC_KEY: public.to_bytes(),
            Kind.ENCRYPTED_NETWORK: issued.to_bytes(),
            Kind.PERMISSION: self._permission,
            Kind.REVOCATION: self._owner.revocation,
            Kind.RESPONSE: self._answer,
            Kind.VOUCHER: voucher,
            Kind.PARTIAL_DECRYPTION: self._opener.part(self._answer, voucher),
        }
        super().__init__(f"two owners, {scheme}", sealed)

    def give(self, kind: Kind, data: bytes, rng: random.Random, is_altered: bool) -> None:
        """See `Subject.give`."""
        verification = self._owner.verification_key
        match kind:
            case Kind.PUBLIC_KEY:
                self._owner.issue(data)
            case Kind.ENCRYPTED_NETWORK:
                self._session(data)
            case Kind.PERMISSION:
                self._client.admit(data, verification)
            case Kind.REVOCATION:
                self._client.admit(self._permission, verification, data)
            case Kind.RESPONSE:  # of an evaluator that vouches for anything
                self._opener.part(data, self._vouching.vouch(data))
            case Kind.VOUCHER:
                self._opener.part(self._answer, data)
            case Kind.PARTIAL_DECRYPTION:
                self._client._questions._open = dict(self._open)
                found = self._client.decrypt(self._answer, part=data)
                require_logits(found, self._logits, math.inf if is_altered else self._tolerance)
            case _:
                self._step(kind, data)

    def _step(self, kind: Kind, data: bytes) -> None:
        """Go on with the making of the key, from where an honest message would."""
        party, step, state = self._steps[kind]
        vars(party).clear()
        vars(party).update(state)
        getattr(party, step)(data)

    def _session(self, network: bytes) -> Session:
        return self._prepared.session(self._keys, 1, network=network, owner=self._owner.verification_key)


class Forgetful:
    """A ledger for which every request is a new one."""

    def admit(self, name: str) -> None:
        """See `Ledger.admit`."""

    confirm = release = admit
