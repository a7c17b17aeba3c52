"""Training on a few projections of inputs that the trainer cannot read: functional keys once, and then none.

    shared:     projection = fit_projection(public, rank=32)
    trainer:    classifier = train(projection, products, labels)
    new inputs: classifier.predict(projection(x))

The projection is fixed before training: integers within +-127 that follow from public examples, and from nothing else.
The trainer asks once for one key a row, decrypts the projections of all examples, brings them to bytes by an integer
map that is public as well, and trains in the clear. So all that the keys reveal are as many numbers of an example as
the projection has rows, exactly, to whoever holds keys and ciphertexts. That is no small thing: the more rows, the
closer an example can be rebuilt.

With the projection fixed beforehand, owners could as well send projections in the clear. What encryption adds is that
the projection may be chosen, and authorised, after the data has left its owners, who need not be there any more; and
that one store of ciphertexts serves several trainers, each within a budget.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from he.functional.blas import one_thread, product
from he.functional.instance import MAX_LENGTH
from he.functional.protocols.products import Products
from intnn.estimator.classifier import IntClassifier
from intnn.training import generator
from intnn.values.arrays import FloatArray, IntArray, frozen, instance, integer, real
from intnn.values.domain import IntDomain
from intnn.values.rounding import round_half_up
from intnn.values.value_object import ValueObject

LIMIT = 127
BYTES = IntDomain(-LIMIT, LIMIT)
"""The integers of projection matrices, and of what is trained on."""

MANY = 10_000  # examples, from which on `classifier_for` proposes wider layers and larger batches
GAIN_BITS = 22
SUM_BITS = 38  # of a projection: less a centre and times a gain, it stays below 2**61


@dataclass(frozen=True, eq=False)
class ByteScaling(ValueObject):
    """An integer map of projections to bytes: (z - centre) gain / 2**shift, rounded, and saturated at +-127.

    Attributes:
        centre: What becomes zero, int64 [rank], magnitudes below 2**38.
        gain: The factors, int64 [rank] in [0, 2**22].
        shift: The exponent of the divisor, in [0, 60].

    Arrays are read-only.

    Raises:
        TypeError: A value is no integer.
        ValueError: Shapes differ, or a value is out of its range.
    """

    centre: IntArray
    gain: IntArray
    shift: int

    def __post_init__(self) -> None:
        centre = _SUMS.require(self.centre, "centre")
        gain = IntDomain(0, 1 << GAIN_BITS).require(self.gain, "gain")
        if centre.ndim != 1 or centre.shape != gain.shape:
            raise ValueError(f"`centre` and `gain` must have one shape, [rank], got {centre.shape}, {gain.shape}")
        object.__setattr__(self, "centre", frozen(centre))
        object.__setattr__(self, "gain", frozen(gain))
        object.__setattr__(self, "shift", integer(self.shift, "shift", 0, 60))

    @classmethod
    def of(cls, z: IntArray, power: float) -> "ByteScaling":
        """The map for projections like z, int64 [n, rank], whose deviations it brings to their powers.

        A feature of deviation s is multiplied by a multiple of s**(power - 1), so that with a power of 1 all features
        keep their proportions and with 0 all are alike; three deviations of the largest result are 127. A feature
        that never changes in z is multiplied by zero.

        Raises:
            ValueError: No feature changes in z.
        """
        deviation = z.std(axis=0)
        if not deviation.any():
            raise ValueError("`public` must hold examples that differ in their projections, got constant ones")
        power_of = np.where(deviation > 0, deviation, 1.0) ** (power - 1)
        gain = np.where(deviation > 0, power_of, 0.0)
        gain *= LIMIT / (3 * (gain * deviation).max())
        shift = GAIN_BITS - int(np.frexp(gain.max())[1])
        return cls(round_half_up(z.mean(axis=0)), round_half_up(np.ldexp(gain, shift)), shift)

    def __call__(self, z: ArrayLike) -> IntArray:
        """Bytes of projections, int64 [n, rank] within +-127.

        Raises:
            TypeError: They are no integers.
            ValueError: Their shape is another, or a magnitude is 2**38 or more.
        """
        values = _SUMS.require(z, "z")
        if values.ndim != 2 or values.shape[1] != len(self.centre):
            raise ValueError(f"`z` must have shape [n, {len(self.centre)}], got {list(values.shape)}")
        half = (1 << self.shift) >> 1
        return BYTES.saturate(((values - self.centre) * self.gain + half) >> self.shift)


_SUMS = IntDomain(-(1 << SUM_BITS) + 1, (1 << SUM_BITS) - 1)


@dataclass(frozen=True, eq=False)
class Projection(ValueObject):
    """A few inner products of an input, brought to bytes.

    Attributes:
        matrix: The vectors that inputs are multiplied with, int64 [rank, features] within +-127; read-only.
        scaling: The map of the products to bytes.

    Raises:
        TypeError: The matrix holds no integers, or the scaling is none.
        ValueError: A value is out of range, or shapes do not fit.
    """

    matrix: IntArray
    scaling: ByteScaling

    def __post_init__(self) -> None:
        matrix = BYTES.require(self.matrix, "matrix")
        rank = len(instance(self.scaling, ByteScaling, "scaling").centre)
        if matrix.ndim != 2 or len(matrix) != rank or not matrix.size:
            raise ValueError(f"`matrix` must have shape [{rank}, features] for such a scaling, got {matrix.shape}")
        object.__setattr__(self, "matrix", frozen(matrix))

    @property
    def rank(self) -> int:
        """The number of rows, and of keys."""
        return len(self.matrix)

    def __call__(self, x: ArrayLike) -> IntArray:
        """Bytes of inputs that can be read, int64 [n, features] to int64 [n, rank] within +-127.

        Raises:
            TypeError: They are no integers.
            ValueError: Their shape is another, or an input has more than 16 bits.
        """
        return self.scaling(_products(_inputs(x, "x", self.matrix.shape[1]), self.matrix))


def fit_projection(
    public: ArrayLike,
    rank: int,
    kind: Literal["principal", "random"] = "principal",
    *,
    power: float = 0.5,
    seed: int = 0,
) -> Projection:
    """Find a projection by public examples.

    Principal components are those of the public examples, each stretched so that its largest element is 127, and
    rounded. They are found in floating point, and may differ in single units from machine to machine: whoever wants the
    same bits shares the projection, and not its recipe. The sign of a component is that which makes its largest element
    positive. Random signs, +1 and -1, need public examples for the scaling alone, and more rows for the same accuracy.

    Args:
        public: Examples that everybody may see, integers [n, features]; a few hundred, of the kind to be trained on.
        rank: The rows of the projection; at most as many as there are features and, for principal components, fewer
            than public examples.
        kind: "principal" or "random".
        power: To what power of their deviations features are brought, in [0, 1]; see `ByteScaling.of`.
        seed: The seed of random signs, in [0, 2**63).

    Raises:
        TypeError: ``public`` holds no integers, or an argument is of another type.
        ValueError: A shape or a value is out of range.
    """
    examples = _inputs(public, "public")
    n, features = examples.shape
    if n < 2:
        raise ValueError(f"`public` must hold at least two examples, got {n}")
    power = real(power, "power")
    if not 0 <= power <= 1:
        raise ValueError(f"`power` must lie in [0, 1], got {power}")
    match kind:
        case "principal":
            matrix = _components(examples, integer(rank, "rank", 1, min(features, n - 1)))
        case "random":
            stream = generator.key(integer(seed, "seed", 0, (1 << 63) - 1))
            draws = generator.draws(stream, integer(rank, "rank", 1, features) * features)
            matrix = (2 * (draws >> 31) - 1).reshape(-1, features)
        case _:
            raise ValueError(f'`kind` must be "principal" or "random", got {kind!r}')
    return Projection(matrix, ByteScaling.of(_products(examples, matrix), power))


def train(
    projection: Projection, products: Products, labels: ArrayLike, classifier: IntClassifier | None = None
) -> IntClassifier:
    """Ask for the projection's keys, decrypt the projections of all examples, and train on their bytes.

    Args:
        projection: What to ask for.
        products: The instance of the examples: vectors of as many elements as an example has features.
        labels: The labels [n] in the order of the examples, as in `IntClassifier.fit`.
        classifier: What is trained, with inputs within +-127; by default what `classifier_for` proposes.

    Returns:
        The classifier, with the bits that training on ``projection(x)`` gives.

    Raises:
        BudgetError: The authority refuses the keys.
        MismatchError: A product could be wrong.
        TypeError: As in `IntClassifier.fit`.
        ValueError: As in `IntClassifier.fit`.
    """
    z = products.products(projection.matrix, 0, len(np.asarray(labels)))
    return (classifier or classifier_for(len(z))).fit(projection.scaling(z), labels)


def classifier_for(examples: int) -> IntClassifier:
    """A classifier for bytes of projections, by the number of examples.

    Rates, epochs and widths were chosen on held-out parts of the training sets, and so was the power of
    `fit_projection`. Few examples: on 300 of the 1,437 digits, with rates of 0.05 to 0.4, 40 and 60 epochs, and powers
    of 0, 0.5 and 1. Many: on 5,000 of MNIST's 60,000, with rates of 0.1 to 1, 8 to 20 epochs, batches of 64 and 128,
    128 and 256 units, and powers of 0, 0.25, 0.5 and 1.
    """
    if examples < MANY:
        return IntClassifier((64,), epochs=40, batch_size=32, learning_rate=0.4, input_domain=BYTES)
    return IntClassifier((256,), epochs=20, batch_size=128, learning_rate=0.8, input_domain=BYTES)


def _components(examples: IntArray, rank: int) -> IntArray:
    """The first principal components, int64 [rank, features] within +-127."""
    centred: FloatArray = examples - examples.mean(axis=0)
    with one_thread():
        _, vectors = np.linalg.eigh(centred.T @ centred)  # ascending
    rows = vectors.T[::-1][:rank]
    peaks = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return round_half_up(rows / peaks * LIMIT)


def _products(x: IntArray, matrix: IntArray) -> IntArray:
    """The inner products of every row with every row, by float64 as a unit of exact integers: all sums are below 2**53.

    numpy multiplies matrices of integers many times slower.
    """
    return product(x.astype(np.float64), matrix.T.astype(np.float64)).astype(np.int64)


def _inputs(x: ArrayLike, name: str, features: int | None = None) -> IntArray:
    """Inputs [n, features] whose projections are below 2**SUM_BITS, by their 16 bits and MAX_LENGTH features."""
    values = IntDomain(-(1 << 15), (1 << 15) - 1).require(x, name)
    fits = values.ndim == 2 and 0 < values.shape[1] <= MAX_LENGTH and features in (None, values.shape[1])
    if not fits:
        raise ValueError(f"`{name}` must have shape [n, {features or 'features'}], got {list(values.shape)}")
    return values
