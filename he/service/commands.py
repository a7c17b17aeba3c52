"""The commands of `python -m he` for servers and their clients. Libraries are loaded when a command runs."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import socket
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from he.parties.client import Client
    from he.service.client import RemoteModel, RemoteOwner

PASSWORD_VARIABLE, TOKEN_VARIABLE = "HE_PASSWORD", "HE_TOKEN"
_KEYS, _STATE, _PUBLIC = ".keys", ".state", ".public"  # what lies beside a secret key's file


def add(commands: Any) -> None:
    """Add the commands to those of a parser."""
    command = _command(commands, "serve", "serve prepared circuits over HTTP", _serve)
    command.add_argument("--models", type=Path, required=True, help="folder of NAME.he, from PreparedCircuit.save")
    command.add_argument("--store", type=Path, required=True, help="folder of the server's own")
    command.add_argument("--tokens", type=Path, help="file of permitted clients; without it, everybody is permitted")
    command.add_argument("--host", default="127.0.0.1", help="where it listens (default: %(default)s)")
    command.add_argument("--port", type=_port, default=8000, help="where it listens (default: %(default)s)")
    command.add_argument("--certificate", type=Path, help="file of a certificate for TLS, PEM")
    command.add_argument("--private-key", type=Path, help="file of the certificate's private key, PEM")
    command.add_argument("--limit", action="append", default=[], metavar="NAME=NUMBER", help="see he.service.config")

    what = "permit a client, or give it a new token in place of its old one; the token is printed"
    command = _command(commands, "token", what, _token)
    command.add_argument("name", help="the client's name")
    command.add_argument("--tokens", type=Path, required=True, help="file of permitted clients")
    command.add_argument(
        "--model", action="append", help="a model that it may use, or '*'; by default all, or as before"
    )
    operator = "whether it may read the server's measurements; by default not, or as before"
    command.add_argument("--operator", action=argparse.BooleanOptionalAction, help=operator)

    command = _command(
        commands, "keygen", "make keys for a model of a server, and send it the evaluation keys", _keygen
    )
    _add_model(command)
    command.add_argument("--force", action="store_true", help="replace a key that is there")

    command = _command(commands, "predict", "have a server evaluate encrypted images", _predict)
    _add_model(command)
    command.add_argument(
        "images", type=Path, help="images [n, ...], .npy or rows of text: floats, or the network's integers"
    )
    command.add_argument(
        "--owner", type=Path, help="where weights are encrypted: `owner.key`, as the model's owner has given it"
    )
    command.add_argument(
        "--out", type=Path, help="write logits there, .npy or rows of text; by default they are printed"
    )

    command = _command(commands, "issue", "encrypt a model's weights for a client's key, and send them", _issue)
    _add_owner(command)
    command.add_argument("--public-key", type=Path, required=True, help="the client's, from its `keygen`")
    command.add_argument("--permit", metavar="NAME", help="a public key that is permitted from now on")
    command.add_argument("--days", type=float, default=1, help="how long the permission lasts (default: 1)")

    command = _command(commands, "revoke", "permit a client's key no longer to use encrypted weights", _revoke)
    _add_owner(command)
    command.add_argument("name", help="the public key's name")

    command = _command(commands, "status", "ask a server how it is, and which models it has", _status)
    command.add_argument("url", help="the server's address")


def _command(commands: Any, name: str, help_: str, run: Callable[[argparse.Namespace], None]) -> Any:
    command = commands.add_parser(name, help=help_, description=help_[0].upper() + help_[1:] + ".")
    command.set_defaults(run=run)
    return command


def _add_model(command: Any) -> None:
    command.add_argument("url", help="the server's address")
    command.add_argument("model", help="the model's name")
    about = f"the secret key's file, under the password in {PASSWORD_VARIABLE} or that is asked for"
    beside = "evaluation keys, and what has been counted, lie beside it"
    command.add_argument("--key", type=Path, required=True, help=f"{about}; {beside}")
    command.add_argument("--security", default="128", help="the least that is accepted (default: %(default)s)")


def _add_owner(command: Any) -> None:
    command.add_argument("url", help="the server's address")
    command.add_argument("model", help="the model's name")
    about = "the owner's folder of the model, from he.stages.model.save_model"
    command.add_argument("--from", type=Path, required=True, dest="folder", help=about)


def _serve(options: argparse.Namespace) -> None:
    from he.service import logs
    from he.service.config import Config, Limits
    from he.service.server import server

    limits = Limits(**dict[str, Any](map(_limit, options.limit)))
    logs.to_stream()
    config = Config(options.models, options.store, options.tokens, limits)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with socket.create_server((options.host, options.port), family=family) as place:  # or why not, before anything else
        server(config, certificate=options.certificate, key=options.private_key).run([place])


def _port(written: str) -> int:
    if not 0 <= (port := int(written)) < 1 << 16:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, got {written}")
    return port


def _limit(written: str) -> tuple[str, int | float]:
    from he.service.config import COUNTS, Limits

    name, _, number = written.partition("=")
    if name not in (names := [one.name for one in fields(Limits)]):
        raise ValueError(f"`--limit` must name one of {', '.join(names)}, got {name!r}")
    try:
        return name, int(number) if name in COUNTS else float(number)
    except ValueError:
        due = "an integer" if name in COUNTS else "a number"
        raise ValueError(f"`--limit {name}` must be {due}, got {number!r:.80}") from None


def _token(options: argparse.Namespace) -> None:
    from he.service import tokens

    client = tokens.Permitted(options.name)
    if options.tokens.exists():
        client = tokens.Tokens.load(options.tokens).named(options.name) or client
    if options.model:
        client = replace(client, models=tuple(options.model))
    if options.operator is not None:
        client = replace(client, operator=options.operator)
    print(tokens.add(options.tokens, client))
    which = "all models" if "*" in client.models else ", ".join(client.models)
    measured = ", and read the server's measurements" * client.operator
    print(f"{client.name} may use {which}{measured}", file=sys.stderr)  # the token alone is for scripts


def _keygen(options: argparse.Namespace) -> None:
    from he.formats.keys import held
    from intnn.storage.document import write_atomically

    if options.key.exists() and not options.force:
        raise FileExistsError(f"{options.key} is there already; name another file, or add --force")
    password, there = _password(again=True), held(options.key) if options.key.exists() else nullcontext()
    with there, _remote(options) as model:  # nobody counts under a key while it is replaced
        client = model.client
        client.secret_key.save(options.key, password)
        client.evaluation_keys.save(_beside(options, _KEYS))
        if client.interface.encrypted:
            write_atomically(_beside(options, _PUBLIC), client.public_key.to_bytes())
        _record(client, options)
        model.send_keys()
    print(f"secret key in {options.key}, evaluation keys in {_beside(options, _KEYS)}: {client.evaluation_keys.id}")
    if client.interface.encrypted:
        about = f"public key in {_beside(options, _PUBLIC)}, whose name is for the model's owner"
        print(f"{about}: {client.public_key.id}")


def _predict(options: argparse.Namespace) -> None:
    from he.formats.keys import held, read_private
    from he.parties.evaluation_keys import EvaluationKeys
    from he.parties.keys import SecretKey
    from he.stages.images import read_images, write_logits
    from intnn.storage.document import require_place

    if options.out is not None:
        require_place(options.out)  # before anything is asked, which counts
    with held(options.key):
        key = SecretKey.load(options.key, _password())
        keys, state = EvaluationKeys.load(_beside(options, _KEYS)), read_private(_beside(options, _STATE))
        owner = None if options.owner is None else options.owner.read_bytes()
        with _remote(options, secret_key=key, evaluation_keys=keys, state=state, owner=owner) as model:
            client = model.client
            (spec,) = client.interface.client_inputs
            try:
                logits = model.predict(read_images(options.images, spec))
            finally:
                _record(client, options)  # before anybody sees what was answered
    if options.out is None:
        print("\n".join(" ".join(map(str, row)) for row in logits.tolist()))
    else:
        write_logits(options.out, logits)


def _issue(options: argparse.Namespace) -> None:
    from he.stages.owner import issued

    network = issued(options.folder, options.public_key.read_bytes(), options.permit, options.days)
    with _owner(options) as server:
        server.publish(network.to_bytes())


def _revoke(options: argparse.Namespace) -> None:
    from he.stages.owner import revoked

    revocation = revoked(options.folder, options.name)
    with _owner(options) as server:
        server.revoke(revocation)


def _status(options: argparse.Namespace) -> None:
    from he.service.client import RemoteServer

    with RemoteServer(options.url, http={"timeout": 10}) as remote:
        print(json.dumps(remote.status(), indent=2))


def _remote(options: argparse.Namespace, **keys: Any) -> RemoteModel:
    from he.parties.policy import Policy
    from he.service.client import RemoteModel

    policy = Policy(security=options.security)
    return RemoteModel(options.url, options.model, os.environ.get(TOKEN_VARIABLE), policy=policy, **keys)


def _owner(options: argparse.Namespace) -> RemoteOwner:
    from he.service.client import RemoteOwner

    return RemoteOwner(options.url, options.model, os.environ.get(TOKEN_VARIABLE))


def _record(client: Client, options: argparse.Namespace) -> None:
    """Write what a client has counted under its key; where it has destroyed the key, its files are removed as well."""
    from he.formats.keys import write_private
    from he.parties.life import KeyRetiredError

    client.forget_requests()  # no answer comes to another process
    try:
        write_private(_beside(options, _STATE), client.state())
    except KeyRetiredError:
        for path in (options.key, *(_beside(options, suffix) for suffix in (_KEYS, _STATE, _PUBLIC))):
            path.unlink(missing_ok=True)


def _beside(options: argparse.Namespace, suffix: str) -> Path:
    key: Path = options.key
    return key.with_name(key.name + suffix)


def _password(again: bool = False) -> str:
    if PASSWORD_VARIABLE in os.environ:
        return os.environ[PASSWORD_VARIABLE]
    password = getpass.getpass()
    if again and getpass.getpass("Again: ") != password:
        raise ValueError("the two passwords must be the same, and are not; try again")
    return password
