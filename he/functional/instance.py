"""What an instance of inner-product functional encryption computes, as all parties know it."""

from __future__ import annotations

import re
import secrets
import weakref
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from numpy.typing import ArrayLike

from he.kernels.passes import inner as kernels
from intnn.values.arrays import IntArray, frozen_copy, integer, integers
from intnn.values.domain import IntDomain
from intnn.values.value_object import ValueObject

SchemeName = Literal["rlwe", "ddh", "pads"]

#: The schemes; `he.functional.schemes.scheme` returns what implements one of them.
SCHEMES: tuple[SchemeName, ...] = ("rlwe", "ddh", "pads")

MAX_LENGTH = 1 << 16
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Instance(ValueObject):
    """Inner products <x, y> of encrypted vectors x and the vectors y of functional keys, all of one length.

    A master key belongs to one instance, and so do its public key, ciphertexts and functional keys, whose bytes name
    the instance by its id.

    Attributes:
        scheme: "rlwe", "ddh" or "pads".
        length: The number of elements of a vector, in [1, 65536].
        inputs: The integers that an element of x may be, inside [-128, 255].
        key_limit: The largest magnitude of an element of y, in [1, 32767].
        id: 32 hexadecimal digits, drawn at random.

    Raises:
        TypeError: A number is no integer, or ``inputs`` no domain.
        ValueError: A value is out of its range.
    """

    scheme: SchemeName
    length: int
    inputs: IntDomain
    key_limit: int = 127
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    _last: weakref.ref[IntArray] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise ValueError(f'`scheme` must be "rlwe", "ddh" or "pads", got {self.scheme!r}')
        object.__setattr__(self, "length", integer(self.length, "length", 1, MAX_LENGTH))
        object.__setattr__(self, "key_limit", integer(self.key_limit, "key_limit", 1, 32767))
        if not isinstance(self.inputs, IntDomain):
            raise TypeError(f"`inputs` must be an IntDomain, got {type(self.inputs).__name__}")
        if not IntDomain(-128, 255).issuperset(self.inputs) or self.inputs.lo == self.inputs.hi:
            raise ValueError(f"`inputs` must lie in [-128, 255] and hold two integers or more, got {self.inputs}")
        object.__setattr__(self, "inputs", IntDomain(self.inputs.lo, self.inputs.hi))  # an interval, also of a ring
        if not isinstance(self.id, str) or not _ID.fullmatch(self.id):
            raise ValueError(f"`id` must be 32 hexadecimal digits, got {self.id!r:.80}")

    @cached_property
    def centre(self) -> int:
        """What is subtracted from every element of x before it is encrypted, so that magnitudes are small."""
        return (self.inputs.lo + self.inputs.hi + 1) // 2

    @property
    def width(self) -> int:
        """The largest difference of two elements of x."""
        return self.inputs.hi - self.inputs.lo

    @cached_property
    def magnitude(self) -> int:
        """The largest magnitude of an element of x behind the centring."""
        return max(self.inputs.hi - self.centre, self.centre - self.inputs.lo)

    @cached_property
    def bound(self) -> int:
        """The largest magnitude that <x - centre, y> can have."""
        return self.length * self.magnitude * self.key_limit

    def require_inputs(self, x: ArrayLike) -> IntArray:
        """Vectors to encrypt as int64 [samples, length].

        Raises:
            TypeError: They are no integers.
            ValueError: Their shape or a value is wrong, or there are none.
        """
        return _rows(self.inputs.require(x, "x"), self.length, "x")

    def require_keys(self, y: ArrayLike) -> IntArray:
        """Vectors of functional keys as int64 [keys, length], read-only, in C's order or in Fortran's; they are copied.

        What it has returned last is not looked at again: a request and the key that answers it have the same vectors.

        Raises:
            TypeError: They are no integers.
            ValueError: Their shape or a value is wrong, or there are none.
        """
        if y is not None and self._last is not None and self._last() is y:  # one that is gone is None
            return y
        rows = _rows(integers(y, "y"), self.length, "y")
        if rows.flags.c_contiguous or not rows.flags.f_contiguous:
            fixed = kept = frozen_copy(rows)
        else:  # as the weights of training lie
            fixed = frozen_copy(rows.T)
            kept = fixed.T
        if not kernels.lie_within(fixed, self.key_limit):
            IntDomain(-self.key_limit, self.key_limit).require(kept, "y")  # raises: it says which one does not
        vars(self)["_last"] = weakref.ref(kept)
        return kept


def _rows(values: IntArray, length: int, name: str) -> IntArray:
    if values.shape[1:] != (length,) or not len(values):
        raise ValueError(f"`{name}` must have shape [n, {length}] with n at least 1, got {list(values.shape)}")
    return values
