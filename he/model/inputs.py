"""Between the numbers that a model was trained on and those that a circuit takes."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from intnn import Graph, Scale
from intnn.approximation.replace import is_replaced
from intnn.network.fold import fold_scales
from intnn.network.scale import warn_of_scale
from intnn.values.arrays import Array, FloatArray, array, batched, frozen, reals
from intnn.values.value_object import ValueObject

MARGIN = 0.25  # by which a feature's range is wider than what was seen, on either side
NARROWEST = 1e-100  # of what is seen of a feature; less is none
BEYOND = 1.0  # how far beyond [0, 1] floats may reach, which integers cannot


@dataclass(frozen=True, eq=False)
class Inputs(ValueObject):
    """The scaling that a client does before it encrypts: y = (x - offset) * factor, saturated where features are.

    A circuit has one range, and an integer network one step, for all of its inputs. Features of tables are of all
    sizes, so each is brought to [0, 1] by what was seen of it, a quarter wider on either side. What lies beyond
    saturates: integers there, and floats where they are as far from [0, 1] as it is wide. Pixels have one factor for
    all, and no offset, because convolutions pad with zeros; what is within [0, 1] stays as it is. Where activations
    become polynomials, which hold for inputs like the samples alone, floats saturate as integers do.

    The model's owner gives these numbers to its clients: they tell how far each feature reaches in the samples.

    Attributes:
        shape: the shape of one input.
        offset: float64, one for each feature or [1] for all.
        factor: float64, of the same shape, positive.
        low, high: the range of what results.
        saturates: whether values beyond the range become its ends; if not, clients refuse them.
        names: the names of the columns, in their order, where the model or its samples have some; tables that clients
            pass must have the same.
    """

    shape: tuple[int, ...]
    offset: FloatArray
    factor: FloatArray
    low: float
    high: float
    saturates: bool
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", frozen(self.offset))
        object.__setattr__(self, "factor", frozen(self.factor))

    @staticmethod
    def of(samples: FloatArray, graph: Graph) -> Inputs:
        """Return the scaling for inputs of a network like these, float64 [n, *shape]."""
        shape = samples.shape[1:]
        low, high = float(samples.min()), float(samples.max())
        if low >= 0.0 and high <= 1.0:
            return Inputs(shape, np.zeros(1), np.ones(1), 0.0, 1.0, saturates=False)
        if len(shape) > 1:
            factor = np.array([1 / max(-low, high, NARROWEST)])
            return Inputs(shape, np.zeros(1), factor, -1.0 if low < 0 else 0.0, 1.0, saturates=True)
        lows, highs = samples.min(axis=0), samples.max(axis=0)
        seen = np.where(highs - lows > NARROWEST, highs - lows, np.maximum(np.abs(highs), 1.0))
        width = (1 + 2 * MARGIN) * seen
        ends = (0.0, 1.0) if any(map(is_replaced, graph.nodes)) else (-BEYOND, 1.0 + BEYOND)
        return Inputs(shape, lows - MARGIN * seen, 1 / width, *ends, saturates=True)

    @property
    def range(self) -> tuple[float, float]:
        """The range of what results."""
        return self.low, self.high

    def scaled(self, x: ArrayLike) -> FloatArray:
        """Return inputs [n, *shape] in the model's units as a circuit takes them.

        Raises:
            TypeError: if they are no numbers, or bytes of images.
            ValueError: if the shape is wrong, there are none, or a value is NaN or infinite; or they are a table with
                other columns, or in another order.

        Warns:
            UserWarning: if they have another scale than the samples; see `intnn.network.scale`.
        """
        require_names(x, self.names, "x")
        values = floats_of(x, self.shape, "x")
        with np.errstate(over="ignore"):  # an end beyond float64 is beyond all inputs
            ends = [self.offset + end / self.factor for end in self.range]
        warn_of_scale(values, *(end if len(end) > 1 else end[0] for end in ends))
        y = (values - self.offset) * self.factor
        return np.clip(y, self.low, self.high) if self.saturates else y

    def undone_by(self, graph: Graph) -> Graph:
        """Return the network that gives, for scaled inputs, what a graph gives for inputs in the model's units."""
        if not self.offset.any() and (self.factor == 1).all():
            return graph
        undo = Scale(1 / self.factor, self.offset)
        inputs = ((-1,), *(tuple(read + 1 if read >= 0 else 0 for read in reads) for reads in graph.sources))
        return fold_scales(replace(graph, nodes=(undo, *graph.nodes), inputs=inputs))


def names_of(table: Any) -> tuple[str, ...]:
    """Return the names of a table's columns, as of pandas or polars; none of what has none, or none that are text."""
    names = tuple(getattr(table, "columns", ()))
    return names if all(isinstance(name, str) for name in names) else ()


def require_names(table: Any, names: tuple[str, ...], what: str) -> None:
    """Refuse a table whose columns are not these in this order; what has no names, or should have none, passes.

    Raises:
        ValueError: if a column is another one.
    """
    given = names_of(table)
    if not given or not names or given == names:
        return
    place = next((i for i, (one, other) in enumerate(zip(given, names, strict=False)) if one != other), None)
    if place is None or sorted(given) != sorted(names):
        strange = sorted(name for name in {*given, *names} if given.count(name) != names.count(name))
        raise ValueError(f"`{what}` must have the columns of the model, got one too many or too few: {strange[0]!r}")
    raise ValueError(
        f"`{what}` must have the columns of the model in their order, got {given[place]!r} in the place of "
        f"{names[place]!r}; reorder them"
    )


def floats_of(samples: ArrayLike, shape: tuple[int, ...] | None, name: str = "samples") -> FloatArray:
    """Return inputs as float64 [n, *shape]; integers and truth values, as tables of features have them, become floats.

    Raises:
        TypeError: if they are bytes of images, which must be scaled as the model has learned them, no numbers, or no
            array.
        ValueError: if the shape is wrong, there are none, or a value is NaN or infinite.
    """
    if hasattr(samples, "toarray"):
        raise TypeError(f"`{name}` must be dense, got a sparse matrix; pass {name.strip('-')}.toarray()")
    if "bfloat16" in str(getattr(samples, "dtype", "")):
        raise TypeError(f"`{name}` must be of a type that numpy has, got bfloat16; pass {name.strip('-')}.float()")
    values = array(samples, name)
    if values.dtype == np.uint8:
        remedy = f"divide images by 255, say, or pass {name.strip('-')}.astype(float) if it has learned these numbers"
        raise TypeError(f"`{name}` must be floats as the model was trained on, got uint8; {remedy}")
    if values.dtype == object:
        values = _of_objects(values, samples, name)
    if values.dtype.kind in "biu":
        values = values.astype(np.float64)
    values = reals(values, name)
    if shape is not None:
        return batched(values, shape, name)
    if values.ndim < 2:
        remedy = f"pass {name.strip('-')}[:, None] where each input is one number"
        raise ValueError(f"`{name}` must be a batch of inputs [n, ...], got shape {values.shape}; {remedy}")
    if not len(values):
        raise ValueError(f"`{name}` must hold at least one row, got none")
    return values


def _of_objects(values: Array, samples: ArrayLike, name: str) -> FloatArray:
    """Return what numpy holds as objects, as the columns of a table of several types, as float64.

    Raises:
        TypeError: if one of them is no number, or they are no array.
    """
    if not values.ndim:
        got = "None" if samples is None else f"a {type(samples).__name__}"
        raise TypeError(f"`{name}` must be an array [n, ...] of inputs, got {got}; collect them in one")
    strange = next((v for v in values.flat if v is not None and not isinstance(v, numbers.Real | np.bool_)), None)
    if strange is not None:
        raise TypeError(
            f"`{name}` must hold numbers, got {strange!r} among them; make numbers of it, as for training, or fill it"
        )
    return values.astype(np.float64)  # None is NaN, which is refused as that
