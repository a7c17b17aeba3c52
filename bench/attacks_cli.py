"""The command ``python -m bench attacks``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from bench.cases import attacks
from bench.cases.robustness import trained
from bench.rows import prepare_output, write_json
from plaintext_models import datasets


class AttackedName(StrEnum):
    """Data sets with a network to attack."""

    digits = "digits"
    mnist = "mnist"


#: Keys of `robustness.MODELS`: trained on clean images, and against PGD.
NETWORKS = {
    AttackedName.digits: ("digits-mlp", "digits-pgd-mlp"),
    AttackedName.mnist: ("mnist-cnn", "mnist-pgd-cnn"),
}


@contextmanager
def reported(errors: Console) -> Iterator[None]:
    """What goes wrong becomes a line for the user and an exit code."""
    try:
        yield
    except (ImportError, ValueError, OSError) as error:
        errors.print(f"[red]error:[/red] {error}", highlight=False)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        errors.print("interrupted; nothing was written")
        raise typer.Exit(130) from None


def attacks_command(
    dataset: Annotated[AttackedName, typer.Option(help="Images and network to attack.")] = AttackedName.digits,
    data: Annotated[Path | None, typer.Option(help="Folder with MNIST's files (or the variable INTNN_DATA).")] = None,
    images: Annotated[int, typer.Option(help="The first so many of the test split.")] = 500,
    attack: Annotated[
        list[str] | None, typer.Option(help=f"One or several of {', '.join(attacks.CASES)} [those that are not slow].")
    ] = None,
    slow: Annotated[bool, typer.Option("--slow", help="All attacks, the slow ones too.")] = False,
    hardened: Annotated[bool, typer.Option("--hardened", help="Attack the network trained against PGD.")] = False,
    radius: Annotated[float, typer.Option(help="Of the Linf balls.")] = 0.3,
    cache: Annotated[Path | None, typer.Option(help="Keep trained networks in this folder.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the rows to this file.")] = None,
    seed: Annotated[int, typer.Option(help="For the network and random starts.")] = 0,
) -> None:
    """Attacks beside foolbox and pyautoattack (the extras train and oracles)."""
    console, errors = Console(), Console(stderr=True)
    with reported(errors):
        names = attacks.chosen(attack or (), slow)
        if images < 1:
            raise ValueError(f"`--images` must be at least 1, got {images}")
        if json is not None:
            prepare_output(json)
        loaded, network = datasets.load(dataset.value, data), NETWORKS[dataset][hardened]
        part, labels = (torch.from_numpy(array[:images]) for array in (loaded.test_images, loaded.test_labels))
        with errors.status("starting") as status:
            module = trained(network, loaded, cache=cache, seed=seed, report=status.update)
            problem = attacks.Problem(network, module, part, labels, radius, seed)
            rows = []
            for row in attacks.measure(names, problem, status.update):
                rows.append(row)
                errors.print(attacks.summary(row), highlight=False)
        attacks.print_rows(console, rows)
        if json is not None:
            write_json(json, rows)
            console.print(f"Rows written to {json}")
