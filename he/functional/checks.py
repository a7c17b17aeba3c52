"""What every scheme checks before it computes: who belongs to whom, and which samples are meant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from he.formats.messages import MessageError
from he.functional.errors import MismatchError
from he.functional.instance import Instance, SchemeName
from he.functional.scheme import Bound
from he.kernels.passes import inner as kernels
from intnn.values.arrays import IntArray, instance

B = TypeVar("B", bound=Bound)


def own(value: object, kind: type[B], name: str, of: Instance | None = None) -> B:
    """Return what a scheme was given, if it is of the scheme's own type and belongs to an instance.

    It has this instance itself from then on, and not one that equals it, as a message gives: that is seen at once.

    Args:
        value: What was given.
        kind: The scheme's type for it.
        name: The argument's name.
        of: The instance; None if any will do.

    Raises:
        TypeError: It is of another type.
        MismatchError: It belongs to another instance.
    """
    found = value if type(value) is kind else instance(value, kind, name)
    if of is not None and found.instance is not of:
        if found.instance != of:
            raise MismatchError(
                f"`{name}` must belong to the instance {of.id} as it is here, got one of {found.instance.id}; "
                "take the keys and ciphertexts of one instance"
            )
        vars(found)["instance"] = of
    return found


def require_scheme(of: Instance, name: SchemeName) -> None:
    """Check that an instance asks for a scheme.

    Raises:
        TypeError: It is no instance.
        ValueError: It asks for another scheme.
    """
    if instance(of, Instance, "instance").scheme != name:
        raise ValueError(f"`instance` must be of the scheme {name}, got one of {of.scheme}")


def sample_range(samples: slice | None, count: int) -> range:
    """The numbers of the samples that a slice means; all samples if there is none.

    Raises:
        TypeError: It is no slice, or its ends are no integers.
        ValueError: It has a step other than 1, holds nothing, or reaches beyond the samples.
    """
    if samples is None:
        return range(count)
    start, stop, step = instance(samples, slice, "samples").indices(count)
    if start == samples.start and stop == samples.stop and start < stop and step == 1:  # as nearly always
        return range(start, stop)
    furthest = max(abs(samples.start or 0), abs(samples.stop or 0))
    if step != 1 or start >= stop or furthest > count:
        raise ValueError(f"`samples` must be a slice without a step of one or more of {count} samples, got {samples}")
    return range(start, stop)


def uncentred(products: IntArray, y: IntArray, of: Instance) -> IntArray:
    """Return <x, y> from what a scheme computes, <x - centre, y>, unless no x of the instance has such products.

    Args:
        products: int64 [samples, keys], in C's order; it is overwritten.
        y: The vectors of the keys, int64 [keys, length], read-only.
        of: The instance.

    Raises:
        MismatchError: A product is beyond what its vector y allows.
    """
    require_possible(kernels.uncentre(products, y, of.magnitude, of.centre), y, of)
    return products


def require_possible(beyond: int, y: IntArray, of: Instance) -> None:
    """Refuse a product that no x of the instance has: what a kernel has found, the number of its vector y, or -1.

    Raises:
        MismatchError: There is one.
    """
    if beyond >= 0:
        raise MismatchError(
            f"a product is beyond {of.magnitude * np.abs(y[beyond]).sum()}, the largest with its vector: "
            "a key or ciphertext is damaged or forged"
        )


@contextmanager
def made_of_a_message() -> Iterator[None]:
    """Turn what a constructor refuses into a refusal of the message that its arguments were read from.

    Raises:
        MessageError: The constructor raised a TypeError or ValueError.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        raise MessageError(f"the message holds what cannot be: {error}") from error
