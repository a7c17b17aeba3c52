"""`python -m he stage`: the stages as commands."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

FAILED = 1


def add_stages(commands: Any) -> None:
    """Add the command `stage` to those of `python -m he`."""
    what = "one stage of encrypted inference, by files in a folder"
    stages = commands.add_parser("stage", help=what).add_subparsers(required=True, metavar="stage")
    for name, run, text in (
        ("keygen", _keygen, "client: make keys for the circuit that suits a number of images"),
        ("issue", _issue, "model's owner: encrypt weights for the client's key, where they are to be encrypted"),
        ("revoke", _revoke, "model's owner: permit a key no longer"),
        ("prepare", _prepare, "server: encode the weights, once for all clients"),
        ("encrypt", _encrypt, "client: encrypt images"),
        ("evaluate", _evaluate, "server: answer the requests"),
        ("decrypt", _decrypt, "client: decrypt the answers"),
    ):
        stage = stages.add_parser(name, help=text)
        stage.add_argument("--dir", type=Path, required=True, help="the folder of the exchange", metavar="DIR")
        stage.add_argument("--model", type=Path, help="the model's folder (default: DIR/model)")
        if name == "keygen":
            stage.add_argument("--images", type=int, default=1, help="how many will be asked for (default: 1)")
        if name == "encrypt":
            stage.add_argument("--input", type=Path, help="images, .npy or rows of text (default: DIR/images.npy)")
        if name == "decrypt":
            stage.add_argument("--output", type=Path, help="logits, .npy or rows of text (default: DIR/logits.npy)")
        if name in ("prepare", "evaluate"):
            stage.add_argument("--threads", type=int, help="how many (default: one for each available processor)")
        if name == "issue":
            stage.add_argument("--permit", metavar="NAME", help="a public key that is permitted from now on")
            stage.add_argument("--days", type=float, default=1, help="how long the permission lasts (default: 1)")
        if name == "revoke":
            stage.add_argument("name", metavar="NAME", help="the public key, by its name")
        if name in ("prepare", "encrypt", "evaluate", "issue"):
            stage.add_argument("--again", action="store_true", help="replace what an earlier run has made")
        stage.set_defaults(run=_reporting(run))


def _reporting(run: Callable[[argparse.Namespace], object]) -> Callable[[argparse.Namespace], int]:
    """Have a stage say in one line what went wrong, or may have."""

    def reporting(options: argparse.Namespace) -> int:
        options.model = options.model or options.dir / "model"
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show
                run(options)
        except (OSError, ValueError, RuntimeError) as error:  # of which all declared errors are
            print(f"python -m he stage: {error}", file=sys.stderr)
            return FAILED
        return 0

    return reporting


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    """Show a warning without the line of a program, which is none of the user's."""
    print(f"python -m he stage: warning: {message}", file=sys.stderr)


# Every stage loads what it needs: clients have no compiler.


def _keygen(options: argparse.Namespace) -> None:
    from he.stages.client import keygen

    name = keygen(options.dir, options.model, options.images)
    if name:
        print(f"public key, whose name is for the model's owner: {name}")


def _encrypt(options: argparse.Namespace) -> None:
    from he.stages.client import encrypt

    encrypt(options.dir, options.model, options.input or options.dir / "images.npy", again=options.again)


def _decrypt(options: argparse.Namespace) -> None:
    from he.stages.client import decrypt

    decrypt(options.dir, options.model, options.output or options.dir / "logits.npy")


def _issue(options: argparse.Namespace) -> None:
    from he.stages.owner import issue

    issue(options.dir, options.model, options.permit, options.days, again=options.again)


def _revoke(options: argparse.Namespace) -> None:
    from he.stages.owner import revoke

    revoke(options.dir, options.model, options.name)


def _prepare(options: argparse.Namespace) -> None:
    from he.stages.server import prepare

    prepare(options.model, options.threads, again=options.again)


def _evaluate(options: argparse.Namespace) -> None:
    from he.stages.server import evaluate

    evaluate(options.dir, options.model, options.threads, again=options.again)
