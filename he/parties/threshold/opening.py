"""The model owner's part in the opening of answers."""

from __future__ import annotations

import numpy as np

from he.circuit.commitment import is_digest
from he.formats import compact
from he.formats.compact import Form
from he.formats.messages import (
    Kind,
    MessageError,
    message_digest,
    open_message,
    require_fields,
    require_match,
    unchanging,
)
from he.formats.seal_bridge import SealDataError
from he.kernels.passes.evaluate import forward, inverse
from he.kernels.tables.chain import chain
from he.parties.flood import flood
from he.parties.ledger import Ledger, MemoryLedger
from he.parties.model_owner import ModelOwner
from he.parties.permission import NotPermittedError, verification_key
from he.parties.threshold.ceremony import JointKey
from he.parties.threshold.parts import sealed_part
from he.parties.threshold.voucher import Voucher
from he.ring.params import ParameterError
from intnn.values.arrays import instance, integer
from intnn.values.value_object import Unstorable

MOST_OPENED = 1 << 16  # answers, by default: as many as a client's key decrypts by default


class Opener(Unstorable, instead="keep the share with `SecretKey.save`, and make it again"):
    """Helps one data owner to open the answers of one circuit.

    *What a part tells.* The data owner, with whatever the evaluator knows, has s_1 and the answer, and sees c_1 s_2 +
    f. From the logits it could make the same up to a statistical distance of 2^-threshold: the polynomial of the
    logits, less c_0 and c_1 s_1, plus f; for f is so much larger than the answer's noise that it hides it
    (`he.readers.flooding`). n answers are within n times that distance, in CKKS, whose flood is normal, within sqrt(n)
    times. This holds for answers to fresh requests, whose noise the compiler has bounded. A request is opened once,
    since the mean of two parts has less of a flood; a data owner who sends the same ciphertexts as another request gets
    two parts all the same, which count as two of the n.

    *What it does not prevent.* It opens whatever the evaluator has vouched for. An evaluator who vouches for something
    else, for a data owner with whom it colludes, opens any ciphertext, so also one with encrypted weights. Where that
    is to be feared the model owner evaluates itself, under the same protection of images, or evaluates again and
    compares: an evaluation has one result, bit for bit.

    *Revocation.* It opens while the model owner permits the joint public key: nothing more after `ModelOwner.revoke`,
    whatever the evaluator does. When a permission expires, it is the evaluator who answers no more.

    Args:
        owner: the model owner, whose circuit it is.
        key: what `ModelShare.key` has.
        evaluator: the key by which the evaluator's vouchers are verified, `Vouching.verification_key`.
        most: the number of answers that it opens, from 1.
        ledger: what remembers requests; by default one in memory that allows `most`, which is not looked at where a
            ledger is given. One in memory is forgotten with its process: whoever makes an opener again for the same key
            brings a ledger that lasts, or opens answers again that were opened before.

    Raises:
        ParameterError: if the circuit's key has one owner, or the key is of another circuit.
        TypeError: if `evaluator` is no bytes, or another argument has another type.
        ValueError: if `evaluator` has another length, or `most` is out of range.
    """

    def __init__(
        self,
        owner: ModelOwner,
        key: JointKey,
        evaluator: bytes,
        *,
        most: int = MOST_OPENED,
        ledger: Ledger | None = None,
    ) -> None:
        self._interface = interface = instance(owner, ModelOwner, "owner", "make one of the circuit").circuit.interface
        if not interface.threshold or key.evaluation_keys.circuit != interface.digest:
            raise ParameterError("the circuit must be the one for which two owners have made this key")
        key.share.require_for(interface)
        verification_key(evaluator, "evaluator", "Vouching.verification_key")
        self._share, self._key = key.share.share(), key.evaluation_keys.id
        self._owner, self._public_key, self._evaluator = owner, key.public_key.id, evaluator
        self._ledger = MemoryLedger(integer(most, "most", 1)) if ledger is None else ledger
        self._form = Form.result(interface.parameters, interface.output_level, interface.output_scale)
        self._tables = chain(self._form.degree, self._form.primes).tables

    def part(self, answer: bytes, voucher: bytes) -> bytes:
        """Return the model owner's part of the decryption of an answer.

        Args:
            answer: what `Session.evaluate` has returned.
            voucher: what the evaluator says of it, `Vouching.vouch`.

        Returns:
            The part, for `Client.decrypt`.

        Raises:
            MessageError: if a message is damaged, foreign, or for another circuit or key; a `ReplayError` if an answer
                to the request has been opened before, and a `SpentError` if as many have been as are allowed.
            NotPermittedError: if the evaluator has not vouched for this answer, or the model owner does not permit the
                joint public key, or no longer does.
            OSError: if the ledger cannot record the request.
        """
        self._owner.require_permitted(self._public_key)
        interface = self._interface
        answer = unchanging(Kind.RESPONSE, answer, interface.ciphertexts * self._form.bytes)
        fields, parts = open_message(Kind.RESPONSE, answer)
        require_fields(fields, "circuit", "key", "request")
        require_match(fields, "circuit", interface.digest, "circuit or parameter set")
        require_match(fields, "key", self._key, "key than the one that this owner has a share of")
        name, request = message_digest(answer), fields["request"]
        if Voucher.from_bytes(voucher, self._evaluator).answer != name:
            raise NotPermittedError("the evaluator has vouched for another answer")
        if not is_digest(request) or len(parts) != interface.ciphertexts:
            raise MessageError(f"an answer must name its request and hold {interface.ciphertexts} ciphertext(s)")
        try:
            seconds = [compact.read(part, self._form).residues[1] for part in parts]
        except SealDataError as error:
            raise MessageError(f"the answer cannot be opened: {error}") from error
        self._ledger.admit(request)
        made = [self._part(second) for second in seconds]
        self._ledger.confirm(request)
        return sealed_part(interface, self._key, request, name, made)

    def _part(self, second: np.ndarray) -> np.ndarray:
        """Return c_1 s_2 + f, in the form of the scheme: uint64 [level, N]."""
        noise = flood(self._interface)
        for prime in range(len(second)):  # the product is of transformed polynomials
            if self._form.ntt:
                forward(self._tables, noise[prime], prime)
            else:
                forward(self._tables, second[prime], prime)
        product = self._share.times(second)
        if not self._form.ntt:
            for prime, row in enumerate(product):
                inverse(self._tables, row, prime)
        return self._share.added(product, noise)
