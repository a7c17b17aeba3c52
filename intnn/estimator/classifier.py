"""A classifier that trains and predicts in integers alone, with scikit-learn's habits."""

import os
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from intnn.estimator.base import Estimator, features, not_fitted, targets
from intnn.estimator.scaling import Scaling
from intnn.network.network import IntNetwork
from intnn.training.examples import Changes
from intnn.training.export import to_network
from intnn.training.plan import Convolution, Hidden, plan
from intnn.training.run import train
from intnn.training.schedule import Epoch, Schedule
from intnn.training.step import Descent
from intnn.values.arrays import IntArray, integer, integers
from intnn.values.domain import IntDomain


class IntClassifier(Estimator):
    """A classifier whose training has no float in it.

    Constructors only store; `fit` validates and learns; what it learns ends in an underscore.

    Args:
        layers: The hidden layers, each a number of units, a `Hidden` or a `Convolution`.
        epochs: The passes over the data.
        batch_size: The examples of a step; at most as many as there are.
        learning_rate: The rate of the first step; it falls linearly to zero.
        momentum_shift: Velocities keep 1 - 2**-momentum_shift of themselves a step; 0 for no momentum.
        decay_shift: Weights lose 2**-decay_shift of themselves a step; 0 for no decay.
        moved_by: The most pixels by which images are moved at random, every time that they are seen.
        mirrored: Whether half of the images are mirrored, left and right, when they are seen.
        weight_bits: The bits of a weight, its sign included, from 2 to 8.
        input_domain: The integers that an input element may be, within a byte: an `IntDomain`, or the least and the
            largest.
        scaling: None where inputs are integers of the domain, and anything else is refused; "minmax" where they are
            floats: the range of every feature (of all pixels, for images) in the training data is spread over the
            domain, and what lies beyond it later saturates. The scaling is float arithmetic; training is not.
        random_state: The seed; equal seeds give equal bits, on every machine.
        checkpoint: An .npz or .json file, written after every epoch; `fit` goes on from it if it exists.
        callback: A function that is called with an `Epoch` after every pass.
        verbose: 1 prints a line for every epoch, 0 prints nothing.
        backend: "numba", "numpy" or "reference"; all train to the same bits, and numba in the least time.

    Attributes:
        classes_: The labels that `fit` saw, ascending; `predict` answers with them.
        n_features_in_: The number of elements of one input.
        scaling_: The `Scaling` that `fit` found, or None.
        network_: The trained `IntNetwork`; its logits are those of the last forward pass, bit for bit.
    """

    def __init__(
        self,
        layers: Sequence[int | Hidden | Convolution] = (64, 32),
        *,
        epochs: int = 40,
        batch_size: int = 32,
        learning_rate: Fraction | float = 0.05,
        momentum_shift: int = 3,
        decay_shift: int = 0,
        moved_by: int = 0,
        mirrored: bool = False,
        weight_bits: int = 8,
        input_domain: IntDomain | tuple[int, int] = (0, 255),
        scaling: str | None = None,
        random_state: int = 0,
        checkpoint: str | os.PathLike[str] | None = None,
        callback: Callable[[Epoch], None] | None = None,
        verbose: int = 0,
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
        self.scaling = scaling
        self.random_state = random_state
        self.checkpoint = checkpoint
        self.callback = callback
        self.verbose = verbose
        self.backend = backend

    def fit(self, X: ArrayLike, y: ArrayLike) -> "IntClassifier":
        """Learn from examples.

        Args:
            X: The inputs, [n, features] or [n, channels, height, width]: integers inside ``input_domain``, or floats
                if ``scaling`` is "minmax".
            y: The labels [n], integers or strings, of at least two classes.

        Raises:
            TypeError: ``X`` does not hold integers where they are due, or a parameter is of another type.
            ValueError: The shape is wrong, there are no examples or only one class, a value lies outside the domain,
                or a parameter is bad.
            FormatError: The checkpoint is corrupt or belongs to another run; it is kept.
        """
        domain = self._domain()
        if self.scaling not in (None, "minmax"):
            raise ValueError(f'`scaling` must be None or "minmax", got {self.scaling!r}')
        scaling = None if self.scaling is None else Scaling.of(features(X), domain)
        x = self._inputs(X, scaling)
        labels = targets(y, len(x))
        classes, indices = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"`y` must hold at least two classes, got only 1 class: {classes[0]!r}")
        layout = plan(self.layers, x.shape[1:], domain, len(classes), self.weight_bits)
        state = train(
            layout,
            _channels_last(x),
            indices.astype(np.int64),
            self._schedule(len(x)),
            self.checkpoint,
            self._reporter(),
            self.backend,
        )
        self.classes_ = classes
        self.n_features_in_ = x[0].size
        self.scaling_ = scaling
        # Integers come from floats by `scaling_` alone: no one factor does it, and whoever has the network must know.
        self.network_: IntNetwork = to_network(layout, state, metadata={"scaling": self.scaling} if scaling else None)
        return self

    def decision_function(self, X: ArrayLike) -> IntArray:
        """The integer logits [n, classes]; with two classes the second one's lead, [n], as scikit-learn has it."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most likely class of every row, in the labels that `fit` saw."""
        chosen = self._logits(X).argmax(axis=1)
        return self.classes_[chosen]

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """The share of right answers."""
        return float((self.predict(X) == np.asarray(y)).mean())

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's tools may expect; only they ask, so that scikit-learn is there."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(two_d_array=True),
        )

    def _domain(self) -> IntDomain:
        if isinstance(self.input_domain, IntDomain):
            return self.input_domain
        if not np.iterable(self.input_domain) or len(self.input_domain) != 2:
            raise TypeError(
                f"`input_domain` must be an IntDomain or a pair such as (0, 255), got {self.input_domain!r}"
            )
        return IntDomain(*self.input_domain)

    def _inputs(self, X: ArrayLike, scaling: Scaling | None) -> IntArray:
        """The inputs as integers of the domain, [n, ...]."""
        x = scaling(features(X)) if scaling is not None else self._domain().require(X, "X")
        if x.ndim not in (2, 4) or not x.size:
            raise ValueError(f"`X` must have shape [n, features] or [n, channels, height, width], got {x.shape}")
        return x

    def _logits(self, X: ArrayLike) -> IntArray:
        if not hasattr(self, "network_"):
            raise not_fitted(self)
        shape = self.network_.input_shape
        given = np.shape(features(X) if self.scaling_ is not None else X)[1:]
        if given != shape and len(given) == 1 == len(shape):
            raise ValueError(
                f"X has {given[0]} features, but {type(self).__name__} is expecting {shape[0]} features as input"
            )
        return self.network_.logits(self._inputs(X, self.scaling_), self.backend)

    def _reporter(self) -> Callable[[Epoch], None] | None:
        """The function to call after every epoch: the callback, after a line if ``verbose`` asks for one."""
        if not self.verbose:
            return self.callback
        start = time.perf_counter()

        def report(epoch: Epoch) -> None:
            seconds, share = time.perf_counter() - start, epoch.correct / epoch.seen
            print(f"epoch {epoch.number}/{self.epochs}: {100 * share:.2f} % right while training, {seconds:.1f} s")
            if self.callback is not None:
                self.callback(epoch)

        return report

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
    """Bring [n, features] or [n, c, h, w] to [n, h, w, c]."""
    if x.ndim == 2:
        return integers(x.reshape(len(x), 1, 1, -1), "X")
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))
