"""The stages of a client: `keygen`, `encrypt` and `decrypt`. They need neither compiler nor kernels.

The folder `secret_key` is the client's alone: the secret key under a password, and which requests wait for an answer.
The password is what the variable HE_PASSWORD holds. Where it is not set, 32 random bytes in a file beside the key stand
for it: then whoever may read the folder has the key.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from he.formats.keys import Cost, held, read_private, write_private
from he.parties.answers import decrypted
from he.parties.client import Client
from he.parties.keys import SecretKey
from he.parties.life import KeyRetiredError
from he.parties.policy import Policy
from he.parties.state import state_circuit
from he.stages.folders import StageError, new_folder, read_message, remove, require_made
from he.stages.images import read_images, write_logits
from he.stages.model import MAKER, OWNER, circuit_of, read_model
from intnn.storage.document import write_atomically

SECRET, PUBLIC, UPLOAD, DOWNLOAD = "secret_key", "public_keys", "ciphertexts_upload", "ciphertexts_download"
ISSUED = "encrypted_network"
VARIABLE = "HE_PASSWORD"
_MOST_OPEN = 1 << 16  # requests of one run


def keygen(folder: Path, model: Path, images: int = 1, policy: Policy | None = None) -> str:
    """Make keys for the circuit that answers so many images at the least cost.

    Args:
        folder: the folder of the exchange, which is made if there is none.
        model: the folder of the model, of which the offer is read.
        images: the number of images that are to be asked for together; other numbers are possible, and cost more.
        policy: what the client insists on.

    Returns:
        Where weights are encrypted, the name of the public key, which the client tells the model's owner by a way that
        authenticates; otherwise no letter.

    Raises:
        MessageError, PolicyError: if the offer is damaged, or not accepted.
        StageError: if there are keys already.
        OSError: if a file cannot be read or written.
    """
    offer, policy = read_model(model), _many_open(policy)
    interface = offer.interfaces[offer.plan(images, policy.among(offer.interfaces)).circuit]
    with new_folder(folder / PUBLIC) as public, new_folder(folder / SECRET, private=True) as secret:
        client = Client(interface, policy=policy)
        password, cost = os.environ.get(VARIABLE), None
        if not password:
            password, cost = secrets.token_hex(32), Cost(log2_n=14)  # nobody guesses it, whatever a guess costs
            write_private(secret / "password", password.encode())
        client.secret_key.save(secret / "key", password, cost)
        write_private(secret / "state", client.state())
        client.evaluation_keys.save(public / "keys")
        if not interface.encrypted:
            return ""
        write_atomically(public / "public_key", client.public_key.to_bytes())
        return client.public_key.id


def encrypt(folder: Path, model: Path, source: Path, policy: Policy | None = None, *, again: bool = False) -> int:
    """Encrypt the images of a file, in as many requests as they take.

    Args:
        folder: the folder of the exchange.
        model: the folder of the model, of which the offer is read.
        source: a `.npy` file of images [n, *shape], or text with a row for each: floats in the units on which the model
            was trained, or integers as an integer network takes them.
        policy: what the client insists on.
        again: whether the requests of an earlier run are replaced. Answers to them are removed, and none is accepted.

    Returns:
        The number of requests.

    Raises:
        InputError: if the images are not what the network takes; nothing has been encrypted then.
        KeyFileError, MessageError: if a file is damaged, or belongs to another model or key.
        NotPermittedError: if weights are encrypted, and the model's owner does not permit the keys, or no longer does.
        StageError: if there are no keys, or requests of an earlier run.
        OSError: if a file cannot be read or written.
    """
    with _restored(folder, model, policy) as client:
        if client.interface.encrypted:
            _admit(client, folder, model)
        (spec,) = client.interface.client_inputs
        images = read_images(source, spec)
        batches = spec.batches(client.prepare(images) if images.dtype.kind == "f" else images)
        for batch in batches:  # all of them, before the first is encrypted
            spec.check(batch, client.interface.parameters.scheme)
        with new_folder(folder / UPLOAD, replace=again) as draft:
            client.forget_requests()
            for i, batch in enumerate(batches):
                write_atomically(draft / f"{i:05d}", client.encrypt(batch))
            write_private(folder / SECRET / "state", client.state())
        remove(folder / DOWNLOAD)  # of an earlier run
    return len(batches)


def decrypt(folder: Path, model: Path, target: Path, policy: Policy | None = None) -> np.ndarray:
    """Decrypt the answers, and write the logits in the order of the images.

    Args:
        folder: the folder of the exchange.
        model: the folder of the model, of which the offer is read.
        target: a `.npy` file for the logits [n, outputs], or another one for rows of text. It is replaced.
        policy: what the client insists on.

    Returns:
        The logits.

    Raises:
        DecryptionError, RangeError: if an answer is refused, which counts. No logits are written.
        KeyFileError, MessageError: if a file is damaged, or belongs to another model, key or request. No answer has
            been decrypted then.
        StageError: if there are no answers, or not one for every request that waits for one.
        OSError: if a file cannot be read or written; the answers may be decrypted again then.
    """
    answers = sorted(require_made(folder / DOWNLOAD, "evaluate").iterdir())
    with _restored(folder, model, policy) as client:
        requests = client.open_requests
        if len(answers) != len(requests):
            raise StageError(
                f"{folder / DOWNLOAD} must hold an answer for each of {len(requests)} requests that wait for one, got "
                f"{len(answers)}: answers are decrypted once; encrypt again"
            )
        most, pairs = client.most_answer_bytes, list(zip(answers, requests, strict=True))
        for answer, request in pairs:  # all of them, before the key is used: a request has one answer
            client.check(read_message(answer, most), request)
        try:
            read = ((read_message(answer, most), request) for answer, request in pairs)
            logits = np.concatenate(list(decrypted(client, read)))
        except BaseException:  # also for what was changed meanwhile, and for Ctrl-C
            _record(client, folder)
            raise
        write_logits(target, logits)
        _record(client, folder)
    return logits


def _admit(client: Client, folder: Path, model: Path) -> None:
    """Verify what the model's owner has permitted."""
    owner, revocation = require_made(model / OWNER, MAKER).read_bytes(), folder / "revocation"
    permission = require_made(folder / "permission", "issue").read_bytes()
    client.admit(permission, owner, revocation.read_bytes() if revocation.exists() else None)


def _record(client: Client, folder: Path) -> None:
    """Write what a client has counted; where it has destroyed its key, the files of the key are removed as well."""
    try:
        write_private(folder / SECRET / "state", client.state())
    except KeyRetiredError:
        remove(folder / SECRET)


@contextmanager
def _restored(folder: Path, model: Path, policy: Policy | None) -> Iterator[Client]:
    """Give the client that `keygen` made and earlier stages have used; no other stage has it meanwhile."""
    offer, secret = read_model(model), require_made(folder / SECRET, "keygen")
    with held(require_made(secret / "key", "keygen")):
        state = read_private(require_made(secret / "state", "keygen"))
        interface = offer.interfaces[circuit_of(offer, state_circuit(state), f"{secret}")]
        password = os.environ.get(VARIABLE) or read_private(require_made(secret / "password", "keygen")).decode()
        key = SecretKey.load(secret / "key", password, interface.parameters)
        yield Client(interface, key, policy=_many_open(policy), state=state)


def _many_open(policy: Policy | None) -> Policy:
    return replace(policy or Policy(), most_open=_MOST_OPEN)
