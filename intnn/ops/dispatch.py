"""From the name of a backend to its six operations."""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol, cast

from intnn.values.arrays import Array, IntArray

BACKENDS: Mapping[str, str] = MappingProxyType({"reference": "reference", "numpy": "numpy_", "numba": "portable"})


class Operations(Protocol):
    """What every backend module offers. The linear operations calculate in the dtype of ``x``."""

    def arithmetic(self, bound: int, /) -> Any:
        """The dtype in which sums whose absolute terms add up to at most ``bound`` < 2**63 are exact."""

    def dense(self, x: Array, w: Array, b: Array, /) -> Array:
        """[batch, in], [out, in], [out] -> [batch, out]."""

    def conv2d(self, x: Array, w: Array, b: Array, stride: int, padding: int, /) -> Array:
        """[batch, in, h, w], [out, in, kh, kw], [out] -> [batch, out, h', w']; cross-correlation, zero padding."""

    def sum_pool2d(self, x: Array, size: int, stride: int, /) -> Array:
        """[batch, c, h, w] -> [batch, c, h', w']; the sum of every size x size window."""

    def requantise(self, x: IntArray, multiplier: IntArray, shift: int, lo: int, hi: int, /) -> IntArray:
        """[batch, channels, ...], [channels] or [1] -> clip(floor((x multiplier + 2**(shift - 1)) / 2**shift))."""

    def lookup(self, x: IntArray, table: IntArray, lo: int, /) -> IntArray:
        """Elementwise table[x - lo]."""


def backend(name: str) -> Operations:
    """Return the operations of a backend: "reference", "numpy" or "numba".

    Backends load on first use, so that Numba costs nothing where it is not asked for.

    Raises:
        ValueError: There is no such backend.
    """
    if name not in BACKENDS:
        raise ValueError(f"`backend` must be one of {', '.join(map(repr, BACKENDS))}, got {name!r}")
    return cast(Operations, importlib.import_module(f"intnn.ops.{BACKENDS[name]}"))
