"""Train the shipped networks again: ``python -m plaintext_models.zoo.publish NAME [--data DIR] [--out DIR]``."""

import hashlib
from pathlib import Path
from typing import Annotated

import torch
import typer

from intnn.layers.nodes import LutActivation
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from plaintext_models.bridge.export import to_graph, to_network
from plaintext_models.data import datasets
from plaintext_models.data.datasets import Dataset, DatasetError
from plaintext_models.training.qat.table_network import TableNetwork
from plaintext_models.zoo import manifest, shipped
from plaintext_models.zoo.errors import ShippedNetworkError
from plaintext_models.zoo.make import make
from plaintext_models.zoo.manifest import Record
from plaintext_models.zoo.recipe import Recipe
from plaintext_models.zoo.registry import RECIPES, of_kind

app = typer.Typer(add_completion=False)


@app.command()
def main(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(of_kind('shipped'))}.")],
    data: Annotated[Path | None, typer.Option(help="Folder of MNIST's files; by default INTNN_DATA.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for NAME.npz and the manifest.")] = Path("networks"),
    validate: Annotated[int, typer.Option(min=0, help="Hold out so many training images; write nothing.")] = 0,
    quiet: Annotated[bool, typer.Option(help="Show no progress bar.")] = False,
) -> None:
    """Train one network from its recipe and store it with its record."""
    if name not in of_kind("shipped"):
        raise typer.BadParameter(f"`NAME` must be one of {', '.join(of_kind('shipped'))}, got {name!r}")
    recipe = RECIPES[name]
    try:
        dataset = datasets.load(recipe.dataset, data)
        dataset = datasets.validation_split(dataset, validate) if validate else dataset
        manifest.read(out)  # a damaged one would refuse the result after all the work
    except (DatasetError, ShippedNetworkError) as error:
        raise typer.BadParameter(str(error)) from error
    network = train(name, recipe, dataset, progress=not quiet)
    correct, count = correct_answers(network, dataset), len(dataset.test_labels)
    typer.echo(f"{name}: {correct} of {count} right on {dataset.name}, {correct / count:.2%}")
    if validate:
        return
    known = shipped.record(name).sha256 if name in shipped.names() else None
    digest = store(out, name, recipe, network, correct, count)
    typer.echo(f"{out / name}.npz, SHA-256 {digest}, {'as' if digest == known else 'not as'} shipped")


def train(name: str, recipe: Recipe, dataset: Dataset, progress: bool = True) -> IntNetwork | Graph:
    """Run a recipe and export what it gives."""
    module = make(recipe, dataset, progress=progress)
    if isinstance(module, TableNetwork):
        return to_network(module, name)
    return to_graph(module, dataset.input_shape, name)


def correct_answers(network: IntNetwork | Graph, dataset: Dataset) -> int:
    """How many of the held-out images the exported network, not the trained module, classifies rightly."""
    images = dataset.test_images
    answers = network.predict(network.quantise_input(images) if isinstance(network, IntNetwork) else images)
    return int((answers == dataset.test_labels).sum())


def store(folder: Path, name: str, recipe: Recipe, network: IntNetwork | Graph, correct: int, count: int) -> str:
    """Write the network, then its record, and return the file's SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.npz"
    records = manifest.read(folder)
    network.save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    layers = network.layers if isinstance(network, IntNetwork) else ()
    records[name] = Record(
        kind=type(network).__name__,
        sha256=digest,
        dataset=recipe.dataset,
        seed=recipe.seed,
        command=f"python -m plaintext_models.zoo.publish {name}",
        torch=torch.__version__,
        test_images=count,
        test_correct=correct,
        table_points=tuple(layer.lut.domain.size for layer in layers if isinstance(layer, LutActivation)),
    )
    manifest.write(folder, records)
    return digest


if __name__ == "__main__":
    app()
