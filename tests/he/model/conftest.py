"""Small trained models, and samples for them."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


@pytest.fixture(scope="session")
def iris():
    """Features [150, 4] and names of species."""
    bunch = load_iris()
    return bunch.data, bunch.target_names[bunch.target]


@pytest.fixture(scope="session")
def linear(iris):
    """Three species, as strings."""
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(*iris)


@pytest.fixture(scope="session")
def binary(iris):
    """One output, which decides between two strings."""
    x, y = iris
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(x, np.where(y == "virginica", "yes", "no"))


@pytest.fixture(scope="session")
def perceptron(iris):
    return make_pipeline(StandardScaler(), MLPClassifier(12, max_iter=2000, random_state=0)).fit(*iris)


@pytest.fixture(scope="session")
def ridge(iris):
    """The last feature by the first three."""
    x, _ = iris
    return make_pipeline(StandardScaler(), Ridge()).fit(x[:, :3], x[:, 3])


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).random((300, 5))
