"""A classifier that trains and predicts in integers alone, with scikit-learn's habits."""

import math
import os
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from intnn.estimator.base import Estimator, features, not_fitted, tags, targets, weights
from intnn.estimator.scaling import Scaling
from intnn.network.network import IntNetwork
from intnn.training.examples import Changes, repeats_of, shown
from intnn.training.export import to_network
from intnn.training.plan import Convolution, Hidden, Plan, plan
from intnn.training.run import Progress, train, train_on
from intnn.training.schedule import Epoch, Schedule
from intnn.training.step import Descent, initialise
from intnn.training.tables import BYTES
from intnn.values.arrays import Array, FloatArray, IntArray, array, batched, integer, integers, real
from intnn.values.domain import IntDomain

SLOWEST = 2.0**-30  # what a learning rate's fraction can tell from zero


class IntClassifier(Estimator):
    """A classifier whose training has no float in it.

    Constructors only store; `fit` validates and learns; what it learns ends in an underscore.

    Args:
        layers: The hidden layers, each a number of units, a `Hidden` or a `Convolution`.
        epochs: The passes over the data, from 1.
        batch_size: The examples of a step, from 1; all of them where there are fewer.
        learning_rate: The rate of the first step, from 2**-30 to 1; it falls linearly to zero.
        momentum_shift: Velocities keep 1 - 2**-momentum_shift of themselves a step, up to 15; 0 for no momentum.
        decay_shift: Weights lose 2**-decay_shift of themselves a step, up to 30; 0 for no decay.
        moved_by: The most pixels by which images are moved at random, every time that they are seen, up to 65536; 0
            for features.
        mirrored: Whether half of the images are mirrored, left and right, when they are seen; not for features.
        weight_bits: The bits of a weight, its sign included, from 2 to 8.
        input_domain: The integers that an input element may be, within a byte: an `IntDomain`, or the least and the
            largest.
        scaling: None where inputs are integers of the domain, and anything else is refused; "minmax" where they are
            floats: the range of every feature (of all pixels, for images) in the training data is spread over the
            domain, and what lies beyond it later saturates. The scaling is float arithmetic; training is not.
        random_state: The seed, from 0 and below 2**63; equal seeds give equal bits, on every machine.
        checkpoint: An .npz or .json file, written after every epoch; `fit` goes on from it if it exists.
        callback: A function that is called with an `Epoch` after every pass.
        verbose: 1 prints a line for every epoch, 0 prints nothing.
        backend: "numba", "numpy", "reference", or "cuda", the GPU in use; all train and predict the same bits, numba in
            the least time of those without a GPU.

    Attributes:
        classes_: The labels that `fit` saw, ascending; `predict` answers with them.
        n_features_in_: The number of elements of one input.
        scaling_: The `Scaling` that `fit` found, or None.
        logit_unit_: How many nats one unit of a logit is, for `predict_proba`.
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

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> "IntClassifier":
        """Learn from examples, from the beginning.

        Args:
            X: The inputs, [n, features] or [n, channels, height, width]: integers inside ``input_domain``, or floats
                if ``scaling`` is "minmax".
            y: The labels [n], integers, booleans or strings, of at least two classes.
            sample_weight: The weights of the examples [n], not negative. Whole weights are numbers of times: the result
                has the bits that repeated examples give, in their order, and a weight of zero leaves an example out.
                Other weights are proportions: an epoch shows as many examples as have a weight, each of them as often
                as its share says, rounded up or down at random.

        Raises:
            TypeError: ``X`` does not hold integers where they are due, or a parameter is of another type.
            ValueError: The shape is wrong, there are no examples or only one class, a value lies outside the domain,
                or a weight or a parameter is bad.
            FormatError: The checkpoint is corrupt or belongs to another run; it is kept.
            OSError: The checkpoint's folder does not exist, or the checkpoint is a folder.
        """
        rows, labels, repeats = self._weighted(X, y, sample_weight)
        classes = _distinct(labels)
        schedule, scaling = self._schedule(shown(len(rows), repeats)), self._new_scaling(rows)
        layout, x = self._plan(rows, classes), _channels_last(_integers(rows, scaling))
        path, report = self.checkpoint, self._reporter(f"/{self.epochs}")
        indices = np.searchsorted(classes, labels)
        state = train(layout, x, indices, schedule, path, report, self.backend, repeats)
        steps = schedule.epochs * (shown(len(rows), repeats) // schedule.batch_size)
        self._store(classes, scaling, Progress(layout, state, schedule.epochs, steps))
        return self

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> "IntClassifier":
        """Learn from more examples, in one pass over them.

        It goes on where `fit` or the last call has stopped, with the velocities of then, at the rate
        ``learning_rate``, which does not fall; ``epochs`` makes no difference. A batch is at most as large as ``X``,
        and an incomplete last one is left out. Equal calls in equal order give equal bits, on every backend. The first
        call of all decides on the network and on ``scaling_``: what lies beyond its range saturates later.

        Args:
            X: The inputs, as in `fit`.
            y: The labels [n], each of them one of the classes.
            classes: All labels that there will be, at least two; they must be given in the first call of all.
            sample_weight: The weights of the examples [n], as in `fit`.

        Raises:
            TypeError: As in `fit`.
            ValueError: As in `fit`; or ``classes`` is missing or has changed, a label is none of them, parameters of
                the network have changed, or ``checkpoint`` is set.
        """
        if self.checkpoint is not None:
            raise ValueError("`checkpoint` must be None for `partial_fit`, got a file, which is `fit`'s; use pickle")
        known = self._known_classes(classes)
        rows, labels, repeats = self._weighted(X, y, sample_weight, known)
        unknown = labels[~np.isin(labels, known)]
        if len(unknown):
            raise ValueError(f"`y` must hold labels of `classes`, got {unknown[0]!r}")
        schedule = self._schedule(shown(len(rows), repeats))
        scaling, progress = self._begun(rows, known, schedule)
        x, indices = _channels_last(_integers(rows, scaling)), np.searchsorted(known, labels)
        progress = train_on(progress, x, indices, schedule, self._reporter(""), self.backend, repeats)
        self._store(known, scaling, progress)
        return self

    def decision_function(self, X: ArrayLike) -> IntArray:
        """The integer logits [n, classes]; with two classes the second one's lead, [n], as scikit-learn has it.

        `CalibratedClassifierCV` takes integers with ``method="isotonic"``.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most likely class of every row, in the labels that `fit` saw."""
        chosen = self._logits(X).argmax(axis=1)
        return self.classes_[chosen]

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """The probabilities of the classes, float64 [n, classes], which add up to one.

        They are the softmax of the logits in nats, `decision_function` times ``logit_unit_``: what training brings
        close to the labels, but for its rounding of logits to 1/64 nat.
        """
        logits = self._logits(X)
        odds = np.exp((logits - logits.max(axis=1, keepdims=True)) * self.logit_unit_)
        return odds / odds.sum(axis=1, keepdims=True)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The share of right answers, or of their weights.

        Args:
            X: The inputs, as in `fit`.
            y: The labels [n], of the kind that `fit` saw: integers, booleans or strings.
            sample_weight: The weights of the examples [n], not negative.

        Raises:
            ValueError: ``y`` or ``sample_weight`` has another shape or kind.
        """
        right = self.predict(X)
        labels = targets(y, len(right), self.classes_)
        given = weights(sample_weight, len(right))
        if given is not None:  # by a power of two, which is exact: no sum may be beyond all floats
            given = np.ldexp(given, -np.frexp(given.max())[1])
        return float(np.average(right == labels, weights=given))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def __sklearn_tags__(self) -> Any:
        return tags("classifier", needs_labels=True)

    def _domain(self) -> IntDomain:
        given = self.input_domain
        if not isinstance(given, IntDomain):
            if not np.iterable(given) or len(given) != 2:
                raise TypeError(f"`input_domain` must be an IntDomain or a pair such as (0, 255), got {given!r}")
            given = IntDomain(*given)
        if not any(byte.issuperset(given) for byte in BYTES):
            raise ValueError(f"`input_domain` must lie in [0, 255] or [-128, 127], got {given}")
        return given

    def _rows(self, X: ArrayLike, is_scaled: bool) -> Array:
        """The inputs [n, ...]: floats if they are going to be scaled, and integers of the domain if not."""
        x = features(X) if is_scaled else self._domain().require(X, "X")
        if x.ndim not in (2, 4) or not x.size:
            raise ValueError(f"`X` must have shape [n, features] or [n, channels, height, width], got {x.shape}")
        return x

    def _weighted(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, like: Array | None = None
    ) -> tuple[Array, Array, IntArray | None]:
        """The rows and labels of some weight, and how often an epoch shows them."""
        if self.scaling is not None and not (isinstance(self.scaling, str) and self.scaling == "minmax"):
            raise ValueError(f'`scaling` must be None or "minmax", got {self.scaling!r}')
        rows = self._rows(X, self.scaling is not None)
        labels, given = targets(y, len(rows), like), weights(sample_weight, len(rows))
        if given is None:
            return rows, labels, None
        counts = given > 0
        return rows[counts], labels[counts], repeats_of(given[counts])

    def _plan(self, rows: Array, classes: Array) -> Plan:
        return plan(self.layers, rows.shape[1:], self._domain(), len(classes), self.weight_bits)

    def _new_scaling(self, rows: Array) -> Scaling | None:
        return None if self.scaling is None else Scaling.of(rows, self._domain())

    def _known_classes(self, classes: ArrayLike | None) -> Array:
        """The classes of a partial fit: those given, which must be those known if there are any."""
        is_begun = hasattr(self, "network_")
        if classes is None:
            if not is_begun:
                raise ValueError("`classes` must be given in the first call of `partial_fit`: all labels there will be")
            return self.classes_
        labels = array(classes, "classes")
        if labels.ndim != 1:
            raise ValueError(f"`classes` must be a sequence of labels, got {classes!r}")
        given = _distinct(targets(labels, len(labels), name="classes"), "classes")
        if is_begun and not np.array_equal(given, self.classes_):
            raise ValueError(f"`classes` must stay as they were, {self.classes_}, got {given}")
        return given

    def _begun(self, rows: Array, classes: Array, schedule: Schedule) -> tuple[Scaling | None, Progress]:
        """What a partial fit goes on from: what was learned, or a new network."""
        if not hasattr(self, "network_"):
            layout = self._plan(rows, classes)
            return self._new_scaling(rows), Progress(layout, initialise(layout, schedule.seed))
        self._require_shape(rows)
        if self._plan(rows, classes) != self._progress.plan or (self.scaling is None) != (self.scaling_ is None):
            raise ValueError(
                "`layers`, `weight_bits`, `input_domain` and `scaling` must stay as they were when learning began; "
                "call `fit` to begin anew"
            )
        return self.scaling_, self._progress

    def _store(self, classes: Array, scaling: Scaling | None, progress: Progress) -> None:
        """Keep what was learned."""
        self.classes_, self.scaling_, self._progress = classes, scaling, progress
        # Integers come from floats by `scaling_` alone: no one factor does it, and whoever has the network must know.
        metadata = None if scaling is None else {"scaling": "minmax"}
        self.network_: IntNetwork = to_network(progress.plan, progress.state, metadata=metadata)
        self.n_features_in_ = math.prod(self.network_.input_shape)
        self.logit_unit_ = 2.0 ** -progress.plan.blocks[-1].sum_exponent

    def _require_shape(self, rows: Array) -> None:
        given, shape = rows.shape[1:], self.network_.input_shape
        if given != shape and len(given) == 1 == len(shape):
            raise ValueError(
                f"X has {given[0]} features, but {type(self).__name__} is expecting {shape[0]} features as input"
            )
        batched(rows, shape, "X")

    def _logits(self, X: ArrayLike) -> IntArray:
        if not hasattr(self, "network_"):
            raise not_fitted(self)
        rows = self._rows(X, self.scaling_ is not None)
        self._require_shape(rows)
        return self.network_.logits(_integers(rows, self.scaling_), self.backend)

    def _reporter(self, of: str) -> Callable[[Epoch], None] | None:
        """The function to call after every epoch: the callback, after a line if ``verbose`` asks for one."""
        if self.callback is not None and not callable(self.callback):
            raise TypeError(f"`callback` must be a function of an Epoch or None, got {self.callback!r}")
        if not isinstance(self.verbose, bool | np.bool_):
            integer(self.verbose, "verbose", 0)
        if not self.verbose:
            return self.callback
        start = time.perf_counter()

        def report(epoch: Epoch) -> None:
            seconds, share = time.perf_counter() - start, epoch.correct / epoch.seen
            print(f"epoch {epoch.number}{of}: {100 * share:.2f} % right while training, {seconds:.1f} s")
            if self.callback is not None:
                self.callback(epoch)

        return report

    def _schedule(self, examples: int) -> Schedule:
        rate = self.learning_rate
        if not isinstance(rate, Fraction):
            rate = real(rate, "learning_rate")
        if not SLOWEST <= rate <= 1:
            raise ValueError(f"`learning_rate` must lie in [2**-30, 1], got {self.learning_rate}")
        if not isinstance(self.mirrored, bool | np.bool_):
            raise TypeError(f"`mirrored` must be True or False, got {self.mirrored!r}")
        descent = Descent(
            integer(self.momentum_shift, "momentum_shift", 0, 15), integer(self.decay_shift, "decay_shift", 0, 30)
        )
        return Schedule(
            epochs=integer(self.epochs, "epochs", 1),
            batch_size=min(integer(self.batch_size, "batch_size", 1), examples),
            learning_rate=Fraction(rate).limit_denominator(1 << 30),
            descent=descent,
            seed=integer(self.random_state, "random_state", 0, (1 << 63) - 1),
            changes=Changes(integer(self.moved_by, "moved_by", 0, 1 << 16), bool(self.mirrored)),
        )


def _integers(rows: Array, scaling: Scaling | None) -> IntArray:
    """Rows as integers of the domain."""
    return rows if scaling is None else scaling(rows)


def _channels_last(x: IntArray) -> IntArray:
    """Bring [n, features] or [n, c, h, w] to [n, h, w, c]."""
    if x.ndim == 2:
        return integers(x.reshape(len(x), 1, 1, -1), "X")
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def _distinct(labels: Array, name: str = "y") -> Array:
    """The labels that there are, ascending."""
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(f"`{name}` must hold at least two classes, got only {len(classes)} class: {classes.tolist()}")
    return classes
