"""Models as people train them, and what the case `own` measures of them: data, and plain training in floats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

TEST_SHARE = 0.25  # of scikit-learn's data sets, which come in one part
ITERATIONS = 2000  # of scikit-learn's solvers at the most; they end before

Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Parts:
    """Inputs in the model's units, and what is right for them.

    Attributes:
        train: floats [n, *shape]: the model is trained on them, and fitted to them as samples.
        train_labels: labels [n]; None where there are none.
        test: floats [m, *shape], which nothing is trained on, fitted to or chosen by.
        test_labels: labels [m]; None where there are none.
    """

    train: np.ndarray
    train_labels: np.ndarray | None
    test: np.ndarray
    test_labels: np.ndarray | None


@dataclass(frozen=True)
class OwnModel:
    """A model with the data that it is trained on.

    Attributes:
        dataset: "mnist", or the name of a data set that is embedded in scikit-learn: "iris", say.
        shape: The network in short: "784-128-10".
        build: Returns an estimator for a seed, or a module of torch, that is not trained yet.
        epochs: The passes of Adam over the training part, for a module.
    """

    dataset: str
    shape: str
    build: Callable[[int], Any]
    epochs: int | None = None

    def parts(self, data: Path | None, seed: int) -> Parts:
        """The data set in two parts: MNIST's own, or three quarters and one of each class.

        Raises:
            ValueError: There is no data.
        """
        return _mnist(data) if self.dataset == "mnist" else _embedded(self.dataset, seed)

    def trained(self, parts: Parts, seed: int, report: Report) -> Any:
        """The model, trained in floats as anybody would."""
        if self.epochs is None:
            return self.build(seed).fit(parts.train, parts.train_labels)
        return _adam(self.build, parts, self.epochs, seed, report)


def _embedded(dataset: str, seed: int) -> Parts:
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    x, y = getattr(datasets, f"load_{dataset}")(return_X_y=True)
    train, test, labels, test_labels = train_test_split(x, y, test_size=TEST_SHARE, random_state=seed, stratify=y)
    return Parts(train, labels, test, test_labels)


def _mnist(data: Path | None) -> Parts:
    from plaintext_models.data.datasets import load

    dataset = load("mnist", data)
    return Parts(dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels)


def _adam(build: Callable[[int], Any], parts: Parts, epochs: int, seed: int, report: Report) -> Any:
    """The loop of every tutorial: cross-entropy, Adam, batches of 128."""
    import torch

    from plaintext_models.determinism import deterministic

    with deterministic(seed):
        module, x, y = build(seed), torch.from_numpy(parts.train), torch.from_numpy(parts.train_labels)
        optimiser = torch.optim.Adam(module.parameters(), lr=1e-3)
        for epoch in range(epochs):
            report(f"training in floats, epoch {epoch + 1} of {epochs}")
            for batch in torch.randperm(len(x)).split(128):
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(module(x[batch]), y[batch]).backward()
                optimiser.step()
    return module.eval()


def _logistic(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return _standardised(LogisticRegression(max_iter=ITERATIONS, random_state=seed))


def _perceptron(seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    return _standardised(MLPClassifier(100, max_iter=ITERATIONS, random_state=seed))


def _standardised(estimator: Any) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), estimator)


def _mlp(*widths: int) -> Callable[[int], Any]:
    def build(_: int) -> Any:
        from torch import nn

        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in zip((784, *widths), (*widths, 10), strict=True):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    return build


def _lenet5(_: int) -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def _cnn(_: int) -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(784, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


#: Features and classes of scikit-learn's data sets.
_TABLES = {"iris": (4, 3), "wine": (13, 3), "breast_cancer": (30, 1), "digits": (64, 10)}

#: Every model by its name; none of its numbers was chosen by what came out.
MODELS: Mapping[str, OwnModel] = MappingProxyType(
    {f"{name}-logistic": OwnModel(name, f"{n}-{m}", _logistic) for name, (n, m) in _TABLES.items()}
    | {f"{name}-mlp": OwnModel(name, f"{n}-100-{m}", _perceptron) for name, (n, m) in _TABLES.items()}
    | {
        "mnist-mlp": OwnModel("mnist", "784-128-10", _mlp(128), epochs=5),
        "mnist-deep-mlp": OwnModel("mnist", "784-128-64-10", _mlp(128, 64), epochs=5),
        "mnist-lenet5": OwnModel("mnist", "6c5-a-16c5-a-120-84-10", _lenet5, epochs=4),
        "mnist-cnn": OwnModel("mnist", "8c3-p-16c3-p-64-10", _cnn, epochs=4),
    }
)
