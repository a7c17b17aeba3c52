"""T41, in small: does a network that answers questions inherit the robustness of the features that it looks at?

The document puts a MAC network on features of three networks for ImageNet, and asks about pictures of CLEVR. Here
features are those of small residual networks that name a single shape, and pictures are of four shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor, nn

from bench.papers.columns import Column, Drawing, curve
from bench.papers.experiment import Experiment, Making, Measured, Order, Printed, Run, Scale, Setting, Trained
from bench.papers.phases import right, under_attack
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.data.shapes import COLOURS, RELATIONS, SHAPES, relational
from plaintext_models.evaluation.judge import Share
from plaintext_models.nets.denoising import Denoising
from plaintext_models.nets.mac import Mac
from plaintext_models.nets.resnet import resnet
from plaintext_models.training.adversarial import attacked
from plaintext_models.training.loop import minimise

DENOISING = "adversarial, denoising"
ANSWERS, ITSELF, RELATED, NAMES = "answers", "on the shape itself", "on another shape", "shapes named"
RADII = (0.02, 0.05, 0.1)
HARDENED = 0.1  # radius of adversarial training
STEPS = 40  # of the attack that is judged
TESTS = 1000  # questions
SMALLER = "12,000 questions for 100,000, and 8 epochs for 40"
APART = 1_000_000  # between the seeds of questions to learn from and to be judged by

MAPS = (8, 16)
WORDS = (len(COLOURS), len(RELATIONS))


@dataclass(frozen=True)
class Extractor:
    """A residual network that names single shapes.

    Attributes:
        radius: Of the Linf ball in which it is trained against PGD; 0 for clean images.
        denoise: The kind of a denoising block behind its last stage; None for none. Behind the first one, too, it would
            compare 576 places with one another, and take nearly all of the time.
        epochs: Of its training.
    """

    radius: float = 0.0
    denoise: str | None = None
    epochs: int = 8

    def build(self, making: Making) -> nn.Module:
        """The network before it is trained."""
        *stages, mean, flat, linear = resnet(making.dataset.input_shape, making.dataset.classes, channels=MAPS)
        blocks = () if self.denoise is None else (Denoising(MAPS[-1], self.denoise),)
        return nn.Sequential(*stages, *blocks, mean, flat, linear).eval()

    def fit(self, making: Making) -> Trained:
        """The trained network."""
        module, dataset = self.build(making), making.dataset
        minimise(
            module,
            torch.from_numpy(dataset.train_images),
            torch.from_numpy(dataset.train_labels),
            epochs=self.epochs,
            batch_size=64,
            learning_rate=1e-2,
            seed=making.seed,
            batch=[attacked(module, Ball("linf", self.radius), steps=5)] if self.radius else (),
            progress=False,
        )
        return Trained(module)


@dataclass(frozen=True)
class Answerer:
    """A MAC network on features that stay as they are.

    Attributes:
        extractor: What features are taken from.
        questions: How many it learns from, each with a picture of its own.
        epochs: Of its training.
    """

    extractor: Extractor
    questions: int = 12_000
    epochs: int = 8

    def build(self, making: Making) -> nn.Module:  # noqa: ARG002 - its sizes are stated here
        """The network before it is trained."""
        return Mac(MAPS[-1], WORDS, len(SHAPES)).eval()

    def fit(self, making: Making) -> Trained:
        """The trained network."""
        module, seen = self.build(making), features(making.trained(self.extractor).module)
        pictures, questions, answers = map(torch.from_numpy, relational(self.questions, making.seed))
        with torch.no_grad():
            maps = torch.cat([seen(part) for part in pictures.split(500)])
        minimise(
            module,
            asked(maps, questions),
            answers,
            epochs=self.epochs,
            batch_size=64,
            learning_rate=5e-3,
            seed=making.seed,
            progress=False,
        )
        return Trained(module)


class EndToEnd(nn.Module):
    """From pictures to the scores of answers to one question.

    Args:
        extractor: The whole network that features are taken from.
        answerer: The network on them.
        question: [2], the words.
    """

    question: Tensor

    def __init__(self, extractor: nn.Module, answerer: nn.Module, question: Tensor):
        super().__init__()
        self.seen, self.answerer = features(extractor), answerer
        self.register_buffer("question", question)
        self.eval()

    def forward(self, pictures: Tensor) -> Tensor:
        """[batch, 3, height, width] -> [batch, answers]."""
        scores: Tensor = self.answerer(asked(self.seen(pictures), self.question.expand(len(pictures), -1)))
        return scores


def features(extractor: nn.Module) -> nn.Module:
    """What a residual network makes of pictures before it takes the mean over all places, means of 2 x 2."""
    return nn.Sequential(*list(extractor.children())[:-3], nn.AvgPool2d(2)).eval()


def asked(maps: Tensor, questions: Tensor) -> Tensor:
    """Maps [batch, channels, height, width], and questions [batch, words] in planes behind them."""
    return torch.cat([maps, questions[:, :, None, None].to(maps.dtype).expand(-1, -1, *maps.shape[2:])], 1)


@dataclass(frozen=True)
class Answered:
    """A network that answers questions, attacked through the network that its features are from.

    Attributes:
        answerer: Its training.
        dataset: What the extractor is trained on.
    """

    answerer: Answerer
    dataset: str = "shapes"

    def measure(self, run: Run) -> Measured:
        """How often answers are right, with and without an attack from end to end."""
        extractor, answerer = run.trained(self.answerer.extractor).module, run.trained(self.answerer).module
        pictures, questions, answers = map(torch.from_numpy, relational(TESTS, run.seed + APART))
        number, first = questions @ torch.tensor([len(RELATIONS), 1]), torch.arange(TESTS) < run.images
        counts = dict.fromkeys((ITSELF, RELATED, *RADII), 0)
        for kind in number.unique():
            run.report(f"question {int(kind) + 1} of {len(COLOURS) * len(RELATIONS)}")
            rows = number == kind
            question = questions[rows][0]
            module = EndToEnd(extractor, answerer, question)
            counts[RELATED if question[1] else ITSELF] += right(module, pictures[rows], answers[rows]).count
            some = rows & first
            for radius in RADII if some.any() else ():
                _, standing = under_attack(module, pictures[some], answers[some], radius, STEPS, run.seed)
                counts[radius] += int(standing.sum())
        itself = int((questions[:, 1] == 0).sum())
        tests = torch.from_numpy(run.dataset.test_images), torch.from_numpy(run.dataset.test_labels)
        images, labels = run.attacked()
        _, named = under_attack(extractor, images, labels, HARDENED, STEPS, run.seed)
        return Measured(
            {
                ANSWERS: Share(counts[ITSELF] + counts[RELATED], TESTS),
                ITSELF: Share(counts[ITSELF], itself),
                RELATED: Share(counts[RELATED], TESTS - itself),
                **{f"attacked {radius:g}": Share(counts[radius], run.images) for radius in RADII},
                NAMES: right(extractor, *tests),
                f"{NAMES}, attacked": Share.of(named),
            }
        )


def _settings(quick: bool) -> tuple[Setting, ...]:
    def of(extractor: Extractor) -> Answered:
        return Answered(Answerer(extractor) if quick else Answerer(replace(extractor, epochs=30), 100_000, 40))

    return tuple(
        Setting(name, of(extractor), {ANSWERS: Printed(value)})
        for name, extractor, value in (
            ("standard", Extractor(), 0.99),
            ("adversarial", Extractor(HARDENED), 0.4724),
            (DENOISING, Extractor(HARDENED, "gaussian"), 0.9072),
        )
    )


#: By the identifiers of `bench.tables.thesis.PUBLISHED`.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "T41": Experiment(
            _settings,
            (
                *map(Column, (ANSWERS, ITSELF, RELATED)),
                *curve(Drawing("answers under an attack", "curve", "radius", "accuracy"), "attacked", RADII),
                *map(Column, (NAMES, f"{NAMES}, attacked")),
            ),
            (
                Order("standard", DENOISING, ANSWERS),
                Order(DENOISING, "adversarial", ANSWERS),
                *(Order(DENOISING, DENOISING, ANSWERS, f"attacked {radius:g}") for radius in RADII),
            ),
            quick=Scale(4, 100),
            full=Scale(5, 500),
            smaller=SMALLER,
            hours=4,
        )
    }
)
