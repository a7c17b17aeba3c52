"""The keys that a client begins with: those that it is given, and new ones in the place of what is left out."""

from __future__ import annotations

from typing import NamedTuple

from he.circuit.interface import Interface
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.keys import SecretKey
from he.parties.public_key import PublicKey
from he.ring.params import ParameterError
from intnn.values.arrays import instance


class ClientKeys(NamedTuple):
    """A client's keys, all for one interface.

    Attributes:
        secret: the secret key, or the data owner's share of it.
        evaluation: the evaluation keys; None if the client goes on without them.
        joint: the public key of two owners; None if the key has one.
    """

    secret: SecretKey
    evaluation: EvaluationKeys | None
    joint: PublicKey | None


def keys_for(
    interface: Interface,
    secret_key: SecretKey | None,
    evaluation_keys: EvaluationKeys | bytes | None,
    public_key: PublicKey | bytes | None,
    *,
    continues: bool,
) -> ClientKeys:
    """Check the keys that a client is given (`he.Client`), and make those that it is not.

    Args:
        interface: the circuit's public part.
        secret_key: a key, or a share of one; by default a new key is generated.
        evaluation_keys: those of the secret key; by default new ones are made, unless the client `continues`.
        public_key: that of two owners, where there are two.
        continues: whether the client goes on from a stored state, and so with keys that exist already.

    Raises:
        MessageError: if keys are damaged, or made for another circuit or from another secret key.
        ParameterError: if the secret key is for other parameters, or keys are left out that others need.
        TypeError: if an argument has another type.
    """
    threshold = isinstance(interface, Interface) and interface.threshold > 0
    if (public_key is not None) != threshold or (threshold and secret_key is None):
        due = "given, as `DataShare.key` has them" if threshold else "left out: the key has one owner"
        raise ParameterError(f"`public_key`, and with it `secret_key` and `evaluation_keys`, must be {due}")
    if (evaluation_keys is not None or continues) and secret_key is None:
        raise ParameterError(
            "`secret_key` must be given with `evaluation_keys` or `state`: the one that they were made from"
        )
    if secret_key is None:
        secret_key = SecretKey.generate(interface.parameters)
    instance(secret_key, SecretKey, "secret_key", "read a stored one with `SecretKey.load`")
    secret_key.require_for(interface)
    joint = None if public_key is None else PublicKey.of(public_key, interface)
    if evaluation_keys is not None:
        found = EvaluationKeys.of(evaluation_keys, interface)
        secret_key.require_own(found, interface)
        return ClientKeys(secret_key, found, joint)
    if continues:
        return ClientKeys(secret_key, None, joint)
    if joint is not None:
        raise ParameterError("`evaluation_keys` must be given with `public_key`: both are of both owners")
    return ClientKeys(secret_key, secret_key.evaluation_keys(interface), None)
