"""The stages of a server: `prepare` and `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from he.formats.messages import largest_message
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.session import request_bytes
from he.stages.client import DOWNLOAD, ISSUED, PUBLIC, UPLOAD
from he.stages.folders import StageError, new_folder, read_message, require_made
from he.stages.model import MAKER, OWNER, circuit_of, load_prepared, prepare_model, read_model
from intnn.storage.document import write_atomically


def prepare(model: Path, threads: int | None = None, *, again: bool = False) -> None:
    """Encode the weights of all circuits of a model, once for all clients.

    Args:
        model: the folder of the model.
        threads: the number of threads that encode; by default one for each available processor.
        again: whether what was prepared before is replaced.

    Raises:
        MessageError, StoredError: if a file is damaged.
        StageError: if it has been done before, or a circuit is not the one that is offered.
        OSError: if a file cannot be read or written.
    """
    prepare_model(model, threads, again=again)


def evaluate(folder: Path, model: Path, threads: int | None = None, *, again: bool = False) -> int:
    """Answer all requests, one after the other.

    Args:
        folder: the folder of the exchange.
        model: the folder of the model.
        threads: the number of threads of an evaluation; by default one for each available processor.
        again: whether answers of an earlier run are replaced.

    Returns:
        The number of answers.

    Raises:
        MessageError, StoredError: if a file is damaged, or belongs to another model or key.
        NotPermittedError: if weights are encrypted, and the model's owner does not permit the keys, or no longer does.
        StageError: if there are no requests, they have been answered, or nothing has been prepared or issued.
        OSError: if a file cannot be read or written.
    """
    requests = sorted(require_made(folder / UPLOAD, "encrypt").iterdir())
    offer = read_model(model)
    keys = EvaluationKeys.load(require_made(folder / PUBLIC / "keys", "keygen"))
    number = circuit_of(offer, keys.circuit, f"{folder / PUBLIC}")
    with new_folder(folder / DOWNLOAD, replace=again) as draft:
        if not requests:
            raise StageError(f"{folder / UPLOAD} must hold a request or more, got none; encrypt again")
        prepared = load_prepared(model, offer, number)
        encrypted = _network(folder, model) if prepared.circuit.interface.encrypted else {}
        session = prepared.session(keys, threads, most=len(requests), **encrypted)
        most = largest_message(request_bytes(session.interface))
        for request in requests:
            write_atomically(draft / request.name, session.evaluate(read_message(request, most)))
    return len(requests)


def _network(folder: Path, model: Path) -> dict[str, Any]:
    """Return what a session needs of an encrypted network, as its owner has issued it."""
    network = require_made(folder / ISSUED / "network", "issue").read_bytes()
    found = {"network": network, "owner": require_made(model / OWNER, MAKER).read_bytes()}
    revocation = folder / "revocation"
    return {**found, "revocation": revocation.read_bytes()} if revocation.exists() else found
