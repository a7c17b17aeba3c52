"""The command `robustness`, to be registered in an application. Torch is loaded when it runs, not before."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.rows import prepare_output, write_json
from plaintext_models import datasets


class RobustName(StrEnum):
    """Models whose robustness is evaluated."""

    digits_mlp = "digits-mlp"
    digits_pgd_mlp = "digits-pgd-mlp"
    mnist_cnn = "mnist-cnn"
    mnist_pgd_cnn = "mnist-pgd-cnn"


class NormName(StrEnum):
    """Lengths of perturbations."""

    linf = "linf"
    l2 = "l2"
    l1 = "l1"


def register(app: typer.Typer, reported: Callable[[Console], AbstractContextManager[None]]) -> None:
    """Add the command.

    Args:
        app: To this application.
        reported: Makes what goes wrong a line on the console and an exit code.
    """

    @app.command("robustness")
    def robustness_command(
        model: Annotated[RobustName, typer.Option(help="Which model.")] = RobustName.digits_pgd_mlp,
        card: Annotated[bool, typer.Option("--card/--quick", help="The whole card, or a tenth of the effort.")] = True,
        images: Annotated[int, typer.Option(help="Test images, the first ones.")] = 200,
        norm: Annotated[NormName, typer.Option(help="Of the perturbations.")] = NormName.linf,
        radius: Annotated[float, typer.Option(help="Largest length of a perturbation.")] = 0.1,
        data: Annotated[Path | None, typer.Option(help="Folder with MNIST (or the variable INTNN_DATA).")] = None,
        cache: Annotated[Path | None, typer.Option(help="Folder that trained models are kept in.")] = None,
        json: Annotated[Path | None, typer.Option(help="Write the rows to this file.")] = None,
        plot_dir: Annotated[Path | None, typer.Option(help="Draw pictures into this folder.")] = None,
        seed: Annotated[int, typer.Option(help="For training and attacks.")] = 0,
    ) -> None:
        """How robust a model is: many attacks, their worst case, and signs that it is not to be believed."""
        console, errors = Console(), Console(stderr=True)
        with reported(errors):
            if json is not None:
                prepare_output(json)
            if plot_dir is not None:
                prepare_output(plot_dir / "curve.png")
            from bench.cases import robustness  # here: it imports torch, which the other commands do without
            from plaintext_models.evaluation.suite import FULL, QUICK

            dataset = datasets.load(robustness.MODELS[model.value].dataset, data)
            with errors.status("starting") as status:
                result, target, clean = robustness.measure(
                    model.value,
                    dataset,
                    images=images,
                    norm=norm.value,
                    radius=radius,
                    effort=FULL if card else QUICK,
                    cache=cache,
                    seed=seed,
                    report=status.update,
                )
            robustness.print_card(console, model.value, result)
            if json is not None:
                write_json(json, robustness.rows(model.value, result))
                console.print(f"Rows written to {json}")
            if plot_dir is not None:
                for path in robustness.draw(plot_dir, result, target, clean):
                    console.print(f"Picture written to {path}")
