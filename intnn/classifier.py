"""Training and prediction in integers alone, with scikit-learn's habits."""

import inspect
import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from intnn.arrays import IntArray, integer, integers
from intnn.domain import IntDomain
from intnn.network import IntNetwork
from intnn.training.examples import Changes
from intnn.training.export import to_network
from intnn.training.plan import Convolution, Hidden, plan
from intnn.training.step import Descent
from intnn.training.train import Epoch, Schedule, train


class IntClassifier:
    """A classifier whose training has no float in it.

    Constructors only store; `fit` validates and learns; what it learns ends in an underscore.

    Args:
        layers: Hidden layers: a number of units, a `Hidden` or a `Convolution`, each.
        epochs: Passes over the data.
        batch_size: Examples of a step; at most as many as there are.
        learning_rate: Of the first step; it falls linearly to zero.
        momentum_shift: Velocities keep 1 - 2**-momentum_shift of themselves a step; 0 for no momentum.
        decay_shift: Weights lose 2**-decay_shift of themselves a step; 0 for no decay.
        moved_by: Pixels by which images are moved at most, at random, every time that they are seen.
        mirrored: Whether half of the images are mirrored, left and right, when they are seen.
        weight_bits: Bits of a weight, its sign included; 2 to 8.
        input_domain: The integers that an input element may be, within a byte.
        random_state: Seed; equal seeds give equal bits, on every machine.
        checkpoint: A .npz or .json file, written after every epoch; `fit` goes on from it if it exists.
        callback: Called with an `Epoch` after every one.
        backend: What trains: "numba", "numpy" or "reference"; all to the same bits, numba in the least time.

    Attributes:
        classes_: The labels that `fit` saw, ascending; what `predict` answers with.
        n_features_in_: Elements of one input.
        network_: The trained `IntNetwork`; its logits are those of the last forward pass, bit for bit.
    """

    def __init__(
        self,
        layers: Sequence[int | Hidden | Convolution] = (64, 32),
        *,
        epochs: int = 40,
        batch_size: int = 32,
        learning_rate: Fraction | float = Fraction(1, 20),
        momentum_shift: int = 3,
        decay_shift: int = 0,
        moved_by: int = 0,
        mirrored: bool = False,
        weight_bits: int = 8,
        input_domain: IntDomain = IntDomain(0, 255),  # noqa: B008 - a frozen value
        random_state: int = 0,
        checkpoint: str | os.PathLike[str] | None = None,
        callback: Callable[[Epoch], None] | None = None,
        backend: str = "numba",
    ):
        self.layers = layers
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.momentum_shift = momentum_shift
        self.decay_shift = decay_shift
        self.moved_by = moved_by
        self.mirrored = mirrored
        self.weight_bits = weight_bits
        self.input_domain = input_domain
        self.random_state = random_state
        self.checkpoint = checkpoint
        self.callback = callback
        self.backend = backend

    def fit(self, X: ArrayLike, y: ArrayLike) -> "IntClassifier":
        """Learn from integers.

        Args:
            X: Integers [n, features] or [n, channels, height, width] inside ``input_domain``.
            y: Labels [n], integers or strings, of at least two classes.

        Raises:
            TypeError: ``X`` does not hold integers.
            ValueError: Wrong shape, no examples, one class only, a value outside the domain, or a bad parameter.
            FormatError: The checkpoint is corrupt or of another run; it is kept.
        """
        x = self.input_domain.require(X, "X")
        if x.ndim not in (2, 4) or not x.size:
            raise ValueError(f"`X` must have shape [n, features] or [n, channels, height, width], got {x.shape}")
        labels = np.asarray(y)
        if labels.shape != (len(x),) or labels.dtype.kind not in "iuUb":
            raise ValueError(
                f"`y` must hold {len(x)} integers or strings, one for each example, got {labels.dtype} {labels.shape}"
            )
        classes, targets = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"`y` must hold at least two classes, got only {classes[0]!r}")
        layout = plan(tuple(self.layers), x.shape[1:], self.input_domain, len(classes), self.weight_bits)
        schedule = self._schedule(len(x))
        targets = targets.astype(np.int64)
        state = train(layout, _channels_last(x), targets, schedule, self.checkpoint, self.callback, self.backend)
        self.classes_ = classes
        self.n_features_in_ = x[0].size
        self.network_: IntNetwork = to_network(layout, state)
        return self

    def decision_function(self, X: ArrayLike) -> IntArray:
        """Integer logits [n, classes]."""
        return self._network().logits(X)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most likely class of every row, in the labels that `fit` saw."""
        chosen = self._network().predict(X)
        return self.classes_[chosen]

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """The share of right answers."""
        return float((self.predict(X) == np.asarray(y)).mean())

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002 - nothing nested
        """The constructor's arguments, as scikit-learn's tools ask for them."""
        return {name: getattr(self, name) for name in list(inspect.signature(type(self)).parameters)}

    def set_params(self, **parameters: Any) -> "IntClassifier":
        """Change arguments by name.

        Raises:
            ValueError: There is no such argument.
        """
        known = self.get_params()
        for name, value in parameters.items():
            if name not in known:
                raise ValueError(f"`{name}` must be one of {', '.join(known)}")
            setattr(self, name, value)
        return self

    def _network(self) -> IntNetwork:
        if not hasattr(self, "network_"):
            raise ValueError("this IntClassifier is not fitted yet; call `fit` first")
        return self.network_

    def _schedule(self, examples: int) -> Schedule:
        rate = Fraction(self.learning_rate).limit_denominator(1 << 30)
        if not 0 < rate <= 1:
            raise ValueError(f"`learning_rate` must lie in (0, 1], got {self.learning_rate}")
        descent = Descent(
            integer(self.momentum_shift, "momentum_shift", 0, 15), integer(self.decay_shift, "decay_shift", 0, 30)
        )
        return Schedule(
            epochs=integer(self.epochs, "epochs", 1),
            batch_size=min(integer(self.batch_size, "batch_size", 1), examples),
            learning_rate=rate,
            descent=descent,
            seed=integer(self.random_state, "random_state", 0, (1 << 63) - 1),
            changes=Changes(integer(self.moved_by, "moved_by", 0, 1 << 16), bool(self.mirrored)),
        )


def _channels_last(x: IntArray) -> IntArray:
    """[n, features] or [n, c, h, w] -> [n, h, w, c]."""
    if x.ndim == 2:
        return integers(x.reshape(len(x), 1, 1, -1), "X")
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))
