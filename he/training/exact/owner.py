"""The owner's side of exact training: samples are encrypted once, weights before every step, and the owner updates.

The update rounds, which ciphertexts cannot. So it is the owner's, who decrypts the gradients of every step in any case,
in order to encrypt the next weights afresh. It sees the network of every step, and nobody else does.

Whether an answer is refused for what it decrypts to is a bit of whatever its sender made up, also of the secret key. So
an owner refuses once, and decrypts nothing more, as in `he.training.refreshed.owner`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from he.circuit.residues import lifted
from he.formats.compact import Form
from he.formats.messages import Kind, MessageError, message_digest, require_match
from he.parties.cipher import ExactCipher
from he.parties.client import DecryptionError
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.keys import SecretKey
from he.ring.arithmetic import product
from he.training.exact.messages import opened, sealed
from he.training.exact.plan import ExactPlan
from he.training.exact.slots import packed_pairs, packed_slots, sample_slots
from intnn.training.squares.step import SquareGradients, SquareState, checked_inputs, require_state, targets, updated
from intnn.values.arrays import Array, instance
from intnn.values.value_object import Unstorable


class ExactOwner(Unstorable, instead="it holds a secret key: store that with `SecretKey.save`, and the `state`"):
    """Who encrypts samples and weights for a plan, and makes the updates.

    Args:
        plan: The plan.
        secret_key: The key, for the plan's parameters; by default a new one.
        evaluation_keys: Those of the run, where they have been made before; by default new ones.
        state: The variables to go on from (`intnn.training.squares.checkpoint` stores them); by default those that the
            plan's seed names.

    Attributes:
        state: The variables as they are now.

    Raises:
        TypeError: An argument has another type.
        ValueError: The key is for other parameters, or the variables are not the plan's.
        MessageError: The evaluation keys were not made from this key for this plan.
    """

    def __init__(
        self,
        plan: ExactPlan,
        secret_key: SecretKey | None = None,
        evaluation_keys: EvaluationKeys | None = None,
        state: SquareState | None = None,
    ) -> None:
        self.plan = instance(plan, ExactPlan, "plan")
        key = SecretKey.generate(plan.parameters) if secret_key is None else secret_key
        if instance(key, SecretKey, "secret_key").parameters != plan.parameters:
            raise ValueError(f"`secret_key` must be for the plan's parameters ({plan.parameters}), got {key}")
        self.secret_key = key
        keys = key.keys_of(plan.key_elements, plan.digest) if evaluation_keys is None else evaluation_keys
        self.evaluation_keys = instance(keys, EvaluationKeys, "evaluation_keys")
        if keys.circuit != plan.digest:
            raise MessageError("`evaluation_keys` must be for this plan, got keys for another")
        key.require_own(keys, None)
        self.state = SquareState.initial(plan.squares) if state is None else instance(state, SquareState, "state")
        require_state(plan.squares, self.state)
        self._ciphers = [ExactCipher(key.with_modulus(parameters)) for parameters in plan.each]
        self._asked: str | None = None
        self._over = False

    def samples(self, x: ArrayLike, labels: ArrayLike) -> Iterator[bytes]:
        """Check and encrypt all samples: a message for every modulus, made one by one.

        Args:
            x: The inputs, int64 [samples, features], within the plan's limit and with it in the last column.
            labels: The classes, int64 [samples].

        Raises:
            TypeError: They are no integers.
            ValueError: They are not what the plan's bounds are proved for. Nothing is encrypted.
        """
        inputs, classes = checked_inputs(self.plan.squares, x, labels)
        columns = [*inputs.T, *(-targets(self.plan.squares, classes)).T]
        N = self.plan.parameters.poly_modulus_degree
        for t, cipher in zip(self.plan.moduli, self._ciphers, strict=True):
            parts = [cipher.encrypt(sample_slots(column, N)) for column in columns]
            yield sealed(Kind.EXACT_SAMPLES, self.plan, self.evaluation_keys.id, parts, modulus=t)

    def ask(self) -> bytes:
        """Encrypt the weights as they are now, in two ciphertexts for every modulus, and ask for their gradients."""
        first, second = self.state.weights
        limit = self.plan.squares.input_limit
        parts = []
        for t, cipher in zip(self.plan.moduli, self._ciphers, strict=True):
            inverse = pow(limit, -1, t)  # for the bias is multiplied with the column of ones, which holds limits
            bias = product(second[-1:] * self.plan.squares.bias % t, inverse, t)
            w = np.concatenate([second[:-1:2], bias]), np.concatenate([second[1:-1:2], np.zeros_like(bias)])
            for a, b in ((first[:, ::2].T, first[:, 1::2].T), w):
                N = self.plan.parameters.poly_modulus_degree
                parts.append(cipher.encrypt(packed_slots(a.ravel(), b.ravel(), N, t)))
        message = sealed(Kind.EXACT_WEIGHTS, self.plan, self.evaluation_keys.id, parts)
        self._asked = message_digest(message)
        return message

    def update(self, answer: bytes) -> SquareGradients:
        """Decrypt the gradients that were asked for last, and change the variables; they are taken once.

        Returns:
            The gradients, which are exactly those in the clear if the trainer follows the protocol.

        Raises:
            MessageError: The message is damaged, of another run, or no answer to what was asked last; or the run is
                over.
            SealDataError: A ciphertext in it is none, or legible without a key.
            DecryptionError: A ciphertext has no noise budget left, or what it holds is no gradient of the plan: the
                trainer computes something else. The run is over, and nothing more is decrypted. In all of these cases
                the variables are what they were.
            TypeError: It is no bytes.
        """
        plan, count = self.plan, len(self.plan.moduli)
        form = Form.result(plan.parameters, plan.levels.answer, 1.0)
        parts, fields = opened(Kind.EXACT_GRADIENTS, plan, self.evaluation_keys.id, answer, form, count, "asked")
        if self._asked is None:
            raise MessageError("the message answers no question, or comes for the second time; `ask` first")
        require_match(fields, "asked", self._asked, "question than the last one")
        if self._over:
            raise MessageError("the run is over, and nothing is decrypted any more; go on from `state` with a new key")
        read = [cipher.read(part, plan.levels.answer) for cipher, part in zip(self._ciphers, parts, strict=True)]
        found = self._decrypted(read)  # behind all checks that need no key, so that these tell nothing of it
        if found is None:
            self._over = True
            raise DecryptionError(_REFUSED)
        self.state, self._asked = updated(plan.squares, self.state, found), None
        return found

    def _decrypted(self, ciphertexts: list[Any]) -> SquareGradients | None:
        """Return the gradients that ciphertexts hold, one for every modulus; None if they hold anything else."""
        pairs = []
        for t, cipher, ciphertext in zip(self.plan.moduli, self._ciphers, ciphertexts, strict=True):
            slots = cipher.decrypt(ciphertext)
            found = None if slots is None else packed_pairs(slots, self.plan.answers, t)
            if found is None:
                return None
            pairs.append(found)
        return self._gradients(*(lifted(self.plan.moduli, half) for half in zip(*pairs, strict=True)))

    def _gradients(self, a: Array, b: Array) -> SquareGradients | None:
        """Return the gradients of which these are the pairs; None if they are not within their bounds."""
        squares, columns = self.plan.squares, self.plan.columns
        ends = np.cumsum([squares.features * columns, columns * squares.classes])
        (first, second, bias), (other_first, other_second, other_bias) = np.split(a, ends), np.split(b, ends)
        bounds = (first, squares.bounds.first), (second, squares.bounds.second), (bias, squares.bounds.bias)
        others = (other_first, squares.bounds.first), (other_second, squares.bounds.second)
        within = all((abs(values) <= bound).all() for values, bound in (*bounds, *others))
        if not within or not np.array_equal(bias, other_bias):
            return None
        g_v = np.stack([first, other_first], axis=-1).reshape(squares.features, squares.hidden)
        rows = np.stack([second, other_second]).reshape(2, columns, squares.classes)
        g_w = rows.transpose(1, 0, 2).reshape(squares.hidden, squares.classes)
        return SquareGradients(g_v, np.concatenate([g_w, bias[None] * squares.bias]))


_REFUSED = (
    "the answer decrypts to no gradients of this plan, and nothing of it is used: the run is over; "
    "go on from `state` with a new key"
)
