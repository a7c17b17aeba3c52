"""From the name of a backend to its six operations."""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol, cast

from intnn.values.arrays import Array, IntArray

BACKENDS: Mapping[str, str] = MappingProxyType({"reference": "reference", "numpy": "numpy_", "numba": "portable"})
CUDA = "cuda"  # a backend for whole networks, `intnn.device`: it has no operations on arrays of the host


class Operations(Protocol):
    """What every backend module offers. The linear operations calculate in the dtype of ``x``."""

    def arithmetic(self, bound: int, /) -> Any:
        """The dtype in which a sum is exact if its absolute terms add up to at most ``bound`` < 2**63."""

    def dense(self, x: Array, w: Array, b: Array, /) -> Array:
        """The matrix product [batch, in], [out, in] -> [batch, out], plus the bias [out]."""

    def conv2d(self, x: Array, w: Array, b: Array, stride: int, padding: int, /) -> Array:
        """The cross-correlation [batch, in, h, w], [out, in, kh, kw], [out] -> [batch, out, h', w'], zeros around x."""

    def sum_pool2d(self, x: Array, size: int, stride: int, /) -> Array:
        """The sum of every size x size window, [batch, c, h, w] -> [batch, c, h', w']."""

    def requantise(self, x: IntArray, multiplier: IntArray, shift: int, lo: int, hi: int, /) -> IntArray:
        """clip(floor((x multiplier + 2**(shift - 1)) / 2**shift), lo, hi).

        ``x`` is [batch, channels, ...], and the multiplier is [channels] or [1]. A shift of 0 only multiplies.
        """

    def lookup(self, x: IntArray, table: IntArray, lo: int, /) -> IntArray:
        """The elementwise table[x - lo]."""


def backend(name: str) -> Operations:
    """Return the operations of a backend: "reference", "numpy" or "numba".

    Backends load on first use, so that Numba costs nothing where it is not asked for.

    Raises:
        ValueError: There is no such backend, or it evaluates networks only as a whole.
    """
    if name == CUDA:
        raise ValueError("`backend` must have operations on arrays of the host, got 'cuda', which evaluates networks")
    if not isinstance(name, str) or name not in BACKENDS:
        raise ValueError(f"`backend` must be one of {', '.join(map(repr, (*BACKENDS, CUDA)))}, got {name!r}")
    return cast(Operations, importlib.import_module(f"intnn.ops.{BACKENDS[name]}"))
