"""The commands about attacks: attacks, robustness, secrecy. Torch is loaded when they run, not before."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.harness.console import reported
from bench.harness.output import prepare_output, write_json
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


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""

    @app.command("attacks")
    def attacks_command(
        dataset: Annotated[AttackedName, typer.Option(help="Images and network to attack.")] = AttackedName.digits,
        data: Annotated[Path | None, typer.Option(help="Folder with MNIST (or the variable INTNN_DATA).")] = None,
        images: Annotated[int, typer.Option(help="The first so many of the test split.")] = 500,
        attack: Annotated[
            list[str] | None, typer.Option(help="One or several, by name; by default those that are not slow.")
        ] = None,
        slow: Annotated[bool, typer.Option("--slow", help="All attacks, the slow ones too.")] = False,
        hardened: Annotated[bool, typer.Option("--hardened", help="Attack the network trained against PGD.")] = False,
        radius: Annotated[float, typer.Option(help="Of the Linf balls.")] = 0.3,
        cache: Annotated[Path | None, typer.Option(help="Folder that trained models are kept in.")] = None,
        json: Annotated[Path | None, typer.Option(help="Write the rows to this file.")] = None,
        seed: Annotated[int, typer.Option(help="For the network and random starts.")] = 0,
    ) -> None:
        """Attacks beside foolbox and pyautoattack (the extras attacks and oracles)."""
        console, errors = Console(), Console(stderr=True)
        with reported(errors):
            import torch  # here, as in the other commands: those that do without it must not load it

            from bench.cases import attacks
            from bench.cases.robustness import trained

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
            from plaintext_models.evaluation.card import FULL, QUICK

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

    @app.command("secrecy")
    def secrecy_command(
        model: Annotated[str, typer.Option(help="A shipped network of integers.")] = "digits-table-mlp",
        data: Annotated[Path | None, typer.Option(help="Folder with MNIST (or the variable INTNN_DATA).")] = None,
        images: Annotated[int, typer.Option(help="Test images, the first ones.")] = 32,
        radius: Annotated[list[float] | None, typer.Option(help="Of Linf balls; by default 0.1, 0.2 and 0.3.")] = None,
        steps: Annotated[int, typer.Option(help="Queries of the query attack, for an image.")] = 200,
        json: Annotated[Path | None, typer.Option(help="Write the rows to this file.")] = None,
        seed: Annotated[int, typer.Option(help="Of attacks, and of the attacker's own network.")] = 0,
    ) -> None:
        """What hiding a network stops: attacks by what is seen of it, decrypted answers among them."""
        console, errors = Console(), Console(stderr=True)
        with reported(errors):
            if json is not None:
                prepare_output(json)
            from bench.cases import secrecy

            loaded = datasets.load(model.split("-", 1)[0], data)
            with errors.status("starting") as status:
                rows = list(
                    secrecy.measure(
                        model,
                        loaded,
                        images=images,
                        radii=radius or (0.1, 0.2, 0.3),
                        steps=steps,
                        seed=seed,
                        report=status.update,
                    )
                )
            secrecy.print_rows(console, rows)
            if json is not None:
                write_json(json, rows)
                console.print(f"Rows written to {json}")
