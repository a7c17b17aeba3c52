"""The card of a model: many attacks, their worst case, and signs that it is not to be believed."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from bench.cases.options import RobustnessOptions
from bench.harness.case import Reporter
from bench.report.robustness import RobustnessRow, show
from intnn.storage.document import write_atomically
from plaintext_models import datasets
from plaintext_models.attacks.norms import NORMS, Norm
from plaintext_models.attacks.search import check_radius
from plaintext_models.attacks.target import Target
from plaintext_models.datasets import Dataset
from plaintext_models.evaluation.card import FULL, QUICK, Card
from plaintext_models.evaluation.judge import Share
from plaintext_models.evaluation.suite import Report, ascend, evaluate
from plaintext_models.nets.mlp import mlp
from plaintext_models.training import deterministic, train

__all__ = ["MODELS", "RobustnessJob", "jobs", "measure", "show"]

RAMP = 0.5  # of the steps, in which the radius grows: with all of it from the start, MNIST may never be learnt
EXAMPLES = 10  # adversarial images drawn


def digits_mlp(dataset: Dataset) -> nn.Module:
    """Two hidden layers, untrained."""
    return mlp(dataset.input_shape, dataset.classes, [64, 32])


def mnist_cnn(dataset: Dataset) -> nn.Module:
    """Two convolutions of 3 x 3 with pooling, two linear layers; untrained."""
    channels, height, width = dataset.input_shape
    pooled = [((side - 2) // 2 - 2) // 2 for side in (height, width)]
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * pooled[0] * pooled[1], 100),
        nn.ReLU(),
        nn.Linear(100, dataset.classes),
    )


@dataclass(frozen=True)
class Model:
    """A network and how it is trained.

    Attributes:
        dataset: Name of its data.
        build: The untrained network.
        epochs: Passes over the training images.
        learning_rate: The peak of the schedule.
        radius: Of the Linf ball that it is trained in; 0 for clean images.
        steps: Of the attack in every training step.
        batch_size: Images of a training step.
    """

    dataset: str
    build: Callable[[Dataset], nn.Module]
    epochs: int
    learning_rate: float
    radius: float = 0.0
    steps: int = 0
    batch_size: int = 64


MODELS: Mapping[str, Model] = MappingProxyType(
    {
        "digits-mlp": Model("digits", digits_mlp, epochs=20, learning_rate=5e-3),
        "digits-pgd-mlp": Model("digits", digits_mlp, epochs=60, learning_rate=5e-3, radius=0.15, steps=5),
        "mnist-cnn": Model("mnist", mnist_cnn, epochs=2, learning_rate=3e-3),
        "mnist-pgd-cnn": Model("mnist", mnist_cnn, epochs=4, learning_rate=3e-3, radius=0.3, steps=7, batch_size=128),
    }
)


def trained(name: str, dataset: Dataset, *, cache: Path | None = None, seed: int = 0, report: Report) -> nn.Module:
    """A model of the registry: from the cache, or trained and put there.

    Args:
        name: Key of MODELS.
        dataset: Its data.
        cache: Folder of states; None trains anew.
        seed: Of weights and training.
        report: Told what goes on.

    Raises:
        ValueError: What the cache holds is not this model's state.
    """
    recipe = MODELS[name]
    path = None if cache is None else cache / f"{name}-{seed}.pt"
    with deterministic(seed):
        module = recipe.build(dataset)
    if path is not None and path.is_file():
        try:
            module.load_state_dict(torch.load(path, weights_only=True))
        except Exception as error:  # torch raises what its readers raise: no common class but this
            raise ValueError(f"{path} must hold the state of {name}: {error}; delete it to train anew") from error
        return module.eval()
    report(f"training {name}")
    if recipe.radius:
        train_adversarially(module, dataset, recipe, seed, report)
    else:
        train(
            module,
            dataset,
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            seed=seed,
            progress=False,
        )
    if path is not None:
        state = io.BytesIO()
        torch.save(module.state_dict(), state)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, state.getvalue())
    return module


def train_adversarially(module: nn.Module, dataset: Dataset, recipe: Model, seed: int, report: Report) -> None:
    """Minimise the cross-entropy on what PGD makes of every batch (Madry et al., arXiv:1706.06083), in place."""
    images, labels = torch.from_numpy(dataset.train_images), torch.from_numpy(dataset.train_labels)
    target = Target(module.eval())  # these networks have no layer that training mode would change
    total, done = recipe.epochs * (len(images) // recipe.batch_size), 0
    with deterministic(seed):
        generator = torch.Generator().manual_seed(seed)
        optimiser = torch.optim.AdamW(module.parameters(), recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, total, pct_start=0.1)
        for epoch in range(recipe.epochs):
            order = torch.randperm(len(images), generator=generator)
            for batch in order[: total // recipe.epochs * recipe.batch_size].split(recipe.batch_size):
                radius = recipe.radius * min(1.0, done / (RAMP * total))
                moved = ascend(
                    target,
                    images[batch],
                    labels[batch],
                    norm="linf",
                    radius=radius,
                    steps=recipe.steps,
                    generator=generator,
                )
                loss = nn.functional.cross_entropy(module(moved), labels[batch])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                done += 1
            report(f"epoch {epoch + 1} of {recipe.epochs}: loss {loss.item():.3f} within {radius:.2f}")


def rows(model: str, card: Card) -> tuple[RobustnessRow, ...]:
    """A card as rows: attacks, verdict, curve, flags, and what was left out."""

    def row(kind: str, name: str, radius: float | None, robust: Share, **rest: Any) -> RobustnessRow:
        numbers = robust.n, robust.count, robust.value, *robust.interval
        return RobustnessRow(model, kind, name, card.norm, radius, *numbers, seed=card.seed, **rest)

    found = [
        row(
            entry.kind,
            entry.name,
            entry.radius,
            entry.robust,
            worst=entry.worst.value,
            queries=entry.queries,
            seconds=entry.seconds,
            note="; ".join(entry.complaints),
        )
        for entry in card.entries
    ]
    queries = sum(entry.queries for entry in card.entries)
    found.append(
        row(
            "verdict",
            "worst case of all",
            card.radius,
            card.verdict,
            worst=card.verdict.value,
            queries=queries,
            seconds=card.seconds,
        )
    )
    found += [row("point", "worst case of all", point.radius, point.robust) for point in card.curve]
    found += [RobustnessRow(model, "flag", f.name, card.norm, card.radius, note=f.evidence) for f in card.findings]
    found += [RobustnessRow(model, "left out", "", card.norm, card.radius, note=what) for what in card.left_out]
    return tuple(found)


def default_radii(radius: float) -> tuple[float, ...]:
    """Around the card's, for the curve."""
    return tuple(radius * factor for factor in (0.25, 0.5, 0.75, 1.25, 1.5, 2.0))


@dataclass(frozen=True)
class RobustnessJob:
    """One model, whose card is filled in.

    Attributes:
        model: A key of MODELS.
        data: The folder of its data set; None for where it is found by itself.
        images: How many images of the test part are attacked, its first ones.
        norm: The norm of the ball.
        radius: The radius of the ball.
        whole: Whether the whole card is filled in, or a tenth of the effort is spent.
        cache: The folder that trained models are kept in; None to train anew.
        seed: The seed of models and attacks.
        pictures: Whether pictures are drawn.
    """

    model: str
    data: Path | None
    images: int
    norm: Norm
    radius: float
    whole: bool
    cache: Path | None
    seed: int
    pictures: bool

    @property
    def title(self) -> str:
        """The model."""
        return self.model


def jobs(options: RobustnessOptions) -> tuple[RobustnessJob, ...]:
    """One job.

    Raises:
        ValueError: A number is out of range, or the data is missing.
    """
    available = len(datasets.load(MODELS[options.model].dataset, options.data).test_images)
    if not 1 <= options.images <= available:
        raise ValueError(f"`--images` must be from 1 to {available}, got {options.images}")
    check_radius(options.radius)
    norm = next(norm for norm in NORMS if norm == options.norm)
    about = options.images, norm, options.radius, options.card, options.cache, options.seed
    return (RobustnessJob(options.model, options.data, *about, pictures=options.plot_dir is not None),)


def measure(job: RobustnessJob, report: Reporter) -> tuple[RobustnessRow, ...]:
    """The rows of the model's card; the pictures of it are handed to `report`."""
    card, target, clean = filled(job, report)
    if job.pictures:
        with TemporaryDirectory() as folder:
            for path in draw(Path(folder), card, target, clean):
                report.picture(path.name, path.read_bytes())
    return rows(job.model, card)


def filled(job: RobustnessJob, report: Reporter) -> tuple[Card, Target, Tensor]:
    """Train a model and its rival of the same data, whose adversarial examples are tried on it, and fill in the card.

    Returns:
        The card, the model, and the images.
    """
    name, images, norm, radius, cache, seed = job.model, job.images, job.norm, job.radius, job.cache, job.seed
    dataset, effort = datasets.load(MODELS[name].dataset, job.data), FULL if job.whole else QUICK
    clean, labels = (torch.from_numpy(part[:images]) for part in (dataset.test_images, dataset.test_labels))
    rivals = [other for other, recipe in MODELS.items() if recipe.dataset == MODELS[name].dataset and other != name]
    target, *sources = (
        Target(trained(model, dataset, cache=cache, seed=seed, report=report)) for model in (name, *rivals)
    )
    with deterministic(seed):  # on one thread: waiting for each other costs more than steps this small
        card = evaluate(
            target,
            clean,
            labels,
            norm=norm,
            radius=radius,
            radii=default_radii(radius),
            seed=seed,
            transfer_from=sources,
            report=report,
            effort=effort,
        )
    return card, target, clean


def draw(folder: Path, card: Card, target: Target, images: Tensor) -> tuple[Path, ...]:
    """Draw examples (where anything was found), curve and confidences, as PNG files in a folder."""
    from plaintext_models.evaluation.pictures import draw_confidences, draw_curve, draw_examples

    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        before, after = (target.logits(part).softmax(1).max(1) for part in (images, card.adversarial))
    found = (card.nearest > 0) & (card.nearest <= card.radius)
    written = [folder / "curve.png", folder / "confidences.png"]
    draw_curve(written[0], card.curve, norm=card.norm)
    draw_confidences(written[1], before.values, after.values[found])
    if found.any():
        written.append(folder / "examples.png")
        some = found.nonzero().squeeze(1)[:EXAMPLES]
        captions = [f"{before.indices[i]} as {after.indices[i]}" for i in some.tolist()]
        draw_examples(written[-1], images[some], card.adversarial[some], captions)
    return tuple(written)
