"""The type of secret keys, which only their owner holds. A key leaves the process only under a password."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tenseal.sealapi as sealapi

from he.circuit.interface import RELINEARISATION, Interface, require_interface
from he.formats import compact, switching
from he.formats.keys import Cost, KeyFileError, Protected, protect, read_private, reveal, write_private
from he.formats.messages import MessageError
from he.formats.seal_bridge import create_context, from_bytes, level_ids, to_bytes
from he.formats.seal_bytes import read_keys, read_secret, write_secret
from he.parties.evaluation_keys import EvaluationKeys
from he.ring.gadget import Gadget
from he.ring.norms import norm_of_secret, secret_norm
from he.ring.params import ParameterError, Parameters
from intnn.storage.document import file_path
from intnn.values.arrays import instance
from intnn.values.value_object import Unstorable

if TYPE_CHECKING:
    from he.parties.batch import BatchEncryptor
    from he.parties.threshold.share import KeyShare

_ID_BYTES = 16
_MOST_DRAWS = 200  # of a secret: that many are refused by a chance below 2^-300, or by a generator that repeats itself


class SecretKey(Unstorable, instead="store it under a password with `save`"):
    """The secret key of one parameter set: it encrypts, decrypts, and makes evaluation keys for any number of circuits.

    SEAL holds the secret in memory that it wipes when the object is freed. A key is never printed, copied or pickled,
    and equals only itself.
    """

    __slots__ = ("__weakref__", "_context", "_id", "_marker", "_parameters", "_secret")

    def __init__(self, parameters: Parameters, context: Any, secret: Any, name: str, marker: bytes) -> None:
        """Make a key from SEAL's objects; callers use `generate` or `load` instead."""
        self._parameters, self._context, self._secret, self._id = parameters, context, secret, name
        self._marker = marker

    @property
    def parameters(self) -> Parameters:
        """The parameter set that the key is for."""
        return self._parameters

    @property
    def context(self) -> Any:
        """SEAL's context of that set."""
        return self._context

    @property
    def id(self) -> str:
        """32 hexadecimal digits that name the key. They are drawn at random and say nothing of the secret."""
        return self._id

    @staticmethod
    def generate(parameters: Parameters) -> SecretKey:
        """Return a new key, drawn by SEAL's generator.

        A secret whose canonical norm is beyond `he.ring.norms.secret_norm`, as a third of all are, is drawn again: the
        bounds on noise hold for the others. That takes half a bit of the secret's entropy.

        Raises:
            ParameterError: if SEAL refuses the parameters.
            TypeError: if they are none.
        """
        context = create_context(_require_parameters(parameters))
        for _ in range(_MOST_DRAWS):
            secret = sealapi.KeyGenerator(context).secret_key()
            residues = _residues(secret, parameters, context)
            if _is_within_norm(residues, parameters):
                return SecretKey(parameters, context, secret, secrets.token_hex(_ID_BYTES), _marker(residues))
        raise RuntimeError("SEAL draws none but unusual secrets: its generator is broken")

    def save(self, path: str | os.PathLike[str], password: str, cost: Cost | None = None) -> None:
        """Write the key to a file of mode 0600, encrypted under a password; a file at that path is replaced.

        On systems without anonymous files in memory (all but Linux), SEAL gives the key out only through a file. It
        exists for a moment, in a temporary folder that other users cannot enter.

        Args:
            path: the file.
            password: any text but the empty one. Whoever guesses it has the key.
            cost: the cost of a guess; by default 128 MiB and about a quarter of a second.

        Raises:
            KeyFileError: if the password is empty or no text that UTF-8 can hold, or the key is too large for a file.
            TypeError: if an argument has another type.
            OSError: if the file cannot be written; a file that was there stays as it was.
        """
        cost = instance(Cost() if cost is None else cost, Cost, "cost", "give a Cost(log2_n, p), or None")
        place = file_path(path)
        residues = _residues(self._secret, self.parameters, self.context)
        fields = {"parameters": self.parameters.to_dict(), "id": self.id}
        content = Protected(fields, residues.astype("<u8").tobytes())
        write_private(place, protect(content, password, cost))

    @staticmethod
    def load(path: str | os.PathLike[str], password: str, parameters: Parameters | None = None) -> SecretKey:
        """Read a key that `save` wrote.

        Args:
            path: the file; only its owner may have any right to it.
            password: the password under which it was saved.
            parameters: the parameters that the key must be for; by default any.

        Raises:
            KeyFileError: if the password is wrong, others may read the file, its bytes are truncated, damaged, foreign
                or of another version, or the key is for other parameters.
            TypeError: if an argument has another type.
            OSError: if there is no file or it cannot be read.
        """
        if parameters is not None:
            _require_parameters(parameters)
        content = reveal(read_private(file_path(path)), password)
        try:
            stored, name = Parameters.from_dict(content.fields["parameters"]), str(content.fields["id"])
            shape = len(stored.primes), stored.poly_modulus_degree
            residues = np.frombuffer(content.secret, "<u8").reshape(shape)
            context = create_context(stored)
            data = write_secret(residues, context.key_parms_id())
            read = read_secret(data, stored, context.key_parms_id())
            if not _is_within_norm(read, stored):
                raise ValueError("the secret is one for which the bounds on noise do not hold")
            secret = from_bytes(sealapi.SecretKey(), context, data)
        except (KeyError, ValueError) as error:
            raise KeyFileError(
                f"the key file holds no key of its parameters; restore it from a copy: {error}"
            ) from error
        if parameters is not None and stored != parameters:
            raise KeyFileError(
                f"the key must be for {parameters}, got one for {stored}; load the key that belongs there"
            )
        return SecretKey(stored, context, secret, name, _marker(read))

    def require_for(self, interface: Interface) -> None:
        """Check that the key is for a circuit's parameters.

        Raises:
            ParameterError: if it is for others.
            TypeError: if `interface` is no interface.
        """
        if require_interface(interface).parameters != self.parameters:
            raise ParameterError(
                f"the secret key must be for the circuit's parameters ({interface.parameters}), got one for "
                f"{self.parameters}; generate another"
            )

    def with_modulus(self, parameters: Parameters) -> SecretKey:
        """Return the same secret for parameters that differ in the plaintext modulus alone, of which it tells nothing.

        Raises:
            ParameterError: if they differ in anything else, or SEAL refuses them.
        """
        if parameters == self.parameters:
            return self
        if replace(parameters, plain_modulus=self.parameters.plain_modulus) != self.parameters:
            raise ParameterError(
                "`parameters` must differ from the key's in the plaintext modulus alone, got "
                f"{parameters} for a key of {self.parameters}"
            )
        context = create_context(parameters)
        data = write_secret(_residues(self._secret, self.parameters, self.context), context.key_parms_id())
        return SecretKey(parameters, context, from_bytes(sealapi.SecretKey(), context, data), self.id, self._marker)

    def evaluation_keys(self, interface: Interface) -> EvaluationKeys:
        """Return new keys with which a session can evaluate one circuit on ciphertexts of this secret key.

        Raises:
            ParameterError: if the circuit has other parameters than the key.
            TypeError: if `interface` is no interface.
        """
        self.require_for(interface)
        if interface.key_levels:
            data = self.hybrid_keys(interface.keys)
        else:
            data = self._switching_keys(interface.key_elements)
        if interface.rerandomises:
            data += self._zero(interface)
        return EvaluationKeys.sealed(interface.digest, data, self.mark(interface.digest, data))

    def keys_of(self, elements: Sequence[int], circuit: str) -> EvaluationKeys:
        """Return new keys for something else than a circuit of `he`, such as a plan of training.

        Args:
            elements: their Galois elements, `RELINEARISATION` among them.
            circuit: the digest of what they are for, 64 hexadecimal digits.
        """
        data = self._switching_keys(elements)
        return EvaluationKeys.sealed(circuit, data, self.mark(circuit, data))

    def _switching_keys(self, elements: Sequence[int]) -> bytes:
        """Return new keys as they travel, one behind the other: as SEAL keeps them, they take ten times the space."""
        generator, key_id = sealapi.KeyGenerator(self.context, self._secret), self.context.key_parms_id()
        parts = []
        for element in elements:
            relinearises = element == RELINEARISATION
            made = generator.create_relin_keys() if relinearises else generator.create_galois_keys([element])
            key = read_keys(to_bytes(made), self.parameters, key_id)[element // 2]
            parts.append(switching.write([key], self.parameters))
        return b"".join(parts)

    def hybrid_keys(self, keys: Iterable[tuple[int, Gadget]]) -> bytes:
        """Return new evaluation keys for Galois elements and gadgets, in order; see `he.parties.hybrid_keys`."""
        from he.parties.hybrid_keys import hybrid_key  # by kernels, which other keys do without

        made, encryptor = _residues(self._secret, self.parameters, self.context), self.encryptor()
        of_secret = self.parameters, made, encryptor, self.context.key_parms_id()
        return b"".join(hybrid_key(*of_secret, gadget, element) for element, gadget in keys)

    def mark(self, circuit: str, data: bytes | memoryview) -> str:
        """Return what only the owner of this secret can make of data for a circuit: an HMAC under a hash of the secret.

        Its 64 hexadecimal digits tell nothing of the secret.
        """
        made = circuit.encode() + hashlib.sha256(data).digest()
        return hmac.digest(self._marker, made, "sha256").hex()

    def _zero(self, interface: Interface) -> bytes:
        """Return an encryption of zero at the level of a circuit's answers, as it travels."""
        level, ids = interface.output_level, level_ids(self.context, self.parameters)
        made = to_bytes(self.encryptor().encrypt_zero_symmetric(ids[level]))
        return compact.compact(made, switching.zero_form(self.parameters, level), self.parameters, ids)

    def require_own(self, keys: EvaluationKeys, interface: Interface | None) -> None:
        """Check that the evaluation keys of a circuit, or of what is none, were made from this secret, by their mark.

        The keys themselves are not looked at: whoever gave them would learn of the secret by what is refused.

        Args:
            keys: the evaluation keys.
            interface: that of the circuit; None where they are for something else.

        Raises:
            MessageError: if they were made from another, or are no keys of this circuit.
        """
        if interface is not None:
            keys.require(interface)
        if not hmac.compare_digest(self.mark(keys.circuit, keys.data), keys.mark):
            raise MessageError(
                "the evaluation keys were made from another secret key, or changed; load the one that they were made "
                "from, or leave `evaluation_keys` out for new ones"
            )

    def encryptor(self) -> Any:
        """Return SEAL's encryptor with this key. It holds the secret: keep it where the key is."""
        return sealapi.Encryptor(self.context, self._secret)

    def batch_encryptor(self, threads: int | None = None) -> BatchEncryptor:
        """Return an encryptor of arrays of numbers with this key. It holds the secret: keep it where the key is.

        Raises:
            ParameterError: if the scheme is BFV.
            ValueError: if `threads` is out of range; see `BatchEncryptor`.
        """
        from he.parties.batch import BatchEncryptor  # by kernels, without which single images are encrypted

        return BatchEncryptor(self.parameters, _residues(self._secret, self.parameters, self.context), threads)

    def share(self) -> KeyShare:
        """Return what computes with this key as a share of one of two owners. It holds the secret, too."""
        from he.parties.threshold.share import KeyShare  # by kernels, which a key of one owner does without

        return KeyShare(self.parameters, _residues(self._secret, self.parameters, self.context))

    def decryptor(self) -> Any:
        """Return SEAL's decryptor with this key. It holds the secret: keep it where the key is."""
        return sealapi.Decryptor(self.context, self._secret)

    def __repr__(self) -> str:
        return f"SecretKey({self.parameters}; id {self.id[:8]})"


def _residues(secret: Any, parameters: Parameters, context: Any) -> np.ndarray:
    """Return SEAL's secret as `read_secret` does."""
    return read_secret(to_bytes(secret), parameters, context.key_parms_id())


def _marker(residues: np.ndarray) -> bytes:
    """Return the key under which a secret's owner marks what is made from it; it tells nothing of the secret."""
    return hashlib.sha256(b"mark of evaluation keys" + residues.tobytes()).digest()


def _is_within_norm(residues: np.ndarray, parameters: Parameters) -> bool:
    """Return whether a secret is one for which the bounds on noise hold."""
    smallest = int(np.argmin(parameters.primes))
    norm = norm_of_secret(residues[smallest], parameters.primes[smallest])
    return norm <= secret_norm(parameters.poly_modulus_degree)


def _require_parameters(parameters: object) -> Parameters:
    return instance(parameters, Parameters, "parameters", "give those of an interface, `interface.parameters`")
