"""The client, which encrypts images and decrypts logits."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from he.circuit.guards import RangeError
from he.circuit.interface import Interface
from he.formats.messages import (
    Kind,
    MessageError,
    largest_message,
    message_digest,
    open_message,
    require_fields,
    require_match,
    seal_message,
    unchanging,
)
from he.parties.ciphers import Ciphers
from he.parties.client_keys import keys_for
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.interfaces import interface_bytes, read_interface
from he.parties.keys import SecretKey
from he.parties.life import KeyLife, KeyRetiredError
from he.parties.permission import Clock, NotPermittedError, Permission, Revocation
from he.parties.policy import Policy
from he.parties.public_key import PublicKey, public_key
from he.parties.publishing import deviation, noised
from he.parties.questions import Question, Questions, secret_order
from he.parties.state import State, open_state, seal_state
from he.parties.threshold.parts import opened_part
from intnn.values.arrays import instance, integer
from intnn.values.value_object import Unstorable

__all__ = ["Client", "DecryptionError", "KeyRetiredError", "interface_bytes", "read_interface"]

_NONCE_BYTES = 16


class DecryptionError(ValueError):
    """An answer was decrypted and is no result, so nothing of it is returned. It is always said in the same words."""


class Client(Unstorable, instead="they hold a secret key: store that with `SecretKey.save`"):
    """Encrypts images and decrypts logits. It holds the secret key, and no message that it makes contains that key.

    *With an honest server*, over a transport that authenticates it, or with damage and mistakes on the way: an answer
    is returned only if it is to the request that was asked, by the circuit of the interface and the network of its
    commitment, and decrypts to a result that agrees with itself.

    *With a dishonest server*: a request has one answer, which must name it; what the client refuses tells at most
    `Policy.leaked_bits` of the key; and nothing that the interface proposes goes beyond the policy. But there is no
    proof of what was computed: such a server is free to answer with logits of its choice, with those of another network
    or another request, or with parts of the key in the logits' place. Logits must not be shown to whoever answered.

    Counts and open requests are this object's own: of a key that several clients use, each counts for itself, and what
    a client destroys is gone from it alone. A client may be used from several threads.

    Args:
        interface: the circuit's public part, as an object or as the bytes of `interface_bytes`.
        secret_key: a key for the interface's parameters, such as a stored one; by default a new one is generated.
        evaluation_keys: keys made before from this secret key for this circuit, or their bytes, which a session may
            have already; by default new ones are generated, unless `state` is given.
        policy: what the client insists on.
        public_key: where data owner and model owner hold one key (`Interface.threshold`), the public key of both, or
            its bytes, which is `DataShare.key`'s, as are `secret_key`, then a share, and `evaluation_keys`.
        state: what `state` returned of a client with this secret key, which this one goes on as; by default a new life
            of the key begins, with no open request.
        clock: returns the time in seconds since 1970, by which permissions expire.

    Raises:
        KeyRetiredError: by `encrypt`, `decrypt` and `secret_key`, once the key's life is as long as the policy allows.
        MessageError: if the bytes are no interface, or evaluation keys or state were made for another circuit or from
            another secret key, or belong to others than each other.
        ParameterError: if SEAL refuses the interface's parameters, or the secret key is for other ones.
        PolicyError: if the interface proposes something that the policy does not accept; nothing has been made then.
        TypeError: if an argument has another type.
    """

    def __init__(
        self,
        interface: Interface | bytes,
        secret_key: SecretKey | None = None,
        evaluation_keys: EvaluationKeys | bytes | None = None,
        *,
        public_key: PublicKey | bytes | None = None,
        policy: Policy | None = None,
        state: bytes | None = None,
        clock: Clock = time.time,
    ) -> None:
        self._clock = clock
        self._interface = interface if isinstance(interface, Interface) else read_interface(interface)
        self._policy = instance(policy or Policy(), Policy, "policy", "give a Policy(...), or None")
        if [spec.source.kind for spec in self._interface.client_inputs] != ["ciphertext"]:
            raise MessageError(
                "the interface must ask the data owner for one encrypted input, got "
                f"{[(spec.name, spec.source.kind) for spec in self._interface.client_inputs]}; this client has no other"
            )
        self._policy.require(self._interface)
        keys = keys_for(self._interface, secret_key, evaluation_keys, public_key, continues=state is not None)
        self._keys, self._joint = keys.evaluation, keys.joint
        self._key_id = self._keys.id if self._keys else ""
        self._ciphers: Ciphers | None = Ciphers(keys.secret, self._interface, self._joint)  # None once it is destroyed
        self._most_answer_bytes = largest_message(self._ciphers.answer_bytes)
        self._questions, self._lock, self._life = Questions(self._policy.most_open), Lock(), KeyLife(self._policy)
        self._permission: Permission | None = None
        self._revocation: Revocation | None = None
        if state is not None:
            self._restore(state)

    @property
    def interface(self) -> Interface:
        """The circuit's public part."""
        return self._interface

    @property
    def policy(self) -> Policy:
        """What the client insists on."""
        return self._policy

    @property
    def most_answer_bytes(self) -> int:
        """The most bytes that an answer may have; whoever carries it need not take more."""
        return self._most_answer_bytes

    @property
    def evaluation_keys(self) -> EvaluationKeys:
        """The relinearisation and Galois keys that a session needs; they hold nothing secret.

        Raises:
            LookupError: if the client goes on from a `state`, and was not given the keys.
        """
        if self._keys is None:
            raise LookupError("the client has no evaluation keys: give it `evaluation_keys` beside its `state`")
        return self._keys

    @cached_property
    def public_key(self) -> PublicKey:
        """The public key for a model's owner who encrypts weights for this client; it holds nothing secret.

        Raises:
            LookupError: as `evaluation_keys`.
            ParameterError: if weights are plain.
        """
        return self._joint or public_key(self.secret_key, self._interface, self.evaluation_keys)

    def admit(self, permission: bytes, owner: bytes, revocation: bytes | None = None) -> None:
        """Verify that the owner of an encrypted network permits this client's key to use it; `encrypt` requires it.

        Args:
            permission: what the evaluator has (`Session.permission`), or the owner gives.
            owner: the owner's verification key, which the client has from the owner itself.
            revocation: the owner's newest revocation (`ModelOwner.revocation`), if there is one. The client remembers
                it: what it revokes counts no more, whether admitted before or later.

        Raises:
            MessageError: if the bytes are truncated, damaged or foreign.
            NotPermittedError: if the owner has not signed them, or they are for another circuit or key, or the
                permission no longer counts.
        """
        found = Permission.from_bytes(permission, owner)
        if revocation is not None:
            known = Revocation.from_bytes(revocation, owner)
            self._revocation = known.newest(self._revocation, self._interface.digest)
        found.require(self._interface.digest, self._key_id, self._clock, self._revocation)
        self._permission = found

    @property
    def secret_key(self) -> SecretKey:
        """The secret key; `SecretKey.save` stores it under a password, for another client of its owner."""
        return self._living().secret_key

    @property
    def open_requests(self) -> list[bytes]:
        """The digests of requests that have had no answer, the oldest first; `decrypt` takes one for its request."""
        return self._questions.digests

    def forget_requests(self) -> None:
        """Forget all requests that have had no answer: none will be accepted."""
        with self._lock:
            self._questions.forget()

    def prepare(self, images: ArrayLike) -> np.ndarray:
        """Convert floats to what `encrypt` takes: for BFV, multiply by the input's scale, saturate and round.

        Args:
            images: finite floats [batch, *shape], in the units that the float network was trained on.

        Returns:
            [batch, *shape]: int64 for BFV, equal to `IntNetwork.quantise_input` of the plain network; float64 for CKKS.

        Raises:
            InputError, TypeError, ValueError: as `InputSpec.prepare`, which warns of images of another scale as well.
        """
        (spec,) = self._interface.client_inputs
        return spec.prepare(images, self._interface.parameters.scheme)

    def encrypt(self, images: np.ndarray) -> bytes:
        """Encrypt a batch. The images lie in the slots in an order that is drawn anew for every request.

        Args:
            images: [batch, *shape] with batch from 1 to `interface.images`: integers in the network's input domain for
                BFV, floats in its input range for CKKS.

        Returns:
            A request for `Session.evaluate`. It may have one answer.

        Raises:
            InputError: if shape, dtype, range or batch are wrong, or a value is NaN; nothing has been encrypted then.
            NotPermittedError: if weights are encrypted, and no permission to use them was admitted, or it has expired.
        """
        ciphers = self._living()
        self._require_permission()
        (spec,), packing = self._interface.client_inputs, self._interface.packing
        batch = spec.check(images, self._interface.parameters.scheme)
        order = secret_order(packing)
        parts = ciphers.encrypt([packing.permuted(slots, order) for slots in spec.layout.pack(batch)])
        return self._asked(parts, Question(len(batch), order))

    def invite(self, images: int = 1) -> bytes:
        """Invite an evaluator with images of its own to evaluate an encrypted network on them, in the clear.

        Args:
            images: how many, from 1 to `interface.images`.

        Returns:
            An invitation for `Session.evaluate_in_the_clear`. It may have one answer, whose logits `decrypt` returns.

        Raises:
            NotPermittedError: if weights are plain; or as `encrypt`.
            ValueError: if `images` is out of range.
        """
        _ = self._living()
        if not self._interface.encrypted:
            raise NotPermittedError("weights are plain, and their owner evaluates images in the clear without a key")
        self._require_permission()
        packing, count = self._interface.packing, integer(images, "images", 1, self._interface.images)
        order = np.broadcast_to(np.arange(packing.lanes, dtype=np.uint16), (packing.rows, packing.lanes))
        return self._asked([], Question(count, order))

    def _asked(self, parts: Sequence[bytes], question: Question) -> bytes:
        """Return a request with these ciphertexts, and remember what it asks."""
        nonce = secrets.token_hex(_NONCE_BYTES)
        fields = {"circuit": self._interface.digest, "key": self._key_id, "nonce": nonce}
        request = seal_message(Kind.REQUEST, fields, parts)
        with self._lock:
            self._questions.ask(request, question)
        return request

    def _require_permission(self) -> None:
        """Check that the client has been admitted to a network whose weights are encrypted.

        Raises:
            NotPermittedError: if it has not, or the permission has expired.
        """
        if not self._interface.encrypted:
            return
        if self._permission is None:
            raise NotPermittedError("the client has admitted no permission of the model's owner")
        self._permission.require(self._interface.digest, self._key_id, self._clock, self._revocation)

    def decrypt(
        self, response: bytes, request: bytes | None = None, *, publish: bool = False, part: bytes | None = None
    ) -> np.ndarray:
        """Decrypt a session's answer.

        Args:
            response: the answer.
            request: the request that it must be an answer to, or its digest, the last 32 bytes; it may be left out
                while no other request is open.
            publish: whether others may see the result, an *honest* server among them, even one that has chosen the
                network and knows the images. A CKKS result then gets normal noise of `published_deviation`, which hides
                what its error tells of the key; the result without noise is not returned, now or later. A BFV result is
                exact and stays as it is: it tells nothing of the key unless the noise bound fails. *Against a server
                that answers with ciphertexts of its own making* nothing helps but to show it no result.
            part: where the key has two owners, and there alone, the model owner's part of the decryption
                (`he.parties.threshold.opening.Opener`).

        Returns:
            Logits [batch, outputs]: int64 for BFV, equal to the plain network's, or Python's integers where they are
            computed modulo several primes and may be longer; float64 for CKKS, within half of
            `interface.tolerance` of the plain network's, but for what is added to publish them. This holds if an honest
            session has answered.

        Raises:
            MessageError: if the bytes are damaged or foreign, hold no ciphertexts of a result's form, or are no answer
                to the request, or to one that is open. The key has not been used then, and an open request stays open.
            DecryptionError: if the ciphertexts decrypt to no result: there is no noise budget, copies disagree, or
                residues are those of numbers that the network cannot reach. The request has had its answer, and the
                refusal is counted.
            RangeError: if the circuit's ranges are calibrated and an image left them, so that the logits may be wrong.
                The request has had its answer, and the refusal is counted.
            PublishingError: if `publish` is asked for and as many CKKS answers have been published as the policy
                allows. The key has not been used then, and the request stays open.
        """
        with self._lock:  # one answer after the other, so that none is decrypted after the last
            ciphers = self._living()
            name, ciphertexts = self._read(ciphers, response, request, part)
            if publish:
                self._life.require_publishable(self._interface)
            logits, outside = ciphers.decrypt(ciphertexts, self._questions.close(name))
            if publish and logits is not None and not self._interface.parameters.scheme.exact:
                self._life.published += 1
                logits = noised(logits, self.published_deviation(len(logits)))
            self._life.answers += 1
            self._life.refusals += logits is None
            self._retire()
        if outside:
            raise RangeError(outside)
        if logits is None:
            raise DecryptionError(
                "the answer does not decrypt to a result: it was damaged, computed with other keys, or forged"
            )
        return logits

    def published_deviation(self, images: int) -> float:
        """Return the standard deviation of the noise that `decrypt` adds to every logit of an answer to publish it.

        It grows with the root of the logits of the answer, and of `Policy.most_published`; it is 0 for BFV. Compile
        with a smaller `max_error` if it is too large to be of use.

        Args:
            images: the number of images of the request.

        Raises:
            ValueError: if it is not from 1 to `interface.images`.
        """
        return deviation(self._interface, self._policy, integer(images, "images", 1, self._interface.images))

    def check(self, response: bytes, request: bytes | None = None, *, part: bytes | None = None) -> None:
        """Check an answer as `decrypt` does before it uses the key, and raise its MessageError. Nothing changes."""
        with self._lock:
            self._read(self._living(), response, request, part)

    def _read(
        self, ciphers: Ciphers, response: bytes, request: bytes | None, part: bytes | None
    ) -> tuple[str, list[list[Any]]]:
        """Return the name of the request and the ciphertexts of its answer."""
        response = unchanging(Kind.RESPONSE, response, ciphers.answer_bytes)
        fields, parts = open_message(Kind.RESPONSE, response)
        require_fields(fields, "circuit", "key", "request")
        require_match(fields, "circuit", self._interface.digest, "circuit or parameter set")
        require_match(fields, "key", self._key_id, "key: only the client that encrypted a request can read the answer")
        name = self._questions.require_open(fields["request"], request)
        if (part is not None) != (self._joint is not None):
            due = "must be given: the key has two owners" if self._joint else "must be left out: the key has one owner"
            raise MessageError(f"`part`, the model owner's of the decryption, {due}")
        if part is None:
            return name, ciphers.read(parts)
        return name, ciphers.read(parts, opened_part(part, self._interface, self._key_id, message_digest(response)))

    def state(self) -> bytes:
        """Return what this client has counted, and its open requests: another process goes on with them.

        It is for this client's owner alone, who keeps the last one: who restores an earlier one counts again what was
        counted since, and accepts a second answer to a request. The keys are not in it, but nobody else can make it; a
        permission is not in it either, and is admitted again.

        Raises:
            KeyRetiredError: if the key's life is over.
            MessageError: if more requests are open than a message holds.
        """
        secret_key, life = self._living().secret_key, self._life
        with self._lock:
            state = State(self._key_id, life.answers, life.refusals, life.published, self._questions.to_parts())
            return seal_state(state, secret_key, self._interface.digest)

    def _restore(self, data: bytes) -> None:
        state = open_state(data, self._living().secret_key, self._interface.digest)
        if self._keys and state.key != self._key_id:
            raise MessageError("the state must belong to the given evaluation keys, and belongs to others")
        self._key_id, life = state.key, self._life
        life.answers, life.refusals, life.published = state.answers, state.refusals, state.published
        self._questions.restore(state.questions, self._interface.packing)
        self._retire()

    def _retire(self) -> None:
        """Destroy the key if its life is over."""
        if self._life.is_over:
            self._ciphers = None  # SEAL wipes what it frees

    def _living(self) -> Ciphers:
        """Return what encrypts and decrypts.

        Raises:
            KeyRetiredError: if the key's life is over.
        """
        if self._ciphers is None:
            raise self._life.retired()
        return self._ciphers
